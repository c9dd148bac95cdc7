"""Which rows each batch has, as a function of the seed and the step alone, and batches loaded ahead."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acclimate.data.inputs import DenseInputs, Index, Inputs, SparseInputs
from acclimate.data.labels import Truth
from acclimate.errors import BadInput

SPARSE_BATCHES = 16
"""Batches of sparse rows that are read at once."""
FIRST_CLASS_STREAM = 1000
"""The first stream of random numbers for the order of single classes."""


class Order(Protocol):
    """The rows of each batch."""

    def indices(self, step: int) -> Index:
        """Return the rows of this process in batch ``step``."""


class Sampler:
    """An endless stream of shuffled passes over ``n`` rows, cut into batches that do not depend on earlier ones.

    A domain smaller than a batch is repeated within it; no rows are dropped to match the other domain. Several
    processes split the same batch among them.

    Args:
        n: The number of rows.
        batch_size: The rows of a batch, over all processes.
        seed: The order depends on the seed and ``stream`` alone.
        stream: A number that differs for domains with the same seed.
        rank: The index of this process.
        world: The number of processes; it divides ``batch_size``.
    """

    def __init__(self, n: int, batch_size: int, *, seed: int, stream: int = 0, rank: int = 0, world: int = 1):
        self.n, self.batch_size = n, batch_size
        self.seed, self.stream = seed, stream
        self.rank, self.world = rank, world
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> Index:
        """Return the rows of this process in batch ``step``."""
        start, left = step * self.batch_size, self.batch_size
        parts: list[Index] = []
        while left:
            epoch, offset = divmod(start, self.n)
            parts.append(self.order(epoch)[offset : offset + left])
            start, left = start + len(parts[-1]), left - len(parts[-1])
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole[self.rank :: self.world]

    def order(self, epoch: int) -> Index:
        """Return the order of all rows in one pass."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, self.stream, epoch])
            self._epoch, self._order = epoch, rng.permutation(self.n)
        return self._order


class BalancedSampler(Sampler):
    r"""An endless stream of passes in which all classes are equally frequent.

    A pass has :math:`m = \lceil n / k \rceil` rows of each of the ``k`` classes that occur, with one row of each class
    among every ``k`` consecutive rows. Each class has shuffled passes of its own, so its rows are equally frequent;
    rows of a rare class are more frequent than those of a common one. In expectation, the loss of a batch has the value
    and the gradient of the loss in which each example of class :math:`c` has weight :math:`n / (k \, n_c)`.

    Args:
        labels: The class of each row ``(n,)``.
        batch_size: As for `Sampler`, like the other arguments.
        seed: The order depends on the seed and ``stream`` alone.
        stream: A number that differs for domains with the same seed.
        rank: The index of this process.
        world: The number of processes.
    """

    def __init__(
        self, labels: NDArray[np.int64], batch_size: int, *, seed: int, stream: int = 0, rank: int = 0, world: int = 1
    ):
        classes = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        each = -(-len(labels) // len(classes))
        super().__init__(each * len(classes), batch_size, seed=seed, stream=stream, rank=rank, world=world)
        streams = range(FIRST_CLASS_STREAM + stream * len(classes), FIRST_CLASS_STREAM + (stream + 1) * len(classes))
        self._classes = [
            (rows, Sampler(len(rows), each, seed=seed, stream=own)) for rows, own in zip(classes, streams, strict=True)
        ]

    def order(self, epoch: int) -> Index:
        """Return the order of the rows in one pass."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, self.stream, epoch])
            rows = np.stack([rows[own.indices(epoch)] for rows, own in self._classes], 1)
            self._epoch, self._order = epoch, rng.permuted(rows, axis=1).ravel()
        return self._order


class JoinedSampler:
    """Batches with a fixed share of each of two joined domains, however few rows one has.

    Batch ``i`` is batch ``i`` of the first domain's sampler, then batch ``i`` of the second's. Several processes split
    it among them.

    Args:
        first: Samples the first domain's rows, as for a single process.
        second: Samples the second domain's rows.
        n: The number of rows of the first domain; the second domain's follow them.
        rank: The index of this process.
        world: The number of processes; it divides the size of the joined batch.
    """

    def __init__(self, first: Order, second: Order, n: int, *, rank: int = 0, world: int = 1):
        self.first, self.second, self.n = first, second, n
        self.rank, self.world = rank, world

    def indices(self, step: int) -> Index:
        """Return the rows of this process in batch ``step``."""
        whole = np.concatenate([self.first.indices(step), self.n + self.second.indices(step)])
        return whole[self.rank :: self.world]


MOST_STRATA, ROWS_OF_STRATUM = 10, 20
"""Numbers are stratified by at most this many ranges, of about this many rows or more each."""


def split(labels: Truth, share: float, seed: int) -> tuple[Index, Index]:
    """Return training rows, at least one of each class, and validation rows, a ``share`` of each class.

    Numbers are stratified by up to ten ranges of about equal size instead of classes.

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
        raise BadInput("source: only one example of each class; give at least two, as validation needs some of them")
    validation = np.sort(np.array(kept, dtype=np.int64))
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def strata(labels: Truth, origin: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each class, or range of numbers, within each of several sources, to `split` by.

    Rows that are alone in that form one stratum with others of their class, so that as few as possible are unsplit.

    Args:
        labels: One for each row ``(n,)``.
        origin: The position of each row's source ``(n,)``.
    """
    classes = _ranges(labels) if np.issubdtype(labels.dtype, np.floating) else labels.astype(np.int64)
    several = int(origin.max()) + 1
    pairs = classes * (several + 1) + origin
    _, inverse, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] > 1, pairs, classes * (several + 1) + several)


def rows_of_part(labels: Truth, part: int, parts: int, seed: int) -> tuple[Index, Index]:
    """Return the rows of all other parts, and those of one of ``parts`` that share out each class evenly.

    Rows of numbers are shared out in the order of the numbers.

    Args:
        labels: One for each row.
        part: Which part, from 0 on.
        parts: How many.
        seed: Of the order in which the rows of a class are shared out.
    """
    order = np.random.default_rng([seed, 8]).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    of_part = np.arange(len(labels)) % parts == part
    return np.sort(order[~of_part]), np.sort(order[of_part])


def _ranges(numbers: Truth) -> NDArray[np.int64]:
    """Return which range between quantiles each of ``numbers (n,)`` is in."""
    n = min(MOST_STRATA, max(1, len(numbers) // ROWS_OF_STRATUM))
    return np.searchsorted(np.unique(np.quantile(numbers, np.arange(1, n) / n)), numbers)


class Loader:
    """Batches of one domain, from any step on; a thread fetches them ahead if fetching takes time.

    Args:
        inputs: The domain's rows.
        sampler: The rows of each batch.
        labels: The rows' classes or numbers, if batches have labels.
        ahead: The number of batches fetched ahead.
        pinned: Whether to put batches into pinned memory, for asynchronous copies to a GPU.
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
        """Iterate over the inputs and labels (an empty tensor without labels) of batch ``step`` and all later ones."""
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
        """Return the labels of these rows; an empty tensor without labels."""
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
    """Iterate over inputs and labels of the source with inputs of the target, from batch ``step`` on.

    Vectors of both domains are written into one tensor, which saves a copy in models that take both in one pass.
    """
    a, b = source.inputs, target.inputs
    if isinstance(a, DenseInputs) and isinstance(b, DenseInputs) and a.width == b.width:
        yield from _pairs_in_one_tensor(source, target, a, b, step)
    for (inputs, labels), (unlabelled, _) in zip(source.start(step), target.start(step), strict=True):
        yield inputs, labels, unlabelled


def _pairs_in_one_tensor(
    source: Loader, target: Loader, source_inputs: DenseInputs, target_inputs: DenseInputs, step: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    while True:
        rows, target_rows = source.sampler.indices(step), target.sampler.indices(step)
        n = len(rows)
        whole = torch.empty(n + len(target_rows), source_inputs.width, pin_memory=source.pinned)
        unlabelled = target_inputs.batch(target_rows, out=whole[n:])
        yield source_inputs.batch(rows, out=whole[:n]), source.labels_of(rows), unlabelled
        step += 1
