"""A Run is checked as a whole when it is opened: names, versions, shapes and ranges."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import samples
import torch
import yaml
from safetensors.torch import load_file, save_file

from acclimate import BadInput, Run, adapt
from acclimate.report import write_report


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def _json(name: str, **changes: Any) -> Callable[[Path], object]:
    def change(run: Path) -> None:
        path = run / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _recipe(**changes: Any) -> Callable[[Path], object]:
    def change(run: Path) -> None:
        path = run / "recipe.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))

    return change


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def changed(run: Path) -> None:
        path = run / "models/source_only-0.safetensors"
        state = load_file(path)
        change(state)
        save_file(state, path)

    return changed


def _outputs(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], object]:
    def changed(run: Path) -> None:
        path = run / "outputs/target-source_only-0.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    return changed


SCORED = {"accuracy": 0.5, "f1": 0.5, "log_loss": 1.0, "auc": 0.5, "f1_by_class": {}}
ON_OPENING = {
    "format": (_json("environment.json", format="2"), "environment.json: format='2' is invalid"),
    "threads": (_json("environment.json", threads=[]), r"environment.json: threads=\[\] is invalid"),
    "kept": (_json("scores.json", kept="adapted"), "scores.json: keeps the model 'adapted'"),
    "seeds of scores": (_json("scores.json", seeds=[1]), r"scores.json: seeds \[1\]"),
    "positive": (_json("scores.json", positive=["x"]), "scores.json: positive classes that"),
    "range": (_json("scores.json", source_val={**SCORED, "f1": 7.0}), "scores.json: source_val.f1=7.0 is invalid"),
    "measure": (_json("scores.json", source_val={"f1": 0.5}), "scores.json: source_val has no accuracy"),
    "no number": (
        lambda run: (run / "scores.json").write_text('{"accuracy": NaN}'), "scores.json: NaN is not a finite number",
    ),
    "deep": (lambda run: (run / "scores.json").write_text("[" * 10**5), "scores.json: not JSON"),
    "class twice": (_recipe(classes=["0", "0"]), "recipe.yaml: not a recipe .*a class occurs twice"),
    "nested": (lambda run: (run / "recipe.yaml").write_text("[" * 10**4), "recipe.yaml: .*more than 20 levels deep"),
    "alias": (lambda run: (run / "recipe.yaml").write_text("a: &a [1]\nb: *a"), "recipe.yaml: .*aliases are not read"),
    "date": (
        lambda run: (run / "recipe.yaml").write_text((run / "recipe.yaml").read_text().replace(
            "\noptions: {}", "\noptions: {a: 2024-01-01}")), "recipe.yaml: .*a value is a date",
    ),
    "backbone": (_recipe(backbone="mlpp"), "recipe.yaml: no backbone 'mlpp'"),
    "option": (_recipe(backbone_options={"hidden": 10**9}), "recipe.yaml: .*hidden=1000000000 is invalid"),
    "strategy": (_recipe(finetune="fulll"), "recipe.yaml: no fine-tuning strategy"),
    "model cut": (
        lambda run: os.truncate(run / "models/source_only-0.safetensors", 300), "models/source_only-0.safetensors: ",
    ),
    "outputs cut": (
        lambda run: os.truncate(run / "outputs/target-source_only-0.parquet", 99), "outputs/target-source_only-0.parq",
    ),
    "column": (
        _outputs(lambda frame: frame.drop("name")), "outputs/target-source_only-0.parquet: has no column 'name'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), ON_OPENING.values(), ids=ON_OPENING)
def test_a_changed_run_does_not_open(run, change, says):
    change(run)
    with pytest.raises(BadInput, match=f"^{run}: this Run was changed or damaged: {says}"):
        Run.open(run)


ON_USE = {
    "wider": (
        _weights(lambda state: state.update(extra=torch.zeros(3))),
        r"extra is \[3\], the recipe's model is with",
    ),
    "not finite": (_weights(lambda state: next(iter(state.values())).fill_(torch.nan)), "values that are not finite"),
    "another width": (_recipe(backbone_options={"hidden": 60_000}), "not the weights of this Run: backbone"),
    "preprocessing": (_json("preprocess/preprocess.json", std=[1, 1, 0, 1]), "preprocess: std.2=0 is invalid"),
    "mean": (_json("preprocess/preprocess.json", mean=[1]), "a standard deviation are needed for each feature"),
}


@pytest.mark.parametrize(("change", "says"), ON_USE.values(), ids=ON_USE)
def test_a_changed_model_does_not_predict(run, tmp_path, change, says):
    change(run)
    with pytest.raises(BadInput, match=f"this Run was changed or damaged: .*{says}"):
        Run.open(run).predict(samples.arrays(tmp_path / "new.npz"))


IN_REPORT = {
    "a probability": (
        _outputs(lambda frame: frame.with_columns(probabilities=pl.lit([1.5, -0.5]))), "a probability is not from 0",
    ),
    "rows": (_outputs(lambda frame: frame.head(0)), "its rows are not numbered"),
    "features": (
        _outputs(lambda frame: frame.with_columns(features=pl.lit([float("nan")]))), "numbers that are not finite",
    ),
    "no features": (_outputs(lambda frame: frame.drop("features")), "its features have another number than those"),
    "a loss": (
        lambda run: (run / "losses.jsonl").write_text('{"seed": 0, "phase": "source_only", "step": 1, "a": []}\n'),
        "losses.jsonl: line 1: 'a' is not a number",
    ),
    "a phase": (
        lambda run: (run / "losses.jsonl").write_text('{"seed": 0, "phase": "adapted", "step": 1}\n'),
        "losses.jsonl: seed 0, phase 'adapted' are not in the recipe",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), IN_REPORT.values(), ids=IN_REPORT)
def test_changed_outputs_are_not_drawn(run, change, says):
    change(run)
    with pytest.raises(BadInput, match=f"this Run was changed or damaged: .*{says}"):
        write_report(Run.open(run))


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/hostname"), os.mkfifo], ids=["link", "pipe"])
def test_a_link_or_pipe_in_a_run_is_refused(run, make):
    (run / "outputs/target-source_only-0.parquet").unlink()
    make(run / "outputs/target-source_only-0.parquet")
    with pytest.raises(BadInput, match=r"target-source_only-0.parquet: is (a link|not a regular file)"):
        Run.open(run)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"weights": "secret.pth", "pretrained": True}, marks=pytest.mark.slow),
        pytest.param({"pretrained": True}, marks=pytest.mark.slow),
    ],
)
def test_a_training_from_a_run_reads_no_weights_that_its_recipe_names(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    images = samples.images(Path("images"), size=32)
    plain = {"backbone.pretrained": False}
    adapt(images, images, "run", method="source_only", backbone="timm:resnet10t", steps=1, settings=plain)
    _recipe(backbone_options=options)(Path("run"))
    torch.save({"x": torch.zeros(1)}, "secret.pth")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setattr("acclimate.backbones.timm.load_weights", lambda *_: pytest.fail("read the file"))
    assert adapt("run", images, "after", steps=1).recipe.train.lr == 1e-4
