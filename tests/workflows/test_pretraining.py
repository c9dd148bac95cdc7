"""A backbone that learns from views of images first, without labels."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from acclimate import adapt, finetune
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.runs.finding import finding
from acclimate.runs.models import shape_of
from acclimate.training.progress import LossLog
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan
from acclimate.workflows.train_phase import Machine, train_phase


def patterns(seed=0, n=40):
    """Noise with a bright half, left or right."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.integers(0, 120, (n, 16, 16)).astype(np.uint8)
    for picture, code in zip(x, y, strict=True):
        picture[:, 8 * code : 8 * code + 8] += 100
    return x, y


def options(method="dann", *, settings=None, **more):
    given = {"method": method, "steps": 4, "pretrain": "byol", "backbone": "cnn", **more}
    small = {"train.batch_size": 8, "backbone.width": 8}
    small |= {"pretrain.hidden": 16, "pretrain.out": 8} if given["pretrain"] else {}
    return {**given, "settings": small | (settings or {})}


def pretrained(folder, method="dann", *, resume=False, **more):
    """A Run whose backbone learnt from views first."""
    return adapt(patterns(), patterns(1)[0], folder / "run", resume=resume, **options(method, **more))


def backbone_of(folder, target=None, **more):
    """The first weights of a backbone after its pretraining; nothing else is trained."""
    target = patterns(1)[0] if target is None else target
    plan, run = make_plan(patterns(), target, Request(**options("source_only", **more))), RunFolder(folder)
    train_phase(run, plan, 0, "pretrained", Machine())
    return load_file(run.weights(0, "pretrained"))["backbone.0.weight"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("pretrained"), score=patterns(1))


def test_the_run_has_a_training_of_every_phase(run):
    assert {p.stem for p in (run.path / "models").iterdir()} == {"source_only-0", "pretrained-0", "adapted-0"}
    steps = {phase: [line["step"] for line in run.losses() if line["phase"] == phase] for phase in run.recipe.trainings}
    assert steps == {phase: [1, 2, 3, 4] for phase in ("source_only", "pretrained", "adapted")}
    assert "dann after byol" in finding(run)


def test_the_baseline_goes_without(run, tmp_path):
    without = pretrained(tmp_path, "source_only", pretrain=None)
    assert without.weights(0, "source_only").read_bytes() == run.weights(0, "source_only").read_bytes()


def test_source_only_after_pretraining_is_the_method_and_not_the_baseline(tmp_path):
    run = pretrained(tmp_path, "source_only")
    assert run.recipe.trainings == ("source_only", "pretrained", "adapted")
    assert "source_only after byol" in finding(run)


@pytest.mark.parametrize(
    "batch_norm",
    ["separate", pytest.param("concat", marks=pytest.mark.slow), pytest.param("domain", marks=pytest.mark.slow)],
)
def test_the_method_starts_from_the_pretrained_backbone_and_a_fresh_head(tmp_path, batch_norm):
    still = {"train.batch_norm": batch_norm, "train.lr": 1e-12, "pretrain.lr": 0.01}
    run = pretrained(tmp_path, settings=still)
    learnt, after = (load_file(run.weights(0, phase)) for phase in ("pretrained", "adapted"))
    torch.manual_seed(0)
    fresh = finetune.classifier(run.recipe, "source_only", shape_of(run.preprocess)).state_dict()
    torch.testing.assert_close(after["backbone.0.weight"], learnt["backbone.0.weight"], rtol=0, atol=1e-6)
    torch.testing.assert_close(after["head.weight"], fresh["head.weight"], rtol=0, atol=1e-6)
    assert not torch.allclose(learnt["backbone.0.weight"], fresh["backbone.0.weight"], atol=1e-3)


@pytest.mark.parametrize(
    ("rung", "moves"), [("feature_extraction", False), pytest.param("lp_ft", True, marks=pytest.mark.slow)]
)
def test_the_ladder_stands_on_the_pretrained_backbone(tmp_path, rung, moves):
    run = pretrained(tmp_path, "source_only", finetune=rung, steps=6)
    learnt, after = (load_file(run.weights(0, phase)) for phase in ("pretrained", "adapted"))
    assert all(torch.equal(learnt[k], after[k]) for k in learnt if k.startswith("backbone.")) != moves
    assert torch.equal(learnt["backbone.0.weight"], after["backbone.0.weight"]) != moves


def test_pretraining_may_look_at_either_domain_or_both(tmp_path):
    learnt = [backbone_of(tmp_path / on, settings={"pretrain.on": on}) for on in ("source", "target", "both")]
    assert not any(torch.equal(learnt[i], learnt[i - 1]) for i in range(3))


def test_pretraining_on_the_target_sees_neither_its_labels_nor_the_source(tmp_path):
    x, y = patterns(1)
    learnt = [backbone_of(tmp_path / str(i), (x, labels)) for i, labels in enumerate((y, 1 - y))]
    assert torch.equal(*learnt)
    assert not torch.equal(learnt[0], backbone_of(tmp_path / "other", 255 - x))


def test_after_pretraining_the_labels_may_be_the_targets_own(tmp_path):
    x, y = patterns(1)
    runs = [pretrained(tmp_path / str(t[0]), "supervised", target_labels=(x, t)) for t in (y, 1 - y)]
    for phase, same in (("source_only", True), ("pretrained", True), ("adapted", False)):
        first, second = (run.weights(0, phase).read_bytes() for run in runs)
        assert (first == second) is same


def test_settings_that_are_not_of_the_pretraining_are_those_of_the_training():
    settings = {"pretrain.steps": 2, "train.accumulate": 2, "pretrain.norm": "layer"}
    recipe = make_plan(patterns(), patterns(1)[0], Request(**options(settings=settings))).recipe
    pretraining = recipe.pretrain.train
    assert (pretraining.steps, pretraining.batch_size, pretraining.accumulate) == (2, 8, 2)
    assert (pretraining.optimizer, recipe.pretrain.options["norm"]) == (recipe.train.optimizer, "layer")


def test_the_report_has_the_pretraining(run):
    page = run.file("report.html").read_text("utf-8")
    assert "on the target without labels, 4 of 8 examples" in page
    assert "pretraining, without labels" in page


@pytest.mark.slow
def test_a_run_cut_off_in_its_pretraining_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    settings, add = {"pretrain.steps": 9, "pretrain.save_every": 3}, LossLog.step
    straight = pretrained(tmp_path / "straight", settings=settings)

    def dying(self, now, look):
        add(self, now, look)
        if self.phase == "pretrained" and now.done == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LossLog, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            pretrained(tmp_path / "cut", settings=settings)
    cut = pretrained(tmp_path / "cut", settings=settings, resume=True)
    for phase in straight.recipe.trainings:
        assert cut.weights(0, phase).read_bytes() == straight.weights(0, phase).read_bytes()
    assert list(cut.losses()) == list(straight.losses())


def test_a_run_is_resumed_only_with_the_same_pretraining(run):
    with pytest.raises(BadInput, match="pretrain vicreg, but the Run was made with byol"):
        pretrained(run.path.parent, pretrain="vicreg", resume=True)
