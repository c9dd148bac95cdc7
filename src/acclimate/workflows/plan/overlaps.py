"""Examples that two domains share, by their content: refused where scores would rest on them, told elsewhere."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from acclimate.data import Domain
from acclimate.data.overlap import Comparison, Overlap
from acclimate.errors import BadInput

TOLERATED = 0.01
"""Share of the scored examples that may be learnt from with their labels, beyond those that repeat by chance."""


def overlaps(
    source: Domain, target: Domain, labelled: Domain | None, scored: Domain | None, audited: Domain | None = None
) -> list[str]:
    """Compare the contents of all domains that are given, and return warnings.

    The target may contain the scored, the audited and the labelled examples: its own labels are not read.

    Raises:
        BadInput: Scores or an audit would rest on examples whose labels are learnt from, or the labelled target is the
            source.
    """
    compared = Comparison()
    notes = list(_among_sources(compared, source))
    for learnt, what in ((source, "the source"), (labelled, "the labelled target")):
        for these, flag in ((scored, "--score"), (audited, "--audit")):
            if these is not None and learnt is not None:
                notes += _of_scored(compared.overlap(these, learnt), these, learnt, what, flag)
    if labelled is not None:
        notes += _of_target_labels(compared.overlap(labelled, source), labelled, source)
    return notes + list(_of_target(compared.overlap(target, source), target))


def _among_sources(compared: Comparison, source: Domain) -> Iterator[str]:
    """Yield a warning for each of several sources with examples that are also in one before it."""
    for i, one in enumerate(source.members):
        if i and (found := compared.overlap(one, source.take(np.flatnonzero(_origin(source) < i)))).found:
            yield (
                f"{one.name}: {_counted(found)} examples are also in another source, so validation examples may be "
                "among those that are learnt from; remove them from one of the two"
            )


def _origin(source: Domain) -> NDArray[np.int64]:
    assert source.origin is not None
    return source.origin


def _of_scored(found: Overlap, scored: Domain, learnt: Domain, what: str, flag: str) -> Iterator[str]:
    if found.exceeds(TOLERATED):
        raise BadInput(
            f"{flag}: {_counted(found)} examples are also in {what} ({learnt.name}), whose labels are learnt from; "
            "remove them, or give other examples"
        )
    yield from _told(found, scored, what)


def _of_target_labels(found: Overlap, labelled: Domain, source: Domain) -> Iterator[str]:
    if found.same:
        raise BadInput(
            f"--target-labels: has the same examples as the source ({source.name}); give labelled examples of the "
            "target"
        )
    yield from _told(found, labelled, "the source")


def _of_target(found: Overlap, target: Domain) -> Iterator[str]:
    if found.same:
        yield f"{target.name}: has the same examples as the source, so there is nothing to adapt to"
    else:
        yield from _told(found, target, "the source")


def _told(found: Overlap, these: Domain, what: str) -> Iterator[str]:
    if found.found:
        repeated = f", of whose own examples {found.repeated:.1%} repeat" if found.repeated else ""
        yield f"{these.name}: {_counted(found)} examples are also in {what}{repeated}"


def _counted(found: Overlap) -> str:
    return f"{found.found:,} of {found.of:,}"
