"""A domain: a named set of examples, with or without labels. All that enters the house becomes one."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput, did_you_mean
from acclimate.recipe import Task

Kind = Literal["images", "vectors", "table", "text", "image and text"]


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

    def digest(self) -> str:
        """Changes whenever one of them does."""


class ImagesAndTexts(NamedTuple):
    """Examples that are a picture and a text each."""

    images: Images
    texts: list[str]

    def take_rows(self, index: NDArray[np.int64]) -> "ImagesAndTexts":
        """Some of them."""
        return ImagesAndTexts(_take(self.images, index), _take(self.texts, index))


@dataclass(frozen=True)
class Domain:
    """A named set of examples of one kind.

    Attributes:
        name: What the person called it, for messages and pictures.
        kind: ``images``, ``vectors``, ``table``, ``text`` or ``image and text``.
        examples: `Images`, an array ``(n, d)`` (NumPy or SciPy CSR), a polars data frame, a list of texts,
            or `ImagesAndTexts`.
        names: A name for each example: a file's path, a row's number.
        labels: The class of each example, or its number, as text ``(n,)``, or none.
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
        self._require_labels()
        position = {c: i for i, c in enumerate(classes)}
        if strange := [c for c in self.classes if c not in position]:
            raise BadInput(
                f"{self.name}: class {strange[0]!r} is not among the source's; "
                f"{did_you_mean(strange[0], classes)}; rename it or leave it out"
            )
        return np.array([position[str(c)] for c in self._require_labels()], dtype=np.int64)

    def numbers(self) -> NDArray[np.float64]:
        """Labels ``(n,)`` as the numbers they spell.

        Raises:
            BadInput: It has no labels, or one that is no finite number.
        """
        labels = self._require_labels()
        numbers = spelt(labels)
        if not (finite := np.isfinite(numbers)).all():
            row = int(np.argmin(finite))
            raise BadInput(
                f"{self.name}: label {str(labels[row])!r} in row {row} is no number, and a regression learns numbers; "
                "mend it, or use --task classification"
            )
        return numbers

    def require_source(self, task: Task = "classification") -> "Domain":
        """This domain, if a classifier, or a model of numbers, can be learnt from it.

        Raises:
            BadInput: No labels, fewer than two classes, about as many classes as examples, or labels that are no
                numbers or all the same one.
        """
        if self.labels is None:
            raise BadInput(f"{self.name}: the source has no labels; give class folders, `y`, or --label COLUMN")
        if task == "classification":
            self._require_classes()
        elif not np.ptp(numbers := self.numbers()):
            raise BadInput(
                f"{self.name}: every label is {numbers[0]:g}; there is nothing to learn, choose another column"
            )
        return self

    def _require_classes(self) -> None:
        classes = self.classes
        if len(classes) < 2:
            raise BadInput(f"{self.name}: only one class ({classes[0]!r}); a classifier needs at least two")
        if too_many(classes, self):
            raise BadInput(
                f"{self.name}: {len(classes)} classes in {len(self)} examples; the label looks like a number or "
                "a name, choose a column of classes, or use --task regression for numbers"
            )
        if len(classes) == len(self):
            raise BadInput(f"{self.name}: one example of each class is too few; some are kept to validate on")

    def _require_labels(self) -> NDArray[np.str_]:
        if self.labels is None:
            raise BadInput(
                f"{self.name}: has no labels, and they are needed here; give class folders, `y`, or the label's column"
            )
        return self.labels

    def take(self, index: NDArray[np.int64]) -> "Domain":
        """The examples at ``index``, in that order."""
        return Domain(
            self.name,
            self.kind,
            _take(self.examples, index),
            [self.names[i] for i in index],
            None if self.labels is None else self.labels[index],
        )


class Part(NamedTuple):
    """A domain, or some of its rows."""

    whole: Domain
    rows: NDArray[np.int64] | None = None

    @property
    def domain(self) -> Domain:
        """The rows as a domain of their own."""
        return self.whole if self.rows is None else self.whole.take(self.rows)


def parted(domain: Domain) -> tuple[Domain, Domain]:
    """The images of an ``image and text`` domain, and its texts."""
    images, texts = domain.examples
    return replace(domain, kind="images", examples=images), replace(domain, kind="text", examples=texts)


def too_many(classes: Sequence[str], examples: Sized) -> bool:
    """Whether there are about as many different labels as examples, as of numbers or names."""
    return len(classes) > max(10, len(examples) // 2)


def spelt(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """The number that each text spells ``(n,)``; NaN where it spells none.

    Example:
        >>> spelt(np.array(["1.5", "cat"])).tolist()
        [1.5, nan]
    """
    try:
        return labels.astype(np.float64)
    except ValueError:
        return np.array([_number(text) for text in labels])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _take(examples: Any, index: NDArray[np.int64]) -> Any:
    if isinstance(examples, list):
        return [examples[i] for i in index]
    if hasattr(examples, "take_rows"):
        return examples.take_rows(index)
    return examples[index]
