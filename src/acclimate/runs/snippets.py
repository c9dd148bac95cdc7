"""Snippets of examples, saved in the Run: a thumbnail of an image or the start of a text.

They are saved while the domains are available, so that a report can be made again after the data moved, on another
machine, or for arrays that existed only in memory.
"""

import base64
import io
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from acclimate.data import Domain
from acclimate.data.domain import Images, parted
from acclimate.errors import BadInput, explain_damage
from acclimate.run_folder import RunFolder
from acclimate.runs.check import name_in, read_parquet

SHOWN = 800
"""Most examples of a domain that the report shows."""
SIDE = 64
"""Most pixels of a thumbnail's longer side."""
LETTERS = 280
"""Most characters of a text."""
COLUMNS = 6
"""Most columns of a table's row."""
STRIP = 8
"""Images of a domain that the report shows as training sees them."""


class Snippet(NamedTuple):
    """A text, an image as a ``data:`` URL, both or neither."""

    text: str = ""
    image: str = ""


def shown(n: int) -> NDArray[np.int64]:
    """Return the rows, of ``n``, that the report shows: the same draw as for the rows with saved features.

    Example:
        >>> shown(3).tolist()
        [0, 1, 2]
    """
    return np.sort(np.random.default_rng(0).permutation(n)[:SHOWN])


def keep_snippets(run: RunFolder, part: str, domain: Domain) -> None:
    """Save snippets of the examples of ``domain`` that the report shows.

    Args:
        run: The Run to save them in.
        part: ``source_val``, ``target`` or ``scored``, as in the names of its outputs.
        domain: The examples, in the order of those outputs.
    """
    rows = shown(len(domain))
    with_images, with_texts = parted(domain) if domain.kind == "image and text" else (domain, domain)
    texts = [_text(with_texts, int(i)) for i in rows]
    is_images = with_images.kind == "images"
    images = [_thumbnail(with_images.images, int(i)) if is_images else None for i in rows]
    frame = pl.DataFrame(
        {"index": rows, "text": texts, "image": images},
        schema={"index": pl.Int64, "text": pl.String, "image": pl.Binary},
    )
    run.write(_file_name(part), frame.write_parquet)


def read_snippets(run: RunFolder, part: str) -> dict[int, Snippet]:
    """Return snippets by row; empty if the Run has none."""
    path = run.file(_file_name(part))
    if not path.is_file():
        return {}
    frame = read_parquet(run, path)
    with explain_damage(run.path, name_in(run, path)):
        rows = frame.select(pl.col("index").cast(pl.Int64), pl.col("text").cast(pl.String), pl.col("image")).iter_rows()
        return {index: Snippet(text or "", _data_url(image) if image else "") for index, text, image in rows}


class Pair(NamedTuple):
    """An image as it is and as training sees it, as ``data:`` URLs."""

    plain: str
    augmented: str


def keep_strip(run: RunFolder, domain: str, plain: Tensor, augmented: Tensor) -> None:
    """Save some images of ``domain``, uint8 ``(n, 3, h, w)``, as they are and augmented."""
    columns = {"plain": plain, "augmented": augmented}
    frame = pl.DataFrame({name: [_encoded_tensor(image) for image in images] for name, images in columns.items()})
    run.write(_strip_name(domain), frame.write_parquet)


def read_strip(run: RunFolder, domain: str) -> list[Pair]:
    """Return the images of ``domain`` that `keep_strip` saved, if any."""
    path = run.file(_strip_name(domain))
    if not path.is_file():
        return []
    frame = read_parquet(run, path)
    with explain_damage(run.path, name_in(run, path)):
        rows = frame.select("plain", "augmented").iter_rows()
        return [Pair(_data_url(plain), _data_url(augmented)) for plain, augmented in rows]


def _strip_name(domain: str) -> str:
    return f"outputs/strip-{domain}.parquet"


def _encoded_tensor(image: Tensor) -> bytes:
    return _encoded_thumbnail(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()))


def snippet_of(domain: Domain, i: int) -> Snippet:
    """Return what is shown of one example that no Run keeps."""
    image = _thumbnail(domain.images, i) if domain.kind == "images" else None
    return Snippet(text=_text(domain, i) or "", image=_data_url(image) if image else "")


def _file_name(part: str) -> str:
    return f"outputs/snippets-{part}.parquet"


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


def _thumbnail(images: Images, i: int) -> bytes | None:
    try:
        pixels = images.read(i, SIDE)
    except BadInput:
        return None  # an image damaged since training must not prevent the report
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return _encoded_thumbnail(image)


def _encoded_thumbnail(image: Image.Image) -> bytes:
    image.thumbnail((SIDE, SIDE))
    return min(_encoded(image, "PNG"), _encoded(image, "JPEG"), key=len)


def _encoded(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, optimize=True)
    return buffer.getvalue()


def _data_url(image: bytes) -> str:
    if not isinstance(image, bytes):
        raise ValueError("an image is not bytes")
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
