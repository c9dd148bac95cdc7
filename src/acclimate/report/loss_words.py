"""What the curves of the losses say, in a sentence each."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from acclimate.report.losses import mean_curve
from acclimate.report.plots import LABEL_LOSSES

CHANCE = 2 * math.log(2)
"""Loss of a domain discriminator that cannot tell the domains apart; see `acclimate.nn.losses.domain_loss`."""
ENDS = 10
"""Each end of a curve is the mean of a tenth of its points."""
FLAT = 0.05
"""Relative change below which a loss has stayed as it was."""
MEANINGS: Mapping[str, str] = {
    "class": "how well the labels are predicted",
    "squared error": "how well the labels are predicted",
    "confusion": "how much the predictions on the target mix up classes",
    "discrepancy": "how far two classifiers disagree on the target",
    "entropy": "how uncertain the predictions on the target are",
    "consistency": "how far student and teacher disagree on the target",
    "smoothness": "how much a small change of an example changes its prediction",
    "inverted": "how badly the target's features fool the discriminator, times a weight that grows",
    "norm": "how far the features are from the norm that the method wants",
    "nuclear norm": "minus how sure and how varied the predictions on the target are",
    "disagree": "how closely the second classifier follows the first on the target",
    "agree": "how far the second classifier is from the first on the source",
    "joint mmd": "the distance between the domains, in features and predictions, times a weight that grows",
    "transport features": "the distance that features have to be moved between the domains",
    "transport class": "how unlike the labels of paired examples are",
    "diversity": "how one-sided the predicted classes are",
    "prediction": "how far two views of an image are apart",
    "invariance": "how far two views of an image are apart",
    "variance": "how much the features of different images coincide",
    "covariance": "how much the features repeat one another",
    "balance": "how one-sided the predicted classes are",
}
"""What a loss measures, by its name."""
DISTANCES = ("mmd", "coral")
"""Losses whose names begin so are distances between the domains, of one layer each."""
CONFIDENCE = ("confusion", "entropy", "nuclear norm")
"""Losses that fall as predictions become confident, whether or not they are right."""


class Ends(NamedTuple):
    """Where a curve begins and ends."""

    first: float
    last: float

    @property
    def moves(self) -> str:
        """How the loss moves, in words.

        Example:
            >>> Ends(1.0, 0.5).moves, Ends(1.0, 0.98).moves, Ends(0.5, 2.0).moves
            ('falls from 1 to 0.5', 'stays near 0.98', 'rises from 0.5 to 2')
        """
        first, last = (f"{value:.3g}".replace("-", "−") for value in self)
        if abs(self.last - self.first) <= FLAT * max(abs(self.first), abs(self.last)):
            return f"stays near {last}"
        return f"{'falls' if self.last < self.first else 'rises'} from {first} to {last}"


def explain_losses(curves: pl.DataFrame) -> dict[str, str]:
    """Return a sentence for each loss by name, from the ends of its curve in the last phase that has it.

    Args:
        curves: As `acclimate.report.losses.read_losses` returns them.
    """
    ends: dict[str, dict[str, Ends]] = {}
    for (phase, name), curve in curves.group_by("phase", "name", maintain_order=True):
        values = mean_curve(curve)["value"]
        part = max(1, len(values) // ENDS)
        if len(values) > 1:
            ends.setdefault(str(name), {})[str(phase)] = Ends(_mean(values.head(part)), _mean(values.tail(part)))
    return {name: _explain(name, by_phase, ends.get("source_val_loss", {})) for name, by_phase in ends.items()}


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def _explain(name: str, by_phase: Mapping[str, Ends], validation: Mapping[str, Ends]) -> str:
    phase = "adapted" if "adapted" in by_phase else list(by_phase)[-1]
    found = by_phase[phase]
    if name == "domain":
        return explain_discriminator(found.last)
    meaning = MEANINGS.get(name, "the distance between the domains" if name.startswith(DISTANCES) else "")
    sentence = f"{meaning[:1].upper()}{meaning[1:]}: {found.moves}." if meaning else f"It {found.moves}."
    if name in LABEL_LOSSES and (held := validation.get(phase)):
        sentence += _overfits(found, held)
    if name in CONFIDENCE and found.moves.startswith("falls"):
        sentence += " Predictions become more confident, which does not make them right."
    return sentence


def _overfits(training: Ends, held: Ends) -> str:
    if training.last < training.first and held.last > held.first * (1 + FLAT):
        return " On held-out source examples it rises: the model overfits; train fewer steps."
    return ""


def explain_discriminator(loss: float) -> str:
    """Return what the loss of a domain discriminator means.

    Example:
        >>> explain_discriminator(0.02)
        'At 1 % of chance, the discriminator tells almost every example’s domain: the domains are still told apart.'
    """
    share = loss / CHANCE
    at = f"At {share:.0%} of chance".replace("%", " %")
    if share < 0.25:
        return f"{at}, the discriminator tells almost every example’s domain: the domains are still told apart."
    if share < 0.85:
        return f"{at}, the discriminator tells many examples’ domain: the domains are partly aligned."
    return f"{at}, the discriminator hardly tells the domains apart: they are aligned as far as it can see."
