"""``acclimate methods``."""

import typer

from acclimate.cli import options
from acclimate.cli.output import print_result

_USAGE = {
    "shallow": "acclimate adapt --method NAME, with a linear model; acclimate.sklearn.Adapter(method=NAME) in Python",
    "selfsup": "acclimate adapt --pretrain NAME, to pretrain for any --method",
    "testtime": "acclimate predict --test-time NAME",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(methods)


def methods(json: options.Json = False) -> None:
    """List all methods with their options."""
    from acclimate import methods as deep
    from acclimate.methods import selfsup, shallow, testtime

    found = [kind.summary(name) for kind in (deep, selfsup, shallow, testtime) for name in kind.names()]
    width = max(len(m["name"]) for m in found)
    lines, last = [], ""
    for method in found:
        usage = _USAGE.get(method["family"], "acclimate adapt --method NAME")
        lines += [f"\n{usage}"] if usage != last else []
        last = usage
        options_ = ", ".join(f"{k}={v}" for k, v in method["options"].items())
        lines.append(f"{method['name']:<{width}}  {method['does']}\n{'':<{width}}  {options_ or 'no options'}")
        lines[-1] += "; for regression too" if method["numbers"] else ""
    print_result("\n".join(lines).strip(), {"methods": found}, as_json=json)
