"""A task of Gaussian classes in two domains, models for it, and planted collapses."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from acclimate.validators.candidate import Candidate
from acclimate.validators.mixval import RATIO, draw_pairs


@dataclass(frozen=True)
class Task:
    """Features and classes of the source's two splits and of the target."""

    train: tuple
    source: tuple
    target: tuple


def task(k=4, d=8, n=400, *, shares=None, shift=1.5, apart=3.0, seed=0):
    """Classes ``apart`` from one another; the target is moved by ``shift`` and has ``shares`` of the classes."""
    rng = np.random.default_rng(seed)
    centres, moved = apart * np.eye(k, d), shift * rng.standard_normal(d) / np.sqrt(d) * 2

    def draw(p, by):
        y = np.concatenate([np.arange(k) if p is None else [], rng.choice(k, n, p=p)]).astype(int)[:n]
        return centres[y] + rng.standard_normal((n, d)) + by, y

    return Task(draw(None, 0), draw(None, 0), draw(shares, moved))


def model(of, x, y, method):
    """A candidate: a linear model fitted on ``x`` and ``y``, with every part that a validator may need."""
    fitted = LogisticRegression(max_iter=1000).fit(x, y)
    rng = np.random.default_rng(1)

    def predict(features):
        return fitted.predict_proba(features)

    (xs, ys), (xt, _) = of.source, of.target
    pairs = draw_pairs(predict(xt).argmax(1))
    return Candidate(
        method,
        predict(xs),
        ys,
        predict(xt),
        source_features=xs,
        target_features=xt,
        head=fitted.coef_ if len(fitted.coef_) > 1 else np.concatenate([-fitted.coef_, fitted.coef_]),
        second_view=predict(xt + 0.3 * rng.standard_normal(xt.shape)),
        pairs=pairs,
        mixed=predict(RATIO * xt[pairs[:, 0]] + (1 - RATIO) * xt[pairs[:, 1]]),
    )


def source_only(of):
    """A model that knows the source's training split alone."""
    return model(of, *of.train, "source_only")


def healthy(of, method="dann"):
    """A model that knows the target's classes too: what an adaptation would like to be."""
    x, y = (np.concatenate(parts) for parts in zip(of.train, of.target, strict=True))
    return model(of, x, y, method)


def accuracy(candidate, of):
    """On the target."""
    return (candidate.predicted == of.target[1]).mean()


def one_class(candidate):
    """The candidate with one class for everything on the target, in every part."""

    def all_first(p):
        return np.eye(p.shape[1])[np.zeros(len(p), int)] * 0.998 + 0.002 / p.shape[1]

    return _with(candidate, all_first)


def merged(candidate, *, on_source=True):
    """The candidate with class 1 taken for class 0."""

    def merge(p):
        return np.concatenate([p[:, :1] + p[:, 1:2], np.zeros((len(p), 1)), p[:, 2:]], 1)

    both = _with(candidate, merge)
    return replace(both, source=merge(candidate.source)) if on_source else both


def confident_noise(candidate, seed=0):
    """The candidate with a random class of probability .999 for every example of the target."""
    rng = np.random.default_rng(seed)

    def noise(p):
        n, k = p.shape
        return np.where(np.eye(k)[rng.integers(k, size=n)] > 0, 0.999, 0.001 / (k - 1))

    return _with(candidate, noise)


COLLAPSES = {
    "one class": one_class,
    "merged": merged,
    "merged on the target": lambda candidate: merged(candidate, on_source=False),
    "confident noise": confident_noise,
}


def _with(candidate, change):
    parts = {part: change(getattr(candidate, part)) for part in ("target", "second_view", "mixed")}
    return replace(candidate, **parts)
