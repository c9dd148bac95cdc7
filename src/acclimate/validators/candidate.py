"""What one trained model gives, as arrays: all that a validator knows about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput

Numbers = NDArray[np.float64]
Probabilities = NDArray[np.float64]
Codes = NDArray[np.int64]

ROUNDING = 1e-3
"""How far from 1 the probabilities of an example may sum to: single precision, and rounding in files."""


class SourceSample(NamedTuple):
    """The examples of the source's validation split whose features are known: ``m`` of ``n_s``.

    Attributes:
        features: ``(m, d)``.
        probabilities: ``(m, k)``.
        labels: ``(m,)``.
    """

    features: Numbers
    probabilities: Probabilities
    labels: Codes


class TargetSample(NamedTuple):
    """The examples of the target whose features are known: ``m`` of ``n_t``.

    Attributes:
        features: ``(m, d)``.
        probabilities: ``(m, k)``.
    """

    features: Numbers
    probabilities: Probabilities

    @property
    def predicted(self) -> Codes:
        """The likeliest class of each example ``(m,)``."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One trained model's outputs for the source's validation split and for the target, without target labels.

    Parts that may be None are needed by some validators only; `Validator.missing` says which a candidate lacks.

    Attributes:
        method: The method's name, e.g. ``mcc``. A validator that shares this method's loss does not decide about it.
        source: Probabilities on the source's validation split ``(n_s, k)``.
        labels: True classes of that split as positions ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        source_features: Features of the examples ``source_rows`` ``(m_s, d)``.
        source_rows: Their rows in ``source`` ``(m_s,)``; all rows if None.
        target_features: Features of the examples ``target_rows`` ``(m_t, d)``.
        target_rows: Their rows in ``target`` ``(m_t,)``; all rows if None.
        head: Weights of the last linear layer ``(k, d)``.
        second_view: Probabilities on the target under a second random view ``(n_t, k)``.
        pairs: Rows of the target that were mixed, the dominant example first ``(m, 2)``; see `mixval.draw_pairs`.
        mixed: Probabilities on those mixtures ``(m, k)``.
        members: Methods of the models that this one was made from, if it is an ensemble or a student of one.

    Raises:
        BadInput: Shapes disagree, a number is not finite, or the probabilities of an example do not sum to 1.
    """

    method: str
    source: Probabilities
    labels: Codes
    target: Probabilities
    source_features: Numbers | None = None
    source_rows: Codes | None = None
    target_features: Numbers | None = None
    target_rows: Codes | None = None
    head: Numbers | None = None
    second_view: Probabilities | None = None
    pairs: Codes | None = None
    mixed: Probabilities | None = None
    members: Sequence[str] = ()

    def __post_init__(self) -> None:
        n_s, n_t, k = len(self.source), len(self.target), self.n_classes
        self._check_probabilities("source", n_s)
        self._check_probabilities("target", n_t)
        self._check_labels()
        self._check_features("source", n_s)
        self._check_features("target", n_t)
        if self.second_view is not None:
            self._check_probabilities("second_view", n_t)
        self._check_mixtures()
        if self.head is not None and (self.head.ndim != 2 or len(self.head) != k):
            raise self._bad(f"head: has shape {self.head.shape} and not ({k}, d)")

    @property
    def n_classes(self) -> int:
        """``k``."""
        return int(self.source.shape[1]) if self.source.ndim == 2 else 0

    @property
    def predicted(self) -> Codes:
        """The likeliest class of each example of the target ``(n_t,)``."""
        return np.asarray(self.target.argmax(1), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each example of the source's validation split is classified correctly ``(n_s,)``."""
        return np.asarray(self.source.argmax(1) == self.labels)

    @property
    def methods(self) -> frozenset[str]:
        """The method and those of its members: whose losses shaped this model."""
        return frozenset({self.method, *self.members})

    def source_sample(self) -> SourceSample:
        """The source examples whose features are known.

        Raises:
            BadInput: None are.
        """
        if self.source_features is None:
            raise self._lacks("source_features")
        rows = slice(None) if self.source_rows is None else self.source_rows
        return SourceSample(self.source_features, self.source[rows], self.labels[rows])

    def target_sample(self) -> TargetSample:
        """The target examples whose features are known.

        Raises:
            BadInput: None are.
        """
        if self.target_features is None:
            raise self._lacks("target_features")
        rows = slice(None) if self.target_rows is None else self.target_rows
        return TargetSample(self.target_features, self.target[rows])

    def mixtures(self) -> tuple[Codes, Probabilities]:
        """The pairs of target examples that were mixed ``(m, 2)``, and the probabilities on the mixtures ``(m, k)``.

        Raises:
            BadInput: None were mixed.
        """
        if self.pairs is None or self.mixed is None:
            raise self._lacks("mixed")
        return self.pairs, self.mixed

    def _lacks(self, part: str) -> BadInput:
        return self._bad(f"has no {part.replace('_', ' ')}")

    def _bad(self, what: str) -> BadInput:
        return BadInput(f"candidate {self.method}: {what}")

    def _check_probabilities(self, part: str, n: int) -> None:
        p, k = getattr(self, part), self.n_classes
        if not n or k < 2 or p.shape != (n, k):
            raise self._bad(f"{part}: has shape {p.shape} and not ({n or 'n'}, {k if k > 1 else 'k'}), k at least 2")
        if not (p >= -ROUNDING).all() or not (np.abs(p.sum(1) - 1) <= ROUNDING).all():  # NaN fails both
            raise self._bad(f"{part}: rows are not probabilities that sum to 1")

    def _check_labels(self) -> None:
        if self.labels.shape != (len(self.source),):
            raise self._bad(f"labels: has shape {self.labels.shape} and not ({len(self.source)},)")
        if self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise self._bad(f"labels: are not all from 0 to {self.n_classes - 1}")

    def _check_features(self, domain: str, n: int) -> None:
        features, rows = getattr(self, f"{domain}_features"), getattr(self, f"{domain}_rows")
        if features is None:
            return
        m = n if rows is None else len(rows)
        if features.ndim != 2 or len(features) != m or not m:
            raise self._bad(f"{domain}_features: has shape {features.shape} and not ({m or 'm'}, d)")
        if not np.isfinite(features).all():
            raise self._bad(f"{domain}_features: a number is not finite")
        if rows is not None and not _are_rows(rows, n):
            raise self._bad(f"{domain}_rows: are not all from 0 to {n - 1}")

    def _check_mixtures(self) -> None:
        if (self.pairs is None) != (self.mixed is None):
            raise self._bad("pairs and mixed: give both or neither")
        if self.pairs is None:
            return
        if self.pairs.ndim != 2 or self.pairs.shape[1] != 2 or not _are_rows(self.pairs, len(self.target)):
            raise self._bad("pairs: are not two rows of the target each")
        self._check_probabilities("mixed", len(self.pairs))


def _are_rows(rows: Codes, n: int) -> bool:
    return bool(rows.size and rows.min() >= 0 and rows.max() < n)
