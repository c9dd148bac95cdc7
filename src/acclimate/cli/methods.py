"""``acclimate methods``."""

from typing import TYPE_CHECKING

import typer

from acclimate.cli import options
from acclimate.cli.output import print_result

if TYPE_CHECKING:
    from acclimate.workflows.catalogue import Named

NEEDS = {
    "run": "a finished Run",
    "source or run": "labelled source or a finished Run",
    "source": "labelled source",
    "target": "unlabelled target",
    "target_labels": "labelled target",
}
"""What there has to be, in words."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(methods)


def methods(json: options.Json = False) -> None:
    """List all that can be named: methods, pretraining, fine-tuning strategies, and what helps at prediction."""
    from acclimate.workflows.catalogue import catalogue

    blocks, found = [], []
    for group, members in catalogue():
        blocks.append("\n".join([group.usage, *(line for named in members for line in _lines(named))]))
        found += members
    print_result("\n\n".join(blocks), {"methods": found}, as_json=json)


def _lines(named: "Named") -> list[str]:
    needs = " and ".join(NEEDS[need] for need in named["needs"])
    labels = "" if named["flag"] == "--pretrain" else "; classes or numbers" if named["numbers"] else "; classes"
    given = ", ".join(f"{name}={value}" for name, value in named["options"].items())
    return [
        f"  {named['name']}: {named['does']}",
        *([f"    use: {named['when']}"] if named["when"] else []),
        f"    needs: {needs}{labels}",
        *([f"    options: {given}"] if given else []),
    ]
