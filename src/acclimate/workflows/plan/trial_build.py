"""Builds and tries the model before anything is written, to find errors early."""

import torch

from acclimate import backbones, finetune, methods
from acclimate.errors import BadInput, did_you_mean, first_line
from acclimate.methods import selfsup
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.recipe import Options, Pretraining, Recipe, Training


def with_defaults(recipe: Recipe, shape: backbones.Shape) -> Recipe:
    """The recipe with training settings that suit the backbone where none are given; the model is built and tried."""
    built = backbones.build(recipe.backbone, shape, recipe.n_outputs, recipe.backbone_options)
    _check_size(recipe.backbone, built.classifier, shape)
    _check_layers(recipe, built.classifier)
    _check_norms(recipe, built)
    trained: dict[str, Training | Pretraining] = {"train": _filled(recipe.train, built.training)}
    if it := recipe.pretrain:
        _built(f"--pretrain {it.method}", selfsup.get(it.method), built.classifier, it.options)
        trained["pretrain"] = it.model_copy(update={"train": _filled(it.train, built.training)})
    return recipe.model_copy(update=trained)


def _filled(training: Training, suits: backbones.TrainingDefaults) -> Training:
    """``training`` with the backbone's defaults where it has none."""
    return training.model_copy(update={k: v for k, v in suits.items() if getattr(training, k) is None})


def _check_norms(recipe: Recipe, built: backbones.Built) -> None:
    """Refuse to keep statistics that nothing has learnt yet."""
    learnt = built.training.get("freeze_batch_norm") or recipe.origin or recipe.pretrain
    if recipe.train.freeze_batch_norm and not learnt:
        raise BadInput(
            f"train.freeze_batch_norm: backbone {recipe.backbone} starts from fresh weights, whose batch norm has no "
            "statistics to keep; remove it"
        )


@torch.no_grad()
def _check_size(backbone: str, model: Classifier, shape: backbones.Shape) -> None:
    """Run the model on one empty image, to find a size that it cannot take."""
    if not shape.size:
        return
    row = (3, shape.size, shape.size) if shape.images else (shape.n_features,)
    try:
        model.eval()(torch.zeros(1, *row, dtype=torch.uint8), "source")
    except (RuntimeError, ValueError, AssertionError) as error:
        why = first_line(error)
        raise BadInput(
            f"backbone {backbone}: cannot take images of {shape.size} pixels ({why}); choose another --image-size"
        ) from error
    model.train()


def _check_layers(recipe: Recipe, model: Classifier) -> None:
    """Build the method once, to find options that it cannot take."""
    built = _built(f"method {recipe.method}", methods.get(recipe.method), model, recipe.options)
    _check_moves(recipe, built)
    known = dict(built.model.backbone.named_modules())
    for layer in built.layers:
        if layer not in known:
            names = ["features", "logits", *(n for n in known if n)]
            raise BadInput(f"backbone {recipe.backbone} has no layer {layer!r}; {did_you_mean(layer, names)}")


def check_moves(recipe: Recipe, shape: backbones.Shape) -> None:
    """Refuse a strategy that leaves nothing for the method to move; builds the model without its trained weights.

    Raises:
        BadInput: It does.
    """
    model = finetune.classifier(recipe, "pretrained", shape, pretrained=False)
    _check_moves(recipe, _built(f"method {recipe.method}", methods.get(recipe.method), model, recipe.options))


def _check_moves(recipe: Recipe, method: Method) -> None:
    """Refuse a training in which nothing would move."""
    parts = finetune.layers(method.model, recipe.finetune, recipe.finetune_options)
    still = {name for layer in parts if layer.pace == finetune.FROZEN for name in layer.names}
    named = {id(p): name for name, p in method.model.backbone.named_parameters()}
    if not any(named.get(id(p)) not in still for p in method.trainable()):
        raise BadInput(
            f"--finetune {recipe.finetune}: nothing is left that method {recipe.method} could move; train the source "
            "with --set backbone.bottleneck=256, or choose another strategy"
        )


def _built(owner: str, kind: type[Method], model: Classifier, options: Options) -> Method:
    """The method, built; an error names its ``owner``."""
    try:
        return kind(model, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{owner}: {first_line(error)}") from error
