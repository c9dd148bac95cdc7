import json
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from trainings import TornInputs, change, job, pretraining, stop_at, weights

from acclimate import finetune, methods
from acclimate.data.inputs import DenseInputs
from acclimate.errors import BadInput
from acclimate.methods import selfsup
from acclimate.run_folder import RunFolder
from acclimate.training import train as train_module
from acclimate.training.checkpoint import Checkpoint
from acclimate.training.engine import Diverged
from acclimate.training.inference import estimate_statistics
from acclimate.training.job import _warn_if_slow, run_job


def check_resumes_to_the_bit(folder, monkeypatch, make, stops, phase="adapted"):
    """A training that dies right after each of the steps ends with the weights and the log of a straight one.

    Args:
        folder: An empty one.
        monkeypatch: The fixture.
        make: The job in a folder.
        stops: The steps.
        phase: Of the job.
    """
    run_job(make(folder / "straight"))
    for step in stops:
        place = folder / f"stopped at {step}"
        with monkeypatch.context() as patched:
            stop_at(patched, step)
            with pytest.raises(KeyboardInterrupt):
                run_job(make(place))
        run_job(make(place))
        torch.testing.assert_close(weights(place, phase), weights(folder / "straight", phase), rtol=0, atol=0)
        assert list(RunFolder(place).losses()) == list(RunFolder(folder / "straight").losses())


OFTEN, SELDOM = ("dann", "shot"), ("mcd", "source_only", "nrc", "self_training", "mean_teacher", "vada")
KEEP_STATE = [*OFTEN, *(pytest.param(name, marks=pytest.mark.slow) for name in SELDOM)]
"""Methods that keep something between two steps, each in its own way."""


@pytest.mark.parametrize("name", KEEP_STATE)
def test_resumed_weights_are_the_same_to_the_bit(tmp_path, monkeypatch, name):
    check_resumes_to_the_bit(tmp_path, monkeypatch, partial(job, name=name), (7, 12))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("gradual", {}),
        *(pytest.param(*rest, marks=pytest.mark.slow) for rest in (("lp_ft", {}), ("lora", {"rank": 2}), ("llrd", {}))),
    ],
)
def test_a_training_resumes_to_the_bit_in_every_stage_of_a_strategy(tmp_path, monkeypatch, strategy, options):
    def in_stages(folder):
        made = job(folder, "dann")
        return change(made, layers=finetune.layers(made.spec.method.model, strategy, options), strategy=strategy)

    check_resumes_to_the_bit(tmp_path, monkeypatch, in_stages, (7, 12))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [pytest.param({"balance": "sampler"}, marks=pytest.mark.slow), {"accumulate": 3, "name": "mcd"}]
)
def test_balanced_training_and_steps_of_several_batches_resume_to_the_bit(tmp_path, monkeypatch, settings):
    check_resumes_to_the_bit(tmp_path, monkeypatch, partial(job, **settings), (7,))


@pytest.mark.slow
def test_a_checkpoint_by_time_resumes_to_the_bit(tmp_path, monkeypatch):
    by_time = partial(job, save_every=1000, save_seconds=1e-9)
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            run_job(by_time(tmp_path / "stopped"))
    state = torch.load(tmp_path / "stopped/checkpoints/adapted-3.ckpt", weights_only=True)
    assert state["done"] == 6
    check_resumes_to_the_bit(tmp_path / "each", monkeypatch, by_time, (7,))


def test_checkpoints_are_as_far_apart_as_save_seconds(tmp_path, monkeypatch):
    saved, clock = [], iter(range(0, 10**6, 10))  # each look at the clock is ten seconds later
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(Checkpoint, "save", lambda self, fabric, method, optimizer, progress: saved.append(progress[0]))
    run_job(job(tmp_path, save_every=1000, save_seconds=60))
    assert saved == [6, 12, 18]


def joint(folder, name="dann", **settings):
    """A job whose last nine rows are labelled examples of the target, all of one class."""
    made = job(folder, name, **settings)
    x, labels = made.spec.data.source.x.numpy(), made.spec.data.labels
    rows = {"source": DenseInputs(np.concatenate([x, x[:9] + 2])), "labels": np.concatenate([labels, np.full(9, 2)])}
    return change(made, data={**rows, "from_target": 9})


@pytest.mark.parametrize("balance", [pytest.param("none", marks=pytest.mark.slow), "sampler"])
def test_with_labels_of_the_target_it_resumes_to_the_bit(tmp_path, monkeypatch, balance):
    check_resumes_to_the_bit(tmp_path, monkeypatch, partial(joint, balance=balance), (7,))


@pytest.mark.parametrize(("share", "of_each"), [(0.5, 4), (0.25, 2), (0.01, 1), (0.99, 7)])
def test_labelled_examples_of_the_target_have_their_share_of_every_batch(tmp_path, monkeypatch, share, of_each):
    seen, made = [], joint(tmp_path, "source_only", target_share=share)
    forward = type(made.spec.method).forward
    theirs = {tuple(row) for row in made.spec.data.source.x[60:].tolist()}

    def looking(self, source, *rest):
        seen.append(sum(tuple(row) in theirs for row in source.inputs.tolist()))
        return forward(self, source, *rest)

    monkeypatch.setattr(type(made.spec.method), "forward", looking)
    run_job(made)
    assert set(seen) == {of_each}


@pytest.mark.parametrize("name", ["source_only", "dann", "supervised"])
def test_balanced_every_method_sees_rare_classes_as_often(tmp_path, monkeypatch, name):
    seen, made = [], job(tmp_path, name, balance="sampler", steps=30, batch_norm=False)
    made = change(made, data={"labels": np.repeat([0, 1, 2], [50, 7, 3])})
    forward = type(made.spec.method).forward

    def looking(self, source, *rest):
        seen.append(source.labels)
        return forward(self, source, *rest)

    monkeypatch.setattr(type(made.spec.method), "forward", looking)
    run_job(made)
    np.testing.assert_allclose(torch.cat(seen).bincount() / 240, 1 / 3, atol=0.01)


@pytest.mark.parametrize("name", selfsup.names())
@pytest.mark.parametrize(
    "settings",
    [{}, *(pytest.param(more, marks=pytest.mark.slow) for more in ({"accumulate": 2}, {"precision": "bf16-mixed"}))],
)
def test_a_resumed_pretraining_is_the_same_to_the_bit_and_so_is_its_teacher(tmp_path, monkeypatch, name, settings):
    # a teacher that differs shows in the losses of the next step
    check_resumes_to_the_bit(tmp_path, monkeypatch, partial(pretraining, name=name, **settings), (12,), "pretrained")


@pytest.mark.parametrize(("precision", "told"), [("bf16-mixed", 1), ("32-true", 0)])
def test_a_cpu_without_instructions_of_16_bits_is_told_of_once(tmp_path, monkeypatch, caplog, precision, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    _warn_if_slow.cache_clear()
    for place in ("one", "two"):
        run_job(job(tmp_path / place, precision=precision, steps=1))
    assert caplog.text.count("no instructions") == told


def test_pretraining_leaves_statistics_of_the_images_and_not_of_their_views(tmp_path):
    run_job(pretraining(tmp_path, "byol"))
    kept, again = weights(tmp_path, "pretrained"), pretraining(tmp_path, "byol")
    model = again.spec.method.model
    model.load_state_dict(kept)
    with torch.no_grad():
        before = model.backbone[:2](model.normalize(again.spec.data.target.batch(np.arange(40))))
    torch.testing.assert_close(kept["backbone.2.running_mean"], before.mean(0), rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(kept["backbone.2.running_var"], before.var(0), rtol=1e-3, atol=1e-2)


def test_the_log_of_a_training_has_every_step_once(tmp_path):
    run_job(job(tmp_path))
    assert [line["step"] for line in RunFolder(tmp_path).losses()] == list(range(1, 21))


def test_a_torn_last_line_of_the_log_does_not_keep_a_training_from_resuming(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            run_job(job(tmp_path))
    with (tmp_path / "losses.jsonl").open("a") as log:
        log.write('{"seed": 3, "pha')
    run_job(job(tmp_path))
    assert [line["step"] for line in RunFolder(tmp_path).losses()] == list(range(1, 21))


def test_early_stopping_keeps_the_best_weights(tmp_path):
    run_job(job(tmp_path, "source_only", patience=2, steps=400, lr=0.3, optimizer="sgd"))
    lines = list(RunFolder(tmp_path).losses())
    looks = [line["source_val_loss"] for line in lines if "source_val_loss" in line]
    assert len(lines) < 400
    assert min(looks) == looks[-3]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_weights_after_early_stopping_have_the_lowest_validation_loss(tmp_path):
    stopping = job(tmp_path, "source_only", patience=2, steps=400, lr=0.3, optimizer="sgd", batch_norm=False)
    run_job(stopping)
    looks = [line["source_val_loss"] for line in RunFolder(tmp_path).losses() if "source_val_loss" in line]
    model, data = stopping.spec.method.model.eval(), stopping.spec.data
    model.load_state_dict(weights(tmp_path))
    logits = model(data.validation.x, "source").logits
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.validation_labels))
    assert loss.item() == pytest.approx(min(looks), rel=1e-4)


@pytest.mark.parametrize(
    ("save_every", "where"), [(1, r"last good checkpoint: .*adapted-3\.ckpt"), (5, "there is no checkpoint yet")]
)
def test_divergence_names_the_last_good_checkpoint(tmp_path, save_every, where):
    settings = {"optimizer": "sgd", "lr": 1e20, "save_every": save_every}
    bad = job(tmp_path, "source_only", dropout=0.0, batch_norm=False, **settings)
    with pytest.raises(Diverged, match=rf"loss 'class' is .* at step 2; .*; {where}"):
        run_job(bad)


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_weights_that_the_last_step_made_infinite_end_in_one_line(tmp_path, monkeypatch, precision):
    usual = torch.optim.SGD.step

    def overflowing(self, closure=None):
        usual(self, closure)
        overflowing.steps += 1
        if overflowing.steps == 20:
            self.param_groups[0]["params"][0].data[0] = torch.inf

    overflowing.steps = 0
    monkeypatch.setattr(torch.optim.SGD, "step", overflowing)
    bad = job(tmp_path, "source_only", batch_norm=False, optimizer="sgd", precision=precision, validate_every=100)
    with pytest.raises(
        Diverged, match=r"weights 'model\.\S+' are not finite .*; lower the rate .*last good checkpoint: .*ckpt"
    ):
        run_job(bad)
    assert not (tmp_path / "models").exists()


def test_statistics_are_those_of_the_whole_domain():
    model = job("unused").spec.method.model
    x = torch.randn(1000, 5) * 3 + 1
    estimate_statistics(model, DenseInputs(x.numpy()), "target")
    with torch.no_grad():
        before = model.backbone[:3](x)
    torch.testing.assert_close(model.backbone[3].mean_target, before.mean(0), rtol=0.05, atol=0.05)
    torch.testing.assert_close(model.backbone[3].var_target, before.var(0), rtol=0.05, atol=0.05)


def test_statistics_are_those_of_the_whole_domain_if_its_rows_are_sorted_by_class():
    model = job("unused").spec.method.model
    x = torch.cat([torch.randn(1000, 5), torch.randn(1000, 5) + 6])
    estimate_statistics(model, DenseInputs(x.numpy()), "target")
    with torch.no_grad():
        before = model.backbone[:3](x)
    torch.testing.assert_close(model.backbone[3].var_target, before.var(0), rtol=0.05, atol=0.05)


def test_where_one_domain_is_alone_its_statistics_are_taken_anew(tmp_path):
    one = job(tmp_path, "source_only", apart=False, steps=1)
    run_job(one)
    model = one.spec.method.model
    model.load_state_dict(weights(tmp_path))
    with torch.no_grad():
        before = model.backbone[:3](one.spec.data.source.batch(np.arange(60)))
    torch.testing.assert_close(model.backbone[3].running_mean, before.mean(0))


def test_statistics_that_rest_are_not_taken_anew():
    model = job("unused", apart=False).spec.method.model
    model.freeze_batch_norm()
    estimate_statistics(model, DenseInputs(np.ones((50, 5), np.float32)), "source", torch.nn.BatchNorm1d)
    assert torch.equal(model.backbone[3].running_mean, torch.zeros(8))


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from trainings import job
from acclimate.training.job import run_job
run_job(job(Path(sys.argv[1]), "mcd", steps=6000, save_every=20, validate_every=500))
"""


def written_since(folder, moment):
    """Whether a checkpoint was written after ``moment``: training is well under way."""
    path = folder / "checkpoints/adapted-3.ckpt"
    return path.exists() and path.stat().st_mtime > moment


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_ten_random_moments_it_comes_to_the_same_weights(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    subprocess.run([sys.executable, script, tmp_path / "straight"], check=True)
    kills, chance = 0, random.Random(0)
    while not (tmp_path / "killed/models/adapted-3.safetensors").exists():
        began = time.time()
        process = subprocess.Popen([sys.executable, script, tmp_path / "killed"])
        if kills < 10:
            while process.poll() is None and not written_since(tmp_path / "killed", began):
                time.sleep(0.01)
            time.sleep(chance.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        for line in (tmp_path / "killed/losses.jsonl").read_text().splitlines():
            json.loads(line)
    assert kills == 10
    torch.testing.assert_close(weights(tmp_path / "killed"), weights(tmp_path / "straight"), rtol=0, atol=0)
    assert not list((tmp_path / "killed").rglob("*.partial"))


@pytest.mark.slow
def test_two_processes_agree_on_when_a_checkpoint_is_due(tmp_path):
    for name, seconds in (("often", 1e-3), ("never", 1e6)):
        settings = {"dropout": 0.0, "save_every": 1000, "save_seconds": seconds, "steps": 60}
        run_job(change(job(tmp_path / name, **settings), devices=2))
    torch.testing.assert_close(weights(tmp_path / "often"), weights(tmp_path / "never"), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["feature_extraction", "gradual", "lp_ft", "lora"])
def test_two_processes_agree_with_one_on_every_stage_of_the_ladder(tmp_path, rung):
    for devices in (1, 2):
        made = job(tmp_path / str(devices), "source_only", dropout=0.0, batch_norm=False, optimizer="sgd")
        layers = finetune.layers(made.spec.method.model, rung, {})
        run_job(change(made, layers=layers, strategy=rung, devices=devices))
    torch.testing.assert_close(weights(tmp_path / "2"), weights(tmp_path / "1"), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.names())
def test_two_processes_agree_with_one_or_the_docstring_says_why_not(tmp_path, name):
    for devices in (1, 2):
        one = job(tmp_path / str(devices), name, dropout=0.0, batch_norm=False, optimizer="sgd")
        run_job(change(one, devices=devices))
    two, one = weights(tmp_path / "2"), weights(tmp_path / "1")
    same = all(torch.allclose(two[k], one[k], rtol=1e-4, atol=1e-6) for k in one)
    assert same != ("several processes" in " ".join(methods.get(name).__doc__.split()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["source_only", "dann"])
def test_two_processes_agree_with_one_where_the_target_has_labels(tmp_path, name):
    for devices in (1, 2):
        one = joint(tmp_path / str(devices), name, dropout=0.0, batch_norm=False, optimizer="sgd")
        run_job(change(one, devices=devices))
    torch.testing.assert_close(weights(tmp_path / "2"), weights(tmp_path / "1"), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", selfsup.names())
def test_two_processes_pretrain_otherwise_than_one_and_the_docstring_says_why(tmp_path, name):
    two, one = pretraining(tmp_path / "2", name), pretraining(tmp_path / "1", name)
    run_job(one)
    run_job(change(two, devices=2))
    first, second = (weights(tmp_path / n, "pretrained")["backbone.1.weight"] for n in "12")
    assert not torch.allclose(first, second, rtol=1e-4, atol=1e-6)
    assert "several processes" in " ".join(selfsup.get(name).__doc__.split())


@pytest.mark.slow
def test_bad_input_found_in_one_of_several_processes_is_told_in_its_own_words(tmp_path):
    torn = job(tmp_path, "dann", batch_norm=False)
    torn = change(torn, devices=2, data={"target": TornInputs(torn.spec.data.target.x.numpy())})
    with pytest.raises(BadInput, match=r"^t/7.png: not a readable image; remove it or save it again$"):
        run_job(torn)


@pytest.mark.slow
def test_divergence_in_one_of_several_processes_is_told_as_such(tmp_path):
    wild = job(tmp_path, "dann", batch_norm=False, optimizer="sgd", lr=1e30)
    with pytest.raises(Diverged, match=r"adapted, seed 3: loss .* at step \d+"):
        run_job(change(wild, devices=2))


def test_it_looks_at_the_validation_split_every_so_often(tmp_path):
    run_job(job(tmp_path, "source_only", validate_every=8))
    looked = [line["step"] for line in RunFolder(tmp_path).losses() if "source_val_accuracy" in line]
    assert looked == [8, 16, 20]
