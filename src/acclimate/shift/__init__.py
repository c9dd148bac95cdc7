"""What differs between two domains."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acclimate.shift.diagnosis import diagnose
    from acclimate.shift.findings import Findings

__all__ = ["Findings", "diagnose"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{'findings' if name == 'Findings' else 'diagnosis'}"), name)
