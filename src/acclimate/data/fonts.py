"""The digits of the demo: drawn with matplotlib's fonts, and scikit-learn's handwritten ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE = 32
"""Pixels a side of each image."""
SCANNED_SIZE = 8
"""Pixels a side of the handwritten digits as they were scanned."""
VARIANTS = 6
"""Images of each digit in each font, each rotated by another angle."""


def fonts_with_digits() -> list[Path]:
    """Return matplotlib's TrueType fonts that have ten different digits."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [path for path in sorted(folder.glob("*.ttf")) if _has_digits(path)]


def _has_digits(path: Path) -> bool:
    font = ImageFont.truetype(path, 24)
    drawn = [_draw(font, str(d)).tobytes() for d in range(10)]
    missing = _draw(font, "\U000f1234").tobytes()
    return len(set(drawn)) == 10 and missing not in drawn


def _draw(font: ImageFont.FreeTypeFont, text: str) -> Image.Image:
    canvas = Image.new("L", (2 * SIZE, 2 * SIZE))
    ImageDraw.Draw(canvas).text((SIZE, SIZE), text, font=font, fill=255, anchor="mm")
    return canvas


def font_digits(*, seed: int = 0) -> Iterator[tuple[str, int, Image.Image]]:
    """Iterate over name, digit and image ``(SIZE, SIZE)``, white on black, at the handwritten digits' resolution."""
    rng = np.random.default_rng(seed)
    for path in fonts_with_digits():
        for digit in range(10):
            for variant in range(VARIANTS):
                font = ImageFont.truetype(path, SIZE)
                drawn = _draw(font, str(digit)).rotate(float(rng.uniform(-12, 12)), Image.Resampling.BILINEAR)
                yield f"{path.stem}-{variant}", digit, _enlarged(_scanned(drawn))


def _scanned(drawn: Image.Image) -> Image.Image:
    """Return the digit scaled to fill the image, at the resolution of the handwritten digits."""
    cut = drawn.crop(drawn.getbbox())
    scale = 28 / max(cut.size)
    cut = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.BILINEAR)
    page = Image.new("L", (SIZE, SIZE))
    page.paste(cut, ((SIZE - cut.width) // 2, (SIZE - cut.height) // 2))
    return page.resize((SCANNED_SIZE, SCANNED_SIZE), Image.Resampling.BOX)


def _enlarged(image: Image.Image) -> Image.Image:
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def handwritten_digits() -> Iterator[tuple[str, int, Image.Image]]:
    """Iterate over scikit-learn's 1,797 digits (UCI, 8 × 8, written by 43 people), enlarged to ``SIZE``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels: NDArray[np.uint8] = (digits.images * (255 / 16)).round().astype(np.uint8)
    for i, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        yield f"{i:04d}", int(label), _enlarged(Image.fromarray(image))
