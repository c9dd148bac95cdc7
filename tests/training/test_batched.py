"""Several trainings at once come to what each comes to alone."""

import numpy as np
import pytest
import torch
from torch import nn

import acclimate
from acclimate import methods
from acclimate.errors import BadInput
from acclimate.methods.base import Method
from acclimate.nn import label_loss
from acclimate.training import batched
from acclimate.training.engine import Diverged
from acclimate.training.fit import fit, fit_many
from acclimate.training.stack import Stack

SEEDS = [0, 1, 2]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def data(n=60, m=50, d=5):
    g = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = g.normal(size=(n, d)).astype(np.float32)
    x[:, 0] += y
    return (x, y), g.normal(0.5, 1, (m, d)).astype(np.float32)


def training(**changed):
    return acclimate.Training(**{"steps": 20, "batch_size": 16, "optimizer": "sgd", "lr": 0.01} | changed)


def agree(method, settings, *, seeds=SEEDS, **given):
    """Whether each model trained with others has the weights and losses of the one trained alone."""
    given = {"training": training()} | given
    together = fit_many(method, *data(), seeds=seeds, settings=settings, **given)
    alone = [fit_many(method, *data(), seeds=[s], settings=[own], **given)[0] for own in settings for s in seeds]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.method.state_dict(), b.method.state_dict(), **CLOSE)
        assert [step.done for step in a.history] == [step.done for step in b.history]
        for ours, theirs in zip(a.history, b.history, strict=True):
            assert ours.losses == pytest.approx(theirs.losses, rel=1e-4, abs=1e-5)


@pytest.fixture
def stacks(monkeypatch):
    """The numbers of members of all stacks that were made."""
    found, init = [], Stack.__init__

    def counted(self, members, generators):
        found.append(len(members))
        init(self, members, generators)

    monkeypatch.setattr(Stack, "__init__", counted)
    return found


QUICK = ("dann", "mcc", "bnm")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in methods.names()]
)
def test_seeds_and_settings_together_are_those_alone(name, stacks):
    kind = methods.get(name)
    narrow = {"widths": (8,)} if "widths" in methods.options(name) else {}
    numbers = [k for k, p in methods.options(name).items() if isinstance(p.default, float)]
    labels = {"target_labels": (data()[1], np.arange(50) % 3)} if "target_labels" in kind.needs else {}
    settings = [narrow, narrow | {numbers[0]: 0.3}] if numbers else [narrow, {"train.lr": 0.003}]
    agree(name, settings, **labels)
    assert (stacks == [6]) == kind.batched


def test_one_model_is_that_of_fit_to_the_bit():
    [one] = fit_many("mcc", *data(), seeds=[3], training=training())
    expected = fit("mcc", *data(), seed=3, training=training())
    torch.testing.assert_close(one.method.state_dict(), expected.method.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adamw", *(pytest.param(o, marks=pytest.mark.slow) for o in ("adam", "sgd"))])
def test_each_has_its_own_rates(optimizer, stacks):
    settings = [{"train.lr": 0.01}, {"train.lr": 0.001, "train.weight_decay": 0.1}, {"train.head_lr": 3.0}]
    agree("source_only", settings, training=training(optimizer=optimizer))
    assert stacks == [9]


def net(*layers):
    return nn.Sequential(nn.Linear(5, 8), *layers, nn.ReLU())


@pytest.mark.slow
@pytest.mark.parametrize("layer", [nn.BatchNorm1d(8), nn.Dropout(0.5), nn.LayerNorm(8)])
def test_layers_of_a_net_do_what_they_do_alone(layer, stacks):
    agree("mcc", [{}, {"weight": 0.5}], model=net(layer))
    assert stacks == [6]


def test_snapshots_are_models_trained_so_far():
    given = {"training": training(schedule="constant"), "model": net(nn.BatchNorm1d(8)), "seeds": [0, 1]}
    x = data()[1]
    for fitted in (
        fit_many("bnm", *data(), **given, snapshots=[10]),
        fit_many("vada", *data(), **given, snapshots=[10]),
    ):
        assert all(list(one.snapshots) == [10] for one in fitted)
        assert not any(one.snapshots[10].training for one in fitted)
        a, b = (one.snapshots[10](torch.from_numpy(x)).logits for one in fitted)
        assert not torch.allclose(a, b)
    shorter = fit_many("source_only", *data(), **given | {"training": training(schedule="constant", steps=10)})
    longer = fit_many("source_only", *data(), **given, snapshots=[10])
    for a, b in zip(shorter, longer, strict=True):
        torch.testing.assert_close(b.snapshots[10].state_dict(), a.model.state_dict(), **CLOSE)


def test_validation_is_that_of_each():
    held = (data()[0][0][:20], data()[0][1][:20])
    agree("mcc", [{}], validation=held, training=training(validate_every=10))


@pytest.mark.parametrize("method", ["mcc", "bnm"])
def test_one_that_diverges_does_not_stop_the_others(method, monkeypatch):
    settings, outcomes = [{}, {"train.lr": 1e30}, {"weight": 0.5}], []

    def kept(*given, **named):
        outcomes.extend(batched.train_many(*given, **named))
        return outcomes

    monkeypatch.setattr("acclimate.training.fit.train_many", kept)
    with pytest.raises(Diverged):
        fit_many(method, *data(), settings=settings, training=training())
    monkeypatch.undo()
    assert isinstance(outcomes.pop(1), Diverged)
    for outcome, own in zip(outcomes, settings[::2], strict=True):
        [alone] = fit_many(method, *data(), settings=[own], training=training())
        torch.testing.assert_close(outcome.method.state_dict(), alone.method.state_dict(), **CLOSE)


def test_one_that_diverges_is_named():
    with pytest.raises(Diverged, match=r"seed 0, settings \{'train.lr': 1e\+30\}: loss"):
        fit_many("mcc", *data(), settings=[{}, {"train.lr": 1e30}], training=training())


class DrawsUnknownNumbers(Method):
    """Draws in a way that a stack cannot repeat."""

    def losses(self, source, labels, target, progress):
        return {"class": label_loss(source.logits[torch.randperm(len(labels))], labels)["class"]}


class HasOtherGradients(Method):
    """Its gradient depends on Python that a trace does not see."""

    def losses(self, source, labels, target, progress):
        logits = source.logits * 2 if source.logits.grad_fn is not None and type(progress) is float else source.logits
        return label_loss(logits, labels)


@pytest.mark.parametrize("kind", [DrawsUnknownNumbers, HasOtherGradients])
def test_what_cannot_be_stacked_is_trained_one_by_one(kind):
    agree(kind, [{}])


def test_large_models_are_stacked_in_parts(stacks, monkeypatch):
    monkeypatch.setattr(
        batched,
        "MOST_NUMBERS",
        2 * sum(p.numel() for p in fit_many("mcc", *data(), training=training())[0].method.parameters()),
    )
    agree("mcc", [{}])
    assert stacks == [2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"backbone.hidden": 9}, "backbone"), ({"wieght": 1.0}, "weight"), ({"train.rate": 1.0}, "train.lr|rate")],
)
def test_settings_that_do_not_exist_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        fit_many("mcc", *data(), settings=[settings], training=training())


def test_a_seed_that_is_given_twice_is_trained_twice():
    a, b = fit_many("mcc", *data(), seeds=[1, 1], training=training())
    torch.testing.assert_close(a.method.state_dict(), b.method.state_dict(), **CLOSE)
