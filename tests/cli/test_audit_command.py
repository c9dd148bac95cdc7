"""``acclimate audit`` on the command line."""

import json
import shutil

import polars as pl
import pytest
import samples

from acclimate import adapt
from acclimate.runs.run import Run


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture(scope="module")
def of_table(tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    adapt(samples.table(place / "source.csv"), samples.table(place / "target.csv", sick=["?"] * 12), place / "run",
          label="sick", method="source_only", steps=1)  # fmt: skip
    return place


def test_an_audit_prints_each_model_and_one_line(acclimate, run, tmp_path):
    result = acclimate("audit", run, samples.arrays(tmp_path / "few.npz", n=20, seed=2))
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("source-only: accuracy ")
    assert lines[-2].startswith("Accuracy of the source-only model on the target is ")
    assert "known from 20 labels: 95% interval" in lines[-2]
    assert lines[-1] == f"Report: {run / 'report.html'}"


def test_json_is_the_file(acclimate, run, tmp_path):
    result = acclimate("audit", run, samples.arrays(tmp_path / "few.npz", n=20, seed=2), "--json")
    assert json.loads(result.out) == json.loads((run / "audit.json").read_text("utf-8"))
    assert any("cannot be checked" in line for line in result.lines)


def test_examples_to_label_go_to_a_file_and_come_back(acclimate, of_table, tmp_path):
    output = tmp_path / "to_label.csv"
    result = acclimate("audit", of_table / "run", of_table / "target.csv", "--ask", 5, "-o", output)
    assert result.out.startswith(f"Wrote 5 examples of {of_table / 'target.csv'}, drawn at random, to {output}.")
    pl.read_csv(output).with_columns(sick=pl.lit("yes")).write_csv(output)
    run = shutil.copytree(of_table / "run", tmp_path / "run")
    assert acclimate("audit", run, output).code == 0
    assert Run.open(run).audited["n"] == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ask", 5], "--ask: needs a file"),
        (["--ask", 0, "-o", "new.csv"], "ask for 1 to 12 labels, not 0"),
        (["--ask", 13, "-o", "new.csv"], "ask for 1 to 12 labels, not 13"),
        (["--ask", 5, "-o", "new.parquet"], "not a .csv file"),
        (["--ask", 5, "-o", "there.csv"], "already exists; choose another -o, or add --overwrite"),
        (["--ask", 5, "-o", "new.csv", "--model", "kept"], "--model: has no effect with --ask"),
        (["-o", "new.csv"], "-o: has no effect without --ask"),
        (["--model", "adapted"], "this Run has no adapted model"),
    ],
)
def test_options_that_do_not_fit_are_one_line(acclimate, of_table, tmp_path, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("mine")
    result = acclimate("audit", of_table / "run", of_table / "target.csv", *options)
    assert result.code == 2
    assert told in result.lines[-1]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"there.csv": "mine"}
    assert not (of_table / "run/audit.json").exists()


def test_what_is_no_run_or_has_no_labels_is_one_line(acclimate, run, tmp_path):
    assert "no such Run" in acclimate("audit", tmp_path / "none", tmp_path).lines[-1]
    result = acclimate("audit", run, _without_labels(tmp_path / "plain.npz"))
    assert (result.code, "label" in result.lines[-1]) == (2, True)
    assert not (run / "audit.json").exists()


def _without_labels(path):
    import numpy as np

    np.savez(path, x=samples.shifted(20)[0])
    return path
