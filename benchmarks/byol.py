"""Does BYOL on the unlabelled target help? The backbone without BYOL, with BYOL, and a larger one.

    make bench-byol ARGS="--data FOLDER"

Each line and seed is one command, `acclimate adapt SOURCE TARGET --method source_only --pretrain byol`, scored on
target examples that nothing was trained on. With `--labelled N` the classifier learns from N labelled target examples
per class instead of the source. Each number of steps is a pretraining of its own, since rate and teacher follow
schedules over its length.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from digits import domains

import acclimate
from acclimate.contents import ClassMeasure
from acclimate.data import Domain, load
from acclimate.data.loaders import split

DIGITS = {"pretrain.flip": False, "pretrain.colours": False, "pretrain.crop": 0.4}
"""A mirrored digit is not a digit, tones are the domain, digits fill the image; the rest are defaults."""
ROWS = {
    "start": "without {pretrain}",
    "byol": "+ {pretrain} on the target, {steps:,} steps",
    "larger": "larger: {backbone}{apart}, {size} pixels",
}
NAMES: dict[ClassMeasure, str] = {"accuracy": "accuracy", "log_loss": "log loss", "auc": "AUC", "f1": "F1"}


class ByolPair(NamedTuple):
    """A pair of domains: the source, the target to learn from and the target to be scored on."""

    source: Domain
    target: Domain
    test: Domain
    size: int
    settings: dict[str, Any]
    backbone: str
    larger: tuple[str, dict[str, Any]]


def pair_of(data: Path, pair: str, most: int) -> ByolPair:
    """``usps-mnist`` and its like, or ``photo-cartoon`` and its like of PACS; of each part ``most`` at the most."""
    source_name, target_name = pair.split("-")
    if (data / source_name / f"{source_name}.npz").exists():
        source, target, test = (few(domain, most) for domain in domains(data, source_name, target_name))
        return ByolPair(source, target, test, 28, DIGITS, "cnn", ("cnn", {"backbone.width": 96, "backbone.d": 512}))
    source, whole = (load(data / "pacs" / f"pacs_{name}_160.zip") for name in (source_name, target_name))
    rows, held = split(whole.codes(whole.classes), 0.3, 0)
    source, target, test = (few(domain, most) for domain in (source, whole.take(rows), whole.take(held)))
    return ByolPair(source, target, test, 160, {}, "efficientnet_lite0", ("timm:resnetv2_50x1_bit", {}))


def few(domain: Domain, most: int) -> Domain:
    return domain.take(np.sort(np.random.default_rng(0).permutation(len(domain))[:most]))


def labelled(target: Domain, each: int, seed: int) -> Domain:
    """``each`` examples of each class."""
    codes, rng = target.codes(target.classes), np.random.default_rng([seed, 11])
    rows = [rng.permutation(np.flatnonzero(codes == c))[:each] for c in np.unique(codes)]
    return target.take(np.sort(np.concatenate(rows)))


def run(pair: ByolPair, row: str, seed: int, args: argparse.Namespace, steps: int, folder: Path) -> dict[str, Any]:
    """Train once and score the last step."""
    backbone, own = pair.larger if row == "larger" else (pair.backbone, {})
    replaced, weights = (args.larger, args.larger_weights) if row == "larger" else (args.backbone, args.weights)
    own = {} if replaced else own
    settings = {**own, **pair.settings, "pretrain.steps": steps}
    settings |= dict(item.split("=", 1) for item in args.set)
    if row != "byol":
        settings = {k: v for k, v in settings.items() if not k.startswith("pretrain.")}
    given: dict[str, Any] = {"target_labels": labelled(pair.target, args.labelled, seed)} if args.labelled else {}
    given |= {"finetune": args.finetune} if args.finetune else {}
    size = (args.larger_size if row == "larger" else args.size) or pair.size
    began = time.perf_counter()
    found = acclimate.adapt(
        pair.source, pair.target.without_labels(), folder / "run",
        method="supervised" if args.labelled else "source_only", pretrain=args.pretrain if row == "byol" else None,
        backbone=replaced or backbone, weights=weights, steps=args.train_steps, seeds=[seed], image_size=size,
        settings=settings, score=pair.test, tta=args.tta, **given,
    )  # fmt: skip
    seconds = round(time.perf_counter() - began, 1)
    adapted = found.scores.get("adapted", found.scores)  # whether or not it is kept
    parts = {"": adapted["target"], **({"tta ": adapted["target_tta"]} if args.tta else {})}
    scores = {before + metric: part[metric] for before, part in parts.items() for metric in NAMES}
    apart = "".join(f", {name.removeprefix('backbone.')} {value}" for name, value in own.items())
    return {**scores, "backbone": replaced or backbone, "apart": apart, "size": size, "seconds": seconds}


HEAD = """# BYOL on the unlabelled target

`make bench-byol ARGS="--data FOLDER"` with the options above each table: mean ± sd over seeds (their number in
brackets) at the last step, on target examples that no training saw. Minutes: one whole run, two busy cores, as an
order of magnitude.

**Settings**: none chosen by target labels, no step picked. Views of digits are not mirrored or recoloured and show at
least four tenths of a digit. The published size, for one GPU (4 096 images per step in 32 batches, layer norm in the
heads, a large BiT, source labels for the head):

    acclimate adapt SOURCE TARGET -o RUN --method source_only --backbone timm:resnetv2_101x1_bit.goog_in21k \\
        --precision bf16-mixed --pretrain byol --set pretrain.batch_size=128 --set pretrain.accumulate=32 \\
        --set pretrain.steps=25000 --set pretrain.norm=layer

**Results**: BYOL needs many steps. From USPS to MNIST, a small fresh network gains nothing from 50 or 200; from 3 200,
it gains 8 to 20 points on each of three seeds, and its log loss falls from 1.77 to 1.25. On cartoons, ImageNet weights
lose ten points after 50 steps and after 200; more were not tried.
"""


def table(results: list[dict[str, Any]]) -> str:
    """One line for each backbone and length of pretraining."""
    first = results[0]
    labels = f"{first['labelled']} target labels per class" if first["labelled"] else "source labels"
    metrics = {k: k.replace(m, n) for m, n in NAMES.items() for k in (m, f"tta {m}") if k in first}
    lines = [
        f"## {first['pair']}: {labels}\n",
        f"`{first['options']}`\n",
        f"| backbone | {' | '.join(metrics.values())} | minutes |",
        "|---" * (len(metrics) + 2) + "|",
    ]
    keys = sorted({(list(ROWS).index(r["row"]), r["steps"]) for r in results})
    for place, steps in keys:
        found = [r for r in results if (list(ROWS).index(r["row"]), r["steps"]) == (place, steps)]
        name = list(ROWS.values())[place].format(**found[0])
        cells = [spread([r[metric] for r in found]) for metric in metrics]
        minutes = statistics.median(r["seconds"] for r in found) / 60
        lines.append(f"| {name} | {' | '.join(cells)} | {minutes:.1f} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{sd} ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/, usps/, pacs/")
    parser.add_argument("--pairs", nargs="*", default=["usps-mnist", "photo-cartoon"])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--pretrain", default="byol")
    parser.add_argument("--steps", type=int, nargs="*", default=[500, 2000, 8000], help="of pretraining, a line each")
    parser.add_argument("--train-steps", type=int, default=2000)
    parser.add_argument("--most", type=int, default=10**9, help="examples of each part of a domain")
    parser.add_argument("--labelled", type=int, default=0, help="labels a class of the target, not the source's")
    parser.add_argument("--backbone", help="in place of the pair's")
    parser.add_argument("--weights", help="a local file for it")
    parser.add_argument("--larger", help="in place of the pair's larger backbone")
    parser.add_argument("--larger-weights", help="a local file for it")
    parser.add_argument("--size", type=int, help="pixels a side, in place of the pair's")
    parser.add_argument("--larger-size", type=int, help="and of the larger reference")
    parser.add_argument(
        "--tta", nargs="*", default=[], help="views whose outputs are averaged, in addition to plain scores"
    )
    parser.add_argument("--finetune", help="fine-tuning strategy of each backbone")
    parser.add_argument("--set", nargs="*", default=[], help="key=value, as of `acclimate adapt`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    kept = args.out.with_suffix(".jsonl")  # whose runs are not repeated
    options = changed(parser, args)
    for name in args.pairs:
        pair = pair_of(args.data, name, args.most)
        for seed, row in itertools.product(range(args.seeds), args.rows):
            for steps in args.steps if row == "byol" else [0]:
                key = {"pair": name, "options": options, "labelled": args.labelled, "pretrain": args.pretrain}
                key |= {"row": row, "steps": steps, "seed": seed}
                if any(key.items() <= r.items() for r in read(kept)):
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    found = {**key, **run(pair, row, seed, args, steps, Path(folder))}
                print(line := json.dumps(found, ensure_ascii=False), flush=True)
                with kept.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    tables: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for r in read(kept):
        tables.setdefault((r["pair"], r["options"], r["labelled"], r["pretrain"]), []).append(r)
    args.out.write_text("\n\n".join([HEAD, *map(table, tables.values())]) + "\n", "utf-8")


def changed(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The options that make a table another one, as they were given."""
    apart = {"data", "pairs", "rows", "steps", "seeds", "out", "labelled"}
    given = {k: v for k, v in vars(args).items() if k not in apart and v != parser.get_default(k)}
    texts = {k: " ".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in given.items()}
    return " ".join(f"--{name.replace('_', '-')} {text}" for name, text in texts.items())


def read(kept: Path) -> list[dict[str, Any]]:
    """The runs that are done."""
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


if __name__ == "__main__":
    main()
