"""``acclimate methods``."""

import typer

from acclimate.cli.output import Json, tell


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(methods)


def methods(json: Json = False) -> None:
    """List the methods, with their options and where they come from."""
    from acclimate import methods as all_methods

    found = [all_methods.summary(name) for name in all_methods.names()]
    width = max(len(m["name"]) for m in found)
    lines = []
    for method in found:
        options = ", ".join(f"{k}={v}" for k, v in method["options"].items())
        lines.append(f"{method['name']:<{width}}  {method['does']}\n{'':<{width}}  {options or 'no options'}")
    tell("\n".join(lines), {"methods": found}, as_json=json)
