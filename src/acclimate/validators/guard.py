"""The guard: which of source-only and adapted is the safer model to keep, with the reason in one sentence."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betainc, expit, log_expit
from scipy.stats import binomtest

from acclimate.errors import BadInput, did_you_mean
from acclimate.validators.estimate.combined import Known, Unknown
from acclimate.validators.evidence import Pair

Kept = Literal["source_only", "adapted"]


class Rule(NamedTuple):
    """Log odds that the adapted model is the better one: ``offset`` + Σ weight × gain of each cue.

    The cues are those of `evidence` by name, and ``estimate``, the difference of the combined estimates.
    """

    offset: float
    weights: Mapping[str, float]


RULE = Rule(
    -0.5,
    {
        "checkers": 5.0,
        "clusters": 5.0,
        "stability": 2.0,
        "critic": 2.0,
        "shares": 1.0,
        "source": 1.0,
        "estimate": 4.0,
    },
)
"""Until a benchmark fits them. The offset prefers source-only where the cues say nothing."""
SURE = 0.5
"""Probability of being better above which the adapted model is kept."""
STRENGTH = 1.0
"""Weight of the ridge penalty when a rule is fitted."""
MENTIONED = 0.2
"""Log odds that a cue must move to be mentioned."""
WORDS = {
    "checkers": ("independent classifiers confirm it more often", "independent classifiers confirm it less often"),
    "critic": ("critics find less to doubt in its predictions", "critics find more to doubt in its predictions"),
    "clusters": (
        "its predictions follow the target's clusters better",
        "its predictions cut across the target's clusters",
    ),
    "stability": ("its seeds agree more often", "its seeds agree less often"),
    "shares": ("its class shares are nearer to the expected ones", "its class shares are far from the expected ones"),
    "source": ("it is better on the source", "it is worse on the source"),
    "estimate": ("its estimated accuracy is higher", "its estimated accuracy is lower"),
}
"""What each cue says for and against the adapted model."""


class Labels(NamedTuple):
    """Whether each model is right on labelled target examples that are given to choose by ``(n,)``.

    Labels that choose cannot report as well: of two models, the one that they favour looks better on them than it is.
    """

    source_only: NDArray[np.bool_]
    adapted: NDArray[np.bool_]

    @property
    def gained(self) -> int:
        """Examples on which only the adapted model is right."""
        return int((self.adapted & ~self.source_only).sum())

    @property
    def lost(self) -> int:
        """Examples on which only source-only is right."""
        return int((self.source_only & ~self.adapted).sum())


class Verdict(NamedTuple):
    """Which model to keep.

    Attributes:
        kept: ``"adapted"`` or ``"source_only"``.
        probability: That the adapted model is the better one, by the rule; 0 if a gate rejects it.
        sentence: Why, to print.
    """

    kept: Kept
    probability: float
    sentence: str


def guard(
    cues: Mapping[str, Pair],
    *,
    gates: Sequence[str] = (),
    estimates: tuple[Known | Unknown, Known | Unknown] | None = None,
    labels: Labels | None = None,
    rule: Rule = RULE,
) -> Verdict:
    r"""Weigh paired evidence for the adapted model.

    .. math::
        \log \frac{P}{1 - P} = b + \sum_c w_c \, (a_c - s_c)
            + \log \frac{P(\theta > \frac12 \mid g, l)}{P(\theta < \frac12 \mid g, l)}

    The last term is of labelled target examples: :math:`g` on which only the adapted model is right and :math:`l` on
    which only source-only is, with :math:`\theta` uniform before. Confidence of the adapted model is no cue, as many
    methods maximise it. A cue that could not be computed counts as no difference.

    Args:
        cues: Pairs of `evidence` by name.
        gates: Reasons to reject the adapted model outright, e.g. of `collapse.collapsed`; empty ones are ignored.
        estimates: Combined estimates of source-only and of the adapted model; used if both are known.
        labels: Which labelled target examples each model gets right.
        rule: Weights of the cues.

    Raises:
        BadInput: A cue is unknown to the rule, or the labels are not of the same examples.
    """
    if fired := [reason for reason in gates if reason]:
        return Verdict("source_only", 0.0, f"Source-only is kept: {'; '.join(fired)}.")
    pairs = {**cues, **_of_estimates(estimates)}
    moved = contributions(pairs, rule)
    odds = rule.offset + sum(moved.values()) + (log_odds(labels) if labels else 0.0)
    kept: Kept = "adapted" if expit(odds) > SURE else "source_only"
    return Verdict(kept, float(expit(odds)), _sentence(kept, moved, labels))


def contributions(pairs: Mapping[str, Pair], rule: Rule) -> dict[str, float]:
    """Log odds that each cue adds.

    Raises:
        BadInput: A cue is unknown to the rule.
    """
    for name in pairs:
        if name not in rule.weights:
            raise BadInput(f"guard: no cue {name!r}; {did_you_mean(name, rule.weights)}")
    return {name: rule.weights[name] * pair.gain for name, pair in pairs.items()}


def log_odds(labels: Labels) -> float:
    """Log odds that the adapted model is the better one, from the examples on which one model alone is right.

    Raises:
        BadInput: The labels are not of the same examples.
    """
    if labels.source_only.shape != labels.adapted.shape:
        raise BadInput(f"guard: labels of {len(labels.source_only)} and of {len(labels.adapted)} examples")
    a, b = labels.gained + 1, labels.lost + 1
    better, worse = betainc(b, a, 0.5), betainc(a, b, 0.5)
    return math.log(max(better, 1e-300)) - math.log(max(worse, 1e-300))


def _of_estimates(estimates: tuple[Known | Unknown, Known | Unknown] | None) -> dict[str, Pair]:
    if estimates is None or any(isinstance(one, Unknown) for one in estimates):
        return {}
    source_only, adapted = (one.accuracy for one in estimates if isinstance(one, Known))
    return {"estimate": Pair(source_only, adapted)}


def _sentence(kept: Kept, moved: Mapping[str, float], labels: Labels | None) -> str:
    sign = 1 if kept == "adapted" else -1
    strongest = sorted((name for name in moved if abs(moved[name]) >= MENTIONED), key=lambda name: -abs(moved[name]))
    said = [WORDS[name][int(moved[name] < 0)] for name in strongest if sign * moved[name] > 0][:2]
    against = [WORDS[name][int(moved[name] < 0)] for name in strongest if sign * moved[name] < 0][:1]
    reasons = [*([_of_labels(labels)] if labels else []), *said] or ["there is no evidence that adaptation helps"]
    text = ", and ".join(reasons) + (f", although {against[0]}" if against and said else "")
    return f"{'Adapted' if kept == 'adapted' else 'Source-only'} is kept: {text}."


def _of_labels(labels: Labels) -> str:
    gained, lost = labels.gained, labels.lost
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    changes = f"adaptation corrects {gained} and breaks {lost} (p = {p:.2g})"
    return f"of {len(labels.adapted)} labelled target examples, {changes}"


class Case(NamedTuple):
    """Cues on a task with known accuracies, for `fit`: what adaptation gained in truth."""

    cues: Mapping[str, Pair]
    gain: float


def fit(cases: Sequence[Case], names: Sequence[str], *, strength: float = STRENGTH) -> Rule:
    r"""Fit a rule by logistic regression, in which a case counts by how much is at stake.

    .. math::
        \min_{b, \, w \ge 0} \; - \sum_i \frac{|g_i|}{\overline{|g|}} \log \sigma\Big( \mathrm{sign}(g_i)
            \big( b + \textstyle\sum_c w_c x_{ic} \big) \Big) + \frac{\lambda}{2} \lVert w / 10 \rVert^2

    Args:
        cases: Tasks with known accuracies.
        names: Cues to use; one that a case lacks counts as no difference.
        strength: Weight of the penalty.

    Raises:
        BadInput: There are no cases, or adaptation changes nothing in any.
    """
    gains = np.array([case.gain for case in cases])
    if not gains.any():
        raise BadInput("guard: no cases in which adaptation changes the accuracy")
    x = np.array([[case.cues[name].gain if name in case.cues else 0.0 for name in names] for case in cases])
    x = np.column_stack([np.ones(len(x)), x])
    stake, sign = np.abs(gains) / np.abs(gains).mean(), np.sign(gains)
    scale = np.append(0, np.full(len(names), 0.01))

    def objective(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = sign * (x @ w)
        loss = -float(stake @ log_expit(odds)) + strength / 2 * float(scale @ w**2)
        return loss, -x.T @ (stake * sign * expit(-odds)) + strength * scale * w

    bounds = [(None, None), *[(0, None)] * len(names)]
    found = minimize(objective, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Rule(float(found[0]), dict(zip(names, found[1:].tolist(), strict=True)))
