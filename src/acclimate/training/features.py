"""What a frozen backbone says of a domain, computed once: training on it never touches an image."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acclimate import finetune
from acclimate.data import Domain
from acclimate.data.inputs import DenseInputs, Index, Inputs
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.recipe import Recipe
from acclimate.training import cache
from acclimate.training.inference import Predictions, in_batches, predict

log = logging.getLogger("acclimate")

BATCH = 128


class Read(Protocol):
    """How the rows of a domain are had, all of them or some."""

    def __call__(self, domain: Domain, rows: Index | None = None) -> Inputs:
        """Those at ``rows``, or all."""


def stand_for(recipe: Recipe, method: Method) -> bool:
    """Whether features can stand for the inputs: the backbone never moves, and the method looks at nothing below."""
    return frozen(recipe) and not recipe.augment.any and not method.looks_at_inputs and not method.layers


def frozen(recipe: Recipe) -> bool:
    """Whether a recipe's backbones never move, and features may be kept."""
    return finetune.freezes_all(recipe.finetune) and recipe.train.cache_features


class Features:
    """A domain's rows as a frozen backbone sees them, in the place of the rows themselves.

    Features are kept in `acclimate.training.cache` by the content of examples, weights and architecture, so
    that a changed file or weight never meets what was kept of another.

    Args:
        model: Whose backbone it is.
        read: Gives the domain's own rows.
    """

    def __init__(self, model: Classifier, read: Callable[[Domain], Inputs]):
        self.model, self.read = model, read
        self._whole: dict[int, tuple[Domain, NDArray[np.float32]]] = {}  # the domain too, so that none takes its id

    def __call__(self, domain: Domain, rows: Index | None = None) -> DenseInputs:
        """Features ``(n, d)`` of a domain, or of some of its rows."""
        if id(domain) not in self._whole:
            self._whole[id(domain)] = domain, features(self.model, self.read(domain), domain.name)
        whole = self._whole[id(domain)][1]
        return DenseInputs(whole if rows is None else whole[rows])


def features(model: Classifier, inputs: Inputs, name: str) -> NDArray[np.float32]:
    """What the backbone of ``model`` gives for all ``inputs``, ``(n, d)``, from the cache if it is there."""

    def compute() -> NDArray[np.float32]:
        log.info("%s: features of %d examples are computed once and kept", name, len(inputs))
        return _features(model, inputs)

    return cache.array(f"{inputs.digest()} {_digest(model)}", compute)


def predict_frozen(models: Iterable[Classifier], inputs: Inputs) -> Iterator[Predictions]:
    """Yield what each model with a frozen backbone gives for the target; backbones that are equal are run once."""
    known, rows = "", DenseInputs(np.empty((0, 0), dtype=np.float32))
    for model in models:
        if (digest := _digest(model)) != known:
            known, rows = digest, DenseInputs(_features(model, inputs))
        yield predict(model.on_features(), rows, "target")


def _features(model: Classifier, inputs: Inputs) -> NDArray[np.float32]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    normalize, net = model.normalize.to(device).eval(), model.net[1].to(device).eval()

    def features_of(batch: Tensor) -> NDArray[np.float32]:
        return np.asarray(net(normalize(batch)).float().cpu().numpy())

    return np.concatenate(list(in_batches(features_of, inputs, device, size=BATCH)))


def _digest(model: Classifier) -> str:
    """Changes with any weight of the frozen part, and with what it is made of."""
    digest = hashlib.sha256()
    for part in model.normalize, model.net[1]:
        digest.update(repr(part).encode())
        for name, tensor in part.state_dict().items():
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
