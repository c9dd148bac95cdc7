"""Domains and labels as a person gives them: paths, arrays, Domains or a finished Run."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acclimate import data, methods
from acclimate.data import Domain, listed
from acclimate.data.arrays import from_arrays
from acclimate.data.labels import truth
from acclimate.data.preprocess import Preprocess
from acclimate.errors import BadInput
from acclimate.recipe import DomainSpec, Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.run import Run

log = logging.getLogger("acclimate")


def origin(source: Any) -> Run | None:
    """The finished Run that is given in the place of a source, if it is one."""
    is_path = isinstance(source, str | Path)
    if isinstance(source, RunFolder) or (is_path and Path(source, "recipe.yaml").is_file()):
        return Run.open(source.path if isinstance(source, RunFolder) else source)
    return None


def domain(given: Any, name: str, place: DomainSpec, *, labelled: bool = True) -> Domain:
    """A domain, read if it is a path; ``name`` is what it is called where it has none.

    Raises:
        BadInput: It cannot be read, or should be ``labelled`` and has no column of labels.
    """
    if isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        columns: Any = {"label": place.label, "text": place.text, "image": place.image, "drop": place.drop}
        there = data.load(given, **columns, must_have_label=labelled)
        listed.require_files(there)
        return there
    x, y = given if isinstance(given, tuple) else (given, None)
    return from_arrays(x, y, name=name)


def target(given: Any, place: DomainSpec) -> Domain:
    """The domain to work on; what labels it has are set aside."""
    there = domain(given, "target", place, labelled=False)
    if there.labels is not None:
        log.info("%s: its labels are set aside; training does not see them", there.name)
    return there.without_labels()


def target_labels(given: Any, method: str, place: DomainSpec, *, linear: bool) -> Domain | None:
    """Labelled examples of the target to learn from, where the method takes any.

    Raises:
        BadInput: There are none and it needs them, or there are and it learns from none.
    """
    needed = not linear and "target_labels" in methods.get(method).needs
    if needed and given is None:
        raise BadInput(f"method {method} trains on labels of the target; give them with --target-labels")
    if given is None:
        return None
    if linear:
        raise BadInput(f"--target-labels: {method} fits a linear model to the source's labels alone; leave it out")
    if not (needed or "source" in methods.get(method).needs):
        raise BadInput(
            f"method {method} learns from no label, and so from none of the target; leave --target-labels out"
        )
    return domain(given, "target labels", place)


def later(given: Any, place: DomainSpec, recipe: Recipe, fitted: Preprocess) -> Callable[[], Domain] | None:
    """Where labels for scores are read from when training is over; looked at for mistakes now, and forgotten."""
    if given is None:
        return None
    check_labelled(domain(given, "score", place), recipe, fitted)
    return lambda: domain(given, "score", place)


def check_labelled(domain: Domain | None, recipe: Recipe, fitted: Preprocess) -> None:
    """Find a mistake in a labelled target now, and not after the training."""
    if domain is not None:
        truth(domain, recipe)
        fitted.inputs(domain)
