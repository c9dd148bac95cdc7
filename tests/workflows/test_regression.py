"""Numbers instead of classes, from a table to scores, predictions and a Run that is kept."""

import json

import numpy as np
import polars as pl
import pytest
import samples
import yaml
from sklearn.metrics import mean_absolute_error

import acclimate as package
from acclimate import methods
from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.runs.run import Run
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan

CAN = [name for name in methods.names() if "regression" in methods.get(name).tasks]


@pytest.fixture
def tables(tmp_path):
    return samples.prices(tmp_path / "s.csv", n=200), samples.prices(tmp_path / "t.csv", n=150, shift=1, seed=1)


def adapted(domains, folder, **options):
    source, target = domains
    return package.adapt(source, target, folder / "run", **{"method": "source_only", "steps": 5, **options})


def numbers(n=100, shift=0.0, seed=0, factor=1.0):
    """As `samples.prices`, but arrays, which need no fitted columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32) + np.float32([shift, 0, 0])
    return x, factor * (50 * x[:, 0] - 20 * x[:, 1] + 200)


@pytest.mark.slow
def test_a_price_is_learnt_and_told_in_its_own_unit(tables, tmp_path):
    given = {"label": "price", "score": tables[1], "settings": {"train.lr": 0.02}}
    run = adapted(tables, tmp_path, method="deep_coral", steps=300, **given)
    assert run.recipe.task == "regression"
    assert run.scores["source_val"]["r2"] > 0.95
    assert run.scores["target"]["mae"] < 15
    told, true = run.predict(tables[1]), pl.read_csv(tables[1])["price"]
    assert told.columns == ["name", "prediction", "distance", "error"]
    assert run.scores["target"]["mae"] == pytest.approx(mean_absolute_error(true, told["prediction"]), rel=1e-4)


@pytest.mark.parametrize("method", ["dann", *(pytest.param(m, marks=pytest.mark.slow) for m in CAN if m != "dann")])
def test_every_method_that_can_leaves_a_run(method, tmp_path):
    source, (x, y) = numbers(), numbers(60, shift=1, seed=1)
    labels = {"target_labels": numbers(20, seed=2)} if method == "supervised" else {}
    run = adapted((source, x), tmp_path, method=method, seeds=2, steps=3, score=(x, y), **labels)
    assert set(run.scores["target"]) == {"n", "mae", "rmse", "r2", "mae_sd", "rmse_sd", "r2_sd"}
    assert run.file("model.safetensors").read_bytes() == run.weights(0, run.scores["kept"]).read_bytes()
    assert run.scores["target_estimate"] is None
    assert "squared error" in next(run.losses())


def test_training_on_the_targets_labels_reads_them(tmp_path):
    (x, y), labelled = numbers(shift=5, seed=1), numbers(shift=5, seed=2)
    more = {"steps": 100, "settings": {"train.lr": 0.02}, "score": (x, y)}
    run = adapted((numbers(), x), tmp_path, method="supervised", target_labels=labelled, **more)
    assert run.scores["adapted"]["target"]["mae"] < 0.5 * run.scores["source_only"]["target"]["mae"]


def test_a_model_that_lost_the_source_is_not_kept_and_the_reason_has_the_figures_of_the_scores(tmp_path):
    upside_down = numbers(seed=2, factor=-1.0)
    more = {"steps": 100, "settings": {"train.lr": 0.02}, "target_labels": upside_down}
    scores = adapted((numbers(), numbers(seed=1)[0]), tmp_path, method="supervised", seeds=2, **more).scores
    before, after = (part["source_val"]["r2"] for part in (scores["source_only"], scores["adapted"]))
    assert scores["kept"] == "source_only"
    assert scores["why"] == f"R² on the source fell from {before:.3f} to {after:.3f}"


@pytest.mark.slow
def test_labels_of_the_target_change_nothing(tmp_path):
    x, y = numbers(seed=1)
    runs = [adapted((numbers(), (x, t)), tmp_path / str(i), method="dann") for i, t in enumerate((y, -y))]
    for phase in ("source_only", "adapted"):
        assert runs[0].weights(0, phase).read_bytes() == runs[1].weights(0, phase).read_bytes()


def test_auto_takes_a_method_that_can():
    assert make_plan(numbers(), numbers(seed=1)[0], Request()).recipe.method in CAN


def test_whole_numbers_are_learnt_as_such_when_asked(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    run = package.adapt((x, np.arange(60) % 7), x, tmp_path / "run", task="regression", steps=2)
    assert run.predict(x)["prediction"].dtype == pl.Float64


def test_images_may_have_numbers(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (30, 16, 16)).astype(np.uint8)
    run = package.adapt((x, x.mean((1, 2))), x, tmp_path / "run", steps=2, settings={"train.batch_size": 8})
    assert run.predict(x)["prediction"].is_finite().all()


def test_resume_goes_on_with_a_finished_run_without_training(tmp_path):
    domains = numbers(), numbers(seed=1)[0]
    weights = adapted(domains, tmp_path).weights(0, "source_only")
    before = weights.stat().st_mtime_ns
    adapted(domains, tmp_path, resume=True)
    assert weights.stat().st_mtime_ns == before


def test_resume_with_another_task_is_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    given = {"source": (x, np.arange(60) % 7), "target": x, "output": tmp_path / "run", "method": "dann", "steps": 2}
    package.adapt(**given, task="regression")
    with pytest.raises(BadInput, match="task classification, but the Run was made with regression"):
        package.adapt(**given, task="classification", resume=True)


def test_evaluating_shows_both_models(finished_regression, tmp_path):
    found = Run.open(finished_regression).evaluate(samples.prices(tmp_path / "new.csv", seed=3))
    assert set(found) == {"n", "model", "kept", "seeds", "mae", "rmse", "r2", "source_only", "adapted"}
    assert found[found["kept"]]["mae"] == found["mae"]


@pytest.mark.parametrize("method", sorted(set(methods.names()) - set(CAN)))
def test_a_method_that_is_for_classes_says_which_can(method):
    with pytest.raises(BadInput, match=f"method {method} learns classes, .* adda, dan, dann, deep_coral, source_only"):
        make_plan(numbers(), numbers(seed=1)[0], Request(method=method))


def test_a_run_from_before_there_were_tasks_is_one_of_classes(finished_run, tmp_path):
    old = yaml.safe_load((finished_run / "recipe.yaml").read_text("utf-8"))
    del old["task"], old["scale"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(old), "utf-8")
    recipe = Recipe.load(tmp_path / "recipe.yaml")
    assert (recipe.task, recipe.n_outputs) == ("classification", 2)
    assert recipe == Run.open(finished_run).recipe


def test_the_commands_speak_of_numbers(acclimate, finished_regression, tmp_path):
    new, output = samples.prices(tmp_path / "new.csv", n=25, seed=3), tmp_path / "p.csv"
    said = json.loads(acclimate("predict", finished_regression, new, "-o", output, "--json").out)
    assert said["least"] <= said["mean"] <= said["greatest"]
    assert pl.read_csv(output).columns == ["name", "prediction", "distance", "error"]
    assert "25 examples, the adapted model of seed 0: MAE " in acclimate("evaluate", finished_regression, new).out


@pytest.mark.slow
@pytest.mark.parametrize("method", ["source_only", "dann", "deep_coral"])
def test_the_quality_of_wine_is_learnt_from_red_for_white(method, shared_data, tmp_path):
    wine = shared_data / "wine_quality/wine_quality.csv.gz"
    run = package.adapt(
        f"{wine}#colour=red", f"{wine}#colour=white", tmp_path / "run",
        method=method, label="quality", task="regression", steps=300, score=f"{wine}#colour=white",
    )  # fmt: skip
    assert run.scores["source_val"]["r2"] > 0.2
    assert run.scores["target"]["mae"] < 1
