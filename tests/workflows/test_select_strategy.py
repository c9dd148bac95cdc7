import json

import numpy as np
import pytest
import samples
import timm
import torch
from safetensors.torch import load_file, save_file

from acclimate import adapt, labels
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.training.progress import LossLog
from acclimate.workflows import adapt as adapt_module
from acclimate.workflows import select_strategy as selection
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan
from acclimate.workflows.train_phase import Machine, expected_baseline_seconds


class Domains:
    """Two folders of pictures, and weights of random numbers that count as pretrained."""

    def __init__(self, folder):
        torch.manual_seed(0)
        save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), folder / "w.safetensors")
        self.domains = (
            samples.images(folder / "source", each=8, size=32),
            samples.images(folder / "target", each=4, size=32, seed=1),
        )
        weights = str(folder / "w.safetensors")
        self.options = {"backbone": "timm:resnet10t", "weights": weights, "image_size": 32, "steps": 2}

    def adapt(self, output, **more):
        return adapt(*self.domains, output, **self.asked(more), resume=more.get("resume", False))

    def select(self, folder, **more):
        """The recipe that is selected; only the tries are trained."""
        request = Request(**self.asked(more))
        plan = make_plan(*self.domains, request)
        return selection.select_strategy(plan, request, folder, machine=Machine()).plan.recipe

    def labels(self, output, **more):
        asked = {"strategies": ["source_only"], "per_class": [1], "seeds": 1, **self.options, **more}
        return labels(*self.domains, output, **asked)

    def asked(self, more):
        settings = {"train.batch_size": 4, "train.validation": 0.3}
        asked = {"method": "source_only", "settings": settings, **self.options, **more}
        return {name: value for name, value in asked.items() if name != "resume"}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return Domains(tmp_path_factory.mktemp("select"))


@pytest.fixture(autouse=True)
def _one_trial(monkeypatch):
    """Few examples count as enough, except where a test is of cross-validation."""
    monkeypatch.setattr(selection, "ENOUGH", 1)


def validate_with(monkeypatch, *means):
    """Let the validation losses of the strategies be these, in the order of the tries."""

    def losses(run, plan):
        tried = selection.STRATEGIES.index(plan.recipe.finetune)
        sign = (-1.0) ** (np.arange(len(plan.held(0))) + tried)
        return means[tried] + sign / 100

    monkeypatch.setattr(selection, "validation_errors", losses)


@pytest.mark.parametrize(
    ("losses", "strategy", "n_tried"),
    [
        pytest.param((0.5, 0.5), "feature_extraction", 2, marks=pytest.mark.slow),
        pytest.param((0.5, 0.4, 0.4), "partial", 3, marks=pytest.mark.slow),
        pytest.param((0.5, 0.4, 0.3), "full", 3, marks=pytest.mark.slow),
        pytest.param((0.5, 0.7), "feature_extraction", 2, marks=pytest.mark.slow),
    ],
)
def test_strategies_are_tried_until_the_next_is_no_better(given, tmp_path, monkeypatch, losses, strategy, n_tried):
    validate_with(monkeypatch, *losses)
    recipe = given.select(tmp_path)
    assert (recipe.finetune, list(recipe.tried)) == (strategy, list(selection.STRATEGIES[:n_tried]))
    assert [recipe.tried[name] for name in recipe.tried] == pytest.approx(losses, abs=0.01)


def test_a_gain_must_be_more_than_a_standard_error():
    before, noise = np.ones(100), np.random.default_rng(0).normal(size=100)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    assert selection.gains(before, before - 0.11 + noise)
    assert not selection.gains(before, before - 0.09 + noise)
    assert not selection.gains(before[:1], before[:1] - 1)


@pytest.mark.slow
def test_with_few_examples_the_losses_are_of_all_of_them(given, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "ENOUGH", 100)
    seen = []

    def losses(run, plan):
        seen.append(set(plan.held(0).tolist()))
        learnt = plan.labelled(0, plan.read)
        assert len(learnt.inputs) + len(plan.held(0)) == 16
        return np.zeros(len(plan.held(0)))

    monkeypatch.setattr(selection, "validation_errors", losses)
    recipe = given.select(tmp_path)
    assert recipe.finetune == "feature_extraction"
    assert sorted(i for part in seen[:3] for i in part) == list(range(16))
    assert seen[:3] == seen[3:]  # of both strategies that were tried


def test_a_strategy_over_the_budget_is_not_tried(given, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(selection, "expected_baseline_seconds", lambda run, plan, seed: 8160.0)
    assert given.select(tmp_path / "trials", budget=3).tried.keys() == {"feature_extraction"}
    assert "partial takes about 140 minutes, more than --budget 3; not tried" in caplog.text


def test_what_a_strategy_takes_counts_every_training_that_is_left(given, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "expected_baseline_seconds", lambda run, plan, seed: 60.0)
    request = Request(**given.asked({"method": "mcc", "seeds": 2}))
    plan = make_plan(*given.domains, request)
    # the first seed's baseline is the trial; the method's steps take a batch of each of two domains
    assert selection._expected_minutes(plan, request, tmp_path) == 1 + 1 + 2 * 2
    monkeypatch.setattr(selection, "ENOUGH", 100)
    assert selection._expected_minutes(plan, request, tmp_path) == 3 + 2 + 2 * 2


def test_what_a_strategy_takes_counts_all_methods_of_the_default(given, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "expected_baseline_seconds", lambda run, plan, seed: 60.0)
    request = Request(**given.asked({"method": "auto"}))
    plan = make_plan(*given.domains, request)
    # of images SHOT takes one domain, MCC and CDAN two each, and the student as much as two
    assert selection._expected_minutes(plan, request, tmp_path) == 1 + (1 + 2 + 2 + 2)


def test_steps_are_timed_on_a_copy(given, tmp_path):
    plan = make_plan(*given.domains, Request(**given.asked({"method": "mcc", "steps": 1000})))
    assert 1 < expected_baseline_seconds(RunFolder(tmp_path), plan, 0) < 1000
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_run_is_that_of_the_strategy_which_was_selected(given, tmp_path):
    selected = given.adapt(tmp_path / "auto", method="mcc", seeds=2)
    asked = given.adapt(tmp_path / "asked", method="mcc", seeds=2, finetune=selected.recipe.finetune)
    assert selected.recipe.model_copy(update={"tried": {}}) == asked.recipe
    models = sorted(asked.file("models").iterdir())
    assert len(models) == 4
    for path in models:
        # a trial trains by itself and not as one of a stack; a bias before batch norm then moves by its rounding
        torch.testing.assert_close(load_file(selected.file(f"models/{path.name}")), load_file(path), rtol=0, atol=2e-3)
    assert in_order(selected) == in_order(asked)


def in_order(run):
    """Which losses a Run has, and their values to three digits, seed by seed."""
    rounded = [{k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()} for line in run.losses()]
    return sorted(rounded, key=lambda line: (line["phase"], line["seed"], line["step"]))


@pytest.mark.slow
def test_a_resumed_run_keeps_its_strategy(given, tmp_path, monkeypatch):
    before = given.adapt(tmp_path / "run").recipe
    monkeypatch.setattr(selection, "_trained", None)
    assert given.adapt(tmp_path / "run", resume=True).recipe == before


def begun_at(monkeypatch):
    """The step after which each training begins, in their order."""
    starts, usual = [], LossLog.start

    def start(self, done):
        starts.append(done)
        usual(self, done)

    monkeypatch.setattr(LossLog, "start", start)
    return starts


def killed_in_the_second_trial(given, output, monkeypatch, work):
    """Die after step 2 of the second trial, whose last checkpoint is of step 1."""
    with monkeypatch.context() as patched:
        starts = begun_at(patched)
        usual = LossLog.step

        def step(self, now, validation):
            usual(self, now, validation)
            if len(starts) == 2 and now.done == 2:
                raise KeyboardInterrupt

        patched.setattr(LossLog, "step", step)
        with pytest.raises(KeyboardInterrupt):
            work(output, **SAVED)


SAVED = {"steps": 3, "settings": {"train.batch_size": 4, "train.validation": 0.3, "train.save_every": 1}}


@pytest.mark.slow
def test_a_trial_that_was_killed_continues_from_its_checkpoint_to_the_same_run(given, tmp_path, monkeypatch):
    straight = given.adapt(tmp_path / "straight", **SAVED)
    killed_in_the_second_trial(given, tmp_path / "run", monkeypatch, given.adapt)
    starts = begun_at(monkeypatch)
    run = given.adapt(tmp_path / "run", resume=True, **SAVED)
    assert starts[0] == 1  # the first trial is not trained again, the second begins after its checkpoint
    assert run.recipe == straight.recipe
    assert run.weights(0, "source_only").read_bytes() == straight.weights(0, "source_only").read_bytes()
    assert list(run.losses()) == list(straight.losses())


@pytest.mark.slow
def test_no_trial_is_left_when_the_strategy_is_chosen(given, tmp_path):
    run = given.adapt(tmp_path / "run", **SAVED)
    assert run.recipe.tried
    assert not list(tmp_path.rglob("trials"))


@pytest.mark.slow
def test_a_run_that_died_before_it_took_over_the_baseline_does_not_train_it_again(given, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(adapt_module, "_take_baseline", None)
        with pytest.raises(TypeError):
            given.adapt(tmp_path / "run")
    starts = begun_at(monkeypatch)
    assert given.adapt(tmp_path / "run", resume=True).recipe.tried
    assert not starts


def test_bad_input_in_the_first_trial_leaves_nothing(given, tmp_path, monkeypatch):
    def fail(self, done):
        raise BadInput("an image is torn")

    monkeypatch.setattr(LossLog, "start", fail)
    with pytest.raises(BadInput, match=r"^an image is torn$"):
        given.adapt(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_failure_after_a_trial_names_resume(given, tmp_path, monkeypatch):
    def fail(*_):
        raise BadInput("the disk is full")

    monkeypatch.setattr(selection, "validation_errors", fail)
    with pytest.raises(BadInput, match=r"disk is full; .* keeps what is trained: continue with resume=True"):
        given.adapt(tmp_path / "run")


@pytest.mark.slow
def test_a_trial_of_other_options_is_not_continued(given, tmp_path, monkeypatch):
    killed_in_the_second_trial(given, tmp_path / "run", monkeypatch, given.adapt)
    with pytest.raises(BadInput, match="extraction: cannot resume: steps 2, but the Run was made with 3"):
        given.adapt(tmp_path / "run", resume=True)


@pytest.mark.slow
def test_trials_of_label_curves_continue_too(given, tmp_path, monkeypatch):
    killed_in_the_second_trial(given, tmp_path / "labels", monkeypatch, given.labels)
    starts = begun_at(monkeypatch)
    found = given.labels(tmp_path / "labels", resume=True, **SAVED).found
    assert starts[0] == 1
    assert found["points"]
    assert not list(tmp_path.rglob("trials"))


@pytest.mark.parametrize("more", [{"weights": None, "settings": {"backbone.pretrained": False}}, {"finetune": "full"}])
def test_nothing_is_tried_where_there_is_no_choice(given, tmp_path, more):
    recipe = given.select(tmp_path, **more)
    assert (recipe.finetune, recipe.tried, list(tmp_path.iterdir())) == ("full", {}, [])


@pytest.mark.slow
def test_label_curves_select_for_a_method_without_a_strategy(given, tmp_path, monkeypatch):
    validate_with(monkeypatch, 0.5, 0.4, 0.4)
    found = given.labels(tmp_path / "labels").found
    assert found["strategies"]["source_only"]["finetune"] == "partial"


@pytest.mark.slow
def test_curves_of_an_earlier_version_without_tries_are_not_resumed(given, tmp_path, monkeypatch):
    validate_with(monkeypatch, 0.5, 0.5)
    given.labels(tmp_path / "labels")
    found = json.loads((tmp_path / "labels/labels.json").read_text("utf-8"))
    del found["strategies"]["source_only"]["tried"]
    (tmp_path / "labels/labels.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(BadInput, match="strategy source_only was trained by another version"):
        given.labels(tmp_path / "labels", resume=True)
