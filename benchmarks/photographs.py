"""Photographs on a CPU: what `acclimate adapt` takes by default, and with frozen features alone.

    make bench-photographs ARGS="--data FOLDER"

350 photographs of PACS, 50 of each class, are adapted to 350 cartoons, each draw with a seed of its own. Each command
is a process with an empty cache, started in turn with the other. Accuracy is on the cartoons, whose labels only the
scores read; nothing is chosen by it.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

EACH, DRAWS, STEPS = 50, 3, 40
VARIANTS = {"by default": [], "--finetune feature_extraction": ["--finetune", "feature_extraction"]}


class Found(NamedTuple):
    """What one command took and reached."""

    seconds: float
    accuracy: float
    source_only: float
    strategy: str


def draw(archive: Path, folder: Path, seed: int) -> Path:
    """Unpack `EACH` images of each class."""
    by_class = defaultdict(list)
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(packed.namelist()):
            if not name.endswith("/"):
                by_class[Path(name).parent.name].append(name)
        for label, names in by_class.items():
            (folder / label).mkdir(parents=True)
            for name in random.Random(seed).sample(names, EACH):
                (folder / label / Path(name).name).write_bytes(packed.read(name))
    return folder


def adapt(folder: Path, run: Path, options: list[str]) -> Found:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "acclimate", "adapt", "photos", "cartoons", "-o", str(run), "--score", "cartoons"]
    began = time.perf_counter()
    more = {"ACCLIMATE_CACHE": str(run.with_name(f"{run.name}-cache"))}
    subprocess.run([*command, "--steps", str(STEPS), *options], cwd=folder, check=True, env={**os.environ, **more})
    seconds = time.perf_counter() - began
    scores = json.loads((run / "scores.json").read_text("utf-8"))
    adapted, before = (scores[name]["target"]["accuracy"] for name in ("adapted", "source_only"))
    strategy = next(
        line for line in (run / "recipe.yaml").read_text("utf-8").splitlines() if line.startswith("finetune:")
    )
    return Found(seconds, adapted, before, strategy.removeprefix("finetune: "))


def mean(values: list[float]) -> str:
    """Mean ± standard deviation, in percent."""
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"


def table(found: dict[str, list[Found]]) -> str:
    """A row for each command."""
    lines = ["| command | minutes (median) | strategy | source-only, % | mcc, % |", "|---|---|---|---|---|"]
    for name, draws in found.items():
        minutes = statistics.median(f.seconds for f in draws) / 60
        strategies = ", ".join(sorted({f.strategy for f in draws}))
        scores = f"{mean([f.source_only for f in draws])} | {mean([f.accuracy for f in draws])}"
        lines.append(f"| {name} | {minutes:.2f} | {strategies} | {scores} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the page beside this file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder with pacs/pacs_photo_160.zip and …_cartoon_…")
    data = parser.parse_args().data / "pacs"
    found: dict[str, list[Found]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as place:
        for seed in range(DRAWS):
            folder = Path(place) / str(seed)
            for domain in "photo", "cartoon":
                draw(data / f"pacs_{domain}_160.zip", folder / f"{domain}s", seed)
            for i, (name, options) in enumerate(VARIANTS.items()):
                found[name].append(adapt(folder, folder / f"run-{i}", options))
    told = (__doc__ or "").split("\n\n", 2)[2].strip()
    command = '`make bench-photographs ARGS="--data FOLDER"`'
    page = f"# Photographs on a CPU\n\n{command}: {DRAWS} draws, {os.cpu_count()} cores.\n\n{told}\n\n{table(found)}\n"
    Path(__file__).with_suffix(".md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
