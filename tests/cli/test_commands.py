import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import samples

from acclimate.run_folder import RunFolder
from acclimate.runs.run import Run

MAIN = "from acclimate.cli import main; main()"


@pytest.fixture
def new_rows(tmp_path):
    return samples.arrays(tmp_path / "new.npz", n=5, seed=2)


def _loaded_after(*arguments: str) -> set[str]:
    """The packages that the command has imported at its end."""
    code = (
        "import sys, atexit; sys.argv = ['acclimate', *sys.argv[1:]];"
        "atexit.register(lambda: print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr));" + MAIN
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["adapt", "--help"], ["methods"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    heavy = {"torch", "numpy", "polars", "sklearn", "skrub", "timm", "PIL"}
    assert not heavy & _loaded_after(*arguments)


def test_the_list_of_commands_imports_next_to_nothing():
    assert not {"pydantic", "yaml", "rich", "jinja2", "matplotlib"} & _loaded_after("--help")


def test_no_arguments_show_the_help(acclimate):
    result = acclimate()
    assert result.code == 0
    assert result.out.startswith("Usage: acclimate")


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "acclimate", "predict"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("acclimate: missing argument")


@pytest.mark.parametrize("command", ["adapt", "compare", "labels", "predict", "evaluate", "methods", "report", "demo"])
def test_every_command_has_help(acclimate, command):
    result = acclimate(command, "--help")
    assert result.code == 0
    assert "--json" in result.out


def test_methods_are_listed(acclimate):
    result = acclimate("methods", "--json")
    found = {m["name"]: m["numbers"] for m in json.loads(result.out)["methods"]}
    assert {"dann": True, "mcc": False, "source_only": True, "tca": True, "tent": False}.items() <= found.items()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_are_a_row_for_each_input(acclimate, finished_run, new_rows, tmp_path, ending):
    output = tmp_path / f"predictions.{ending}"
    assert acclimate("predict", finished_run, new_rows, "-o", output).code == 0
    frame = pl.read_csv(output) if ending == "csv" else pl.read_parquet(output)
    assert frame.columns == ["name", "class", "p_0", "p_1", "distance", "error"]
    assert [str(name) for name in frame["name"]] == ["0", "1", "2", "3", "4"]
    assert (frame["p_0"] + frame["p_1"]).is_between(1 - 1e-9, 1 + 1e-9).all()


def test_predicting_counts_rows_in_json(acclimate, finished_run, new_rows, tmp_path):
    result = acclimate("predict", finished_run, new_rows, "-o", tmp_path / "p.csv", "--json")
    shown = json.loads(result.out)
    assert (shown["rows"], shown["unread"]) == (5, 0)
    assert sum(shown["classes"].values()) == 5


def test_a_model_can_adapt_while_it_predicts(acclimate, finished_run, new_rows, tmp_path):
    output = tmp_path / "p.csv"
    result = acclimate(
        "predict", finished_run, new_rows, "-o", output, "--test-time", "lame", "--set", "neighbours=2", "--json"
    )
    assert json.loads(result.out)["rows"] == pl.read_csv(output).height == 5


def test_predictions_can_be_corrected_for_other_class_shares(acclimate, finished_run, new_rows, tmp_path):
    plain, corrected = tmp_path / "plain.csv", tmp_path / "corrected.csv"
    acclimate("predict", finished_run, new_rows, "-o", plain)
    result = acclimate("predict", finished_run, new_rows, "-o", corrected, "--label-shift", "em", "--json")
    shares = json.loads(result.out)["shares"]
    assert [s["class"] for s in shares] == ["0", "1"]
    assert sum(s["share"] for s in shares) == pytest.approx(1, abs=1e-5)
    assert all(0 <= s["low"] <= s["high"] <= 1 for s in shares)
    assert pl.read_csv(corrected)["p_0"].to_list() != pl.read_csv(plain)["p_0"].to_list()


def test_a_bad_row_is_reported_in_its_place(acclimate, tmp_path):
    folder = samples.images(tmp_path / "images", size=32)
    acclimate("adapt", folder, folder, "-o", tmp_path / "run", "--steps", 1, "--method", "source_only",
              "--backbone", "mnist", "--set", "train.batch_size=2")  # fmt: skip
    (folder / "cat" / "1.png").write_bytes(b"no image")
    result = acclimate("predict", tmp_path / "run", folder, "-o", tmp_path / "p.csv")
    frame = pl.read_csv(tmp_path / "p.csv")
    assert result.code == 0
    assert frame["name"].to_list() == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]
    assert frame["class"].is_null().to_list() == frame["error"].is_not_null().to_list() == [False, True, *[False] * 4]
    assert "1 unreadable" in result.out


def test_evaluating_gives_one_json_object(acclimate, finished_run, new_rows):
    shown = json.loads(acclimate("evaluate", finished_run, new_rows, "--json").out)
    assert (shown["n"], set(shown["recall"])) == (5, {"0", "1"})
    assert shown["accuracy"] == Run.open(finished_run).evaluate(new_rows)["accuracy"]


def test_evaluating_shows_each_metric_and_each_class(acclimate, finished_run, new_rows):
    shown = acclimate("evaluate", finished_run, new_rows, "--positive", "1").out
    assert all(f"{measure} " in shown for measure in ("accuracy", "F1", "log loss", "AUC"))
    assert shown.splitlines()[1] == "recall and F1 of each class:"


def test_adapting_gives_one_json_object_and_notes_on_stderr(acclimate, tmp_path):
    source, target = samples.arrays(tmp_path / "a.npz"), samples.arrays(tmp_path / "b.npz", seed=1)
    more = ("--method", "source_only", "--steps", 1, "--json")
    result = acclimate("adapt", source, target, "-o", tmp_path / "run", "--score", target, *more)
    assert json.loads(result.out) == {"run": str(tmp_path / "run"), **Run.open(tmp_path / "run").scores}
    assert all(line.startswith("acclimate: ") for line in result.lines)
    assert any("labels are set aside" in line for line in result.lines)


def test_predictions_replace_older_ones_whole(acclimate, finished_run, new_rows, tmp_path):
    output = tmp_path / "p.csv"
    output.write_text("older")
    acclimate("predict", finished_run, new_rows, "-o", output, "--overwrite")
    assert pl.read_csv(output).height == 5
    assert {p.name for p in tmp_path.iterdir()} == {"p.csv", "new.npz"}


def _adapt(acclimate, tmp_path: Path, *more: object):
    source = samples.arrays(tmp_path / "a.npz")
    return acclimate("adapt", source, source, "-o", tmp_path / "run", "--method", "source_only", "--steps", 2, *more)


def test_log_lines_of_lightning_are_silenced(acclimate, tmp_path, caplog):
    lightnings = logging.getLogger("lightning_fabric.utilities.rank_zero")
    lightnings.addHandler(caplog.handler)
    assert _adapt(acclimate, tmp_path, "--precision", "bf16-mixed").code == 0
    lightnings.removeHandler(caplog.handler)
    assert "Precision" not in caplog.text


@pytest.fixture
def interrupted(monkeypatch) -> None:
    """Somebody presses Ctrl-C when training starts."""

    def train(jobs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acclimate.workflows.train_phase.run_jobs", train)


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_says_how_to_continue(acclimate, tmp_path):
    result = _adapt(acclimate, tmp_path)
    assert result.code == 130
    assert result.lines[-1].startswith("acclimate: stopped; the same command with --resume continues")


def test_a_quoted_tilde_is_the_home_folder(acclimate, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    source = samples.arrays(tmp_path / "a.npz")
    assert acclimate("adapt", source, source, "-o", "~/run", "--method", "source_only", "--steps", 1).code == 0
    assert acclimate("predict", tmp_path / "home/run", source, "-o", "~/p.csv").code == 0
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["p.csv", "run"]


def test_ctrl_c_before_there_is_a_folder_promises_nothing(acclimate, tmp_path, monkeypatch):
    def plan(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acclimate.workflows.adapt.make_plan", plan)
    assert _adapt(acclimate, tmp_path).lines[-1] == "acclimate: stopped"


def test_a_stopped_run_continues(acclimate, tmp_path, request, monkeypatch):
    request.getfixturevalue("interrupted")
    assert _adapt(acclimate, tmp_path).code == 130
    monkeypatch.undo()
    assert _adapt(acclimate, tmp_path, "--resume").code == 0


def test_a_run_interrupted_before_training_starts_again(acclimate, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.write_json("environment.json", {"format": 1})
    run.file(".recipe.yaml.1.partial").touch()
    assert _adapt(acclimate, tmp_path, "--resume").code == 0


@pytest.mark.slow
def test_a_real_ctrl_c_says_how_to_continue(tmp_path, environment):
    source = samples.arrays(tmp_path / "a.npz", n=200)
    command = ["adapt", str(source), str(source), "-o", str(tmp_path / "run"), "--steps", "1000000"]
    going = subprocess.Popen([sys.executable, "-c", MAIN, *command], stderr=subprocess.PIPE, text=True, env=environment)
    while not [*(tmp_path / "run").rglob("losses.jsonl")]:
        assert going.poll() is None
        time.sleep(0.2)
    os.kill(going.pid, signal.SIGINT)
    _, shown = going.communicate(timeout=60)
    assert going.returncode == 130
    assert "Traceback" not in shown
    assert shown.splitlines()[-1].startswith("acclimate: stopped; the same command with --resume")


def test_label_curves_are_one_json_object_or_a_table(acclimate, tmp_path):
    source, target = (
        samples.arrays(tmp_path / f"{name}.npz", n=24, seed=i) for i, name in enumerate(("source", "target"))
    )
    given = ("--per-class", "0,2", "--strategies", "source_only,supervised", "--seeds", 1, "--steps", 2)
    result = acclimate("labels", source, target, "-o", tmp_path / "labels", *given)
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["labels", "source_only", "supervised"]
    assert lines[-1] == f"Curves: {tmp_path / 'labels/labels.html'}"
    again = acclimate("labels", source, target, "-o", tmp_path / "labels", *given, "--resume", "--json")
    shown = json.loads(again.out)
    assert shown["folder"] == str(tmp_path / "labels")
    assert len(shown["points"]) == 3
