"""Acclimate: domain adaptation that says honestly how well it works.

Labelled examples from where you trained, examples from where the model must work: one call leaves a model that
works there, with a report.

    run = acclimate.adapt("studio/", "phone/", method="mcc", score="phone_labelled/")
    run.predict("new_photos/")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acclimate.adaptation import adapt
    from acclimate.data import Domain, load
    from acclimate.errors import BadInput
    from acclimate.evaluate.predictor import Run
    from acclimate.label_efficiency import labels

    __version__: str

__all__ = ["BadInput", "Domain", "Run", "__version__", "adapt", "labels", "load"]

_HOME = {
    "BadInput": "acclimate.errors",
    "Domain": "acclimate.data",
    "Run": "acclimate.evaluate.predictor",
    "adapt": "acclimate.adaptation",
    "labels": "acclimate.label_efficiency",
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
