"""What the labels of a domain are, classes or numbers, and how a model learns them."""

import logging
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from acclimate.data.domain import Domain, spelt, too_many
from acclimate.data.images import ArrayImages
from acclimate.data.listed import ListedImages
from acclimate.errors import BadInput
from acclimate.recipe import LabelScale, Recipe, Task

log = logging.getLogger("acclimate")

Truth: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
"""Labels ``(n,)`` as a model learns them: positions of classes, or standardised numbers."""


def choose_task(source: Domain, asked: str) -> Task:
    """What is to be learnt from the source: what was asked for, or what its labels look like.

    Labels are numbers, and not classes, if all of them spell finite numbers and some has a fraction, or there are about
    as many different ones as examples. Folders are always classes. What was decided is logged where it might be
    wrong.

    Args:
        source: The labelled domain.
        asked: ``classification``, ``regression`` or ``auto``.

    Raises:
        BadInput: There is no such task, or numbers are asked for where folders are the labels.
    """
    if asked not in {"auto", "classification", "regression"}:
        raise BadInput(f"task {asked!r}: there is none of this name; use classification, regression or auto")
    in_folders = source.kind == "images" and not isinstance(source.examples, ArrayImages | ListedImages)
    if asked == "regression" and in_folders:
        raise BadInput(
            f"{source.name}: folders are classes, not numbers; for a regression give an .npz with y, or a table of "
            "images with --image"
        )
    if asked == "classification" or in_folders or source.labels is None:
        return "classification"
    return "regression" if asked == "regression" or _look_like_numbers(source) else "classification"


def scale_of(source: Domain) -> LabelScale:
    """Mean and standard deviation of the source's labels."""
    numbers = source.numbers()
    return LabelScale(mean=float(numbers.mean()), std=float(numbers.std()))


def truth(domain: Domain, recipe: Recipe) -> Truth:
    """The labels of a domain as the recipe's model learns them, ``(n,)``.

    Raises:
        BadInput: It has no labels, classes that the source has not, or labels that are no numbers.
    """
    if recipe.task == "classification":
        return domain.codes(recipe.classes)
    return ((domain.numbers() - recipe.scale.mean) / recipe.scale.std).astype(np.float32)


def in_units(standardised: NDArray[np.float64], scale: LabelScale) -> NDArray[np.float64]:
    """Standardised numbers in the units of the labels."""
    return standardised * scale.std + scale.mean


def _look_like_numbers(source: Domain) -> bool:
    classes = source.classes
    numbers = spelt(np.array(classes))
    if not np.isfinite(numbers).all():
        return False
    if bool((numbers != np.round(numbers)).any()) or too_many(classes, source):
        log.info(
            "%s: its labels are %d different numbers from %g to %g, so this is a regression; "
            "for classes use --task classification",
            source.name, len(classes), numbers.min(), numbers.max(),
        )  # fmt: skip
        return True
    if len(classes) > 2:
        log.info(
            "%s: its labels are %d different whole numbers, taken for classes; for amounts use --task regression",
            source.name, len(classes),
        )  # fmt: skip
    return False
