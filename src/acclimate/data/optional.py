"""Recognise objects of optional libraries without importing them."""

from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from PIL.Image import Image
    from polars import Series
    from torch import Tensor

    from acclimate.data.frames import PandasSeries


def is_instance_of(value: object, package: str, *names: str) -> bool:
    """Return whether ``value`` is an instance of one of the classes ``names`` of ``package``.

    An object of a library exists only after somebody imported that library, so the names of its class and its base
    classes are enough to recognise it.

    Example:
        >>> from decimal import Decimal
        >>> is_instance_of(Decimal(1), "decimal", "Decimal"), is_instance_of(1, "decimal", "Decimal")
        (True, False)
    """
    return any(c.__module__.partition(".")[0] == package and c.__name__ in names for c in type(value).__mro__)


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Return whether ``value`` is a torch tensor."""
    return is_instance_of(value, "torch", "Tensor")


def is_image(value: object) -> "TypeGuard[Image]":
    """Return whether ``value`` is a PIL image."""
    return is_instance_of(value, "PIL", "Image")


def is_series(value: object) -> "TypeGuard[PandasSeries | Series]":
    """Return whether ``value`` is a pandas or polars series."""
    return is_instance_of(value, "pandas", "Series") or is_instance_of(value, "polars", "Series")
