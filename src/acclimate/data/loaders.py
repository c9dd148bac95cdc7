"""Which rows come next: batches as a function of the seed and the step alone."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acclimate.data.inputs import DenseInputs, Index, Inputs, SparseInputs
from acclimate.data.labels import Truth
from acclimate.errors import BadInput

SPARSE_BATCHES = 16
"""Batches of compressed rows that are picked in one go."""


OF_CLASSES = 1000
"""The streams from which on are those of single classes."""


class Order(Protocol):
    """Which rows each batch has."""

    def indices(self, step: int) -> Index:
        """The rows of this process in batch ``step``."""


class Sampler:
    """An endless stream of shuffled passes over ``n`` rows, cut into batches; batch ``i`` depends on nothing before.

    A domain smaller than a batch comes several times in it; none is dropped to fit the other. With several
    processes each takes its part of the same batch.

    Args:
        n: Rows to choose from.
        batch_size: Rows of a batch, over all processes.
        seed: With ``stream``, all that the order depends on.
        stream: Tells apart domains that share a seed.
        rank: Which process this is.
        world: How many there are; divides ``batch_size``.
    """

    def __init__(self, n: int, batch_size: int, *, seed: int, stream: int = 0, rank: int = 0, world: int = 1):
        self.n, self.batch_size = n, batch_size
        self.seed, self.stream = seed, stream
        self.rank, self.world = rank, world
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> Index:
        """The rows of this process in batch ``step``."""
        start, left = step * self.batch_size, self.batch_size
        parts: list[Index] = []
        while left:
            epoch, offset = divmod(start, self.n)
            parts.append(self.order(epoch)[offset : offset + left])
            start, left = start + len(parts[-1]), left - len(parts[-1])
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole[self.rank :: self.world]

    def order(self, epoch: int) -> Index:
        """The order of all rows in one pass."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, self.stream, epoch])
            self._epoch, self._order = epoch, rng.permutation(self.n)
        return self._order


class BalancedSampler(Sampler):
    r"""An endless stream of passes in which each class comes as often as any other, as near to evenly as can be.

    A pass has :math:`m = \lceil n / k \rceil` rows of each of the ``k`` classes that occur, one of each class in every
    ``k`` rows on end. Rows of a class come in shuffled passes of its own, so that each of them is used as often as any
    other, those of a rare class more often than those of a frequent one. The loss of a batch has in expectation the
    value, and the gradient, of the loss in which each example of class :math:`c` counts :math:`n / (k \, n_c)` times.

    Args:
        labels: Class of each row ``(n,)``.
        batch_size: As for `Sampler`, as the others are.
        seed: All that the order depends on, with ``stream``.
        stream: Tells apart domains that share a seed.
        rank: Which process this is.
        world: How many there are.
    """

    def __init__(
        self, labels: NDArray[np.int64], batch_size: int, *, seed: int, stream: int = 0, rank: int = 0, world: int = 1
    ):
        classes = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        each = -(-len(labels) // len(classes))
        super().__init__(each * len(classes), batch_size, seed=seed, stream=stream, rank=rank, world=world)
        streams = range(OF_CLASSES + stream * len(classes), OF_CLASSES + (stream + 1) * len(classes))
        self._classes = [
            (rows, Sampler(len(rows), each, seed=seed, stream=own)) for rows, own in zip(classes, streams, strict=True)
        ]

    def order(self, epoch: int) -> Index:
        """The order of one pass."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, self.stream, epoch])
            rows = np.stack([rows[own.indices(epoch)] for rows, own in self._classes], 1)
            self._epoch, self._order = epoch, rng.permuted(rows, axis=1).ravel()
        return self._order


class JoinedSampler:
    """Batches in which each of two domains whose rows are joined has its part, however few rows it has.

    Batch ``i`` is batch ``i`` of the first domain's sampler, then that of the second's; with several processes each
    takes its part of both.

    Args:
        first: Of the first domain's rows, for a single process.
        second: Of the second's.
        n: Rows of the first domain, behind which those of the second stand.
        rank: Which process this is.
        world: How many there are; divides the rows of both samplers' batches together.
    """

    def __init__(self, first: Order, second: Order, n: int, *, rank: int = 0, world: int = 1):
        self.first, self.second, self.n = first, second, n
        self.rank, self.world = rank, world

    def indices(self, step: int) -> Index:
        """The rows of this process in batch ``step``."""
        whole = np.concatenate([self.first.indices(step), self.n + self.second.indices(step)])
        return whole[self.rank :: self.world]


MOST_STRATA, ROWS_OF_STRATUM = 10, 20
"""Of numbers: as many ranges as this, each of about so many rows at least."""


def split(labels: Truth, share: float, seed: int) -> tuple[Index, Index]:
    """Rows to train on and rows to validate on, ``share`` of each class; every class keeps a row to train on.

    Of numbers it is ``share`` of each of up to ten ranges of them that are about as frequent as each other.

    Raises:
        BadInput: No class has two rows.
    """
    rng = np.random.default_rng([seed, 7])
    labels = _ranges(labels) if np.issubdtype(labels.dtype, np.floating) else labels
    kept: list[int] = []
    for c in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == c))
        n = min(len(rows) - 1, max(1, round(share * len(rows))))
        kept += rows[:n].tolist()
    if not kept:
        raise BadInput("source: one example of each class is too few; some are kept to validate on")
    validation = np.sort(np.array(kept, dtype=np.int64))
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def _ranges(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """In which of the ranges between quantiles each of ``numbers (n,)`` lies."""
    n = min(MOST_STRATA, max(1, len(numbers) // ROWS_OF_STRATUM))
    return np.searchsorted(np.unique(np.quantile(numbers, np.arange(1, n) / n)), numbers)


class Loader:
    """Batches of one domain from any step on, fetched ahead where that takes time.

    Args:
        inputs: The domain's rows.
        sampler: Which of them, in which order.
        labels: Classes of the rows, or their numbers, if they go along.
        ahead: Batches fetched ahead.
        pinned: Put them into memory that a GPU copies from by itself.
    """

    def __init__(
        self,
        inputs: Inputs,
        sampler: Order,
        labels: Truth | None = None,
        *,
        ahead: int = 2,
        pinned: bool = False,
    ):
        self.inputs, self.sampler, self.ahead, self.pinned = inputs, sampler, ahead, pinned
        self.labels = None if labels is None else torch.from_numpy(labels)

    def start(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels (an empty tensor if there are none) of batch ``step`` and all after it."""
        if isinstance(self.inputs, SparseInputs) and not self.pinned:
            yield from self._several_at_once(self.inputs, step)
        if self.inputs.in_memory and not self.pinned:
            while True:
                yield self._fetch(step)
                step += 1
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch") as thread:
            waiting: list[Future[tuple[Tensor, Tensor]]] = []
            while True:
                while len(waiting) <= self.ahead:
                    waiting.append(thread.submit(self._fetch, step))
                    step += 1
                yield waiting.pop(0).result()

    def labels_of(self, index: Index) -> Tensor:
        """Their labels; an empty tensor if none go along."""
        return torch.empty(0) if self.labels is None else self.labels[torch.from_numpy(index)]

    def _several_at_once(self, inputs: SparseInputs, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            indices = [self.sampler.indices(i) for i in range(step, step + SPARSE_BATCHES)]
            yield from zip(inputs.batches(indices), map(self.labels_of, indices), strict=True)
            step += SPARSE_BATCHES

    def _fetch(self, step: int) -> tuple[Tensor, Tensor]:
        index = self.sampler.indices(step)
        labels, batch = self.labels_of(index), self.inputs.batch(index)
        if self.pinned and batch.layout == torch.strided:
            return batch.pin_memory(), labels.pin_memory()
        return batch, labels


def pairs(source: Loader, target: Loader, step: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Inputs and labels of the source with inputs of the target, from batch ``step`` on.

    Vectors of both domains are written into one tensor, since a model that takes them in one pass would otherwise
    have to copy all of them.
    """
    here, there = source.inputs, target.inputs
    if isinstance(here, DenseInputs) and isinstance(there, DenseInputs) and here.width == there.width:
        yield from _one_tensor_pairs(source, target, here, there, step)
    for (inputs, labels), (unlabelled, _) in zip(source.start(step), target.start(step), strict=True):
        yield inputs, labels, unlabelled


def _one_tensor_pairs(
    source: Loader, target: Loader, here: DenseInputs, there: DenseInputs, step: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    while True:
        rows, others = source.sampler.indices(step), target.sampler.indices(step)
        n = len(rows)
        whole = torch.empty(n + len(others), here.width, pin_memory=source.pinned)
        yield here.batch(rows, out=whole[:n]), source.labels_of(rows), there.batch(others, out=whole[n:])
        step += 1
