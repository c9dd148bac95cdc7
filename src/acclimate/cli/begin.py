"""What a command does first: it checks all that needs no data, and tells that it works, before torch is imported."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from acclimate.data import require_path

if TYPE_CHECKING:
    from acclimate.workflows.options import AdaptKeywords, CompareKeywords, LabelKeywords, TrainingOptions

log = logging.getLogger("acclimate")


def begin_training(
    kind: "type[TrainingOptions]",
    source: str,
    target: str,
    output: str,
    options: "AdaptKeywords | CompareKeywords | LabelKeywords",
    *,
    resume: bool,
) -> None:
    """Check the paths, options and names of a command that trains; under ``torchrun`` its first process does so later.

    Args:
        kind: Describes the options.
        source: The first domain, or a Run.
        target: The second domain.
        output: The folder ``-o``.
        options: As the library takes them.
        resume: Whether ``output`` may exist.

    Raises:
        BadInput: One of them cannot be used.
    """
    from acclimate.workflows.early import check_early
    from acclimate.workflows.options import parse_request

    if "LOCAL_RANK" not in os.environ:
        check_early(source, target, output, parse_request(kind, options), resume=resume)
        log.info("reading %s and %s", source, target)


def begin_with_run(run: str | Path, examples: str, *, test_time: str = "", label_shift: str = "") -> None:
    """Check the paths of a command that uses a Run, and the names of methods.

    Raises:
        BadInput: One of them cannot be used.
    """
    from acclimate.methods import testtime
    from acclimate.run_folder import RunFolder

    RunFolder.open(run)
    require_path(examples)
    if test_time:
        testtime.check_name(test_time)
    if label_shift:
        from acclimate.shift.label_shift import get  # imports NumPy

        get(label_shift)
    log.info("reading %s", examples)
