"""A domain: a named set of examples, with or without labels. Every input becomes one."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray

from acclimate.errors import BadInput, did_you_mean
from acclimate.recipe import Task

Kind = Literal["images", "vectors", "table", "text", "image and text"]
LabelType = Literal["text", "integer", "number"]
"""How the labels were given: as text (or booleans), as integers, or as floating-point numbers."""


@runtime_checkable
class Images(Protocol):
    """Images that are read one at a time."""

    def __len__(self) -> int: ...

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as ``(h, w, 3)`` or ``(h, w, 1)``; about ``size`` pixels a side are enough.

        Raises:
            BadInput: The image cannot be read.
        """

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``, without decoding it where the format allows."""

    def digest(self) -> str:
        """Return a hash of all images."""

    def take_rows(self, index: NDArray[np.int64]) -> "Images":
        """Return the images at ``index``, in that order."""


class ImagesAndTexts(NamedTuple):
    """Examples that have an image and a text each."""

    images: Images
    texts: list[str]

    def take_rows(self, index: NDArray[np.int64]) -> "ImagesAndTexts":
        """Return the examples at ``index``, in that order."""
        return ImagesAndTexts(self.images.take_rows(index), [self.texts[i] for i in index])


Vectors: TypeAlias = NDArray[np.float32] | scipy.sparse.csr_array
"""Rows of numbers ``(n, d)``, dense or sparse."""
Examples: TypeAlias = Images | ImagesAndTexts | Vectors | pl.DataFrame | list[str]
"""The examples of a domain, by kind: images, image and text, vectors, table, text."""


@dataclass(frozen=True)
class Domain:
    """A named set of examples of one kind.

    Attributes:
        name: What messages and figures call it: its path, or its role (``source``) if it has none.
        kind: ``images``, ``vectors``, ``table``, ``text`` or ``image and text``.
        examples: `Images`, an array ``(n, d)`` (NumPy or SciPy CSR), a polars data frame, a list of texts,
            or `ImagesAndTexts`.
        names: A name for each example: its file's path, or its row's number.
        labels: The class, or the number, of each example as text ``(n,)``; None if there are no labels.
        label_type: How the labels were given, so that predictions can be returned in the same type.
        labels_set_aside: Whether the examples came with labels that were left unread or were removed.
        members: The domains that it was pooled from, as they were read; see `acclimate.data.several`.
        origin: The position among ``members`` of each example's domain ``(n,)``; None if it was not pooled.
    """

    name: str
    kind: Kind
    examples: Examples
    names: Sequence[str]
    labels: NDArray[np.str_] | None = None
    label_type: LabelType = "text"
    labels_set_aside: bool = False
    members: tuple["Domain", ...] = ()
    origin: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def images(self) -> Images:
        """The examples of a domain of images."""
        assert isinstance(self.examples, Images)
        return self.examples

    @property
    def vectors(self) -> Vectors:
        """The examples of a domain of vectors."""
        assert isinstance(self.examples, np.ndarray) or scipy.sparse.issparse(self.examples)
        return self.examples

    @property
    def table(self) -> pl.DataFrame:
        """The examples of a domain that is a table."""
        assert isinstance(self.examples, pl.DataFrame)
        return self.examples

    @property
    def texts(self) -> list[str]:
        """The examples of a domain of texts."""
        assert isinstance(self.examples, list)
        return self.examples

    @property
    def integer_labels(self) -> bool:
        """Whether the labels were given as integers."""
        return self.label_type == "integer"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur, sorted; numbers are sorted by value."""
        if self.labels is None:
            return ()
        found = [str(c) for c in np.unique(self.labels)]
        try:
            return tuple(sorted(found, key=float))
        except ValueError:
            return tuple(found)

    def without_labels(self) -> "Domain":
        """Return the same examples without their labels."""
        set_aside = self.labels_set_aside or self.labels is not None
        return replace(self, labels=None, label_type="text", labels_set_aside=set_aside)

    def codes(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the labels ``(n,)`` as positions in ``classes``.

        Raises:
            BadInput: There are no labels, or a class is not among ``classes``.
        """
        labels = self._require_labels()
        position = {c: i for i, c in enumerate(classes)}
        if unknown := [c for c in self.classes if c not in position]:
            raise BadInput(
                f"{self.name}: class {unknown[0]!r} is not in the source; "
                f"{did_you_mean(unknown[0], classes)}; rename it, or remove its examples"
            )
        return np.array([position[str(c)] for c in labels], dtype=np.int64)

    def numbers(self) -> NDArray[np.float64]:
        """Return the labels ``(n,)`` as numbers.

        Raises:
            BadInput: There are no labels, or one is not a finite number.
        """
        labels = self._require_labels()
        numbers = parse_numbers(labels)
        if not (finite := np.isfinite(numbers)).all():
            row = int(np.argmin(finite))
            raise BadInput(
                f"{self.name}: label {str(labels[row])!r} in row {row} is not a number, and regression needs numbers; "
                "correct it, or use --task classification"
            )
        return numbers

    def require_source(self, task: Task = "classification") -> "Domain":
        """Return this domain if a model can learn the task from it.

        Raises:
            BadInput: There are no labels, fewer than two classes or about as many classes as examples; or, in
                regression, the labels are not numbers or are all equal.
        """
        if self.labels is None:
            raise BadInput(f"{self.name}: the source has no labels; give class folders, `y`, or --label COLUMN")
        if task == "classification":
            self._require_classes()
        elif not np.ptp(numbers := self.numbers()):
            raise BadInput(
                f"{self.name}: every label is {numbers[0]:g}, so there is nothing to learn; choose another label column"
            )
        return self

    def _require_classes(self) -> None:
        classes = self.classes
        if len(classes) < 2:
            raise BadInput(f"{self.name}: only one class ({classes[0]!r}); a classifier needs at least two")
        if has_too_many_classes(classes, self):
            raise BadInput(
                f"{self.name}: {len(classes)} classes in {len(self)} examples; the labels look like numbers or names: "
                "choose a column of classes, or use --task regression for numbers"
            )
        if len(classes) == len(self):
            raise BadInput(
                f"{self.name}: only one example of each class; give at least two, as validation needs some of them"
            )

    def _require_labels(self) -> NDArray[np.str_]:
        if self.labels is None:
            raise BadInput(
                f"{self.name}: has no labels, and this step needs them; give class folders, `y`, or --label COLUMN"
            )
        return self.labels

    def take(self, index: NDArray[np.int64]) -> "Domain":
        """Return the examples at ``index``, in that order."""
        return replace(
            self,
            examples=_take(self.examples, index),
            names=[self.names[i] for i in index],
            labels=None if self.labels is None else self.labels[index],
            origin=None if self.origin is None else self.origin[index],
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
    """Return the images of an ``image and text`` domain, and its texts."""
    assert isinstance(domain.examples, ImagesAndTexts)
    images, texts = domain.examples
    return replace(domain, kind="images", examples=images), replace(domain, kind="text", examples=texts)


def has_too_many_classes(classes: Sequence[str], examples: Sized) -> bool:
    """Return whether there are about as many different labels as examples, as if they were numbers or names."""
    return len(classes) > max(10, len(examples) // 2)


def parse_numbers(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the number in each text ``(n,)``; NaN where the text is not a number.

    Example:
        >>> parse_numbers(np.array(["1.5", "cat"])).tolist()
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


def _take(examples: Examples, index: NDArray[np.int64]) -> Examples:
    if isinstance(examples, list):
        return [examples[i] for i in index]
    if isinstance(examples, Images | ImagesAndTexts):
        return examples.take_rows(index)
    return examples[index]
