"""Acclimate: domain adaptation that says honestly how well it works.

Labelled examples from where you trained, examples from where the model must work: one call leaves a model that
works there, with a report.

    run = acclimate.adapt("studio/", "phone/", method="mcc", score="phone_labelled/")
    run.predict("new_photos/")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acclimate.data import Domain, load
    from acclimate.errors import BadInput
    from acclimate.runs.run import Run
    from acclimate.workflows.adapt import adapt
    from acclimate.workflows.label_curves import labels

    __version__: str

__all__ = ["BadInput", "Domain", "Run", "__version__", "adapt", "labels", "load"]

_HOME = {
    "BadInput": "acclimate.errors",
    "Domain": "acclimate.data",
    "Run": "acclimate.runs.run",
    "adapt": "acclimate.workflows.adapt",
    "labels": "acclimate.workflows.label_curves",
    "load": "acclimate.data",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing Acclimate costs nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("acclimate")
    if name == "sklearn":
        return import_module("acclimate.sklearn")
    if name not in _HOME:
        raise AttributeError(f"module 'acclimate' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
