"""Whether a shift harms a model: how far another one that agrees with it on the source can disagree on the target."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.shift.columns import Tested, percent
from acclimate.shift.effects import effect_of_distance
from acclimate.shift.kernel import tail
from acclimate.shift.rows import reduced
from acclimate.shift.two_sample import FEWEST, Codes, Rows

MOST_LEARNT = 1000
"""Most source examples on which the models must agree."""
MOST = 100
"""Most examples of the target on which they disagree."""
MOST_HELD = 2000
"""Most held-out examples of the source."""
SAMPLES = 49
"""Samples of held-out source examples that say how much disagreement is usual."""
DIRECTIONS = 32
"""Principal directions that the features are reduced to."""
EACH = 5
"""Examples of a class, on average, below which labels are rather numbers."""
CLASSES = 50
"""Most classes of labels from which a model is fitted."""


class Judged(NamedTuple):
    """Features ``(n, d)``, and a model's probabilities of the classes ``(n, k)``."""

    x: Rows
    probabilities: NDArray[np.float64]

    def take(self, rows: Codes) -> "Judged":
        """Some of them."""
        return Judged(self.x[rows], self.probabilities[rows])

    def counts(self) -> Codes:
        """How often each class is predicted ``(k,)``."""
        return np.bincount(self.probabilities.argmax(1), minlength=self.probabilities.shape[1])


class HarmTest(NamedTuple):
    """How much models can disagree with the model that they agree with on the source.

    Attributes:
        score: Mean probability of another class than the model's on the target.
        rate: Share of the target's examples with another class.
        usual: The same share of as many held-out source examples.
        n: Number of these examples.
        p: One-sided p-value that the target is like the held-out source.
    """

    score: float
    rate: float
    usual: float
    n: int
    p: float


def harm_test(learnt: Judged, held: Judged, target: Judged, *, seed: int = 0) -> HarmTest | None:
    r"""Test whether the source leaves a model's classes on the target more open than on held-out source examples.

    A linear model :math:`g` learns the model's classes :math:`f(x)` on the source, and on a sample of :math:`n` other
    examples the class that the model finds second likeliest. The statistic is the mean probability of another class,

    .. math:: \phi = \frac{1}{n} \sum_i 1 - g_{f(x_i)}(x_i)

    compared with that of held-out samples with as many examples of each predicted class, so that other class shares
    alone are no harm. As these overlap, their spread is too small by the factor

    .. math:: \sqrt{\sum_c n_c (1 - n_c / h_c) \big/ \sum_c n_c (1 + n_c / h_c)}

    with :math:`n_c` of the :math:`h_c` held-out examples in a sample, which is at most half of them. The test finds
    shifts that move examples to where the source does not determine the model's classes. A model can still be right on
    them, and wrong on others. The cost is 50 linear models of at most 1 100 examples in 32 directions: one to three
    seconds.

    Args:
        learnt: Examples of the source; on these the models agree.
        held: Held-out examples of the source, not among these, nor among those the model learnt from.
        target: Examples of the target.
        seed: Seed of the draws.

    Returns:
        The test; None if there are too few examples, or the model knows one class only.

    Reference:
        Ginsberg et al., A Learning Based Hypothesis Test for Harmful Covariate Shift, ICLR 2023. arXiv:2212.02742. It
        fine-tunes the model itself, several times over, or boosts trees.
    """
    rng = np.random.default_rng(seed)
    sizes = ((learnt, MOST_LEARNT), (held, MOST_HELD), (target, len(target.x)))
    learnt, held, target = (one.take(rng.permutation(len(one.x))[:most]) for one, most in sizes)
    of_held, of_target = held.counts(), target.counts()
    share = min(1.0, MOST / max(1, np.minimum(of_target, of_held // 2).sum()))
    counts = (share * np.minimum(of_target, of_held // 2)).astype(int)
    if counts.sum() < FEWEST or np.count_nonzero(learnt.counts()) < 2:
        return None
    score, rate = disagreement(learnt, _drawn(target, counts, rng))
    null = np.array([disagreement(learnt, _drawn(held, counts, rng)) for _ in range(SAMPLES)])
    drawn = counts / of_held.clip(1)
    wider = np.sqrt((counts * (1 + drawn)).sum() / (counts * (1 - drawn)).sum())
    scores, usual = null.T
    p = max(1e-300, tail(score, scores.mean() + wider * (scores - scores.mean())))
    return HarmTest(score, rate, float(usual.mean()), int(counts.sum()), p)


def _drawn(one: Judged, counts: Codes, rng: np.random.Generator) -> Judged:
    """Draw so many examples of each predicted class."""
    order = rng.permutation(len(one.x))
    predicted = one.probabilities[order].argmax(1)
    return one.take(np.concatenate([order[predicted == k][:count] for k, count in enumerate(counts)]))


def disagreement(learnt: Judged, sample: Judged) -> tuple[float, float]:
    """Return the mean probability, and the rate, of another class on the sample by a model that agrees elsewhere."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    order = np.argsort(-sample.probabilities, 1, kind="stable")
    own, rival = order[:, 0], order[:, 1]
    x, y = np.concatenate([learnt.x, sample.x]), np.concatenate([learnt.probabilities.argmax(1), rival])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is as valid
        model = LogisticRegression(max_iter=100).fit(x, y)
    p = model.predict_proba(sample.x)
    of_own = np.where(model.classes_ == own[:, None], p, 0).sum(1)
    return float(1 - of_own.mean()), float(np.mean(model.classes_[p.argmax(1)] != own))


def of_model(learnt: Judged, held: Judged, target: Judged, *, model: str = "the model") -> Tested | None:
    """Return the test of a model by its features and probabilities.

    Args:
        learnt: Examples of the source.
        held: Held-out examples of it; those among ``learnt`` are left out there.
        target: Examples of the target.
        model: How a sentence names it.
    """
    a, b, c = reduced(learnt.x, held.x, target.x, directions=DIRECTIONS)
    apart = ~_among(a, b)
    found = harm_test(
        Judged(a[apart], learnt.probabilities[apart]), Judged(b, held.probabilities), Judged(c, target.probabilities)
    )
    return None if found is None else _told(found, model)


def of_labels(source: Rows, labels: Codes, target: Rows, *, seed: int = 0) -> Tested | None:
    """Return the test of a linear model that learns the source's labels ``(n,)`` from half of its examples."""
    from sklearn.linear_model import LogisticRegression

    a, b = reduced(source, target, directions=DIRECTIONS)
    order = np.random.default_rng(seed).permutation(len(a))
    some, others = order[: len(a) // 2][:MOST_LEARNT], order[len(a) // 2 :]
    n_classes = len(np.unique(labels[some]))
    if not 2 <= n_classes <= min(CLASSES, len(some) // EACH) or len(others) < 2 * FEWEST:
        return None
    model = LogisticRegression(max_iter=200).fit(a[some], labels[some])
    right = float(np.mean(model.predict(a[others]) == labels[others]))
    judged = [Judged(x, model.predict_proba(x)) for x in (a[some], a[others], b)]
    found = harm_test(*judged, seed=seed)
    name = f"a linear model of the source's labels (accuracy {percent(right)} on its held-out examples)"
    return None if found is None else _told(found, name)


def _told(found: HarmTest, model: str) -> Tested:
    effect = effect_of_distance(max(0.0, found.rate - found.usual))
    text = (
        f"another model that agrees with it on the source can disagree with it on {percent(found.rate)} of {found.n} "
        f"target examples; on {percent(found.usual)} of as many held-out source examples"
    )
    return Tested(model, "disagreement test", found.score, found.p, effect, text, None)


def _among(x: Rows, others: Rows) -> NDArray[np.bool_]:
    """Whether each row of ``x`` is one of ``others``, up to rounding."""
    from scipy.spatial import cKDTree

    spread = float(np.sqrt(others.var(0).sum())) or 1.0
    return np.asarray(cKDTree(others).query(x, distance_upper_bound=1e-4 * spread)[0] < np.inf)
