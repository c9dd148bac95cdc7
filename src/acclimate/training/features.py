"""What layers that never move make of a domain, computed once: training above them never touches an image."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acclimate import finetune
from acclimate.data import Domain
from acclimate.data.inputs import DenseInputs, Index, Inputs
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.nn.cut import Below, Cut, cut, cut_at_features
from acclimate.recipe import Recipe
from acclimate.training import cache
from acclimate.training.inference import Predictions, in_batches, predict

log = logging.getLogger("acclimate")

BATCH = 128
TRIED = 2
"""Rows on which a cut is tried."""


class Read(Protocol):
    """How the rows of a domain are had, all of them or some."""

    def __call__(self, domain: Domain, rows: Index | None = None) -> Inputs:
        """Those at ``rows``, or all."""


class StandIn(NamedTuple):
    """The layers of a model from the first that trains, and the rows that the layers below make of a domain."""

    model: Classifier
    read: Read


def stand_in(recipe: Recipe, model: Classifier, read: Read, domains: Sequence[Domain]) -> StandIn | None:
    """Upper layers, with features of the lower ones in the place of examples.

    Args:
        recipe: Says which layers never move.
        model: All layers.
        read: Gives a domain's own rows.
        domains: Those that are trained on.

    Returns:
        None if nothing is frozen, if the layers cannot be separated, or if the features of all domains are larger than
        ``train.cache_mb``.
    """
    if not recipe.train.cache_features:
        return None
    found = cut_at_features(model) if frozen(recipe) else _cut_below_trained(recipe, model, read, domains)
    return StandIn(found.above, Features(found.below, read)) if found else None


def allows_stand_in(recipe: Recipe, method: Method) -> bool:
    """Whether a method may train on features: it sees every example as it is, and looks at no layer by name."""
    return not recipe.augment.any and not method.looks_at_inputs and not method.layers


def frozen(recipe: Recipe) -> bool:
    """Whether a recipe's backbones never move, and features may be kept."""
    return finetune.freezes_all(recipe.finetune) and recipe.train.cache_features


def _cut_below_trained(recipe: Recipe, model: Classifier, read: Read, domains: Sequence[Domain]) -> Cut | None:
    if not (names := finetune.frozen_names(model, recipe.finetune, recipe.finetune_options)):
        return None
    some = domains[0].take(np.arange(min(TRIED, len(domains[0]))))
    inputs = read(some).batch(np.arange(len(some))).to(next(model.parameters()).device)
    if not (found := cut(model, names, inputs)):
        return None
    fits = 4 * found.width * sum(map(len, domains)) <= recipe.train.cache_mb * 2**20
    return found if fits else None


class Features:
    """A domain's rows as frozen layers see them, in the place of the rows themselves.

    Features are kept in `acclimate.training.cache` by the content of examples, weights and architecture, so
    that a changed file or weight never meets what was kept of another.

    Args:
        below: The layers.
        read: Gives the domain's own rows.
    """

    def __init__(self, below: Below, read: Callable[[Domain], Inputs]):
        self.below, self.read = below, read
        self._whole: dict[int, tuple[Domain, NDArray[np.float32]]] = {}  # the domain too, so that none takes its id

    def __call__(self, domain: Domain, rows: Index | None = None) -> DenseInputs:
        """Features ``(n, d)`` of a domain, or of some of its rows."""
        if id(domain) not in self._whole:
            self._whole[id(domain)] = domain, features(self.below, self.read(domain), domain.name)
        whole = self._whole[id(domain)][1]
        return DenseInputs(whole if rows is None else whole[rows])


def features(below: Below, inputs: Inputs, name: str) -> NDArray[np.float32]:
    """What frozen layers give for all ``inputs``, ``(n, d)``, from the cache if it is there."""

    def compute() -> NDArray[np.float32]:
        log.info("%s: features of %d examples are computed once and kept", name, len(inputs))
        return _features(below, inputs)

    return cache.array(f"{inputs.digest()} {_digest(below)}", compute)


def predict_frozen(models: Iterable[Classifier], inputs: Inputs) -> Iterator[Predictions]:
    """Yield what each model with a frozen backbone gives for the target; backbones that are equal are run once."""
    known, rows = "", DenseInputs(np.empty((0, 0), dtype=np.float32))
    for model in models:
        below, above, _ = cut_at_features(model)
        if (digest := _digest(below)) != known:
            known, rows = digest, DenseInputs(_features(below, inputs))
        yield predict(above, rows, "target")


def _features(below: Below, inputs: Inputs) -> NDArray[np.float32]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    below = below.to(device).eval()

    def features_of(batch: Tensor) -> NDArray[np.float32]:
        return np.asarray(below(batch).float().cpu().numpy())

    return np.concatenate(list(in_batches(features_of, inputs, device, size=BATCH)))


def _digest(below: Below) -> str:
    """Changes with any weight of the frozen layers, and with what they are made of."""
    digest = hashlib.sha256()
    for part in below.lower:
        digest.update(repr(part).encode())
        for name, tensor in part.state_dict().items():
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
