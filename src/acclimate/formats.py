"""Files of Runs of earlier formats, in today's form."""

from collections.abc import Mapping
from typing import Any, cast

from acclimate.contents import PhaseScores, Scores


def upgrade_scores(found: Mapping[str, Any]) -> Scores:
    """Return the content of a ``scores.json`` in the form of format 3.

    Up to format 2, the adapted model's scores were at the top level, even if it was not the model that was kept.

    Example:
        >>> part = {"source_val": None, "target_estimate": None}
        >>> old = {**part, "kept": "source_only", "why": "it broke", "source_only": {**part, "target": {"mae": 2.0}}}
        >>> upgrade_scores({**old, "target": {"mae": 9.0}})["target"]
        {'mae': 2.0}
    """
    rejected = bool(found.get("why"))
    if "adapted" in found or not (rejected or found.get("kept") == "adapted"):
        return cast("Scores", found)  # of format 3, or without an adapted model
    parts = PhaseScores.__annotations__
    adapted = {name: value for name, value in found.items() if name in parts}
    rest = {name: value for name, value in found.items() if name not in parts}
    kept = found.get("source_only", {}) if rejected else adapted
    return cast("Scores", {**kept, **rest, "adapted": adapted})
