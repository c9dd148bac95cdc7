"""The models of a Run, read back from its folder."""

import torch
from safetensors.torch import load_file
from torch import nn

from acclimate import backbones, finetune, plugins
from acclimate.data import preprocess
from acclimate.data.preprocess import (
    ImagePreprocess,
    ImageTextPreprocess,
    Preprocess,
    TablePreprocess,
    TextPreprocess,
    TokenPreprocess,
    VectorPreprocess,
)
from acclimate.errors import explain_damage
from acclimate.run_folder import RunFolder
from acclimate.runs.check import check_weights, name_in


def shape_of(fitted: Preprocess) -> backbones.Shape:
    """What comes out of the preprocessing, as a backbone wants to know it."""
    if isinstance(fitted, ImagePreprocess):
        return backbones.Shape(images=True, size=fitted.size, mean=fitted.mean, std=fitted.std)
    if isinstance(fitted, TokenPreprocess):
        return backbones.Shape(images=False, n_features=fitted.length, encoder=fitted.folder)
    if isinstance(fitted, ImageTextPreprocess):
        seen, read = shape_of(fitted.images), shape_of(fitted.texts)
        row = 3 * seen.size**2 + 4 * read.n_features
        return backbones.Shape(images=False, n_features=row, size=seen.size, parts=(seen, read))
    assert isinstance(fitted, VectorPreprocess | TablePreprocess | TextPreprocess)
    sparse = isinstance(fitted, TextPreprocess) or (isinstance(fitted, VectorPreprocess) and fitted.sparse)
    return backbones.Shape(images=False, n_features=fitted.n_features, sparse=sparse)


def load_preprocess(run: RunFolder) -> Preprocess:
    """What was fitted on source and target before training.

    Raises:
        BadInput: It is damaged, or contains a type that no Run has.
    """
    with explain_damage(run.path, "preprocess"):
        return preprocess.load(run.file("preprocess"))


def load_model(run: RunFolder, seed: int, phase: str, *, shape: backbones.Shape | None = None) -> nn.Module:
    """A trained model of a Run, in evaluation mode, on a GPU if there is one and it is a network.

    Args:
        run: Its folder.
        seed: Of the model.
        phase: Of the model, ``source_only`` or ``adapted``.
        shape: Of its inputs, if it is known; else it is read from the Run's preprocessing.

    Raises:
        BadInput: Its weights cannot be read or are another architecture's.
    """
    recipe, path = run.recipe, run.weights(seed, phase)
    if not recipe.trains_a_network:
        from acclimate.training import linear  # imports scikit-learn, which networks do without

        with explain_damage(run.path, name_in(run, path)):
            return linear.load(path).eval()
    plugins.require(recipe.plugins, recipe.backbone)
    shape = shape or shape_of(load_preprocess(run))
    check_weights(run, path, phase, shape)
    model = finetune.model(recipe, phase, shape)
    with explain_damage(run.path, name_in(run, path)):
        model.load_state_dict(load_file(path))
        _check_finite(model)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _check_finite(model: nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has values that are not finite")
