"""A domain: a named set of examples, with or without labels. All that enters the house becomes one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput, did_you_mean

Kind = Literal["images", "vectors", "table", "text"]


class Images(Protocol):
    """Pictures that are read one at a time."""

    def __len__(self) -> int: ...

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Picture ``i`` as ``(h, w, 3)`` or ``(h, w, 1)``; about ``size`` pixels are enough.

        Raises:
            BadInput: It is no picture that can be read.
        """

    def shape(self, i: int) -> tuple[int, int]:
        """Height and width of picture ``i``, without decoding it."""


@dataclass(frozen=True)
class Domain:
    """A named set of examples of one kind.

    Attributes:
        name: What the person called it, for messages and pictures.
        kind: ``images``, ``vectors``, ``table`` or ``text``.
        examples: `Images`, an array ``(n, d)`` (NumPy or SciPy CSR), a polars data frame, or a list of texts.
        names: A name for each example: a file's path, a row's number.
        labels: The class of each example as text ``(n,)``, or none.
    """

    name: str
    kind: Kind
    examples: Any
    names: Sequence[str]
    labels: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur, numbers in the order of their value."""
        if self.labels is None:
            return ()
        found = [str(c) for c in np.unique(self.labels)]
        try:
            return tuple(sorted(found, key=float))
        except ValueError:
            return tuple(found)

    def without_labels(self) -> "Domain":
        """The same examples; the labels stay behind."""
        return replace(self, labels=None)

    def codes(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Labels ``(n,)`` as positions in ``classes``.

        Raises:
            BadInput: It has no labels, or classes that are not among ``classes``.
        """
        if self.labels is None:
            raise BadInput(
                f"{self.name}: has no labels, and they are needed here; give class folders, `y`, or the label's column"
            )
        position = {c: i for i, c in enumerate(classes)}
        if strange := [c for c in self.classes if c not in position]:
            raise BadInput(
                f"{self.name}: class {strange[0]!r} is not among the source's; "
                f"{did_you_mean(strange[0], classes)}; rename it or leave it out"
            )
        return np.array([position[str(c)] for c in self.labels], dtype=np.int64)

    def require_source(self) -> "Domain":
        """This domain, if a classifier can be learnt from it.

        Raises:
            BadInput: No labels, fewer than two classes, or about as many classes as examples.
        """
        if self.labels is None:
            raise BadInput(f"{self.name}: the source has no labels; give class folders, `y`, or --label COLUMN")
        if len(self.classes) < 2:
            raise BadInput(f"{self.name}: only one class ({self.classes[0]!r}); a classifier needs at least two")
        if len(self.classes) > max(10, len(self) // 2):
            raise BadInput(
                f"{self.name}: {len(self.classes)} classes in {len(self)} examples; "
                "the label looks like a number or a name, choose a column of classes"
            )
        if len(self.classes) == len(self):
            raise BadInput(f"{self.name}: one example of each class is too few; some are kept to validate on")
        return self

    def take(self, index: NDArray[np.int64]) -> "Domain":
        """The examples at ``index``, in that order."""
        return Domain(
            self.name,
            self.kind,
            _take(self.examples, index),
            [self.names[i] for i in index],
            None if self.labels is None else self.labels[index],
        )


def _take(examples: Any, index: NDArray[np.int64]) -> Any:
    if isinstance(examples, list):
        return [examples[i] for i in index]
    if hasattr(examples, "take_rows"):
        return examples.take_rows(index)
    return examples[index]
