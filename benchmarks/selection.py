"""Which model to keep without labels of the target: every validator, `--method ensemble`, and fixed methods.

    python benchmarks/pools.py --data FOLDER --pools FOLDER
    make bench-selection ARGS="--pools FOLDER"

A pool holds the models of one task (tasks.py) and seed: source-only and every method that takes vectors, with default
options and weaker, after half of the steps and at the end; of the weaker ones only those at the end are candidates.
A validator keeps the model that it scores highest, with and without the gates before it; `select` is
`acclimate.validators.selection.select` with its default weights. "always M" keeps method M with default options.
`ensemble` is the mean of those of {methods} at the end that pass the gates; the default has left out
DANN since (auto.md). Which methods these are was chosen on these very tasks, so its row flatters it. The oracle keeps
the best model of the pool.

"Regret" is the oracle's accuracy less that of the choice in points, each task being the mean over its seeds; "harm" is
the share of tasks on which the choice is more than a point below source-only, and "gain" what it adds to source-only.
Pools in selection.jsonl are not judged again.
"""

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pools import STEPS, Pool, at_end, read_lines, read_pool

from acclimate import validators
from acclimate.validators.gates import reasons
from acclimate.validators.selection import WEIGHTS, combine

METHODS = ("shot", "nrc", "dann", "cdan")
"""The members of the ensemble; the default has left out DANN since (auto.md)."""
Line = dict[str, Any]
Choose = Callable[[Line], float]
"""The accuracy of what is kept of one pool."""


def judged(pool: Pool) -> Line:
    """What each model reaches, and what is said of it."""
    pool = candidates_of(pool)
    some = pool.candidates
    scores = {name: [one.value for one in validators.get(name)().scores(some)] for name in validators.names()}
    return {
        "family": pool.family, "task": pool.task, "seed": pool.seed, "names": pool.names,
        "accuracy": pool.accuracy.round(5).tolist(), "gates": reasons(some, 0),
        "scores": {name: [round(v, 6) if np.isfinite(v) else None for v in values] for name, values in scores.items()},
        "auto": auto(pool),
    }  # fmt: skip


def candidates_of(pool: Pool) -> Pool:
    """Without the weaker settings after half of the steps."""
    rows = [i for i, name in enumerate(pool.names) if not ("weaker" in name and not name.endswith(f" {STEPS}"))]
    names, candidates = [pool.names[i] for i in rows], [pool.candidates[i] for i in rows]
    return pool._replace(names=names, candidates=candidates, accuracy=pool.accuracy[rows])


def auto(pool: Pool) -> dict[str, float]:
    """The accuracy of the mean of the methods that are tried by default: of all, and of those that pass the gates."""
    last = [pool.candidates[i] for i in at_end(pool)]
    tried = [last[0], *(one for one in last if one.method in METHODS)]
    why = reasons(tried, 0)
    passed = [one.target for one, reason in zip(tried[1:], why[1:], strict=True) if not reason]
    means = {"auto": passed or [tried[0].target], "auto without gates": [one.target for one in tried[1:]]}
    return {name: float((np.mean(some, axis=0).argmax(1) == pool.labels).mean()) for name, some in means.items()}


def highest(scores: Sequence[float | None], line: Line, *, gated: bool) -> float:
    """The accuracy of the model with the highest score; source-only's where there is none."""
    rejected = [gated and bool(reason) for reason in line["gates"]]
    known = [-np.inf if v is None or no else v for v, no in zip(scores, rejected, strict=True)]
    return float(line["accuracy"][int(np.argmax(known)) if max(known) > -np.inf else 0])


def selected(line: Line) -> float:
    """The accuracy of what `select` keeps."""
    passed = [i for i, reason in enumerate(line["gates"]) if not reason]
    methods = [line["names"][i].split(",")[0].split()[0] for i in passed]
    known: dict[str, list[float]] = {}
    for name in WEIGHTS:
        shares, scores = validators.get(name).shares, line["scores"][name]
        own = [np.nan if scores[i] is None or m in shares else scores[i] for i, m in zip(passed, methods, strict=True)]
        known[name] = own
    ranks = combine(known, WEIGHTS)
    return float(line["accuracy"][passed[int(np.argmax(ranks))]])


def fixed(method: str) -> Choose:
    name = f"{method}, {STEPS}"
    return lambda line: float(line["accuracy"][line["names"].index(name) if name in line["names"] else 0])


def by_score(name: str, *, gated: bool) -> Choose:
    return lambda line: highest(line["scores"][name], line, gated=gated)


def choices(lines: Sequence[Line]) -> Mapping[str, Choose]:
    """Every way to choose, by name."""
    ends = sorted({name for line in lines for name in line["names"] if name.endswith(f" {STEPS}")})
    plain = [name.split(",")[0] for name in ends if "weaker" not in name]
    return {
        "oracle": lambda line: max(line["accuracy"]),
        "**ensemble**": lambda line: line["auto"]["auto"],
        "ensemble without gates": lambda line: line["auto"]["auto without gates"],
        "select": selected,
        **{f"{name}, behind the gates": by_score(name, gated=True) for name in validators.names()},
        **{name: by_score(name, gated=False) for name in validators.names()},
        **{f"always {method}": fixed(method) for method in plain},
    }


def by_task(lines: Sequence[Line], choose: Choose) -> Mapping[tuple[str, str], NDArray[np.float64]]:
    """For each task the mean over seeds of the accuracy chosen, of source-only and of the oracle, in percent."""
    groups: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for line in lines:
        accuracy = line["accuracy"]
        groups[(line["family"], line["task"])].append((choose(line), accuracy[0], max(accuracy)))
    return {task: 100 * np.mean(values, axis=0) for task, values in groups.items()}


def interval(values: NDArray[np.float64]) -> str:
    """A 95 % interval of a mean, by bootstrap over tasks."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(drawn.mean(1), [0.025, 0.975])
    return f"{low:+.1f} to {high:+.1f}"


def table(lines: Sequence[Line]) -> str:
    """A row for each way to choose, the smallest regret first."""
    rows = []
    for name, choose in choices(lines).items():
        chosen, before, best = np.array(list(by_task(lines, choose).values())).T
        regret, gain = best - chosen, chosen - before
        rows.append((regret.mean(), [
            name, f"{chosen.mean():.1f}", f"{regret.mean():.2f}", f"{np.quantile(regret, 0.95):.1f}",
            f"{(gain < -1).mean():.0%}", f"{gain.min():+.1f}", f"{gain.mean():+.2f}", interval(gain),
        ]))  # fmt: skip
    head = ["choice", "accuracy", "regret", "95th percentile", "harm", "worst", "gain", "95% interval"]
    return _markdown([head, ["---"] * len(head), *(cells for _, cells in sorted(rows, key=lambda row: row[0]))])


def tasks_table(lines: Sequence[Line]) -> str:
    """What the ensemble keeps on each task, beside source-only and the oracle."""
    found = by_task(lines, lambda line: line["auto"]["auto"])
    head = ["data", "task", "source-only", "ensemble", "gain", "oracle"]
    rows = [
        [*task, f"{before:.1f}", f"{kept:.1f}", f"{kept - before:+.1f}", f"{best:.1f}"]
        for task, (kept, before, best) in sorted(found.items())
    ]
    return _markdown([head, ["---"] * len(head), *rows])


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=Path, required=True, help="folder that pools.py filled")
    parser.add_argument("--kept", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    done = {(line["family"], line["task"], line["seed"]) for line in read_lines(args.kept)}
    for path in sorted(args.pools.glob("*_[0-9].npz")):
        if ((pool := read_pool(path)).family, pool.task, pool.seed) not in done:
            line = judged(pool)
            with args.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(path.stem, flush=True)
    write(read_lines(args.kept), args.kept.with_suffix(".md"))


def write(lines: Sequence[Line], path: Path) -> None:
    """Write the page."""
    families, n = sorted({line["family"] for line in lines}), len({(line["family"], line["task"]) for line in lines})
    text = "\n\n".join(__doc__.split("\n\n")[2:]).strip().format(methods=", ".join(METHODS))
    head = (
        f'# A choice without labels\n\n`make bench-selection ARGS="--pools FOLDER"`: {len(lines)} pools, {n} tasks of '
    )
    head += f"{len(families)} families ({', '.join(families)}).\n\n{text}"
    path.write_text(f"{head}\n\n{table(lines)}\n\n## Tasks\n\n{tasks_table(lines)}\n", "utf-8")


if __name__ == "__main__":
    main()
