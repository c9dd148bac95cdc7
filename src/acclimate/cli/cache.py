"""``acclimate cache``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import print_result

if TYPE_CHECKING:
    from acclimate.training.cache import Entry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(cache)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all cached features.")] = False,
    json: options.Json = False,
) -> None:
    """Show or remove the cached features of frozen backbones, which Runs share."""
    from acclimate.training import cache as features

    folder = features.folder()
    if clear:
        size = features.clear()
        print_result(f"{folder}: cleared {size / 1e6:.1f} MB", {"folder": str(folder), "cleared": size}, as_json=json)
        return
    found = features.entries()
    total = f"{sum(entry.size for entry in found) / 1e6:.1f} of {features.most() / 1e6:.0f} MB"
    files = [{"name": e.path.name, "size": e.size, "used": e.used} for e in found]
    lines = [*map(_line, found), f"{folder}: {total}"]
    print_result("\n".join(lines), {"folder": str(folder), "most": features.most(), "files": files}, as_json=json)


def _line(entry: "Entry") -> str:
    used = datetime.fromtimestamp(entry.used, UTC)
    return f"{entry.path.name}  {entry.size / 1e6:8.1f} MB  used {used:%Y-%m-%d %H:%M} UTC"
