"""How the parts of an estimate become a number with an interval: fitted on tasks of known accuracy, kept as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from typing_extensions import TypedDict

from acclimate import typed_json
from acclimate.errors import BadInput
from acclimate.validators.estimate.inputs import share

Vector = NDArray[np.float64]

KEPT = Path(__file__).with_name("table.json")
"""The table of this version."""
LEVEL = 0.9
"""How often an interval is to contain the true accuracy."""
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 1e6)
"""Penalties that draw the weights to those of the plain mean; the last gives the plain mean."""
SLOPES = (0.0, 1.0, 3.0)
"""How much wider an interval may be where the parts differ: half-width ∝ `FLOOR` + slope × their standard deviation."""
FLOOR = 0.05
"""Share of the half-width that does not depend on how much the parts differ."""
FEWEST_FAMILIES = 4
"""Families of tasks below which leaving one out says too little about the next."""


class Row(NamedTuple):
    """One model on one task with known accuracy: what was estimated, the truth, and the task's family of data."""

    parts: Mapping[str, float]
    truth: float
    family: str


class Rule(TypedDict):
    """How to combine the parts for one kind of model, and how wrong that was on families left out."""

    names: list[str]
    weights: list[float]
    offset: float
    slope: float
    quantile: float
    mae: float
    bias: float
    rows: int
    families: int


class Table(TypedDict):
    """The rules by kind of model, and the command that made them."""

    command: str
    kinds: dict[str, Rule]


class Guess(NamedTuple):
    """A rule's point and its 90 % interval."""

    accuracy: float
    low: float
    high: float


def apply(rule: Rule, parts: Mapping[str, float]) -> Guess:
    """Combine the parts that a rule names.

    Raises:
        BadInput: One of them is missing, or is not a finite number.
    """
    missing = [name for name in rule["names"] if not np.isfinite(parts.get(name, np.nan))]
    if missing:
        raise BadInput(f"estimate: parts missing: {', '.join(missing)}")
    values = np.array([[parts[name] for name in rule["names"]]])
    point = float((values @ np.array(rule["weights"]))[0]) + rule["offset"]
    half = rule["quantile"] * float(_scale(values, rule["slope"])[0])
    return Guess(share(point), share(point - half), share(point + half))


def fit(rows: Sequence[Row], names: Sequence[str]) -> Rule | None:
    r"""Fit the rule of one kind of model, and calibrate its interval on families that were left out.

    The point is :math:`b + \sum_j w_j e_j` with weights of at least 0, drawn to the plain mean of the parts by a
    ridge penalty that is chosen leaving families out; each family has the same say. The half-width is

    .. math:: q \, (.05 + s \cdot \mathrm{sd}_j(e_j))

    with :math:`q` the quantile of :math:`|\mathrm{residual}| / (.05 + s \, \mathrm{sd})` over families left out, at a
    level above 90 % by :math:`1 + 1/n_e`, as in conformal prediction. Residuals of one family are alike, so
    :math:`n_e` counts examples by the design effect of clusters.

    Args:
        rows: Models and tasks with known accuracy.
        names: The parts to use; rows that lack one are left out.

    Returns:
        None if there are fewer than `FEWEST_FAMILIES` families, or so little effective data that no finite interval
        has a coverage of 90 %.

    Reference:
        Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018. arXiv:1604.04173. The design
        effect: Kish, Survey Sampling, 1965.
    """
    data = _arrays(rows, names)
    if len(np.unique(data.family)) < FEWEST_FAMILIES:
        return None
    residuals = left_out_residuals(data)
    widths = [(q * _scale(data.x, s).mean(), s, q) for s in SLOPES for q in (_quantile(residuals, data, s),)]
    _, slope, quantile = min(widths)
    if not np.isfinite(quantile):
        return None
    weights, offset = _fit_point(data)
    by_family = _balance(data.family)
    return {
        "names": list(names),
        "weights": [round(float(w), 6) for w in weights],
        "offset": round(offset, 6),
        "slope": slope,
        "quantile": round(float(quantile), 6),
        "mae": round(float(np.average(np.abs(residuals), weights=by_family)), 6),
        "bias": round(float(np.average(-residuals, weights=by_family)), 6),
        "rows": len(data.x),
        "families": len(np.unique(data.family)),
    }


class Arrays(NamedTuple):
    """Rows as arrays: parts ``(n, p)``, truth ``(n,)``, and the number of each row's family ``(n,)``."""

    x: NDArray[np.float64]
    truth: Vector
    family: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> "Arrays":
        """Some of the rows."""
        return Arrays(self.x[chosen], self.truth[chosen], self.family[chosen])


def left_out_residuals(data: Arrays) -> Vector:
    """True less estimated accuracy of each row, by a rule fitted, strength included, without the row's family."""
    residuals = np.empty(len(data.x))
    for family in np.unique(data.family):
        out = data.family == family
        residuals[out] = data.truth[out] - _points(data.x[out], *_fit_point(data.where(~out)))
    return residuals


def _arrays(rows: Sequence[Row], names: Sequence[str]) -> Arrays:
    full = [row for row in rows if all(np.isfinite(row.parts.get(name, np.nan)) for name in names)]
    numbers = {family: i for i, family in enumerate(sorted({row.family for row in full}))}
    x = np.array([[row.parts[name] for name in names] for row in full]).reshape(len(full), len(names))
    return Arrays(x, np.array([row.truth for row in full]), np.array([numbers[row.family] for row in full], np.int64))


def _points(x: NDArray[np.float64], weights: Vector, offset: float) -> Vector:
    return np.asarray((x @ weights + offset).clip(0, 1))


def _fit_point(data: Arrays) -> tuple[Vector, float]:
    families = np.unique(data.family)
    if len(families) < 2:
        return _ridge(data, STRENGTHS[-1])
    errors = [_left_out_error(data, families, strength) for strength in STRENGTHS]
    return _ridge(data, STRENGTHS[int(np.argmin(errors))])


def _left_out_error(data: Arrays, families: NDArray[np.int64], strength: float) -> float:
    def error(family: int) -> float:
        out = data.family == family
        fitted = _ridge(data.where(~out), strength)
        return float(np.abs(data.truth[out] - _points(data.x[out], *fitted)).mean())

    return float(np.mean([error(family) for family in families]))


def _ridge(data: Arrays, strength: float) -> tuple[Vector, float]:
    """Weights of at least 0 and an offset, drawn to 1/p and 0."""
    p = data.x.shape[1]
    root = np.sqrt(_balance(data.family))
    pull = np.sqrt(strength) * np.eye(p + 1)
    pull[p, p] /= 10  # a bias common to all families is plausible
    a = np.vstack([np.column_stack([data.x, np.ones(len(data.x))]) * root[:, None], pull])
    b = np.concatenate([data.truth * root, pull @ np.append(np.full(p, 1 / p), 0)])
    found = lsq_linear(a, b, bounds=(np.append(np.zeros(p), -1), np.full(p + 1, np.inf))).x
    return np.asarray(found[:p]), float(found[p])


def _balance(family: NDArray[np.int64]) -> Vector:
    """Weights of rows that sum to 1 in each family ``(n,)``."""
    return np.asarray(1 / np.bincount(family)[family])


def _scale(x: NDArray[np.float64], slope: float) -> Vector:
    return np.asarray(FLOOR + slope * x.std(1))


def _quantile(residuals: Vector, data: Arrays, slope: float) -> float:
    """The residual, over its scale, that 90 % of future ones stay below; infinity if there are too few to say."""
    scaled = np.abs(residuals) / _scale(data.x, slope)
    weights = _balance(data.family)
    level = LEVEL * (1 + 1 / effective_rows(scaled, data.family))
    order = np.argsort(scaled)
    below = np.cumsum(weights[order]) / weights.sum()
    at = int(np.searchsorted(below, level - 1e-12))
    return float(scaled[order][at]) if level <= 1 and at < len(order) else np.inf


def effective_rows(values: Vector, family: NDArray[np.int64]) -> float:
    r"""How many independent values clustered ones are worth: :math:`n / (1 + (\bar m - 1) \rho)`.

    :math:`\rho` is the correlation within families, by the analysis of variance, and :math:`\bar m` the rows of a
    family. It is at least the number of families.
    """
    counts = np.bincount(family)
    n, m = len(values), len(counts)
    if n == m:
        return float(n)
    means = np.bincount(family, values) / counts
    within = float(((values - means[family]) ** 2).sum()) / (n - m)
    between = float((counts * (means - values.mean()) ** 2).sum()) / (m - 1)
    size = (n - float((counts**2).sum()) / n) / (m - 1)
    alike = (between - within) / max(between + (size - 1) * within, 1e-30)
    return max(float(m), n / (1 + (n / m - 1) * min(max(alike, 0.0), 1.0)))


def load(path: Path = KEPT) -> Table:
    """Read a table.

    Raises:
        BadInput: It is not one.
    """
    try:
        return typed_json.read(path, Table)
    except ValueError as error:
        raise BadInput(f"{path}: not a table of estimates: {error}; make it again") from error


def save(table: Table, path: Path = KEPT) -> None:
    """Write a table."""
    path.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", "utf-8")
