"""Reading folders, zips, arrays, tables and objects in memory as a `Domain`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate.errors import BadInput, no_access
from acclimate.files import check_name

if TYPE_CHECKING:  # so that paths are checked before NumPy and polars are imported
    from acclimate.data.domain import Domain

__all__ = ["Domain", "file_of", "load", "paths_in", "require_path"]


def __getattr__(name: str) -> Any:
    """Import `Domain` when it is first used."""
    if name == "Domain":
        return importlib.import_module("acclimate.data.domain").Domain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    path: str | Path,
    part: str | None = None,
    *,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    must_have_label: bool = False,
    read_labels: bool = True,
) -> Domain:
    """Read the domain at ``path``, which may name a part of it after a ``#``: ``"products.zip#phone/"``.

    Args:
        path: A folder or ``.zip`` of images, an ``.npz``, or a table: ``.csv``, ``.tsv``, ``.jsonl`` (each also with
            ``.gz``), ``.xlsx``, ``.xls`` or ``.parquet``.
        part: A sub-folder; the ``train`` of ``x_train``; or ``column=value`` of a table.
        label: The column of a table with the classes, or the numbers to predict.
        text: The column of a table with the text to learn from, or several separated by commas, read as one text with
            a line for each.
        image: The column of a table with the paths of images, relative to the table's folder. A folder or zip of
            images has no columns; then ``label`` and ``image`` have no effect.
        drop: Columns of a table to leave out.
        must_have_label: Refuse a table that lacks the column ``label`` or one of ``drop``.
        read_labels: False sets labels aside unread, as for a target: they may be blank, or anything else.

    Raises:
        BadInput: The path cannot be read as a domain; the message says why and how to mend it.
    """
    from acclimate.data import (  # imported late: they need libraries that the rest does not
        arrays,
        images,
        table_files,
        tables,
    )

    where, part = _split(str(path), part)
    check_name(part or "")
    place = _found(where)
    name = f"{where}#{part}" if part else where
    ending = _ending(place, where, table_files.ENDINGS)
    column = text or (None if image else label) or next(iter(drop), None)
    if column and ending not in table_files.ENDINGS:
        raise BadInput(
            f"{where}: is not a table, so it has no column {column!r}; "
            "give a table, or remove --label, --text and --drop"
        )
    try:
        _open(place)
        if place.is_dir() or ending == ".zip":
            read_images = images.from_folder if place.is_dir() else images.from_zip
            domain = read_images(place, part, name=name)
            return domain if read_labels else domain.without_labels()
        if ending == ".npz":
            return arrays.from_npz(place, part, name=name, read_labels=read_labels)
        columns = tables.Columns(label, text, image, tuple(drop), must_have_label, read_labels)
        return tables.from_file(place, part, name=name, columns=columns)
    except OSError as error:
        raise BadInput(
            f"{where}: cannot be read ({error.strerror or error}); check that it is complete and that you may read it"
        ) from error


def _ending(place: Path, where: str, tables: Sequence[str]) -> str:
    """The ending by which a file is read; empty for a folder.

    Raises:
        BadInput: No reader knows it.
    """
    if place.is_dir():
        return ""
    ending = next((e for e in (".zip", ".npz", *tables) if place.name.lower().endswith(e)), None)
    if ending is None:
        from acclimate.data.table_files import READABLE

        raise BadInput(f"{where}: this type of file cannot be read; give a folder or .zip of images, .npz, {READABLE}")
    return ending


def require_path(path: str | Path) -> None:
    """Refuse ``PATH`` or ``PATH#part`` where there is nothing at ``PATH``; imports next to nothing.

    Raises:
        BadInput: There is no such file or folder.
    """
    _found(_split(str(path), None)[0])


def _found(where: str) -> Path:
    if not where:
        raise BadInput("the path is empty; give a folder or a file")
    place = Path(where).expanduser()
    if not _exists(place):
        raise BadInput(f"{where}: no such file or folder; check the spelling and the current folder ({Path.cwd()})")
    return place


def paths_in(text: str) -> list[str]:
    """The paths in a text that may name several domains, separated by commas.

    A comma may also be part of a path that exists, or of the value in ``#column=value``.

    Example:
        >>> paths_in("not a file,nor this#site=a,b")
        ['not a file', 'nor this#site=a,b']
    """
    if "," not in text or _exists(Path(text).expanduser()):
        return [text]
    pieces, found = text.split(","), list[str]()
    while pieces:
        n = next((n for n in range(len(pieces), 0, -1) if _is_one(pieces[:n])), 0)
        if not n and found and "#" in found[-1] and "#" not in pieces[0] and pieces[0]:
            found[-1] += f",{pieces.pop(0)}"
        else:
            found.append(",".join(pieces[: n or 1]).strip())
            pieces = pieces[n or 1 :]
    return found


def _is_one(pieces: Sequence[str]) -> bool:
    """Whether the pieces are one path that exists, with its commas before any ``#``."""
    where = ",".join(pieces).partition("#")[0].strip()
    return bool(where) and not any("#" in piece for piece in pieces[:-1]) and _exists(Path(where).expanduser())


def file_of(path: str) -> Path:
    """The file or folder that `load` reads for ``PATH`` or ``PATH#part``."""
    return Path(_split(path, None)[0]).expanduser()


def place_of(path: str) -> tuple[Path, str | None]:
    """The file or folder that ``PATH`` or ``PATH#part`` names, without links, and its part."""
    where, part = _split(path, None)
    return Path(where).expanduser().resolve(), part


def _split(path: str, part: str | None) -> tuple[str, str | None]:
    """Split at the first ``#``, unless something with the whole name exists."""
    if part or _exists(Path(path).expanduser()):
        return path, part
    where, _, after = path.partition("#")
    return where, after or None


def _exists(place: Path) -> bool:
    check_name(place)
    try:
        return place.exists()
    except OSError as error:
        raise no_access(error) from error


def _open(place: Path) -> None:
    """Open a file or folder, since what reads it takes one that it may not read for an empty or a damaged one.

    Raises:
        BadInput: It is a pipe or a device, whose reading may never end.
        OSError: It cannot be opened.
    """
    if place.is_dir():
        next(place.iterdir(), None)
    elif place.is_file():
        place.open("rb").close()
    else:
        raise BadInput(f"{place}: is not a regular file; give a folder or a file")
