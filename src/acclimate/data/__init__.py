"""Into the house: folders, zips, arrays and tables become a `Domain`."""

from collections.abc import Sequence
from pathlib import Path

from acclimate.data.domain import Domain
from acclimate.errors import BadInput

__all__ = ["Domain", "file_of", "load"]


def load(
    path: str | Path,
    part: str | None = None,
    *,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    must_have_label: bool = False,
) -> Domain:
    """The domain at ``path``, which may carry its part behind a ``#``: ``"products.zip#phone/"``.

    Args:
        path: A folder or ``.zip`` of images, an ``.npz``, or a ``.csv``, ``.csv.gz`` or ``.parquet`` table.
        part: A sub-folder; the ``train`` of ``x_train``; or ``column=value`` of a table.
        label: The column of a table that has the classes, or the numbers to predict.
        text: The column of a table that has the text to learn from, or several by commas, read as one text with a
            line for each.
        image: The column of a table that has the paths of images, which begin at the table's folder. What holds
            images by itself has no columns, so that label and image are passed over there.
        drop: Columns of a table to leave out.
        must_have_label: Refuse a table that lacks the column ``label`` or one of ``drop``.

    Raises:
        BadInput: The path cannot be read as a domain; the message says why and how to mend it.
    """
    from acclimate.data import arrays, images, tables  # each imports what only it needs

    where, part = _split(str(path), part)
    if not where:
        raise BadInput("an empty text is no path; give a folder or a file")
    place = Path(where).expanduser()
    if not place.exists():
        raise BadInput(f"{where}: no such file or folder; check the spelling and where you are ({Path.cwd()})")
    name = f"{where}#{part}" if part else where
    ending = next((e for e in (".zip", ".npz", *tables.ENDINGS) if place.name.lower().endswith(e)), None)
    if not place.is_dir() and not ending:
        raise BadInput(
            f"{where}: not a kind of file that is read here; "
            "give a folder or .zip of images, .npz, .csv[.gz] or .parquet"
        )
    is_table = not place.is_dir() and ending in tables.ENDINGS
    column = text or (None if image else label) or next(iter(drop), None)
    if column and not is_table:
        raise BadInput(
            f"{where}: is no table, and its column {column!r} is asked for; "
            "give a table, or leave --label, --text and --drop out"
        )
    try:
        if place.is_dir():
            return images.from_folder(place, part, name=name)
        if ending == ".zip":
            return images.from_zip(place, part, name=name)
        if ending == ".npz":
            return arrays.from_npz(place, part, name=name)
        columns = tables.Columns(label, text, image, tuple(drop), must_have_label)
        return tables.from_table(place, part, name=name, columns=columns)
    except OSError as error:
        raise BadInput(
            f"{where}: cannot be read ({error.strerror or error}); is it whole, and yours to read?"
        ) from error


def file_of(path: str) -> Path:
    """The file or folder that `load` reads for ``PATH`` or ``PATH#part``."""
    return Path(_split(path, None)[0]).expanduser()


def _split(path: str, part: str | None) -> tuple[str, str | None]:
    """Path and part; a ``#`` in the name of something that exists parts nothing."""
    if part or Path(path).expanduser().exists():
        return path, part
    where, _, after = path.partition("#")
    return where, after or None
