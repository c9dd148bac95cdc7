"""PACS: photo, art painting, cartoon, all six pairs: fine-tuning strategies, methods on stored features, few labels.

    make bench-pacs ARGS="--data FOLDER"

Half of each target class is for scores; the other half is the unlabelled target that labels are drawn from.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import acclimate
from acclimate import data
from acclimate.data import Domain
from acclimate.data.loaders import split

DOMAINS = ("photo", "art_painting", "cartoon")
FROZEN = "feature_extraction"
STRATEGIES = ("partial", "lora", "llrd", "gradual", "lp_ft", "full")
ON_FEATURES = ("source_only", "dann", "mcc", "supervised")
EACH = (1, 5, 10)

HEAD = """# PACS: photographs, paintings and cartoons

`make bench-pacs ARGS="--data FOLDER"`: EfficientNet-Lite0 with ImageNet weights at {size} × {size} pixels. Accuracy on
the half of the target that no training saw, mean over {seeds} seeds; last column: mean over all pairs ± sd over seeds.
Minutes: two cores, empty cache at the start.

**Settings**: defaults, except steps and batches, which two cores allow. No target label chose any.
"""
ABOUT_FEATURES = """A frozen backbone, run once per image, and a trainable bottleneck of 256 features in all rows.
{steps} steps of {batch} examples per domain. Target labels are half of the labelled rows of each batch; `supervised`
learns from them alone, so with all labels it is training on the target."""
ABOUT_STRATEGIES = """Source-only, no target labels, by the weights that move. {steps} steps of {batch} images in bf16;
`feature_extraction`, a linear head on stored features, has {cheap} steps."""


def domain(folder: Path, name: str) -> Domain:
    return data.load(folder / f"pacs/pacs_{name}_160.zip")


def sides(whole: Domain) -> tuple[Domain, Domain]:
    rows, held = split(whole.codes(whole.classes), 0.5, 0)
    return whole.take(rows), whole.take(held)


def points(found: Any, pair: str, part: str) -> Iterator[dict[str, Any]]:
    for point in found["points"]:
        yield {"pair": pair, "part": part, **{k: point[k] for k in ("strategy", "budget", "seed")},
               "accuracy": point["accuracy"]}  # fmt: skip


def on_features(pair: str, source: Domain, pool: Domain, held: Domain, args: Any) -> Iterable[dict[str, Any]]:
    """Every method on kept features, with few and with all labels of the target."""
    settings = {"backbone.bottleneck": 256, "train.batch_size": args.batch}
    same: dict[str, Any] = {"image_size": args.size, "steps": args.steps, "seeds": args.seeds}
    found = acclimate.labels(
        source, pool, score=held, strategies=[f"{m}+{FROZEN}" for m in ON_FEATURES], per_class=EACH, fractions=(1.0,),
        settings=settings, **same,
    ).found  # fmt: skip
    yield from points(found, pair, "features")
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            run = acclimate.adapt(
                source, pool, Path(folder, "run"), method="shot", finetune=FROZEN, score=held,
                settings={"train.batch_size": args.batch}, **{**same, "seeds": [seed]},
            )  # fmt: skip
            accuracy = run.scores["adapted"]["target"]["accuracy"]
        yield {"pair": pair, "part": "features", "strategy": f"shot+{FROZEN}", "budget": "0 per class", "seed": seed,
               "accuracy": accuracy}  # fmt: skip


def by_strategy(pair: str, source: Domain, pool: Domain, held: Domain, args: Any) -> Iterable[dict[str, Any]]:
    """Source-only by the weights that move."""
    settings = {"train.batch_size": args.ladder_batch}
    same: dict[str, Any] = {"image_size": args.size, "seeds": args.seeds, "per_class": (0,), "score": held}
    moving = [f"source_only+{strategy}" for strategy in STRATEGIES]
    found = acclimate.labels(
        source, pool, strategies=moving, steps=args.ladder_steps, settings=settings, precision="bf16-mixed", **same
    ).found
    yield from points(found, pair, "ladder")
    frozen = acclimate.labels(source, pool, strategies=[f"source_only+{FROZEN}"], steps=args.steps, **same).found
    yield from points(frozen, pair, "ladder")


def without_cache(pair: str, source: Domain, pool: Domain, held: Domain, args: Any) -> Iterable[dict[str, Any]]:
    """One training of each method whose backbone is run anew in every step, for the time it takes."""
    settings = {"backbone.bottleneck": 256, "train.batch_size": args.batch, "train.cache_features": False}
    found = acclimate.labels(
        source, pool, score=held, strategies=[f"{m}+{FROZEN}" for m in ON_FEATURES if m != "supervised"],
        per_class=(0,), seeds=1, settings=settings, image_size=args.size, steps=args.steps,
    ).found  # fmt: skip
    for point, line in zip(found["points"], points(found, pair, "without"), strict=True):
        yield line | {"seconds": point["seconds"]}


PARTS = {"features": on_features, "ladder": by_strategy, "without": without_cache}


def table(results: list[dict[str, Any]], part: str) -> str:
    """A row for each strategy and budget, a column for each pair, and the mean over them."""
    of_part, pairs = [r for r in results if r["part"] == part], list(dict.fromkeys(r["pair"] for r in results))
    head = "strategy" if part == "ladder" else "method | labels"
    lines = [f"| {head} | {' | '.join(pairs)} | mean |", "|---" * (len(pairs) + 1 + head.count("|") + 1) + "|"]
    for strategy, budget in dict.fromkeys((r["strategy"], r["budget"]) for r in of_part):
        rows = [r for r in of_part if (r["strategy"], r["budget"]) == (strategy, budget)]
        method, _, finetune = strategy.partition("+")
        name = finetune if part == "ladder" else f"{method} | {'all' if budget == '1.0' else budget}"
        lines.append(f"| {name} | {' | '.join(cells(rows, pairs))} |")
    return "\n".join(lines)


def cells(rows: list[dict[str, Any]], pairs: list[str]) -> list[str]:
    """The mean of each pair, and the mean and spread over seeds of the mean over pairs."""
    of_pair = [[r["accuracy"] for r in rows if r["pair"] == pair] for pair in pairs]
    of_seed = [[r["accuracy"] for r in rows if r["seed"] == seed] for seed in dict.fromkeys(r["seed"] for r in rows)]
    means = [statistics.mean(values) for values in of_seed if len(values) == len(pairs)]
    spread = f" ± {statistics.stdev(means):.3f}" if len(means) > 1 else ""
    of_pairs = [f"{statistics.mean(found):.3f}" if found else "not run" for found in of_pair]
    return [*of_pairs, f"{statistics.mean(means):.3f}{spread}" if means else "not run"]


def read(kept: Path) -> list[dict[str, Any]]:
    """The points that are done, and the minutes of each part."""
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


def minutes(results: list[dict[str, Any]], part: str) -> str:
    """What a pair took, of those that have run."""
    taken = [r["minutes"] for r in results if r["part"] == part and "minutes" in r]
    return f"{statistics.median(taken):.1f} minutes per pair (median of {len(taken)})" if taken else "not run"


def without(results: list[dict[str, Any]]) -> str:
    """What the part on features would take if none were kept."""
    taken = [r["seconds"] for r in results if r["part"] == "without"]
    of_features = [r for r in results if r["part"] == "features"]
    if not taken:
        return ""
    hours = statistics.mean(taken) * len(of_features) / 3600
    seconds = ", ".join(
        f"{r['strategy'].partition('+')[0]} {r['seconds']:.0f}" for r in results if r["part"] == "without"
    )
    return f"""Without the cache, one training takes this many seconds: {seconds}. The table has {len(of_features)}
trainings, which would take about {hours:.0f} hours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with pacs/")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="none only writes the table")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--ladder-steps", type=int, default=40)
    parser.add_argument("--ladder-batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    kept = args.out.with_suffix(".jsonl")  # whose parts of pairs are not repeated
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ACCLIMATE_CACHE"] = cache  # so that the minutes are those of a first run
        for part, (source, target) in itertools.product(args.parts, itertools.permutations(DOMAINS, 2)):
            pair = f"{source} → {target}"
            done = [r for r in read(kept) if r["part"] == part]
            if any(r["pair"] == pair or part == "without" for r in done):
                continue
            pool, held = sides(domain(args.data, target))
            start = time.perf_counter()
            found = list(PARTS[part](pair, domain(args.data, source), pool, held, args))
            found[0]["minutes"] = (time.perf_counter() - start) / 60
            with kept.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in found)
            print(pair, part, f"{found[0]['minutes']:.1f} min", flush=True)
    results = read(kept)
    parts = [
        HEAD.format(size=args.size, seeds=args.seeds),
        f"## Fine-tuning strategies: {minutes(results, 'ladder')}",
        ABOUT_STRATEGIES.format(steps=args.ladder_steps, batch=args.ladder_batch, cheap=args.steps),
        table(results, "ladder"),
        f"## Stored features, with target labels: {minutes(results, 'features')}",
        ABOUT_FEATURES.format(steps=args.steps, batch=args.batch),
        without(results),
        table(results, "features"),
    ]
    args.out.write_text("\n\n".join(filter(None, parts)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
