"""The cost of augmented views of a batch of images: ours beside Kornia's and torchvision's.

    make bench-views_cost

64 images of float32 per batch, on one thread. In Acclimate's views each image gets operations and magnitudes of its
own, as a consistency loss needs. Kornia draws the operations once for a batch, and magnitudes for each image;
torchvision's v2 draws both once per call. So Kornia is measured by the batch and image by image, torchvision image by
image. All run in turn in one process, round after round; a ratio is the median over rounds of a view / our view of
the same kind.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation as kornia
import torch
from kornia.augmentation.auto import RandAugment, TrivialAugment
from torch import Tensor
from torchvision.transforms import v2

from acclimate.augment import views

BATCH, ROUNDS, LEAST_SECONDS = 64, 7, 0.2
SIZES = (28, 96, 224)
View = Callable[[Tensor], Tensor]


def each(transform: View) -> View:
    """Apply a transform that draws once per call to each image; torchvision's tone operations take bytes."""
    return lambda x: torch.stack([transform(image) for image in x.to(torch.uint8)]).float()


def scaled(transform: View) -> View:
    """Kornia takes values from 0 to 1."""
    return lambda x: transform(x / 255) * 255


def variants(size: int) -> dict[str, dict[str, View]]:
    """What is measured, by kind and name; the first of a kind is what the others are compared with."""
    crop = {"scale": (0.7, 1.0), "ratio": (3 / 4, 4 / 3)}
    erase = {"p": 1.0, "scale": (0.02, 0.25)}
    randaugment = scaled(torch.nn.Sequential(RandAugment(2, 10), kornia.RandomErasing(**erase)))
    trivial = scaled(TrivialAugment())
    kornia_crop = torch.nn.Sequential(kornia.RandomHorizontalFlip(), kornia.RandomResizedCrop((size, size), **crop))
    v2_crop = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomResizedCrop(size, antialias=False, **crop)])
    return {
        "two operations and a square cut out": {
            "acclimate strong": views.strong,
            "Kornia, the same operations for all images": randaugment,
            "Kornia, image by image": each(randaugment),
            "torchvision, image by image": each(v2.Compose([v2.RandAugment(2), v2.RandomErasing(**erase)])),
        },
        "one operation": {
            "acclimate trivial": views.trivial,
            "Kornia, the same operation for all images": trivial,
            "Kornia, image by image": each(trivial),
            "torchvision, image by image": each(v2.TrivialAugmentWide()),
        },
        "flip and crop": {
            "acclimate flip_crop": views.flip_crop,
            "Kornia": scaled(kornia_crop),
            "torchvision, image by image": each(v2_crop),
        },
    }


def seconds(view: View, x: Tensor) -> float:
    """Seconds of one batch: the mean over as many as fill `LEAST_SECONDS`."""
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST_SECONDS:
        view(x)
        n += 1
    return (time.perf_counter() - start) / n


def measured(kind: dict[str, View], size: int) -> dict[str, list[float]]:
    """Seconds of each variant in each round; a first round warms up."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (BATCH, 3, size, size)).float()
    found: dict[str, list[float]] = {name: [] for name in kind}
    for turn in range(ROUNDS + 1):
        for name, view in kind.items():
            took = seconds(view, x)
            if turn:
                found[name].append(took)
    return found


def rows(kind: str, found: dict[str, list[float]]) -> str:
    """Milliseconds and ratios as rows of a Markdown table."""
    ours, lines = next(iter(found.values())), []
    for name, took in found.items():
        ratios = [t / o for t, o in zip(took, ours, strict=True)]
        spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
        median = 1000 * statistics.median(took)
        lines.append(f"| {kind} | {name} | {median:.2f} | {statistics.median(ratios):.2f} | {spread} |\n")
    return "".join(lines)


def main() -> None:
    """Measure all and write the page."""
    torch.set_num_threads(1)
    text = f"# The cost of augmented views\n\n`make bench-views_cost`: {ROUNDS} rounds, torch {torch.__version__}.\n"
    text += (__doc__ or "").split("\n\n", 2)[2]
    for size in SIZES:
        text += f"\n| 64 images of 3 × {size} × {size} | | ms per batch | ratio (median) | ratio (least, most) |\n"
        text += "|---|---|---|---|---|\n"
        text += "".join(rows(name, measured(kind, size)) for name, kind in variants(size).items())
    Path(__file__).with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
