"""What an example looked like: a thumbnail or the start of its text, kept in the Run.

They are kept when the domains are at hand, so that a report can be drawn again after the data moved away, on another
machine, or of arrays that were only ever in memory.
"""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from acclimate.data import Domain
from acclimate.data.domain import parted
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder

SHOWN = 800
"""Examples of a domain that the report shows at most."""
SIDE = 64
"""Pixels of a thumbnail's longer side, at most."""
LETTERS = 280
"""Characters of a text that are kept."""
COLUMNS = 6
"""Columns of a table's row that are kept."""
STRIP = 8
"""Images of a domain that are shown as training sees them."""


class Snippet(NamedTuple):
    """A text, an image as a ``data:`` address, both or neither."""

    text: str = ""
    image: str = ""


def shown(n: int) -> NDArray[np.int64]:
    """Which of ``n`` rows the report shows; the same draw as that of the rows whose features are written.

    Example:
        >>> shown(3).tolist()
        [0, 1, 2]
    """
    return np.sort(np.random.default_rng(0).permutation(n)[:SHOWN])


def keep_snippets(run: RunFolder, place: str, domain: Domain) -> None:
    """Write what the shown examples of ``domain`` look like.

    Args:
        run: Where to.
        place: ``source_val`` or ``target``, as its outputs are called.
        domain: The examples, in the order of those outputs.
    """
    rows = shown(len(domain))
    seen, read = parted(domain) if domain.kind == "image and text" else (domain, domain)
    texts = [_text(read, int(i)) for i in rows]
    images = [_thumbnail(seen.images, int(i)) if seen.kind == "images" else None for i in rows]
    frame = pl.DataFrame(
        {"index": rows, "text": texts, "image": images},
        schema={"index": pl.Int64, "text": pl.String, "image": pl.Binary},
    )
    run.write(_name(place), frame.write_parquet)


def read_snippets(run: RunFolder, place: str) -> dict[int, Snippet]:
    """Snippets by row; none if the Run has none."""
    path = run.file(_name(place))
    if not path.is_file():
        return {}
    return {
        index: Snippet(text or "", _address(image) if image else "")
        for index, text, image in pl.read_parquet(path).iter_rows()
    }


class Pair(NamedTuple):
    """An image as it is and as training sees it, as ``data:`` addresses."""

    plain: str
    augmented: str


def keep_strip(run: RunFolder, domain: str, plain: Tensor, augmented: Tensor) -> None:
    """Write some images of ``domain``, uint8 ``(n, 3, h, w)``, as they are and augmented."""
    columns = {"plain": plain, "augmented": augmented}
    frame = pl.DataFrame({name: [_pictured(image) for image in of] for name, of in columns.items()})
    run.write(_strip(domain), frame.write_parquet)


def read_strip(run: RunFolder, domain: str) -> list[Pair]:
    """The images of ``domain`` that `keep_strip` wrote, if any."""
    path = run.file(_strip(domain))
    if not path.is_file():
        return []
    return [Pair(_address(plain), _address(augmented)) for plain, augmented in pl.read_parquet(path).iter_rows()]


def _strip(domain: str) -> str:
    return f"outputs/strip-{domain}.parquet"


def _pictured(image: Tensor) -> bytes:
    return _shrunk(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()))


def _name(place: str) -> str:
    return f"outputs/snippets-{place}.parquet"


def _text(domain: Domain, i: int) -> str | None:
    if domain.kind == "text":
        return _shorten(domain.texts[i])
    if domain.kind == "table":
        row = domain.table.row(i, named=True)
        return _shorten(" · ".join(f"{k} {v}" for k, v in list(row.items())[:COLUMNS] if v is not None))
    return None


def _shorten(text: str) -> str:
    flat = " ".join(text[: 4 * LETTERS].split())
    return flat if len(flat) <= LETTERS else f"{flat[: LETTERS - 1].rstrip()}…"


def _thumbnail(images: Any, i: int) -> bytes | None:
    try:
        pixels = images.read(i, SIDE)
    except BadInput:
        return None  # a picture that went bad since training is not worth the report
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return _shrunk(image)


def _shrunk(image: Image.Image) -> bytes:
    image.thumbnail((SIDE, SIDE))
    return min(_encoded(image, "PNG"), _encoded(image, "JPEG"), key=len)


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, optimize=True)
    return buffer.getvalue()


def _address(image: bytes) -> str:
    form = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{form};base64,{base64.b64encode(image).decode()}"
