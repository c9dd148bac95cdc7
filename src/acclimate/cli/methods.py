"""``acclimate methods``."""

import typer

from acclimate.cli import options
from acclimate.cli.output import tell

_USED = {
    "shallow": "acclimate adapt --method NAME, before a linear model; acclimate.sklearn.Adapter(method=NAME) in Python",
    "selfsup": "acclimate adapt --pretrain NAME, before the --method",
    "testtime": "acclimate predict --test-time NAME",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(methods)


def methods(json: options.Json = False) -> None:
    """List the methods, with their options and where they come from."""
    from acclimate import methods as deep
    from acclimate.methods import selfsup, shallow, testtime

    found = [kind.summary(name) for kind in (deep, selfsup, shallow, testtime) for name in kind.names()]
    width = max(len(m["name"]) for m in found)
    lines, last = [], ""
    for method in found:
        kind = _USED.get(method["family"], "acclimate adapt --method NAME")
        lines += [f"\n{kind}"] if kind != last else []
        last = kind
        takes = ", ".join(f"{k}={v}" for k, v in method["options"].items())
        lines.append(f"{method['name']:<{width}}  {method['does']}\n{'':<{width}}  {takes or 'no options'}")
        lines[-1] += "; learns numbers too" if method["numbers"] else ""
    tell("\n".join(lines).strip(), {"methods": found}, as_json=json)
