"""Every method for networks beats source-only on a small shift that it is made for.

A new method is tested on `tilted` without being named; one that assumes something else has a row in `SHIFTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits, make_moons

from acclimate import Training, fit, methods
from acclimate.nn import Classifier, mlp

SEEDS = 0, 1, 2
LEAST_GAIN = 0.03
"""What a method must add to the accuracy of source-only, as the mean over the seeds."""


@dataclass(frozen=True)
class Shift:
    """A function from a seed to source and target, each a pair ``(x, y)``, and the training that suits them."""

    domains: Callable
    head: tuple[int, ...] = ()
    steps: int = 300
    lr: float = 3e-3

    @property
    def training(self):
        return Training(steps=self.steps, batch_size=32, optimizer="adam", lr=self.lr, schedule="cosine")


def scans(seed, change, n=400):
    """Real handwritten digits, 8 pixels a side; ``change`` acts on those of the target."""
    x, y = load_digits(return_X_y=True)
    x, order = x.reshape(-1, 8, 8) / 8 - 1, np.random.default_rng(seed).permutation(len(x))
    source, target = order[:n], order[n : 2 * n]
    rows = [x[source], np.stack([change(image) for image in x[target]])]
    return [(r.reshape(n, -1).astype(np.float32), y[of]) for r, of in zip(rows, (source, target), strict=True)]


def tilted(seed):
    return scans(seed, lambda image: ndimage.rotate(image, 25, reshape=False, order=1, cval=-1))


def pushed(seed):
    return scans(seed, lambda image: np.pad(image, ((0, 0), (1, 0)), constant_values=-1)[:, :-1])


def cloud(seed, n=300, *, angle=0.0, move=(0, 0)):
    """Three round classes in a plane, which turn by ``angle`` and move, beside two columns of noise."""
    rng, y, around = np.random.default_rng(seed), np.arange(n) % 3, np.pi * (0.5 + np.arange(3) * 2 / 3)
    plane = 2 * np.stack([np.cos(around), np.sin(around)], 1)[y] + 0.5 * rng.normal(size=(n, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([plane @ turn.T + move, 0.5 * rng.normal(size=(n, 2))]).astype(np.float32), y


def moved(seed):
    return cloud(seed), cloud(100 + seed, angle=0.3, move=(1.0, -0.7))


def two_cues(seed, n=300, *, intact=True):
    """Two classes that column 0 tells, and column 1 better, which is noise unless ``intact``."""
    rng, y = np.random.default_rng(seed), np.arange(n) % 2
    x = 0.5 * rng.normal(size=(n, 4))
    x[:, 0] += 1.2 * (2 * y - 1)
    x[:, 1] = 0.4 * (2 * y - 1) + 0.2 * rng.normal(size=n) if intact else 2 * rng.normal(size=n)
    return x.astype(np.float32), y


def lost_cue(seed):
    return two_cues(seed), two_cues(100 + seed, intact=False)


def moon(seed, degrees):
    x, y = make_moons(300, noise=0.05, random_state=seed)
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return (2 * (x - x.mean(0)) @ turn).astype(np.float32), y


def turned_moons(seed):
    return moon(seed, 0), moon(100 + seed, 30)


TILTED = Shift(tilted)
TWO_HEADS = Shift(moved, head=(64,), steps=400, lr=1e-3)
SHIFTS = {
    # small movements of all pixels: clusters stay clusters, features keep their meaning, most predictions stay right
    **dict.fromkeys(("adda", "bnm", "dan", "dann", "jan", "mcc", "self_training"), TILTED),
    # source-only is right on 4 of 10, but neighbours share a class; the covariance of the features moves most
    **dict.fromkeys(("deep_coral", "deepjdot", "nrc", "shot"), Shift(pushed)),
    # a feature that only the source has: alignment must drop it; two classes, so that predictions condition well
    "cdan": Shift(lost_cue),
    # where predictions are confident within a few hundred steps, as the teacher's threshold of 0.968 needs
    "mean_teacher": Shift(lost_cue),
    # few dimensions: the smallest change that its radius allows, relative to the length, can matter
    "vada": Shift(turned_moons),
    # heads that can disagree: a hidden layer each, as in the papers
    **dict.fromkeys(("mcd", "mdd"), TWO_HEADS),
}
"""The shift for each method; all methods keep their default options."""
DOES_HARM = {"afn": Shift(pushed)}
"""AFN asks for larger features but not for a direction, and its step is that of pretrained features of photographs.
Small nets grow what separates the source: in trials it gained 3 points on none of ten shifts of these kinds."""
UNSUPERVISED = [name for name in methods.names() if name not in {"source_only", "supervised"}]


def network(domains, shift, seed):
    (x, y), _ = domains
    torch.manual_seed(seed)
    classes = int(y.max()) + 1
    return Classifier(mlp(x.shape[1], 64, 64), mlp(64, *shift.head, classes), n_features=64, n_classes=classes)


@cache
def source_only(shift, seed, label_smoothing=0.0):
    source, target = domains = shift.domains(seed)
    method = methods.get("source_only")(network(domains, shift, seed), label_smoothing=label_smoothing)
    return fit(method, source, target[0], training=shift.training, seed=seed)


def adapted(name, shift, seed):
    kind, (source, target) = methods.get(name), shift.domains(seed)
    if kind.starts_from:
        start = source_only(shift, seed, **kind.start_options).model
        return fit(kind, None, target[0], model=start, training=shift.training, seed=seed)
    model = network((source, target), shift, seed)
    return fit(kind, source, target[0], model=model, training=shift.training, seed=seed)


def gains(name, shift):
    def gain(seed):
        x, y = shift.domains(seed)[1]
        fitted = adapted(name, shift, seed), source_only(shift, seed)
        after, before = ((f.predict(x) == y).mean() for f in fitted)
        return after - before

    return np.array([gain(seed) for seed in SEEDS])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in UNSUPERVISED if name not in DOES_HARM])
def test_method_beats_source_only(name):
    found = gains(name, SHIFTS.get(name, TILTED))
    assert found.mean() >= LEAST_GAIN, found
    assert found.min() > 0, found


@pytest.mark.slow
@pytest.mark.parametrize("name", DOES_HARM)
def test_exception_is_one(name):
    found = gains(name, DOES_HARM[name])
    assert found.max() < 0, f"{found}: no loss on every seed any more; try it among SHIFTS"
