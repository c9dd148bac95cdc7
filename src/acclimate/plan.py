"""From what was asked for to all that is decided before training: domains, preprocessing, a recipe."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from acclimate import backbones, data, methods
from acclimate.data import Domain, preprocess
from acclimate.data.arrays import from_arrays
from acclimate.data.inputs import Inputs
from acclimate.data.preprocess import Preprocess
from acclimate.errors import BadInput, did_you_mean, first_line
from acclimate.evaluate.predictor import shape_of
from acclimate.methods import shallow
from acclimate.recipe import Place, Recipe, check_options, check_training, parse_settings

log = logging.getLogger("acclimate")

AUTO_METHOD = "mcc"
"""What ``--method auto`` is until methods are compared without target labels."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before training.

    Attributes:
        source: Labelled domain.
        target: Domain to work on, without labels.
        target_labels: Labelled target to train on, for the method that asks for it.
        fitted: The preprocessing, fitted on source and target.
        recipe: Everything else.
        score: Where a labelled target for scores is read from, when training is over.
    """

    source: Domain
    target: Domain
    target_labels: Domain | None
    fitted: Preprocess
    recipe: Recipe
    score: Callable[[], Domain] | None

    @property
    def shape(self) -> backbones.Shape:
        """What the backbone is given."""
        return shape_of(self.fitted)

    def read(self, domain: Domain) -> Inputs:
        """A domain's rows; what is in use at a time keeps no more decoded images than the recipe allows.

        In use are source, target and the labelled target to train on; later a validation split, target and the
        labelled target for scores, which is counted as large as the target.
        """
        rows = len(self.source) + 2 * len(self.target) + len(self.target_labels or ())
        share = len(domain) / max(rows, len(domain))
        return self.fitted.inputs(domain, cache_bytes=int(self.recipe.train.cache_mb * 2**20 * share))


def make_plan(
    source: Any,
    target: Any,
    *,
    method: str,
    backbone: str,
    steps: int | None,
    seeds: int | Sequence[int],
    label: str | None,
    text: str | None,
    drop: Sequence[str],
    settings: Mapping[str, Any] | None,
    weights: str | None,
    image_size: int | None,
    precision: str | None,
    score: Any,
    target_labels: Any,
) -> Plan:
    """Read the domains and decide; the arguments are those of `acclimate.adapt`.

    Raises:
        BadInput: Something in it cannot be, told before anything is written.
    """
    method = AUTO_METHOD if method == "auto" else method
    if method in shallow.names():
        raise BadInput(f"method {method} trains no network; use acclimate.sklearn.Adapter(method={method!r}) in Python")
    parsed = parse_settings(settings or {})
    options = check_options(f"method {method}", parsed.options, methods.options(method))
    given = {"steps": steps, "precision": precision}
    if len(methods.get(method).needs) == 1:  # there are no two domains whose statistics could be kept apart
        parsed.train["batch_norm"] = "concat"
    training = check_training({**{k: v for k, v in given.items() if v is not None}, **parsed.train})
    place = Place(path="", label=label, text=text, drop=tuple(drop))
    here = _domain(source, "source", place).require_source()
    there = _domain(target, "target", place)
    if there.labels is not None:
        log.info("%s: its labels are set aside; training does not see them", there.name)
    there = there.without_labels()
    labelled = _target_labels(target_labels, method, place)
    fitted = preprocess.fit(here, there, size=image_size)
    _check_labelled(labelled, here, fitted)
    if score is not None:  # looked at for mistakes and forgotten; it is read again when training is over
        _check_labelled(_domain(score, "score", place), here, fitted)
    name = backbones.auto(shape_of(fitted)) if backbone == "auto" else backbone
    more = {**parsed.backbone, **({"weights": weights} if weights else {})}
    recipe = Recipe(
        source=place.model_copy(update={"path": here.name}),
        target=place.model_copy(update={"path": there.name}),
        method=method,
        options=options,
        backbone=name,
        backbone_options=check_options(f"backbone {name}", more, backbones.options(name)),
        train=training,
        image_size=image_size,
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds),
        classes=here.classes,
    )
    later = None if score is None else lambda: _domain(score, "score", place)
    return Plan(here, there, labelled, fitted, _resolved(recipe, shape_of(fitted)), later)


def check_asked(
    output: str | Path | None, seeds: int | Sequence[int], image_size: int | None, devices: int, resume: bool
) -> None:
    """Refuse what needs no look at the data, before any of it is read.

    Raises:
        BadInput: An argument that cannot be.
    """
    if output == "":
        raise BadInput("-o: an empty text is no folder; give one for the Run")
    if output and Path(output).exists() and not resume:
        raise BadInput(f"{output}: exists already; go on with it by --resume, or choose another -o")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise BadInput(f"{output}: is a file, and a Run is a folder; choose another -o")
    if isinstance(seeds, int) and seeds < 1:
        raise BadInput(f"seeds: {seeds} is too few; at least one is needed")
    if not isinstance(seeds, int) and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        raise BadInput(f"seeds: {tuple(seeds)} will not do; give different whole numbers from 0 on")
    if image_size is not None and image_size < 16:
        raise BadInput(f"image size {image_size}: too small for any backbone here; use --image-size 16 or more")
    if devices < 1:
        raise BadInput(f"devices: {devices} is too few; at least one is needed")


def _domain(given: Any, name: str, place: Place) -> Domain:
    if isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        must = name != "target"
        return data.load(given, label=place.label, text=place.text, drop=place.drop, must_have_label=must)
    x, y = given if isinstance(given, tuple) else (given, None)
    return from_arrays(x, y, name=name)


def _target_labels(given: Any, method: str, place: Place) -> Domain | None:
    needed = "target_labels" in methods.get(method).needs
    if needed and given is None:
        raise BadInput(f"method {method} trains on labels of the target; give them with --target-labels")
    if given is not None and not needed:
        raise BadInput(f"method {method} does not read labels of the target; leave --target-labels out")
    return _domain(given, "target labels", place) if needed else None


def _check_labelled(domain: Domain | None, source: Domain, fitted: Preprocess) -> None:
    """Find a mistake in a labelled target now, and not after the training."""
    if domain is not None:
        domain.codes(source.classes)
        fitted.inputs(domain)


def _resolved(recipe: Recipe, shape: backbones.Shape) -> Recipe:
    """The recipe with what suits the backbone where nothing was said, once the model was built and tried."""
    built = backbones.build(recipe.backbone, shape, len(recipe.classes), recipe.backbone_options)
    _check_size(recipe.backbone, built.classifier, shape)
    _check_layers(recipe, built.classifier)
    missing = {k: v for k, v in built.training.items() if getattr(recipe.train, k) is None}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=missing)})


@torch.no_grad()
def _check_size(backbone: str, model: Any, shape: backbones.Shape) -> None:
    """Have the model see one empty image, so that a size it cannot take is told before training."""
    if not shape.images:
        return
    try:
        model.eval()(torch.zeros(1, 3, shape.size, shape.size, dtype=torch.uint8), "source")
    except (RuntimeError, ValueError, AssertionError) as error:
        why = first_line(error)
        raise BadInput(
            f"backbone {backbone}: cannot take images of {shape.size} pixels ({why}); choose another --image-size"
        ) from error
    model.train()


def _check_layers(recipe: Recipe, model: Any) -> None:
    """Build the method once, so that an option it cannot take is told before anything is written."""
    try:
        built = methods.get(recipe.method)(model, **recipe.options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"method {recipe.method}: {error}") from error
    known = dict(built.model.backbone.named_modules())
    for layer in built.model.layers:
        if layer not in known:
            names = ["features", "logits", *(n for n in known if n)]
            raise BadInput(f"backbone {recipe.backbone} has no layer {layer!r}; {did_you_mean(layer, names)}")
