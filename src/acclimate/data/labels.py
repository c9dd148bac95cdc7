"""Whether the labels of a domain are classes or numbers, and how a model learns them."""

import logging
import math
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Examples, has_too_many_classes, parse_numbers
from acclimate.data.images import FolderImages, ZipImages
from acclimate.data.listed import ListedImages
from acclimate.errors import BadInput
from acclimate.recipe import LabelScale, Recipe, Task, check_task_name

log = logging.getLogger("acclimate")

FARTHEST = 1e15
"""Standard deviations of the source's labels that a label may lie from their mean; squares of more overflow."""
Truth: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
"""Labels ``(n,)`` as a model learns them: indices of classes, or standardised numbers."""


def choose_task(source: Domain, requested: str) -> Task:
    """Return the requested task, or for ``auto`` the one that the source's labels suggest.

    Labels are numbers rather than classes if all are finite numbers and one has a fraction, or about as many differ as
    there are examples. Folders are always classes. The decision is logged where it might be wrong.

    Args:
        source: The labelled domain.
        requested: ``classification``, ``regression`` or ``auto``.

    Raises:
        BadInput: There is no such task, or regression is requested and the labels are folders.
    """
    check_task_name(requested)
    in_folders = any(_in_folders(one.examples) for one in (source, *source.members))
    if requested == "regression" and in_folders:
        raise BadInput(
            f"{source.name}: folders are classes, not numbers; for regression give an .npz with y, or a table of "
            "images with --image"
        )
    if requested == "classification" or in_folders or source.labels is None:
        return "classification"
    return "regression" if requested == "regression" or _look_like_numbers(source) else "classification"


def _in_folders(examples: Examples) -> bool:
    return isinstance(examples, FolderImages | ZipImages) and not isinstance(examples, ListedImages)


class Learnt(TypedDict):
    """The fields of a recipe that say what the source's labels are learnt as."""

    classes: tuple[str, ...]
    scale: LabelScale


def learnt(source: Domain, task: Task) -> Learnt:
    """The source's classes, or the mean and standard deviation of its numbers.

    Raises:
        BadInput: The numbers cannot be standardised.
    """
    if task == "classification":
        return {"classes": source.classes, "scale": LabelScale()}
    return {"classes": (), "scale": scale_of(source)}


def scale_of(source: Domain) -> LabelScale:
    """Return the mean and standard deviation of the source's labels.

    Raises:
        BadInput: They are too large, or too close to each other, for a standard deviation.
    """
    numbers = source.numbers()
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(numbers.mean()), float(numbers.std())
    if not (math.isfinite(mean) and math.isfinite(std) and std > np.finfo(np.float64).tiny):
        least, most = numbers.min(), numbers.max()
        raise BadInput(
            f"{source.name}: labels from {least:g} to {most:g} cannot be standardised; give them in other units"
        )
    return LabelScale(mean=mean, std=std)


def truth(domain: Domain, recipe: Recipe) -> Truth:
    """Return the labels of a domain as the recipe's model learns them, ``(n,)``.

    Raises:
        BadInput: There are no labels, a class is not in the source, a label is not a number or far from the source's.
    """
    if recipe.task == "classification":
        return domain.codes(recipe.classes)
    with np.errstate(over="ignore"):
        standardised = (domain.numbers() - recipe.scale.mean) / recipe.scale.std
    if len(standardised) and not np.abs(standardised).max() < FARTHEST:
        row = int(np.abs(standardised).argmax())
        raise BadInput(
            f"{domain.name}: label {domain.numbers()[row]:g} in row {row} is too far from the source's "
            f"({recipe.scale.mean:g} ± {recipe.scale.std:g}); give labels in the same unit, or correct it"
        )
    return standardised.astype(np.float32)


def in_units(standardised: NDArray[np.float64], scale: LabelScale) -> NDArray[np.float64]:
    """Return standardised numbers in the unit of the labels."""
    return standardised * scale.std + scale.mean


def _look_like_numbers(source: Domain) -> bool:
    classes = source.classes
    numbers = parse_numbers(np.array(classes))
    if not np.isfinite(numbers).all():
        return False
    if bool((numbers != np.round(numbers)).any()) or has_too_many_classes(classes, source):
        log.info(
            "%s: the labels are %d different numbers from %g to %g, so the task is regression; "
            "if they are classes, use --task classification",
            source.name, len(classes), numbers.min(), numbers.max(),
        )  # fmt: skip
        return True
    if len(classes) > 2:
        log.info(
            "%s: the labels are %d different whole numbers, taken as classes; for amounts, use --task regression",
            source.name, len(classes),
        )  # fmt: skip
    return False
