"""What a model gives for many rows, batch by batch: the one loop in which nothing is learnt."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.augment.tta import views_of
from acclimate.cpu import keep_freed_memory
from acclimate.data.inputs import Inputs, rows_of
from acclimate.data.labels import Truth, in_units
from acclimate.nn import Classifier, DomainNorm, label_loss
from acclimate.recipe import LabelScale
from acclimate.types import Outputs

BATCH = 256
"""Rows of a batch where nothing is learnt."""
NUMBERS = 32 * 3 * 224**2
"""Numbers of such a batch on a CPU, at the most: a network's layers hold several times as many."""
STATISTICS_ROWS = 10_000
"""Rows of a domain that batch norm's statistics are taken from after training."""

T = TypeVar("T")


class Predictions(NamedTuple):
    """What a model gives for a domain: ``logits (n, k)``, for a number ``(n, 1)``, and ``features (n, d)``."""

    logits: NDArray[np.float64]
    features: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of each class, ``(n, k)``."""
        return softmax(self.logits)

    def numbers(self, scale: LabelScale) -> NDArray[np.float64]:
        """What is predicted ``(n,)``, in the units of the labels."""
        return in_units(self.logits[:, 0], scale)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of ``logits (n, k)``."""
    return np.asarray(torch.from_numpy(logits).softmax(1).numpy())


@torch.no_grad()
def in_batches(
    model: Callable[[Tensor], T], inputs: Inputs, device: torch.device | str, *, size: int = BATCH
) -> Iterator[T]:
    """What ``model`` gives for all rows in order, at most ``size`` rows at a time, on a CPU fewer large images."""
    keep_freed_memory()
    on_cpu = torch.device(device).type == "cpu"
    for rows in rows_of(inputs, min(size, _rows_that_fit(inputs)) if on_cpu else size):
        yield model(inputs.batch(rows).to(device))


def _rows_that_fit(inputs: Inputs) -> int:
    """How many rows have at most `NUMBERS` numbers together; text and sparse rows are small."""
    if len(inputs) < 2:
        return 1
    row = inputs.batch(np.zeros(1, dtype=np.int64))
    return max(1, NUMBERS // row.numel()) if row.ndim == 4 else BATCH


def predict(model: nn.Module, inputs: Inputs, domain: str = "target", *, tta: Sequence[str] = ()) -> Predictions:
    """Run a model in evaluation mode over all rows of a domain.

    Args:
        model: Gives `Outputs` of a batch of a domain.
        inputs: The rows.
        domain: ``source`` or ``target``.
        tta: Views of each image over which the prediction is averaged.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))

    def both(batch: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        seen = [model(view, domain) for view in views_of(batch, tta)]
        mean = mean_logits([out.logits.double() for out in seen])
        return mean.cpu().numpy(), seen[0].features.float().cpu().numpy()

    logits, features = zip(*in_batches(both, inputs, device), strict=True)
    return Predictions(np.concatenate(logits), np.concatenate(features))


def mean_logits(logits: Sequence[Tensor]) -> Tensor:
    """Logits ``(n, k)`` of the mean of the probabilities that several logits stand for; of numbers ``(n, 1)`` the mean.

    Example:
        >>> mean_logits([torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0]])]).softmax(1)
        tensor([[0.7500, 0.2500]])
    """
    if len(logits) == 1:
        return logits[0]
    stacked = torch.stack(list(logits))
    if stacked.shape[2] == 1:
        return stacked.mean(0)
    return stacked.log_softmax(2).logsumexp(0) - math.log(len(logits))


def mean_predictions(of_models: Iterable[Predictions]) -> Predictions:
    """Logits of the mean of the probabilities that several models give, or the mean of their numbers.

    Models are taken one after another, so that no two have to be in memory; features are those of the first.

    Example:
        >>> sure, unsure = (Predictions(np.array([[logit, 0.0]]), np.empty((1, 0))) for logit in (100.0, 0.0))
        >>> mean_predictions([sure, unsure]).probabilities
        array([[0.75, 0.25]])
    """
    models = iter(of_models)
    first = next(models)
    logits = [first.logits, *(of_model.logits for of_model in models)]
    return Predictions(mean_logits([torch.from_numpy(of_model) for of_model in logits]).numpy(), first.features)


def validate(model: Classifier, inputs: Inputs, labels: Truth, device: torch.device) -> dict[str, float]:
    """Loss on the source's validation split, as training sees it, and the accuracy where labels are classes."""

    def logits_of(batch: Tensor) -> Tensor:
        out: Outputs = model(in_precision_of(model, batch), "source")
        return out.logits.float().cpu()

    model.eval()
    logits = torch.cat(list(in_batches(logits_of, inputs, device)))
    model.train()
    truth = torch.from_numpy(labels)
    [loss] = label_loss(logits, truth).values()
    found = {"source_val_loss": loss.item()}
    if not truth.is_floating_point():
        found["source_val_accuracy"] = (logits.argmax(1) == truth).float().mean().item()
    return found


def in_precision_of(model: nn.Module, batch: Tensor) -> Tensor:
    """The same rows in the precision of the model's weights, unless they are whole numbers."""
    return batch.to(next(model.parameters()).dtype) if batch.is_floating_point() else batch


def estimate_statistics(
    model: Classifier, inputs: Inputs, domain: str, kinds: type | tuple[type, ...] = DomainNorm
) -> None:
    """Take batch norm's statistics of a domain anew, as the mean over random batches of it (AdaBN, arXiv:1603.04779).

    During training they trail behind weights that move, and have not seen the whole domain. Frozen layers keep
    theirs.
    """
    norms: list[DomainNorm | _BatchNorm] = [
        m for m in model.train().modules() if isinstance(m, DomainNorm | _BatchNorm) and isinstance(m, kinds)
    ]
    norms = [norm for norm in norms if norm.training]
    model.eval()
    if not norms:
        return
    device = next(model.parameters()).device
    n = max(2, min(len(inputs), STATISTICS_ROWS))  # one row has no variance
    drawn = np.resize(np.random.default_rng(0).permutation(len(inputs)), n)  # neighbours may share a class
    usual = [norm.momentum for norm in norms]
    with torch.no_grad():
        for i, rows in enumerate(np.array_split(drawn, math.ceil(n / BATCH))):
            for norm in norms:
                norm.train()
                norm.momentum = 1 / (i + 1)
            model(in_precision_of(model, inputs.batch(rows).to(device)), domain)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    model.eval()
