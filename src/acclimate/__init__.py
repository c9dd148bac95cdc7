"""Acclimate: domain adaptation that says honestly how well it works.

Labelled examples from where you trained, examples from where the model must work: one call leaves a model that
works there, with a report.

    run = acclimate.adapt("studio/", "phone/", method="mcc", score="phone_labelled/")
    run.predict("new_photos/")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acclimate.cpu import let_threads_sleep

if TYPE_CHECKING:
    from acclimate.data import Domain, load
    from acclimate.errors import BadInput
    from acclimate.methods import list_methods
    from acclimate.nn import Classifier
    from acclimate.recipe import Training
    from acclimate.runs.run import Run
    from acclimate.training.driver import Driver
    from acclimate.training.fit import Fitted, fit, fit_many
    from acclimate.types import Labeled, Outputs, Unlabeled
    from acclimate.workflows.adapt import adapt
    from acclimate.workflows.advise import advise
    from acclimate.workflows.compare.workflow import compare
    from acclimate.workflows.diagnose import diagnose
    from acclimate.workflows.label_curves import labels
    from acclimate.workflows.monitor import monitor

    __version__: str

__all__ = [
    "BadInput",
    "Classifier",
    "Domain",
    "Driver",
    "Fitted",
    "Labeled",
    "Outputs",
    "Run",
    "Training",
    "Unlabeled",
    "__version__",
    "adapt",
    "advise",
    "compare",
    "diagnose",
    "fit",
    "fit_many",
    "labels",
    "list_methods",
    "load",
    "monitor",
]

let_threads_sleep()  # before torch is imported

_MODULES = {
    "BadInput": "acclimate.errors",
    "Classifier": "acclimate.nn",
    "Domain": "acclimate.data",
    "Driver": "acclimate.training.driver",
    "Fitted": "acclimate.training.fit",
    "Labeled": "acclimate.types",
    "Outputs": "acclimate.types",
    "Run": "acclimate.runs.run",
    "Training": "acclimate.recipe",
    "Unlabeled": "acclimate.types",
    "adapt": "acclimate.workflows.adapt",
    "advise": "acclimate.workflows.advise",
    "compare": "acclimate.workflows.compare.workflow",
    "diagnose": "acclimate.workflows.diagnose",
    "fit": "acclimate.training.fit",
    "fit_many": "acclimate.training.fit",
    "labels": "acclimate.workflows.label_curves",
    "list_methods": "acclimate.methods",
    "load": "acclimate.data",
    "monitor": "acclimate.workflows.monitor",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing Acclimate costs nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("acclimate")
    if name in {"sklearn", "losses", "methods", "shift"}:
        return import_module(f"acclimate.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'acclimate' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
