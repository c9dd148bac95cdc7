"""Several trainings that go into Runs."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from trainings import change, job, stop_at

from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.training import jobs as jobs_module
from acclimate.training.engine import Diverged
from acclimate.training.job import run_job
from acclimate.training.jobs import run_jobs
from acclimate.training.stack import NotStackable, Stack
from acclimate.training.stack_optimizer import StackOptimizer

SEEDS = (3, 4, 5)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def seeded(folder, name="mcc", seeds=SEEDS, **settings):
    """The same training with several seeds."""
    given = {"optimizer": "sgd", "apart": False, **settings}
    return [change(job(folder, name, **given), seed=seed) for seed in seeds]


def weights(folder, seed):
    return load_file(folder / f"models/adapted-{seed}.safetensors")


def same(folder, other, seeds=SEEDS, rtol=0.0, atol=0.0):
    for seed in seeds:
        torch.testing.assert_close(weights(folder, seed), weights(other, seed), rtol=rtol, atol=atol)


def stopped(made, monkeypatch, step):
    """Run jobs that die right after the first of them has taken a step, as if the machine did."""
    with monkeypatch.context() as patched:
        stop_at(patched, step)
        with pytest.raises(KeyboardInterrupt):
            run_jobs(made)


@pytest.fixture
def alone(monkeypatch):
    """The seeds that are trained one by one."""
    seeds = []

    def noting(one):
        seeds.append(one.spec.seed)
        return run_job(one)

    monkeypatch.setattr(jobs_module, "run_job", noting)
    return seeds


@pytest.mark.parametrize("name", ["mcc", pytest.param("dann", marks=pytest.mark.slow)])
def test_together_they_leave_what_each_leaves_alone(tmp_path, alone, name):
    run_jobs(seeded(tmp_path / "together", name))
    assert alone == []
    for one in seeded(tmp_path / "alone", name):
        run_job(one)
    same(tmp_path / "together", tmp_path / "alone", **CLOSE)
    assert not list((tmp_path / "together/checkpoints").iterdir())


def test_the_log_has_every_step_of_every_seed_in_an_order_that_time_does_not_change(tmp_path):
    run_jobs(seeded(tmp_path))
    lines = [(line["step"], line["seed"]) for line in RunFolder(tmp_path).losses()]
    assert lines == [(step, seed) for step in range(1, 21) for seed in SEEDS]


SELDOM = [(name, step) for name in ("dann", "mcd", "mcc", "shot", "nrc", "self_training") for step in (7, 12)]
RESUMED = [("dann", 7), *(pytest.param(*at, marks=pytest.mark.slow) for at in SELDOM if at != ("dann", 7))]


@pytest.mark.parametrize(("name", "step"), RESUMED)
def test_a_stack_resumes_to_the_bit(tmp_path, monkeypatch, alone, name, step):
    given = {"optimizer": "adamw", "apart": True}
    run_jobs(seeded(tmp_path / "straight", name, **given))
    made = seeded(tmp_path / "cut", name, **given)
    stopped(made, monkeypatch, step)
    assert [p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()] == ["adapted-3.stack"]
    run_jobs(made)
    same(tmp_path / "cut", tmp_path / "straight")
    assert list(RunFolder(tmp_path / "cut").losses()) == list(RunFolder(tmp_path / "straight").losses())
    assert alone == []


def test_a_stack_whose_weights_are_written_in_part_comes_to_the_same_bits(tmp_path, monkeypatch):
    run_jobs(seeded(tmp_path / "straight"))
    made, leave = seeded(tmp_path / "stopped"), type(job("unused")).leave

    def dying(self, method):
        if len(list(self.run.path.glob("models/*"))) == 1:
            raise KeyboardInterrupt
        leave(self, method)

    with monkeypatch.context() as patched:
        patched.setattr(type(made[0]), "leave", dying)
        with pytest.raises(KeyboardInterrupt):
            run_jobs(made)
    left = [one for one in made if not one.weights.exists()]
    assert [one.spec.seed for one in left] == [3, 5]
    run_jobs(left)
    same(tmp_path / "stopped", tmp_path / "straight")
    assert not list((tmp_path / "stopped/checkpoints").iterdir())


def test_a_job_with_a_checkpoint_of_its_own_continues_by_itself(tmp_path, monkeypatch, alone):
    made = seeded(tmp_path / "stopped")
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            run_job(made[1])
    run_jobs(made)
    assert alone == [4]
    run_job(seeded(tmp_path / "alone")[1])
    same(tmp_path / "stopped", tmp_path / "alone", seeds=[4])


@pytest.mark.parametrize("why", ["stack refused", "groups too small"])
def test_jobs_of_a_stack_that_can_be_none_continue_one_by_one(tmp_path, monkeypatch, alone, why):
    run_jobs(seeded(tmp_path / "straight"))
    made = seeded(tmp_path / "stopped")
    stopped(made, monkeypatch, 7)

    def refuse(*_):
        raise NotStackable

    if why == "stack refused":
        monkeypatch.setattr(Stack, "prepare", refuse)
    else:
        monkeypatch.setattr(jobs_module, "groups", lambda specs: ([i] for i in range(len(specs))))
    run_jobs(made)
    assert alone == list(SEEDS)
    same(tmp_path / "stopped", tmp_path / "straight", **CLOSE)
    lines = [line["step"] for line in RunFolder(tmp_path / "stopped").losses()]
    assert sorted(lines) == sorted([*range(1, 21)] * 3)


def test_a_folder_that_was_moved_resumes_as_a_stack(tmp_path, monkeypatch, alone):
    run_jobs(seeded(tmp_path / "straight"))
    stopped(seeded(tmp_path / "before"), monkeypatch, 7)
    shutil.move(tmp_path / "before", tmp_path / "after")
    run_jobs(seeded(tmp_path / "after"))
    same(tmp_path / "after", tmp_path / "straight")
    assert alone == []


def test_methods_that_cannot_be_stacked_are_trained_one_by_one(tmp_path, alone):
    run_jobs(seeded(tmp_path / "together", "bnm", accumulate=2))
    assert alone == list(SEEDS)


def wild(folder, **settings):
    """Jobs of which the second diverges, in a Run each."""
    made = [
        replace(one, run=RunFolder(folder / str(one.spec.seed))) for one in seeded(folder, batch_norm=False, **settings)
    ]
    hot = made[1].spec.training.model_copy(update={"lr": 1e20})
    return [made[0], change(made[1], training=hot), made[2]]


def test_one_that_diverges_is_named_when_the_others_have_their_weights(tmp_path, alone):
    made = wild(tmp_path, save_every=1)
    with pytest.raises(
        Diverged, match=r"adapted, seed 4: loss 'class' is .* at step \d; .*checkpoint: .*adapted-4.ckpt"
    ):
        run_jobs(made)
    assert [one.weights.exists() for one in made] == [True, False, True]
    good = torch.load(made[1].checkpoint.path, weights_only=True)
    assert good["done"] >= 1
    assert all(v.isfinite().all() for v in good["method"].values())
    with pytest.raises(Diverged, match="adapted, seed 4: loss 'class'"):
        run_jobs(made[1:2])
    assert alone == [4]


def test_one_that_had_diverged_before_the_others_were_cut_off_is_still_named(tmp_path, monkeypatch):
    stopped(wild(tmp_path, save_every=1), monkeypatch, 12)
    made = wild(tmp_path, save_every=1)
    with pytest.raises(Diverged, match=r"adapted, seed 4: loss 'class' is .*adapted-4.ckpt"):
        run_jobs(made)
    assert [one.weights.exists() for one in made] == [True, False, True]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_member_s_part_of_a_stack_is_a_checkpoint_of_its_own(tmp_path, monkeypatch, optimizer):
    given = {"optimizer": optimizer, "head_lr": 3.0, "batch_norm": False}
    made = seeded(tmp_path / "stack", **given)
    stopped(made, monkeypatch, 7)
    own = seeded(tmp_path / "alone", **given)[0]
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            run_job(own)
    part = torch.load(tmp_path / "stack/checkpoints/adapted-3.stack", weights_only=True)["adapted-3.ckpt"]
    ours, theirs = part, torch.load(own.checkpoint.path, weights_only=True)
    torch.testing.assert_close(ours["optimizer"], theirs["optimizer"], **CLOSE)
    torch.testing.assert_close(ours["rng"], theirs["rng"], rtol=0, atol=0)
    assert ours.keys() == theirs.keys()


def test_a_damaged_file_of_a_stack_is_told_in_one_line(tmp_path, monkeypatch):
    made = seeded(tmp_path)
    stopped(made, monkeypatch, 7)
    (tmp_path / "checkpoints/adapted-3.stack").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"adapted-3.stack: not a readable checkpoint; remove it"):
        run_jobs(made)


def test_rows_that_do_not_fit_are_trained_in_parts(tmp_path, monkeypatch, alone):
    counts = []
    usual = StackOptimizer.__init__

    def counting(self, stack, specs):
        counts.append(len(specs))
        usual(self, stack, specs)

    monkeypatch.setattr(StackOptimizer, "__init__", counting)
    monkeypatch.setattr("acclimate.training.batched.MOST_ROWS", 2 * 100 * 5)
    run_jobs(seeded(tmp_path, seeds=(3, 4, 5, 6)))
    assert counts == [2, 2]
    assert alone == []
