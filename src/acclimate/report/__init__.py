"""The page that shows a Run."""

from acclimate.data import Domain
from acclimate.run import RunFolder


def write_report(run: RunFolder, source: Domain, target: Domain, scored: Domain | None) -> None:
    """Write ``report.html``."""
