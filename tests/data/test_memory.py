"""Training on a folder of images keeps no more of them than it is told to."""

import subprocess
import sys
from pathlib import Path

import pytest
import samples
from PIL import Image

LIMIT_MB = 40
MARGIN_MB = 32
"""Batches on their way, and what the allocator does not give back."""
SIZE = 128
IMAGES = 4 * LIMIT_MB * 2**20 // (3 * SIZE * SIZE)

TRAINING = """
import sys
import psutil
from acclimate.workflows import adapt as adaptation
from acclimate.training.progress import LossLog

source, target, run, cache_mb = sys.argv[1:]
process, seen, usual = psutil.Process(), [], LossLog.step

def add(self, step, look):
    seen.append(process.memory_info().rss)
    usual(self, step, look)

LossLog.step = add
adaptation.write_report = lambda run: None
more = {"train.batch_size": 32, "train.cache_mb": int(cache_mb), "backbone.width": 2, "backbone.d": 4}
adaptation.adapt(source, target, run, method="source_only", backbone="cnn", steps=130, image_size=128, settings=more)
print((max(seen[:-1]) - seen[4]) / 2**20)  # behind the last step the whole validation split is looked at
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """A source that is four times the limit when decoded, on disk next to nothing; a small target."""
    place = tmp_path_factory.mktemp("many")
    for i in range(IMAGES):
        path = place / "source" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIZE, SIZE), (i % 256, 128 * (i % 2), 0)).save(path)
    return place / "source", samples.images(place / "target", size=SIZE)


def _growth_mb(folders: tuple[Path, Path], run: Path, cache_mb: int, environment: dict[str, str]) -> float:
    """How much the process grew from the fifth step of training to its largest."""
    command = [sys.executable, "-c", TRAINING, *map(str, folders), str(run), str(cache_mb)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_training_on_many_images_keeps_to_its_limit(folders, tmp_path, environment):
    assert _growth_mb(folders, tmp_path / "run", LIMIT_MB, environment) < LIMIT_MB + MARGIN_MB


@pytest.mark.slow
def test_without_a_limit_the_same_training_keeps_all(folders, tmp_path, environment):
    assert _growth_mb(folders, tmp_path / "run", 1024, environment) > 2 * LIMIT_MB
