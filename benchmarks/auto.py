"""`acclimate adapt` as it comes, with `--method auto`: does it help, and does it ever harm?

    make bench-auto ARGS="--data FOLDER"

The tasks are those of selection.md (tasks.py): pairs of domains, plain and in one harder form, as vectors. Each is
adapted by `acclimate.adapt(source, target, steps=300, seeds=3, settings={{"backbone.hidden": 100}})`, all else by
default; labels of the target only score. Principal directions (PACS, words) are rotated at random, because `adapt`
standardises columns, which would enlarge the noise in those of small variance.

"mean" is the mean prediction of the methods that passed the gates, "student" what `auto` trains on it, "kept" what the
Run keeps after its guard, and "best" the best of the methods tried, by the labels. "Harm" is the share of tasks more
than a point below source-only. Which methods are tried was chosen on the tasks of selection.md, which flatters the
figures there. Results in auto.jsonl are not repeated.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pools import chosen, read_lines
from scipy.stats import ortho_group
from tasks import Task, tasks

import acclimate
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_class_outputs
from acclimate.workflows import estimates

STEPS, SEEDS = 300, 3
WAYS = ("source-only", "mean", "student", "kept", "best")

Line = dict[str, Any]
Numbers = NDArray[np.float64]


def rotated(task: Task) -> Task:
    """The task with its columns rotated at random, if they are principal directions."""
    if task.family not in {"pacs", "words"}:
        return task
    rotation = ortho_group.rvs(task.source.x.shape[1], random_state=0).astype(np.float32)
    both = (part._replace(x=part.x @ rotation) for part in (task.source, task.target))
    return task._replace(source=next(both), target=next(both))


def measured(task: Task) -> Line:
    """The accuracy of each model of a Run, by seed, in percent."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = acclimate.adapt(
            (task.source.x, task.source.y), task.target.x, Path(folder) / "run",
            steps=STEPS, seeds=SEEDS, settings={"backbone.hidden": 100},
        )  # fmt: skip
        tried: dict[str, dict[int, Numbers]] = defaultdict(dict)
        for cell in map(RunFolder, sorted(run.file("trials/cells").iterdir())):
            recipe = cell.recipe
            outputs = read_class_outputs(cell, recipe.seeds[0], recipe.phases[-1], "target")
            tried[recipe.method][recipe.seeds[0]] = outputs.probabilities
        recipe, scores = run.recipe, run.scores
        parts, moved = parts_of_run(run)
    passed = [one.method for one in recipe.members]
    accuracy = {name: [right(p, task.target.y) for _, p in sorted(own.items())] for name, own in tried.items()}
    mean = [right(np.mean([tried[name][s] for name in passed], axis=0), task.target.y) for s in range(SEEDS) if passed]
    return {
        "family": task.family, "task": task.name, "accuracy": accuracy, "mean": mean or accuracy["source_only"],
        "kept": accuracy["student" if scores["kept"] == "adapted" else "source_only"],
        "left_out": {name: why for name, why in recipe.tried_methods.items() if why}, "why": scores["why"],
        "parts": parts, "moved": moved, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def parts_of_run(run: RunFolder) -> tuple[dict[str, float], dict[str, float]]:
    """The parts of the estimate of the adapted models, and how far EM finds the classes' shares moved by each phase."""
    seeds = run.recipe.seeds
    found = [estimates.parts(run, seed, "adapted") for seed in seeds]
    moved = {
        phase: float(np.mean([estimates.moved(estimates.saved(run, seed, phase)) for seed in seeds]))
        for phase in ("source_only", "adapted")
    }
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    return {name: round(value, 6) for name, value in means.items() if np.isfinite(value)}, moved


def right(p: Numbers, labels: NDArray[np.int64]) -> float:
    return round(100 * float((p.argmax(1) == labels).mean()), 3)


def by_way(line: Line) -> dict[str, float]:
    """The mean over seeds of each way to predict."""
    means = {name: float(np.mean(values)) for name, values in line["accuracy"].items()}
    single = [value for name, value in means.items() if name not in {"source_only", "student"}]
    return {
        "source-only": means["source_only"], "mean": float(np.mean(line["mean"])),
        "student": means.get("student", means["source_only"]), "kept": float(np.mean(line["kept"])),
        "best": max(single),
    } | {name: value for name, value in means.items() if name not in {"source_only", "student"}}  # fmt: skip


def summary(lines: Sequence[Line]) -> str:
    """A row for each way: accuracy, gain over source-only, harm, and the share of the best method's gain."""
    found = [by_way(line) for line in lines]
    before, best = (np.array([one[name] for one in found]) for name in ("source-only", "best"))
    rows = []
    for name in dict.fromkeys(name for one in found for name in one):
        values = np.array([one.get(name, one["source-only"]) for one in found])
        gain = values - before
        rows.append([
            name, f"{values.mean():.1f}", f"{gain.mean():+.2f}", f"{(gain < -1).mean():.0%}", f"{gain.min():+.1f}",
            f"{(gain.sum() / (best - before).sum()):.0%}", f"{(values >= best).mean():.0%}",
        ])  # fmt: skip
    head = ["", "accuracy", "gain", "harm", "worst", "of the best's gain", "at least the best"]
    return _markdown([head, ["---"] * len(head), *rows])


def by_task(lines: Sequence[Line]) -> str:
    head = ["data", "task", *WAYS, "left out", "seconds"]
    rows = [
        [line["family"], line["task"], *(f"{by_way(line)[way]:.1f}" for way in WAYS),
         ", ".join(line["left_out"]) or "–", f"{line['seconds']:.0f}"]
        for line in sorted(lines, key=lambda line: (line["family"], line["task"]))
    ]  # fmt: skip
    return _markdown([head, ["---"] * len(head), *rows])


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def page(lines: Sequence[Line], seen: str) -> str:
    first, _, *told = (__doc__ or "").replace("{{", "{").replace("}}", "}").strip().split("\n\n")
    text = "\n\n".join(told)
    head = f'# The default\n\n{first}\n\n`make bench-auto ARGS="--data FOLDER"`\n\n{text}\n'
    used = {(line["family"], line["task"]) for line in read_lines(Path(__file__).with_name("selection.jsonl"))}
    chosen_on = [line for line in lines if (line["family"], line["task"]) in used]
    others = [line for line in lines if (line["family"], line["task"]) not in used]
    tables = [
        f"## {len(some)} {what}, {SEEDS} seeds\n\n{summary(some)}"
        for some, what in (
            (lines, "tasks"),
            (chosen_on, "tasks on which the methods were chosen"),
            (others, "other tasks"),
        )
    ]
    return "\n\n".join([head.strip(), seen.strip(), *tables, "## By task", by_task(lines)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--keep", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--families", nargs="*", help="only these data sets")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    known = {(line["family"], line["task"]) for line in read_lines(args.keep)}
    for task in chosen(tasks(args.data, args.families)):
        if (task.family, task.name) in known:
            continue
        line = measured(rotated(task))
        with args.keep.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(task.family, task.name, {k: round(v, 1) for k, v in by_way(line).items()}, line["seconds"], flush=True)
    out = Path(__file__).with_suffix(".md")
    before = out.read_text("utf-8") if out.exists() else ""
    seen = "".join(before.partition("**Seen**")[1:]).partition("\n## ")[0]
    out.write_text(page(read_lines(args.keep), seen), "utf-8")


if __name__ == "__main__":
    main()
