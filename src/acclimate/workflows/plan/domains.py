"""Reads the domains and labels of a request: whatever `acclimate.data.source` reads, or a finished Run as source."""

import logging
from collections.abc import Callable
from pathlib import Path

from acclimate import methods
from acclimate.data import Domain, listed
from acclimate.data.labels import truth
from acclimate.data.order import by_content
from acclimate.data.preprocess import Preprocess
from acclimate.data.source import Source, as_domain
from acclimate.errors import BadInput
from acclimate.recipe import DomainSpec, Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.run import Run

log = logging.getLogger("acclimate")


def read_origin(source: Source | RunFolder) -> Run | None:
    """The finished Run that is given in the place of a source, if it is one."""
    if isinstance(source, RunFolder):
        return Run.open(source.path)
    return Run.open(source) if isinstance(source, str | Path) and is_run(source) else None


def is_run(path: str | Path) -> bool:
    """Whether a folder holds what every Run does; a folder of images may hold a ``recipe.yaml`` too."""
    try:
        return all(Path(path, name).is_file() for name in ("recipe.yaml", "environment.json"))
    except (OSError, ValueError):
        return False


def read_domain(given: Source, name: str, spec: DomainSpec, *, labelled: bool = True) -> Domain:
    """A domain; ``name`` is what it is called where it has none. Unless it is ``labelled``, labels stay unread.

    Raises:
        BadInput: It cannot be read, or is to be ``labelled`` and has no column of labels.
    """
    columns = {"label": spec.label, "text": spec.text, "image": spec.image}
    domain = as_domain(given, name=name, **columns, drop=spec.drop, must_have_label=labelled, read_labels=labelled)
    if isinstance(given, str | Path):
        listed.require_files(domain)
    return domain


def read_target(given: Source, spec: DomainSpec) -> Domain:
    """The domain to adapt to; labels in it are set aside, and class folders have no influence on the order of rows."""
    target = read_domain(given, "target", spec, labelled=False)
    if target.labels_set_aside:
        log.info("%s: its labels are set aside unread; training does not see them", target.name)
    return by_content(target)


def read_target_labels(given: Source | None, method: str, spec: DomainSpec, *, linear: bool) -> Domain | None:
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
        raise BadInput(f"--target-labels: {method} fits a linear model to the source's labels alone; omit it")
    if not (needed or "source" in methods.get(method).needs):
        raise BadInput(f"--target-labels: method {method} learns from no labels; omit it")
    return read_domain(given, "target labels", spec)


def score_later(
    given: Source | None, spec: DomainSpec, recipe: Recipe, fitted: Preprocess
) -> Callable[[], Domain] | None:
    """Reads labels for scores when training is over; they are checked for mistakes now, and forgotten.

    Rows are in the order of the target's, so that features of the target stand for those of its labelled copy.
    """
    if given is None:
        return None
    check_labelled(read_domain(given, "score", spec), recipe, fitted)
    return lambda: by_content(read_domain(given, "score", spec))


def check_labelled(domain: Domain | None, recipe: Recipe, fitted: Preprocess) -> None:
    """Find a mistake in a labelled target now, and not after the training."""
    if domain is not None:
        truth(domain, recipe)
        fitted.inputs(domain)
