"""How far examples are from everything that a Run has seen, by the features of its model."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_file

FAR = 1.0
"""Distance above which an example is far from both domains."""
OWN = 0.99
"""Share of a domain's own examples that are nearer to the others than the distance 1."""
FEWEST = 20
"""Fewest examples of a domain that tell how far apart its examples usually are."""
MOST = 1000
"""Most examples of a domain that are compared with."""
AT_ONCE = 256
"""Rows that are compared at once: their distances stay in the processor's cache."""
SMALLEST = 1e-6
"""Least unit, where examples of a domain are all the same."""
LARGEST = 1e12
"""Largest standardised feature; the squares of more would not be numbers of 32 bits."""
USUAL = 0.05
"""Share of far examples from which on it is told; of the target itself about one in a hundred is far."""
PLACES = ("source_val", "target")

Rows = NDArray[np.float32]


class Seen(NamedTuple):
    """One domain in one view of the features: its examples ``(m, d)``, and the distance that counts as 1."""

    rows: Rows
    unit: float


class Surroundings(NamedTuple):
    """Both domains, in features that are standardised, and in the direction of these.

    The position shows what is out of range, the direction what is of another kind: a network often answers what it
    does not know with small features, which are near to everything.

    Attributes:
        mean: Of the features of both domains ``(d,)``.
        scale: Their standard deviation ``(d,)``.
        positions: The domains by their features.
        directions: The domains by features of length 1.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    positions: list[Seen]
    directions: list[Seen]

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return for each row of ``features (n, d)`` its distance to the nearest example of either domain ``(n,)``.

        It is in units of the distance that 99 % of the domain's own examples keep to their nearest neighbour, so that
        more than 1 is unusual; the larger of both views counts.
        """
        rows = _standardised(features, self.mean, self.scale)
        views = (self.positions, rows), (self.directions, _directions(rows))
        largest: NDArray[np.float64] = np.max([_nearest_of(domains, of_view) for domains, of_view in views], axis=0)
        return largest


def surroundings(run: RunFolder, seed: int, phase: str) -> Surroundings | None:
    """Return where the domains lie in a model's features; None if the Run keeps too few of them.

    Raises:
        BadInput: A file of the Run is damaged.
    """
    paths = [place for place in PLACES if run.outputs(seed, phase, place).is_file()]
    return surround(read_file(run, seed, phase, place, features=True).features for place in paths)


def surround(of_domains: Iterable[NDArray[np.floating]]) -> Surroundings | None:
    """Return where domains lie, from the features ``(m, d)`` of each; None if there are too few.

    Reference:
        Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022. arXiv:2204.06507
    """
    known = [domain[:MOST].astype(np.float64) for domain in of_domains if len(domain) >= FEWEST and domain.shape[1]]
    if not known or len({domain.shape[1] for domain in known}) > 1:
        return None
    together = np.concatenate(known)
    mean, scale = together.mean(0), together.std(0)
    scale[scale == 0] = 1
    domains = [_standardised(domain, mean, scale) for domain in known]
    positions = [Seen(domain, _unit(domain)) for domain in domains]
    directions = [Seen(rows, _unit(rows)) for rows in map(_directions, domains)]
    return Surroundings(mean, scale, positions, directions)


def warn_of_far(distances: NDArray[np.float64]) -> str:
    """Return a line that tells how many examples are far from both domains; empty if hardly more than usual are.

    Example:
        >>> warn_of_far(np.array([0.2, 1.7]))
        '1 of 2 examples are far from both domains (distance above 1): do not trust the predictions for them'
    """
    far, n = int((distances > FAR).sum()), int(np.isfinite(distances).sum())
    if far <= USUAL * n:
        return ""
    what = "examples are far from both domains (distance above 1): do not trust the predictions for them"
    return f"{far:,} of {n:,} {what}"


def _standardised(features: NDArray[np.floating], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Rows:
    with np.errstate(over="ignore"):  # what is beyond all numbers is as far as anything can be
        standard = (features.astype(np.float64) - mean) / scale
    return np.asarray(standard.clip(-LARGEST, LARGEST), dtype=np.float32)


def _directions(rows: Rows) -> Rows:
    lengths: Rows = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)


def _unit(rows: Rows) -> float:
    """The distance to the nearest other row that only 1 % of the rows exceed."""
    lengths = np.square(rows).sum(1)
    squared = rows @ (-2 * rows.T) + lengths + lengths[:, None]
    np.fill_diagonal(squared, np.inf)
    unit = float(np.quantile(np.sqrt(np.maximum(squared.min(1), 0)), OWN, method="higher"))
    return max(unit, SMALLEST)


def _nearest_of(domains: list[Seen], rows: Rows) -> NDArray[np.float64]:
    """The distance of each row to the domain that is nearer in its own unit ``(n,)``."""
    nearer: NDArray[np.float64] = np.min([_nearest(rows, domain.rows) / domain.unit for domain in domains], axis=0)
    return nearer


def _nearest(rows: Rows, others: Rows) -> NDArray[np.float64]:
    """The distance of each of ``rows (n, d)`` to the nearest of ``others (m, d)``, ``(n,)``."""
    turned, lengths = -2 * others.T, np.square(others).sum(1)
    least = np.empty(len(rows))
    for i in range(0, len(rows), AT_ONCE):
        squared = rows[i : i + AT_ONCE] @ turned
        squared += lengths
        least[i : i + AT_ONCE] = squared.min(1)
    distances: NDArray[np.float64] = np.sqrt(np.maximum(least + np.square(rows).sum(1), 0))
    return distances
