"""The features by which a diagnosis compares two domains."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.data import Domain
from acclimate.shift import rows
from acclimate.shift.diagnosis import MOST_ROWS as MOST_COMPARED
from acclimate.shift.diagnosis import drawn

if TYPE_CHECKING:  # torch is needed for images and Runs alone
    from acclimate.runs.run import Run

Features = NDArray[np.floating]

MOST_SEEN = 1000
"""Most images or texts of a domain that go through a network, drawn at random."""
MOST_ROWS = 20_000
"""Most rows of tables and vectors that do."""
SMALLEST = 96
"""Pixels a side to which small images are enlarged for a pretrained backbone."""


class Seen(NamedTuple):
    """Features ``(n, d)`` of some rows of both domains, and a Run's probabilities ``(n, k)``."""

    features: tuple[Features, Features]
    places: tuple[NDArray[np.int64], NDArray[np.int64]]
    probabilities: tuple[NDArray[np.float64], ...] = ()


def seen_by(run: "Run | None", source: Domain, target: Domain) -> Seen:
    """Features of some rows of both: of the Run's model, of a pretrained backbone for images, else the columns."""
    if run is not None:
        return _by_run(run, source, target)
    most = MOST_SEEN if source.kind in ("images", "image and text") else MOST_COMPARED
    places = drawn(source, most), drawn(target, most)
    return Seen(features_of(source.take(places[0]), target.take(places[1])), places)


def features_of(source: Domain, target: Domain) -> tuple[Features, Features]:
    """Return the features of two domains without a Run."""
    if source.kind in ("images", "image and text"):
        return _by_backbone(source, target)
    return rows.rows_of(source, target)


def _by_run(run: "Run", source: Domain, target: Domain) -> Seen:
    from acclimate.training.inference import predict

    most = MOST_ROWS if source.kind in ("table", "vectors") else MOST_SEEN
    places = drawn(source, most), drawn(target, most)
    model = run.model(run.kept)
    a, b = (
        predict(model, run.preprocess.inputs(domain.take(place)), name)
        for domain, place, name in ((source, places[0], "source"), (target, places[1], "target"))
    )
    return Seen((a.features, b.features), places, (a.probabilities, b.probabilities))


def _by_backbone(source: Domain, target: Domain) -> tuple[Features, Features]:
    """Features of a frozen pretrained backbone; those of the same images are kept in the cache."""
    from acclimate import backbones
    from acclimate.data import preprocess
    from acclimate.data.domain import parted
    from acclimate.nn.cut import cut_at_features
    from acclimate.training.features import features

    if source.kind == "image and text":
        source, target = parted(source)[0], parted(target)[0]
    size = max(SMALLEST, preprocess.usual_size(source, target))
    fitted = preprocess.fit(source, target, size=size)
    assert isinstance(fitted, preprocess.ImagePreprocess)
    shape = backbones.Shape(images=True, size=size, mean=fitted.mean, std=fitted.std)
    below = cut_at_features(backbones.build("efficientnet_lite0", shape, 2, {}).classifier).below
    return features(below, fitted.inputs(source), source.name), features(below, fitted.inputs(target), target.name)
