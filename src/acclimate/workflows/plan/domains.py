"""Reads the domains and labels of a request: whatever `acclimate.data.source` reads, or a finished Run as source."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import numpy as np
import polars as pl

from acclimate import methods
from acclimate.data import Domain, listed, place_of, table_files
from acclimate.data.broken import readable
from acclimate.data.digests import digest
from acclimate.data.domain import Kind
from acclimate.data.labels import truth
from acclimate.data.order import by_content
from acclimate.data.preprocess import Preprocess
from acclimate.data.read_labels import as_text
from acclimate.data.several import Sources, pool, sources_of
from acclimate.data.source import Source, as_domain
from acclimate.errors import BadInput, did_you_mean
from acclimate.recipe import DomainSpec, PooledSource, Recipe, ScoredOn
from acclimate.run_folder import RunFolder
from acclimate.runs.run import Run
from acclimate.workflows.early import each_source, is_run
from acclimate.workflows.plan.checks import is_same

log = logging.getLogger("acclimate")

IMAGE, LABEL = "image", "label"
"""Columns of a file that lists images with their labels."""


def read_origin(source: Sources | RunFolder) -> Run | None:
    """The finished Run that is given in the place of a source, if it is one."""
    given = each_source(source)[0]
    if isinstance(given, RunFolder):
        return Run.open(given.path)
    return Run.open(given) if isinstance(given, str | Path) and is_run(given) else None


def read_domain(given: Source, name: str, spec: DomainSpec, *, labelled: bool = True) -> Domain:
    """A domain; ``name`` is what it is called where it has none. Unless it is ``labelled``, labels stay unread.

    Raises:
        BadInput: It cannot be read, or is to be ``labelled`` and has no column of labels.
    """
    columns = {"label": spec.label, "text": spec.text, "image": spec.image}
    domain = as_domain(given, name=name, **columns, drop=spec.drop, must_have_label=labelled, read_labels=labelled)
    if isinstance(given, str | Path):
        listed.require_files(domain)
    return readable(domain, spec.max_bad)


def read_sources(given: Sources, spec: DomainSpec) -> Domain:
    """The labelled source; several are pooled.

    Raises:
        BadInput: One cannot be read or is given twice, or they do not fit together.
    """
    several = sources_of(given)
    for i, one in enumerate(several):
        if any(is_same(one, other) for other in several[:i]):
            name = one if isinstance(one, str | Path) else f"source {i + 1}"
            raise BadInput(f"{name}: is given twice as a source; give each source once")
    names = [f"source {i}" for i in range(1, len(several) + 1)] if len(several) > 1 else ["source"]
    return pool([read_domain(one, name, spec) for one, name in zip(several, names, strict=True)])


def read_target(given: Source, spec: DomainSpec) -> Domain:
    """The domain to adapt to; labels in it are set aside, and class folders have no influence on the order of rows."""
    target = read_domain(given, "target", spec, labelled=False)
    told = isinstance(given, Domain) and given.labels_set_aside
    if target.labels_set_aside and not told:
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


def read_score(given: Source | None, spec: DomainSpec) -> Domain | None:
    """The labelled target for scores, which is checked before training and forgotten."""
    return None if given is None else read_domain(given, "score", spec)


def read_audit(given: Source | None, spec: DomainSpec, kind: Kind, classes: Sequence[str]) -> Domain | None:
    """Labelled examples for an audit; of folders of images also a table that lists images by path."""
    if given is None:
        return None
    if kind == "images" and not spec.image and is_table(given):
        return read_listed(given, classes)
    return read_domain(given, "audited examples", spec)


def is_table(given: Source) -> TypeGuard[str | Path]:
    """Whether a domain is given as a file of a table."""
    if not isinstance(given, str | Path):
        return False
    place, part = place_of(str(given))
    return part is None and place.is_file() and place.name.lower().endswith(table_files.ENDINGS)


def read_listed(given: str | Path, classes: Sequence[str]) -> Domain:
    """The images and labels of a file that `to_label` led to; relative paths start at the file's folder.

    Args:
        given: The table, with the columns ``image`` and ``label``.
        classes: The source's class folders.

    Raises:
        BadInput: A column, an image or a label is missing.
    """
    place, name = place_of(str(given))[0], str(given)
    frame = table_files.read(place)
    for column in (IMAGE, LABEL):
        if column not in frame.columns:
            meant = did_you_mean(column, frame.columns)
            raise BadInput(f"{name}: has no column {column!r}; {meant}; give the file that --ask wrote, filled in")
    paths = [str(place.parent / path) if path else "" for path in as_text(frame[IMAGE], name).fill_null("")]
    frame = pl.DataFrame([pl.Series(IMAGE, paths, dtype=pl.String), frame[LABEL]])
    domain = as_domain(frame, name=name, image=IMAGE, label=LABEL)
    listed.require_files(domain)
    return _as_folders(domain, classes)


def _as_folders(domain: Domain, classes: Sequence[str]) -> Domain:
    """Labels as the class folders are called: a CSV reads ``007`` as a number."""
    if domain.labels is None or not domain.integer_labels:
        return domain
    by_number = {str(int(name)): name for name in classes if name.isdecimal()}
    return replace(domain, labels=np.array([by_number.get(label, label) for label in domain.labels.tolist()]))


def score_later(given: Source | None, spec: DomainSpec) -> Callable[[], Domain] | None:
    """Reads the labelled target for scores when training is over.

    Rows are in the order of the target's, so that features of the target stand for those of its labelled copy.
    """
    return None if given is None else lambda: by_content(read_domain(given, "score", spec))


def named_sources(source: Domain) -> tuple[PooledSource, ...]:
    """What a recipe keeps of each of several sources."""
    return tuple(PooledSource(path=one.name, n=len(one), digest=digest(one)) for one in source.members)


def named(scored: Domain | None) -> ScoredOn | None:
    """What a recipe keeps of the labelled target for scores."""
    return None if scored is None else ScoredOn(path=scored.name, n=len(scored), digest=digest(scored))


def check_labelled(domain: Domain | None, recipe: Recipe, fitted: Preprocess) -> None:
    """Find a mistake in a labelled target now, and not after the training."""
    if domain is not None:
        truth(domain, recipe)
        fitted.inputs(domain)
