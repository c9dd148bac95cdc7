"""The accuracy on the target without its labels: how good the estimates are, and the table that combines them.

    python benchmarks/pools.py --data FOLDER --pools FOLDER
    make bench-estimate ARGS="--pools FOLDER"

Each task (tasks.py) has models of seed 0 at the end of their training with default options: source-only and every
method that takes vectors. The estimates (`acclimate.validators.estimate`) see a fifth of the source, the target, and
the features of 600 examples of each. Errors are in points of accuracy: MAE is the mean absolute error, bias is the
mean of estimate − truth, coverage is the share of the 90 % intervals that contain the truth, and the interval score
is the width, plus 20 times what an interval misses the truth by. Each family of data has the same weight.

A combination is fitted for each family on the others alone, interval included. The table that Acclimate ships is then
fitted on all. Parts in estimate.jsonl are not computed again. `adapt` gives no estimate where EM finds that the shares
of the classes have moved much; the second table of each kind has both groups. Which parts are combined was chosen on
these tasks, of source-only by the mean absolute error, of adapted models by the interval score where an estimate is
given. An adapted model's parts must not all rest on its own confidence (`atc`, `cot`, `doc`).

An `adapted_student` is what `--method auto` trains (auto.md, the mean of 3 seeds); `members` is how often the methods
that taught it agree.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pools import Pool, at_end, read_lines, read_pool

from acclimate.errors import BadInput
from acclimate.shift.label_shift import label_shift
from acclimate.validators import evidence
from acclimate.validators.candidate import Candidate
from acclimate.validators.estimate.combined import Saved, parts_of, parts_of_adapted
from acclimate.validators.estimate.table import KEPT, LEVEL, Row, apply, fit, save
from acclimate.workflows.estimates import MOST_SHIFT, TAUGHT

COMBINED = {
    "source_only": ("atc", "checkers_features", "cot"),
    "adapted": ("checkers_features", "checkers_independent", "cot"),
    TAUGHT: ("checkers_features", "cot", "doc"),
}
"""The parts that each kind of model's rule combines."""
ALONE = ("doc", "atc", "atc_ne", "cot", "dis2_logits", "dis2_features", "checkers_features")
"""Parts that are shown by themselves."""
INDEPENDENT = ("checkers_independent", "dis2_independent", "peers")
"""Further ones of adapted models."""
SHOWN = {
    "source_only": ALONE,
    "adapted": (*ALONE, *INDEPENDENT),
    TAUGHT: ("doc", "atc", "cot", "checkers_features", "checkers_independent", "members"),
}
"""Of each kind of model."""

Line = dict[str, Any]


def saved(one: Candidate) -> Saved:
    source, target = one.source_sample(), one.target_sample()
    return Saved(source.probabilities, source.labels, target.probabilities, source.features, target.features)


def lines_of(pool: Pool) -> Iterator[Line]:
    """The parts of each model's estimate, its accuracy, and what the guard would weigh."""
    last, base, shift = at_end(pool), saved(pool.candidates[0]), moved(pool)
    for i in last:
        model, others = saved(pool.candidates[i]), [saved(pool.candidates[j]).target for j in last if j not in (0, i)]
        try:
            parts = parts_of_adapted(model, base, source_only_accuracy=0.5, peers=others) if i else parts_of(base)
            cues = cues_of(base, model) if i else {}
        except BadInput as error:
            print(pool.task, pool.names[i], error)
            continue
        yield {
            "family": pool.family, "task": pool.task, "method": pool.candidates[i].method, "parts": parts,
            "accuracy": float(pool.accuracy[i]), "before": float(pool.accuracy[0]), "cues": cues,
            "moved": round(shift, 4),
        }  # fmt: skip


def moved(pool: Pool) -> float:
    """The total variation between the classes' shares in the source and those that EM estimates for the target."""
    one = pool.candidates[0]
    before = np.bincount(one.labels, minlength=one.n_classes) / len(one.labels)
    after = label_shift("em", one.source, one.labels, one.target, draws=0).shares
    return float(np.abs(after - before).sum() / 2)


def cues_of(before: Saved, after: Saved) -> dict[str, Sequence[float]]:
    assert before.target_features is not None
    k, old, new = before.target.shape[1], before.target.argmax(1), after.target.argmax(1)
    return {
        "critic": evidence.critic(before, after), "checkers": evidence.checkers(before, after),
        "clusters": evidence.clusters(before.target_features, old, new, k), "shares": evidence.shares(before, after),
        "source": evidence.source(before, after),
    }  # fmt: skip


def rows_of(lines: Sequence[Line], kind: str) -> list[Row]:
    return [Row(line["parts"], line["accuracy"], line["family"]) for line in of_kind(lines, kind)]


Numbers = NDArray[np.float64]


def left_out(rows: Sequence[Row], names: Sequence[str]) -> Numbers:
    """Point and interval of each row by a rule fitted without its family ``(n, 3)``; NaN where there is none."""
    found = np.full((len(rows), 3), np.nan)
    for family in {row.family for row in rows}:
        rule = fit([row for row in rows if row.family != family], names)
        for i, row in enumerate(rows):
            if row.family == family and rule is not None:
                found[i] = apply(rule, row.parts)
    return found


def balanced(rows: Sequence[Row]) -> Callable[[Numbers], float]:
    """The mean in which each family has the same weight."""
    families = [row.family for row in rows]
    weights = np.array([1 / families.count(family) for family in families])
    return lambda values: float(np.average(values, weights=weights))


def table(rows: Sequence[Row], names: Sequence[str], alone: Sequence[str]) -> str:
    mean, truth = balanced(rows), np.array([row.truth for row in rows])
    lines = ["| estimate | MAE | bias | coverage | interval score |", "|---|---|---|---|---|"]
    found = left_out(rows, names)
    lines.append(f"| **combined** from {', '.join(names)} | {' | '.join(_figures(found, truth, mean))} |")
    for name in alone:
        error = 100 * (np.array([row.parts[name] for row in rows]) - truth)
        lines.append(f"| {name} | {mean(np.abs(error)):.1f} | {mean(error):+.1f} | | |")
    return "\n".join(lines)


def _figures(found: Numbers, truth: Numbers, mean: Callable[[Numbers], float]) -> list[str]:
    point, low, high = 100 * found.T
    error, missed = point - 100 * truth, np.maximum(low - 100 * truth, 0) + np.maximum(100 * truth - high, 0)
    score = high - low + 2 / (1 - LEVEL) * missed
    covered = mean((missed == 0).astype(float))
    return [f"{mean(np.abs(error)):.1f}", f"{mean(error):+.1f}", f"{covered:.2f}", f"{mean(score):.0f}"]


def by(rows: Sequence[Row], names: Sequence[str], keys: Sequence[str], title: str) -> str:
    """The combined estimate for each family of data, method, or whether it is given."""
    found, truth, of = left_out(rows, names), np.array([row.truth for row in rows]), np.array(keys)
    shown = [
        f"| {title} | models | true accuracy | MAE | bias | coverage | interval score |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(set(keys)):
        own = of == name
        figures = _figures(found[own], truth[own], lambda values: float(values.mean()))
        shown.append(f"| {name} | {own.sum()} | {100 * truth[own].mean():.1f} | {' | '.join(figures)} |")
    return "\n".join(shown)


def of_kind(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if (line["method"] == "source_only") == (kind == "source_only")]


def students(lines: Sequence[Line]) -> list[Line]:
    """The students of auto.jsonl, the mean over seeds, as lines of this benchmark."""
    return [
        {**line, "method": "student", "accuracy": float(np.mean(line["accuracy"]["student"])) / 100,
         "moved": line["moved"]["adapted"]}
        for line in lines if "student" in line["accuracy"] and "members" in line["parts"]
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=Path, required=True, help="folder that pools.py filled")
    parser.add_argument("--kept", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    done = {(line["family"], line["task"]) for line in read_lines(args.kept)}
    for path in sorted(args.pools.glob("*_0.npz")):
        if ((pool := read_pool(path)).family, pool.task) not in done:
            with args.kept.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines_of(pool))
            print(path.stem, flush=True)
    write(read_lines(args.kept), students(read_lines(args.kept.with_name("auto.jsonl"))))


def write(lines: Sequence[Line], taught: Sequence[Line]) -> None:
    """Write the table that Acclimate ships, and the page."""
    of_kinds = {"source_only": of_kind(lines, "source_only"), "adapted": of_kind(lines, "adapted"), TAUGHT: taught}
    rules = {kind: fit(rows_of(some, kind), COMBINED[kind]) for kind, some in of_kinds.items()}
    command = 'make bench-estimate ARGS="--pools FOLDER"'
    save({"command": command, "kinds": {kind: rule for kind, rule in rules.items() if rule is not None}}, KEPT)
    tasks, families = {(line["family"], line["task"]) for line in lines}, sorted({line["family"] for line in lines})
    text = "\n\n".join((__doc__ or "").split("\n\n")[2:]).strip()
    parts = [f"# Accuracy without labels\n\n`{command}`: {len(tasks)} tasks of {len(families)} families.\n\n{text}"]
    for kind, some in of_kinds.items():
        rows, names = rows_of(some, kind), COMBINED[kind]
        given = [
            "given" if line["moved"] <= MOST_SHIFT else f"unknown: shares moved by over {MOST_SHIFT:.0%}"
            for line in some
        ]
        parts += [
            f"## {kind}, {len(rows)} models",
            table(rows, names, SHOWN[kind]),
            by(rows, names, given, "estimate"),
            by(rows, names, [line["family"] for line in some], "family"),
        ]
    adapted = of_kinds["adapted"]
    parts.append(by(rows_of(adapted, "adapted"), COMBINED["adapted"], [line["method"] for line in adapted], "method"))
    Path(__file__).with_suffix(".md").write_text("\n\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    main()
