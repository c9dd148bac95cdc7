"""Tables, from files or data frames: their columns are features, texts, or paths of images."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from acclimate.data.domain import Domain, Images, ImagesAndTexts
from acclimate.data.listed import ListedImages, Listing
from acclimate.data.read_labels import SET_ASIDE, Labels, as_text, from_column
from acclimate.data.table_files import read
from acclimate.errors import BadInput, did_you_mean

LONGEST_CELL = 100_000
"""Most characters of a text in a column of features."""
ColumnKind = Literal["numbers", "dates", "text", "nothing"]
"""What a column of features contains, whatever type stores it."""


class Columns(NamedTuple):
    """What the columns of a table are for; ``text`` may name several, separated by commas.

    With ``read_labels`` false the column ``label`` is left out unread.
    """

    label: str | None = None
    text: str | None = None
    image: str | None = None
    drop: tuple[str, ...] = ()
    must_have_label: bool = False
    read_labels: bool = True


def from_file(path: Path, part: str | None, *, name: str, columns: Columns) -> Domain:
    """Read the rows of a table; ``part`` is ``column=value``. That column and the label's are not features.

    Raises:
        BadInput: The file is not a readable table, or `from_frame` refuses it.
    """
    frame = rows_of(path, part)
    if part:
        selected = part.partition("=")[0]
        columns = columns._replace(drop=tuple(column for column in columns.drop if column != selected))
    return from_frame(frame, name=name, listing=Listing.of_file(path), columns=columns)


def rows_of(path: Path, part: str | None) -> pl.DataFrame:
    """Read a table's rows with all its columns, or the rows of a part, without the column that selects them.

    Raises:
        BadInput: The file is not a readable table, or has no such part.
    """
    frame = read(path)
    return _rows_of_part(frame, part, path) if part else frame


def from_frame(
    frame: pl.DataFrame, *, name: str, listing: Listing, columns: Columns, images: Images | None = None
) -> Domain:
    """Make a domain of a table's rows.

    Args:
        frame: The table.
        name: What messages and figures call the domain.
        listing: What messages call the table, and where paths of images start.
        columns: What its columns are for.
        images: The images of the rows, if they are not in a column of paths.

    Raises:
        BadInput: A column is missing, or is used twice; labels are missing; or there is nothing to learn from.
    """
    text_columns = _text_columns(frame, columns.text) if columns.text else []
    n = frame.height if images is None else len(images)
    if not n:
        raise BadInput(f"{name}: has no rows; give a table with examples")
    _check_columns(frame, text_columns, columns, name, listing)
    labels = _labels(frame, columns, name)
    names = [str(i) for i in range(n)]
    if columns.image:
        images = ListedImages(listing, as_text(frame[columns.image], name).fill_null("").to_list(), range(frame.height))
        names = list(images.names())
    texts = _texts(frame[text_columns], name) if text_columns else []
    if images is not None and texts:
        return Domain(name, "image and text", ImagesAndTexts(images, texts), names, *labels)
    if images is not None:
        return Domain(name, "images", images, names, *labels)
    if texts:
        return Domain(name, "text", texts, names, *labels)
    features = frame.drop([c for c in (columns.label, *columns.drop) if c and c in frame.columns])
    if features.width == 0:
        raise BadInput(f"{name}: no column is left to learn from; drop fewer")
    return Domain(name, "table", _missing_as_null(features, name), names, *labels)


def _labels(frame: pl.DataFrame, columns: Columns, name: str) -> Labels:
    label = columns.label
    if not label or label not in frame.columns:
        return Labels()
    return from_column(frame[label], label, name) if columns.read_labels else SET_ASIDE


def _text_columns(frame: pl.DataFrame, text: str) -> list[str]:
    """Return the columns that ``text`` names; a column may have a comma in its own name."""
    several = [column.strip() for column in text.split(",") if column.strip()]
    return [text] if text in frame.columns or not several else several


def _check_columns(frame: pl.DataFrame, texts: Sequence[str], columns: Columns, name: str, listing: Listing) -> None:
    """Refuse a missing column, and one column for two purposes or twice for one."""
    label, image = columns.label, columns.image
    purposes = [("label", label), *(("text", column) for column in texts), ("image", image)]
    for (a, first), (b, second) in combinations(purposes, 2):
        if first and first == second:
            why = f"is {a} twice; name it once" if a == b else f"cannot be both {a} and {b}; choose two columns"
            raise BadInput(f"{name}: column {first!r} {why}")
    of_source = [*columns.drop, *([label] if label else [])] if columns.must_have_label else []
    for column in [*of_source, *texts, *([image] if image else [])]:
        _require(frame, column, listing.name)


def common_columns(source: Domain, target: Domain) -> dict[str, ColumnKind]:
    """Return what each column of the source contains in both domains together.

    Numbers in one domain and text in the other are text, since text may spell out numbers.

    Raises:
        BadInput: One domain lacks a column, a column has dates in one domain alone, or no column has a value.
    """
    require_columns(target, source.table.columns)
    found: dict[str, ColumnKind] = {}
    for column in source.table.columns:
        kinds = {_kind(d.table[column], d.name) for d in (source, target)} - {"nothing"}
        if "dates" in kinds and len(kinds) > 1:
            raise BadInput(
                f"{target.name}: column {column!r} contains dates in one domain and {min(kinds - {'dates'})} in the "
                "other; write dates the same way in both, e.g. 2024-01-31"
            )
        found[column] = "text" if len(kinds) > 1 else kinds.pop() if kinds else "nothing"
    if set(found.values()) == {"nothing"}:
        raise BadInput(f"{source.name}: no column contains any value; check that this is the right table")
    return found


def pooled(domains: Sequence[Domain]) -> pl.DataFrame:
    """Return the rows of tables with the same columns, one table after the other.

    A column of numbers in one table and text in another becomes text.

    Raises:
        BadInput: They have other columns, or one has dates where others have none.
    """
    first, *others = domains
    kinds = {name: _kind(first.table[name], first.name) for name in first.table.columns}
    for other in others:
        _require_same_columns(other, first)
        for name, kind in kinds.items():
            kinds[name] = _joint_kind(kind, _kind(other.table[name], other.name), name, first, other)
    frames = [
        pl.DataFrame([_as_kind(domains, domain, name, kind) for name, kind in kinds.items()]) for domain in domains
    ]
    return pl.concat(frames)


def _joint_kind(kind: ColumnKind, own: ColumnKind, column: str, first: Domain, other: Domain) -> ColumnKind:
    kinds = {kind, own} - {"nothing"}
    if "dates" in kinds and len(kinds) > 1:
        raise BadInput(
            f"{other.name}: column {column!r} contains {own}, and {kind} in {first.name}; write dates the same way in "
            "all sources, e.g. 2024-01-31"
        )
    return "text" if len(kinds) > 1 else kinds.pop() if kinds else "nothing"


def _as_kind(domains: Sequence[Domain], domain: Domain, name: str, kind: ColumnKind) -> pl.Series:
    """A column as it is, if it has the same type in all tables, else converted."""
    same = len({one.table[name].dtype for one in domains}) == 1
    return domain.table[name] if same else _convert(domain.table[name], kind, domain.name)


def _require_same_columns(domain: Domain, first: Domain) -> None:
    """Check that two sources have the same columns."""
    for one, other in ((domain, first), (first, domain)):
        if extra := [c for c in one.table.columns if c not in other.table.columns]:
            raise BadInput(
                f"{one.name}: column {extra[0]!r} is not in {other.name}, and sources need the same columns; "
                f"{did_you_mean(extra[0], other.table.columns)}; rename it, or remove it"
            )


def require_columns(domain: Domain, columns: list[str]) -> None:
    """Check that a domain has exactly these columns.

    Raises:
        BadInput: It has others, or lacks one.
    """
    own, known = set(domain.table.columns), set(columns)
    if extra := [c for c in domain.table.columns if c not in known]:
        raise BadInput(
            f"{domain.name}: column {extra[0]!r} is not in the source; {did_you_mean(extra[0], columns)}; "
            f"rename it, remove it, or train with --drop {extra[0]}"
        )
    if missing := [c for c in columns if c not in own]:
        raise BadInput(
            f"{domain.name}: lacks the source's column {missing[0]!r}; add it, or train with --drop {missing[0]}"
        )


def as_fitted(domain: Domain, columns: Mapping[str, ColumnKind]) -> pl.DataFrame:
    """Return the domain's columns in the order and with the types that the preprocessing was fitted on.

    Raises:
        BadInput: The columns are others, or contain something else.
    """
    require_columns(domain, list(columns))
    return pl.DataFrame([_convert(domain.table[c], kind, domain.name) for c, kind in columns.items()])


def _short(texts: pl.Series, name: str) -> pl.Series:
    """Refuse texts that are no feature of a table but documents."""
    lengths = texts.str.len_chars().fill_null(0).to_numpy()
    if lengths.max(initial=0) > LONGEST_CELL:
        raise BadInput(
            f"{name}: column {texts.name!r} has a text of {lengths.max():,} characters in row {lengths.argmax()}; "
            f"learn from it with --text {texts.name}, or train with --drop {texts.name}"
        )
    return texts


def _rows_of_part(frame: pl.DataFrame, part: str, path: Path) -> pl.DataFrame:
    column, equals, value = part.partition("=")
    if not equals:
        raise BadInput(f"{path}: part {part!r}: write a part of a table as column=value, e.g. {path.name}#site=va")
    _require(frame, column, str(path))
    values = frame[column].cast(pl.String)
    if not (values == value).any():
        known = [v for v in values.unique().to_list() if v is not None]
        raise BadInput(f"{path}: no row has {column}={value}; {did_you_mean(value, known)}")
    return frame.filter(values == value).drop(column)


def _require(frame: pl.DataFrame, column: str, where: str) -> None:
    if column not in frame.columns:
        raise BadInput(f"{where}: has no column {column!r}; {did_you_mean(column, frame.columns)}")


def _texts(columns: pl.DataFrame, name: str) -> list[str]:
    """Return each row's text; with several columns, a line for each, in the given order."""
    texts = ["\n".join(filter(None, row)) for row in zip(*(as_text(c, name) for c in columns), strict=True)]
    if not any(text.strip() for text in texts):
        named = ",".join(columns.columns)
        raise BadInput(f"{name}: column {named!r} has no text in any row; check that it is the right column")
    return texts


def _missing_as_null(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the table with null in place of NaN; refuse infinite values."""
    for column in frame.iter_columns():
        if column.dtype.is_float() and bool((infinite := column.is_infinite()).any()):
            row = infinite.arg_max()
            raise BadInput(f"{name}: column {column.name!r} has infinite values, first row {row}; correct them")
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _kind(column: pl.Series, name: str) -> ColumnKind:
    if column.null_count() == len(column):
        return "nothing"
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Duration):
        return "numbers"
    if column.dtype in (pl.Date, pl.Datetime):
        return "dates"
    if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Time):
        return "text"
    raise BadInput(
        f"{name}: column {column.name!r} has type {column.dtype}, which cannot be a feature; "
        f"train with --drop {column.name}"
    )


def _convert(column: pl.Series, kind: ColumnKind, name: str) -> pl.Series:
    """Return ``column`` with the type that columns of this kind are fitted with."""
    own = _kind(column, name)
    if own == "nothing" or kind == "nothing":
        return pl.Series(column.name, [None] * len(column), dtype=_TYPES[kind])
    if kind == "text":
        return _short(as_text(column, name), name)
    if own == kind or (own == "text" and kind == "numbers"):
        return _cast(column, kind, name)
    raise BadInput(
        f"{name}: column {column.name!r} contains {own}, and {kind} in the source; write it the same way in both"
    )


_TYPES: Mapping[ColumnKind, pl.DataType] = {
    "numbers": pl.Float64(),
    "dates": pl.Datetime("us"),
    "text": pl.String(),
    "nothing": pl.Float64(),
}


def _cast(column: pl.Series, kind: ColumnKind, name: str) -> pl.Series:
    if column.dtype == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    converted = column.cast(_TYPES[kind], strict=False)
    if (lost := converted.is_null() & ~column.is_null()).any():
        row = int(lost.arg_max() or 0)
        raise BadInput(
            f"{name}: column {column.name!r} has {str(column[row])!r} in row {row}, and {kind} in the source; "
            "correct it or leave it empty"
        )
    return converted
