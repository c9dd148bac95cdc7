"""What in two domains is likely a mistake rather than a shift: to mend before any statistics mean something."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from acclimate.data.domain import Domain, Images
from acclimate.data.overlap import Comparison
from acclimate.errors import BadInput
from acclimate.shift.columns import percent
from acclimate.shift.findings import Fault

Numbers = NDArray[np.float64]

NAMED = 5
"""Most names that a sentence lists."""
UNITS: Mapping[str, float] = {
    "inches and centimetres": 2.54,
    "feet and metres": 3.28084,
    "miles and kilometres": 1.609344,
    "pounds and kilograms": 2.204623,
    "ounces and grams": 28.349523,
    "mg/dL and mmol/L of glucose": 18.0156,
    "mg/dL and mmol/L of cholesterol": 38.67,
    "mg/dL and µmol/L of creatinine": 88.42,
    "seconds and minutes, or minutes and hours": 60.0,
    "seconds and hours": 3600.0,
    "hours and days": 24.0,
    "months and years": 12.0,
    **{f"a factor of {10**k:,}": float(10**k) for k in (1, 2, 3, 6)},
}
"""Factors between units that are often confused."""
APART, NEAR, NEARER = 0.6, 0.3, 0.1
"""Kolmogorov–Smirnov distance from which on a factor is looked for, and up to which a factor of at least ten, and a
smaller one, explain the difference: columns that differ twofold or threefold are nothing unusual."""
FEWEST = 20
"""Known numbers below which no factor is looked for."""
STAND_INS = (0.0, -1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0)
"""Numbers that often stand for a missing entry."""
OFTEN, SELDOM = 0.05, 0.1
"""Share of a domain from which on a number may stand for a missing one, and what part of that the other has of it."""
READ = 100
"""Images of each domain that are looked at."""
SIZES = 1.5
"""Factor between usual sizes from which on it is told."""


def faults(source: Domain, target: Domain) -> list[Fault]:
    """Return likely mistakes in the data of two domains of one kind."""
    found = list(_repeated(source, target))
    if source.kind == "table":
        found = [*table_faults(source.table, target.table), *found]
    if source.kind == "images":
        found = [*_of_images(source.images, target.images), *found]
    return found


def table_faults(source: pl.DataFrame, target: pl.DataFrame) -> Iterator[Fault]:
    """Yield what is likely wrong with the columns of two tables."""
    yield from _missing_columns(source.columns, target.columns, "target")
    yield from _missing_columns(target.columns, source.columns, "source")
    for name in (name for name in source.columns if name in target.columns):
        a, b = source[name], target[name]
        empty = [place for place, column in (("source", a), ("target", b)) if column.null_count() == len(column)]
        if len(empty) == 1:
            yield Fault("empty column", name, f"column {name!r} has no value in the {empty[0]}")
        elif a.dtype.is_numeric() and b.dtype.is_numeric():
            yield from _of_numbers(name, *(_known(column) for column in (a, b)))
        elif pl.String in (a.dtype, b.dtype) and (a.dtype.is_numeric() or b.dtype.is_numeric()):
            of = ("numbers", "text") if a.dtype.is_numeric() else ("text", "numbers")
            yield Fault("type", name, f"column {name!r} has {of[0]} in the source and {of[1]} in the target")
        elif a.dtype == b.dtype == pl.String:
            yield from _of_values(name, a, b)


def _missing_columns(have: Iterable[str], among: Iterable[str], where: str) -> Iterator[Fault]:
    present = set(among)
    for name in have:
        if name not in present:
            plain = {one.casefold().strip(): one for one in present}
            near = get_close_matches(name.casefold().strip(), plain, n=1, cutoff=0.85)
            meant = f"; is it {plain[near[0]]!r}?" if near else ""
            yield Fault("missing column", name, f"column {name!r} is missing in the {where}{meant}")


def _of_values(name: str, source: pl.Series, target: pl.Series) -> Iterator[Fault]:
    """Yield values that only the target has: other spellings of the source's, and new ones."""
    known, new = (set(column.drop_nulls().unique().to_list()) for column in (source, target))
    if len(known) > len(source) / 2 or not (unseen := sorted(new - known)):
        return  # names or texts, whose values are new by nature
    spelt = dict(other_spellings(unseen, known))
    if spelt:
        pairs = ", ".join(f"{value!r} for {spelt[value]!r}" for value in list(spelt)[:NAMED])
        yield Fault("spelling", name, f"column {name!r} spells values otherwise in the target: {pairs}")
    if others := [value for value in unseen if value not in spelt]:
        share = float(target.is_in(others).sum()) / max(len(target) - target.null_count(), 1)
        yield Fault(
            "unseen values", name,
            f"column {name!r} has values in the target that the source never has: {_named(others)} "
            f"({percent(share)} of rows)",
        )  # fmt: skip


def other_spellings(names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that is a known one but for case, spaces, hyphens and underscores, with the known one.

    Example:
        >>> list(other_spellings(["Coffee mug", "cat"], ["coffee_mug", "dog"]))
        [('Coffee mug', 'coffee_mug')]
    """
    plain = {_plain(one): one for one in known}
    yield from ((name, plain[_plain(name)]) for name in names if _plain(name) in plain)


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " -_.")


def _of_numbers(name: str, source: Numbers, target: Numbers) -> Iterator[Fault]:
    if not (len(source) and len(target)):
        return
    for value in STAND_INS:
        if (fault := _stand_in(name, value, source, target)) is not None:
            yield fault
    if (unit := changed_unit(source, target)) is not None:
        what, larger = unit
        yield Fault(
            "units", name,
            f"column {name!r} looks as if its unit had changed ({what}): it is that much larger in the {larger}",
        )  # fmt: skip


def _stand_in(name: str, value: float, source: Numbers, target: Numbers) -> Fault | None:
    """A number that is frequent in one domain, rare in the other, and far from all other numbers."""
    shares = float(np.mean(source == value)), float(np.mean(target == value))
    others = np.concatenate([source, target])
    others = others[others != value]
    few = len(np.unique(others)) < FEWEST  # a code, of which any number may be frequent
    if max(shares) < OFTEN or min(shares) > SELDOM * max(shares) or few:
        return None
    apart = min(abs(others - value)) if not (others.min() < value < others.max()) else 0.0
    if apart <= others.std():
        return None
    text = f"column {name!r} is {value:g} in {percent(shares[0])} of the source and {percent(shares[1])} of the target"
    return Fault("stand-in", name, f"{text}, far from all other numbers: it may stand for a missing one")


def changed_unit(source: Numbers, target: Numbers) -> tuple[str, str] | None:
    """Return the units whose factor makes two columns alike that were far apart, and the domain with larger numbers.

    Example:
        >>> heights = np.random.default_rng(0).normal(170, 10, 100)
        >>> changed_unit(heights, heights / 100)
        ('a factor of 100', 'source')
    """
    if min(len(source), len(target)) < FEWEST or _distance(source, target) < APART or not (source > 0).mean() > 0.5:
        return None
    middles = float(np.median(source)), float(np.median(target))
    if min(middles) <= 0:
        return None
    larger = "source" if middles[0] > middles[1] else "target"
    a, b = (source, target) if larger == "source" else (target, source)
    distances = {what: _distance(a, b * factor) for what, factor in UNITS.items()}
    best = min(distances, key=lambda what: distances[what])
    return (best, larger) if distances[best] <= (NEAR if UNITS[best] >= 10 else NEARER) else None


def _distance(a: Numbers, b: Numbers) -> float:
    return float(ks_2samp(a, b, method="asymp").statistic)


def _repeated(source: Domain, target: Domain) -> Iterator[Fault]:
    found = Comparison().overlap(target, source)
    if found.same:
        yield Fault("repeated", "examples", "source and target have the same examples")
    elif found.found and found.exceeds(0):
        yield Fault(
            "repeated", "examples",
            f"{found.found:,} of the target's {found.of:,} examples are also in the source: scores on them say nothing",
        )  # fmt: skip


def _of_images(source: Images, target: Images) -> Iterator[Fault]:
    sizes = [np.median([min(images.shape(i)) for i in _some(images)]) for images in (source, target)]
    if max(sizes) > SIZES * min(sizes):
        yield Fault(
            "size",
            "images",
            f"images have {sizes[0]:.0f} pixels on their shorter side in the source, {sizes[1]:.0f} in the target",
        )
    grey = [_share_grey(images) for images in (source, target)]
    if abs(grey[0] - grey[1]) > 0.5:
        yield Fault(
            "colour", "images", f"images are grey in {grey[0]:.0%} of the source and {grey[1]:.0%} of the target"
        )


def _some(images: Images) -> list[int]:
    return [int(i) for i in np.linspace(0, len(images) - 1, min(len(images), READ))]


def _share_grey(images: Images) -> float:
    read = [pixels for i in _some(images)[:: max(1, READ // 25)] if (pixels := _pixels(images, i)) is not None]
    return float(
        np.mean([pixels.shape[2] == 1 or not np.ptp(pixels.astype(int), axis=2).any() for pixels in read] or [0])
    )


def _pixels(images: Images, i: int) -> NDArray[np.uint8] | None:
    try:
        return images.read(i, 64)
    except BadInput:
        return None


def class_faults(known: Iterable[str], names: Iterable[str]) -> Iterator[Fault]:
    """Yield classes of the target that are spelt otherwise than the source's."""
    known = set(known)
    pairs = list(other_spellings(sorted(set(names) - known), known))
    if pairs:
        named = ", ".join(f"{a!r} for {b!r}" for a, b in pairs[:NAMED])
        yield Fault("class names", "classes", f"the target spells classes otherwise: {named}")


def _known(column: pl.Series) -> Numbers:
    values = column.drop_nulls().cast(pl.Float64).to_numpy()
    return np.asarray(values[np.isfinite(values)])


def _named(values: list[str]) -> str:
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(repr(v[:40]) for v in values[:NAMED]) + more
