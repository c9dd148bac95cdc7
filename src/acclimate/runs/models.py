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
from acclimate.errors import BadInput, first_line
from acclimate.run_folder import RunFolder


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

        return linear.load(path).eval()
    plugins.require(recipe.plugins, recipe.backbone)
    shape = shape or shape_of(preprocess.load(run.file("preprocess")))
    model = finetune.classifier(recipe, phase, shape, pretrained=False)
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # a damaged or foreign file fails in many ways
        raise BadInput(f"{path}: not the weights of this Run ({first_line(error)}); was it changed?") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
