import numpy as np
import pytest
import torch
from conformance import build
from torch.optim import SGD, Adam, AdamW

from acclimate import methods
from acclimate.data.inputs import DenseInputs
from acclimate.data.loaders import Loader, Sampler, pairs
from acclimate.recipe import Training
from acclimate.training import engine
from acclimate.training.driver import Driver
from acclimate.training.engine import RATES, Diverged, Schedule, make_optimizer


def loaders(n_source=40, n_target=24, batch=8):
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(n, 5)).astype(np.float32) for n in (n_source, n_target))
    labels = np.arange(n_source) % 3
    return (
        Loader(DenseInputs(x), Sampler(n_source, batch, seed=0, stream=1), labels),
        Loader(DenseInputs(t + 2), Sampler(n_target, batch, seed=0)),
    )


def run(name="dann", steps=6, *, batch=8, n_target=24, **settings):
    method = build(methods.get(name))
    training = Training(optimizer="sgd", lr=0.05, **settings)
    rows, schedule = loaders(40, n_target, batch), Schedule(steps, accumulate=training.accumulate)
    done = list(steps_of(method, training, rows, schedule, survey=lambda: [rows[1].inputs.x]))
    return method, done


def steps_of(method, training=None, rows=None, schedule=None, *, start=0, survey=tuple, optimizer=None):
    """The engine's steps over small loaders."""
    schedule = schedule or Schedule(3)
    driver = Driver(method, optimizer or make_optimizer(method, training or Training()))
    batches = pairs(*(rows or loaders()), start * schedule.accumulate)
    return engine.run(driver, batches, schedule, start=start, survey=survey)


@pytest.mark.parametrize("name", methods.names())
def test_every_method_trains(name):
    before = build(methods.get(name)).state_dict()
    method, done = run(name)
    assert [step.done for step in done] == [1, 2, 3, 4, 5, 6]
    assert any(not torch.equal(v, before[k]) for k, v in method.state_dict().items())


@pytest.mark.parametrize(("name", "rate"), [("dann", 0.05), ("shot", 0.005), ("nrc", 0.005)])
def test_what_starts_from_trained_weights_takes_smaller_steps(name, rate):
    optimizer = make_optimizer(build(methods.get(name)), Training(lr=0.05))
    assert [group["base"] for group in optimizer.param_groups] == pytest.approx([rate])


@pytest.mark.parametrize("n_target", [1, 3, 100])
def test_a_domain_smaller_than_a_batch_works(n_target):
    _, done = run("deep_coral", n_target=n_target)
    assert len(done) == 6


def test_a_turn_moves_only_what_it_names():
    method = build(methods.get("mcd"))
    method.turns = method.turns[1:2]  # disagree: heads alone
    still = method.model.backbone[0].weight.detach().clone()
    moved = method.second_head[0].weight.detach().clone()
    list(steps_of(method, Training(lr=0.1), schedule=Schedule(2)))
    assert torch.equal(method.model.backbone[0].weight, still)
    assert not torch.equal(method.second_head[0].weight, moved)


def test_before_each_pass_over_the_target_a_method_may_look_at_all_of_it(monkeypatch):
    method, looked = build(methods.get("mcc")), []
    monkeypatch.setattr(method, "before_pass", lambda outputs: looked.append(len(list(outputs))))
    survey = [torch.zeros(2, 5)] * 3
    list(steps_of(method, schedule=Schedule(7, pass_steps=3), start=2, survey=lambda: survey))
    assert looked == [3, 3]  # at 3 and 6, but not where a pass is under way


def test_after_all_turns_of_a_step_a_method_may_follow_the_weights(monkeypatch):
    method, heads = build(methods.get("mcd")), []
    head = method.second_head[0]
    monkeypatch.setattr(method, "after_step", lambda progress: heads.append(head.weight.detach().clone()))
    for _ in steps_of(method):
        assert torch.equal(heads[-1], method.second_head[0].weight)
    assert len(heads) == 3


def test_a_turn_is_repeated_as_often_as_it_says(monkeypatch):
    method, calls = build(methods.get("mcd")), []
    forward = method.forward
    monkeypatch.setattr(method, "forward", lambda *a: (calls.append(a[3]), forward(*a))[1])
    list(steps_of(method, schedule=Schedule(1)))
    assert calls == ["classify", "disagree", "agree", "agree", "agree", "agree"]


def test_losses_of_several_turns_carry_the_turns_name():
    _, done = run("mcd", steps=1)
    assert set(done[0].losses) == {"classify class", "disagree class", "disagree discrepancy", "agree discrepancy"}


def test_a_loss_that_is_no_number_stops_with_its_name_and_step():
    method = build(methods.get("mcc"))
    method.weight = float("inf")
    steps = steps_of(method)
    with pytest.raises(Diverged, match=r"loss 'confusion' is inf at step 1"):
        list(steps)


def test_the_rate_is_the_papers():
    progress = np.linspace(0, 1, 5)
    found = [0.01 * RATES["dann"](p) for p in progress]
    np.testing.assert_allclose(found, 0.01 / (1 + 10 * progress) ** 0.75)


def test_the_cosine_rate_falls_from_one_to_zero():
    assert [RATES["cosine"](p) for p in (0, 1 / 3, 0.5, 1)] == pytest.approx([1, 0.75, 0.5, 0])


def test_the_rate_follows_progress():
    method, training = build(methods.get("mcc")), Training(optimizer="sgd", lr=0.5)
    optimizer = make_optimizer(method, training)
    steps = steps_of(method, optimizer=optimizer, schedule=Schedule(4, rate=RATES["cosine"]))
    seen = [optimizer.param_groups[0]["lr"] for _ in steps]
    np.testing.assert_allclose(seen, [0.5 * RATES["cosine"](i / 4) for i in range(4)])


def test_losses_read_late_all_come():
    late = list(steps_of(build(methods.get("mcc")), schedule=Schedule(7, read_every=3)))
    assert [s.done for s in late] == [1, 2, 3, 4, 5, 6, 7]


def test_losses_are_read_at_the_same_steps_wherever_a_training_begins():
    method, rates = build(methods.get("mcc")), []
    optimizer = make_optimizer(method, Training())
    schedule = Schedule(7, rate=lambda progress: rates.append(progress) or 1.0, read_every=3)
    next(steps_of(method, optimizer=optimizer, schedule=schedule, start=1))
    assert rates == [1 / 7, 2 / 7]  # two steps are taken before the first losses are read, after the third in all


def test_the_head_may_learn_faster_than_the_backbone():
    optimizer = make_optimizer(build(methods.get("dann")), Training(lr=0.1, head_lr=10.0))
    assert [group["base"] for group in optimizer.param_groups] == [0.1, 1.0]


@pytest.mark.parametrize("name", ["source_only", "dann", "mcd"])
def test_two_batches_of_eight_make_the_step_of_one_of_sixteen(name):
    """Where a loss is a mean over examples; with turns too."""
    together, [*_, last] = run(name, batch=16, n_target=32)
    apart, [*_, of_parts] = run(name, batch=8, n_target=32, accumulate=2)
    torch.testing.assert_close(apart.state_dict(), together.state_dict(), rtol=1e-4, atol=1e-6)
    assert of_parts.losses == pytest.approx(last.losses, rel=1e-4)


def test_of_several_batches_a_step_is_one_step():
    method, followed = build(methods.get("mean_teacher")), []
    after_step, method.after_step = method.after_step, lambda p: (followed.append(p), after_step(p))
    done = list(steps_of(method, schedule=Schedule(4, accumulate=3, rate=RATES["cosine"]), start=1))
    assert [step.done for step in done] == [2, 3, 4]
    assert followed == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", Adam), ("adamw", AdamW), (None, AdamW)])
def test_the_optimizer_is_of_the_chosen_kind_and_decays_weights(name, kind):
    optimizer = make_optimizer(build(methods.get("mcc")), Training(optimizer=name, weight_decay=0.02))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == 0.02


def test_sgd_has_the_chosen_momentum():
    optimizer = make_optimizer(build(methods.get("mcc")), Training(optimizer="sgd", momentum=0.8))
    assert optimizer.param_groups[0]["momentum"] == 0.8
