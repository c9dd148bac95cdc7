"""Into the house: folders, zips, arrays and tables become a `Domain`."""

from collections.abc import Sequence
from pathlib import Path

from acclimate.data.domain import Domain
from acclimate.errors import BadInput

__all__ = ["Domain", "load"]


def load(
    path: str | Path,
    part: str | None = None,
    *,
    label: str | None = None,
    text: str | None = None,
    drop: Sequence[str] = (),
    must_have_label: bool = False,
) -> Domain:
    """The domain at ``path``, which may carry its part behind a ``#``: ``"products.zip#phone/"``.

    Args:
        path: A folder or ``.zip`` of images, an ``.npz``, or a ``.csv``, ``.csv.gz`` or ``.parquet`` table.
        part: A sub-folder; the ``train`` of ``x_train``; or ``column=value`` of a table.
        label: The column of a table that has the classes.
        text: The column of a table that has the text to classify.
        drop: Columns of a table to leave out.
        must_have_label: Refuse a table that lacks the column ``label``.

    Raises:
        BadInput: The path cannot be read as a domain; the message says why and how to mend it.
    """
    from acclimate.data import arrays, images, tables  # each imports what only it needs

    where, _, after = str(path).partition("#")
    place, part = Path(where).expanduser(), part or after or None
    if not place.exists():
        raise BadInput(f"{where}: no such file or folder")
    name = f"{where}#{part}" if part else where
    try:
        if place.is_dir():
            return images.from_folder(place, part, name=name)
        if place.suffix.lower() == ".zip":
            return images.from_zip(place, part, name=name)
        if place.suffix.lower() == ".npz":
            return arrays.from_npz(place, part, name=name)
        if place.name.lower().endswith(tables.ENDINGS):
            return tables.from_table(
                place, part, name=name, columns=tables.Columns(label, text, tuple(drop), must_have_label)
            )
    except OSError as error:
        raise BadInput(f"{where}: cannot be read ({error.strerror or error})") from error
    raise BadInput(
        f"{where}: not a kind of file that is read here; give a folder or .zip of images, .npz, .csv[.gz] or .parquet"
    )
