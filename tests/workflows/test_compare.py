import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import polars as pl
import pytest
import samples
from safetensors.numpy import load_file
from samples import shifted

import acclimate
from acclimate import methods
from acclimate.data.source import as_domain
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model, shape_of
from acclimate.runs.outputs import read_class_outputs
from acclimate.training.engine import Diverged
from acclimate.training.inference import predict
from acclimate.validators.guard import Verdict
from acclimate.workflows.compare import cells as cells_
from acclimate.workflows.compare import work as work_
from acclimate.workflows.compare.cells import Store
from acclimate.workflows.compare.mixtures import some_pairs

FEW = {"methods": ["mcc", "nrc"], "seeds": 2, "steps": 3}
COMMAND = [sys.executable, "-m", "acclimate", "compare"]


def asked(folder, **more):
    return acclimate.compare(shifted(), shifted(shift=2, seed=1)[0], folder, **{**FEW, **more})


def watched(monkeypatch, dies_at=0):
    """The cells that this process completes; instead of the one of that number it is interrupted."""
    usual, completed = Store.complete, []

    def completing(store, cell):
        completed.append(cell.name)
        if len(completed) == dies_at:
            raise KeyboardInterrupt
        usual(store, cell)

    monkeypatch.setattr(Store, "complete", completing)
    return completed


def fail(monkeypatch, method, error, when=lambda own: True):
    """Have those trainings of a method fail of which ``when`` is true."""
    kind = methods.get(method)
    usual = kind.forward

    def failing(own, *given):
        if when(own):
            raise error
        return usual(own, *given)

    monkeypatch.setattr(kind, "forward", failing)


def without_seconds(path):
    """What a comparison found, but for times."""
    found = json.loads((path / "compare.json").read_text())
    return {**found, "seconds": 0, "ranking": [{**row, "seconds": 0} for row in found["ranking"]]}


def page_without_seconds(path):
    """The page of a comparison, but for times."""
    return re.sub(r"<td>[\d.]+</td></tr>|[\d.]+ min", "", (path / "compare.html").read_text())


def test_a_comparison_leaves_a_page_and_a_run_that_predicts(tmp_path):
    compared = asked(tmp_path / "compared", methods=["mcc"], seeds=1)
    assert {row["name"] for row in compared.found["ranking"]} == {
        "source_only", "source_only lr=0.0003", "mcc", "mcc weight=0.3"}  # fmt: skip
    names = {path.name for path in compared.path.iterdir()}
    assert names == {"cells", "compare.json", "compare.html", "winner"}
    assert compared.winner.predict(shifted()[0]).height == 200


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A comparison that nothing cut off; tests only read it."""
    return asked(tmp_path_factory.mktemp("straight") / "compared")


@pytest.mark.slow
def test_a_method_that_starts_from_source_only_has_the_source_only_models_of_its_own_options(straight):
    assert {row["name"] for row in straight.found["ranking"]} == {
        "source_only", "source_only lr=0.0003", "mcc", "mcc weight=0.3", "source_only label_smoothing=0.1", "nrc",
        "nrc lr=0.0003", "source_only label_smoothing=0.1 lr=0.0003"}  # fmt: skip
    assert len([*(straight.path / "cells").iterdir()]) == 16 + 2  # the student of both seeds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mcc weight=0.3", "nrc lr=0.0003", "source_only"])
def test_the_winner_has_the_models_that_adapt_trains(straight, tmp_path, monkeypatch, name):
    from acclimate.workflows.compare import workflow

    usual = workflow.choose
    monkeypatch.setattr(workflow, "choose", lambda *given: usual(*given)._replace(name=name))
    compared = asked(tmp_path / "compared")
    method, _, setting = name.partition(" ")
    key, _, value = setting.replace("lr", "train.lr").partition("=")
    settings = {key: float(value)} if key else {}
    x = shifted(shift=2, seed=1)[0]
    run = acclimate.adapt(shifted(), x, tmp_path / "run", method=method, settings=settings, seeds=2, steps=3)
    assert compared.winner.recipe == run.recipe
    for path in (run.path / "models").iterdir():
        ours, theirs = load_file(compared.path / "winner/models" / path.name), load_file(path)
        assert all(np.allclose(ours[k], theirs[k], atol=1e-5) for k in theirs)  # `adapt` trains the seeds as a stack
    assert compared.winner.scores["source_val"]["accuracy"] == run.scores["source_val"]["accuracy"]
    steps = [
        sorted((one["phase"], one["seed"], one["step"]) for one in each.losses()) for each in (compared.winner, run)
    ]
    assert steps[0] == steps[1]


@pytest.mark.slow
def test_what_was_cut_off_goes_on_to_the_same_page(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        watched(patched, dies_at=6)
        with pytest.raises(KeyboardInterrupt):
            asked(tmp_path / "compared")
    completed = watched(monkeypatch)
    asked(tmp_path / "compared", resume=True)
    assert len(completed) == len(set(completed)) == 16 + 2 - 5
    assert without_seconds(tmp_path / "compared") == without_seconds(straight.path)
    assert page_without_seconds(tmp_path / "compared") == page_without_seconds(straight.path)
    assert {path.name for path in (tmp_path / "compared").iterdir()} == {path.name for path in straight.path.iterdir()}


@pytest.mark.slow
def test_a_finished_comparison_is_not_done_again(straight, monkeypatch):
    completed, before = watched(monkeypatch), (straight.path / "compare.html").stat().st_mtime_ns
    assert asked(straight.path, resume=True).found == straight.found
    assert completed == []
    assert (straight.path / "compare.html").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"steps": 4}, "source_only: steps 4, but the comparison was made with 3"),
        ({"methods": ["mcc"]}, "methods source_only,mcc, but the comparison was made with source_only,mcc,nrc"),
        ({"seeds": 3}, "seeds 0, 1, 2, but the comparison was made with 0, 1"),
        ({"score": shifted(seed=2)}, "score 200 examples of score, but the comparison was made with none"),
        ({"settings": {"weight": 0.5}}, r"mcc: settings=\{'weight': 0.5\}, but the comparison was made without"),
    ],
)
def test_a_comparison_with_other_options_is_not_resumed_and_the_option_is_named(straight, more, told):
    before = sorted(straight.path.rglob("*"))
    with pytest.raises(BadInput, match=f"cannot resume: {told}"):
        asked(straight.path, resume=True, **more)
    assert sorted(straight.path.rglob("*")) == before


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_to_the_same_page(straight, tmp_path, monkeypatch):
    from acclimate.workflows import adapt as adapt_

    def dying(run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(adapt_, "write_report", dying)
        with pytest.raises(KeyboardInterrupt):
            asked(tmp_path / "compared")
    assert not (tmp_path / "compared/winner").exists()
    resumed = asked(tmp_path / "compared", resume=True)
    assert without_seconds(resumed.path) == without_seconds(straight.path)
    assert resumed.winner.scores == straight.winner.scores
    assert {path.name for path in resumed.path.iterdir()} == {path.name for path in straight.path.iterdir()}


@pytest.mark.slow
def test_a_run_of_another_choice_is_not_written_over(straight, tmp_path, monkeypatch):
    from acclimate.workflows.compare import workflow

    copy = tmp_path / "compared"
    shutil.copytree(straight.path, copy)
    (copy / "compare.html").unlink()
    usual = workflow.choose
    monkeypatch.setattr(workflow, "choose", lambda *given: usual(*given)._replace(name="nrc"))
    with pytest.raises(BadInput, match=r"winner: cannot resume: method nrc, but the Run was made with"):
        asked(copy, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("error", [Diverged("loss class is not finite"), BadInput("no rows")])
def test_a_cell_that_fails_is_named_and_the_rest_goes_on(tmp_path, monkeypatch, error):
    fail(monkeypatch, "mcc", error)
    compared = asked(tmp_path / "compared")
    rows = {row["name"]: row for row in compared.found["ranking"]}
    assert [error.message in rows["mcc"]["failed"][seed] for seed in ("0", "1")] == [True, True]
    assert (rows["mcc"]["rank"], rows["nrc"]["failed"]) == (None, {})
    assert len([*(compared.path / "failed").iterdir()]) == 4
    assert error.message in (compared.path / "compare.html").read_text()


@pytest.mark.slow
def test_a_method_fails_with_the_model_that_it_starts_from(tmp_path, monkeypatch):
    fail(monkeypatch, "source_only", Diverged("loss class is not finite"), when=lambda own: own.label_smoothing)
    rows = {row["name"]: row for row in asked(tmp_path / "compared", seeds=1).found["ranking"]}
    assert rows["nrc"]["failed"]["0"].startswith("source_only label_smoothing=0.1, seed 0, from which it starts, has")


@pytest.mark.slow
def test_without_source_only_there_is_nothing_to_compare_with(tmp_path, monkeypatch):
    fail(monkeypatch, "source_only", Diverged("loss class is not finite"))
    with pytest.raises(BadInput, match=r"source_only, seed 0, with which all are compared, has failed: .*loss"):
        asked(tmp_path / "compared", methods=["mcc"], seeds=1)


@pytest.mark.slow
def test_a_full_disk_fails_no_cell(tmp_path, monkeypatch):
    error = BadInput("models: cannot be written (No space left on device)")
    error.__cause__ = OSError(28, "No space left on device")
    fail(monkeypatch, "mcc", error)
    with pytest.raises(BadInput, match="cannot be written"):
        asked(tmp_path / "compared")
    assert not (tmp_path / "compared/failed").exists()


@pytest.mark.slow
def test_what_the_guard_says_against_the_choice_is_kept_and_does_not_decide(tmp_path, monkeypatch):
    from acclimate.workflows.compare import workflow

    usual = workflow.choose
    monkeypatch.setattr(workflow, "choose", lambda *given: usual(*given)._replace(name="mcc"))
    monkeypatch.setattr(workflow, "weigh", lambda *given: Verdict("source_only", 0.1, "Source-only is kept: why."))
    found = asked(tmp_path / "compared").found
    assert (found["choice"], found["caution"]) == ("mcc", "why")


@pytest.mark.slow
def test_scores_of_a_labelled_target_do_not_change_the_choice(straight, tmp_path):
    x, y = shifted(shift=2, seed=1)
    scored = asked(tmp_path / "compared", score=(x, y))
    known = {"score", "digests", "agreement", "seconds", "ranking", "ensembles"}
    ours, theirs = without_seconds(scored.path), without_seconds(straight.path)
    assert {k: v for k, v in ours.items() if k not in known} == {k: v for k, v in theirs.items() if k not in known}
    assert [row["rank"] for row in ours["ranking"]] == [row["rank"] for row in theirs["ranking"]]
    row = next(row for row in ours["ranking"] if row["name"] == "mcc")
    outputs = [read_class_outputs(_cell(scored.path, "mcc", seed), seed, "adapted", "target") for seed in (0, 1)]
    right = [one.predicted == y[[int(name) for name in one.names]] for one in outputs]
    assert row["target"]["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)


@pytest.mark.slow
def test_mixtures_are_those_of_pairs_drawn_by_source_only(straight):
    assert all("mixval" in row["scores"] for row in straight.found["ranking"])
    run, before = _cell(straight.path, "mcc", 1), _cell(straight.path, "source_only", 1)
    outputs = read_class_outputs(before, 1, "source_only", "target")
    pairs = some_pairs(outputs.predicted, seed=1)
    x = shifted(shift=2, seed=1)[0][[int(name) for name in outputs.names]]
    mixed = 0.55 * x[pairs[:, 0]] + 0.45 * x[pairs[:, 1]]
    inputs = straight.winner.preprocess.inputs(as_domain(mixed.astype(np.float32), name="mixed"))
    model = load_model(run, 1, "adapted", shape=shape_of(straight.winner.preprocess))
    kept = pl.read_parquet(run.outputs(1, "adapted", "mixed"))["probabilities"].to_list()
    assert np.allclose(kept, predict(model, inputs, "target").probabilities, atol=1e-5)


def _cell(path, name, seed):
    """The cell of a setting and a seed."""
    found = map(RunFolder, (path / "cells").iterdir())
    return next(
        run
        for run in found
        if json.loads(run.file("cell.json").read_text())["setting"] == name and run.recipe.seeds == (seed,)
    )


@pytest.fixture
def files(tmp_path):
    """A source and a target as files."""
    source, target = shifted(), shifted(shift=2, seed=1)
    for name, (x, y) in (("source", source), ("target", target)):
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
    return [str(tmp_path / "source.npz"), str(tmp_path / "target.npz"), "-o", str(tmp_path / "compared")]


def trained_by(told):
    """The cells that a process has trained, as its log names them."""
    return re.findall(r"cell \d+ of \d+: (.+) \(\d+ s\)", told)


@pytest.mark.slow
def test_two_processes_share_the_work_and_do_no_cell_twice(files, tmp_path, environment):
    command = [*COMMAND, *files, "--methods", "mcc,dann,shot", "--seeds", "2", "--steps", "30", "--resume"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    ours, theirs = (trained_by(words[1]) for words in told)
    assert sorted([*ours, *theirs]) == sorted({*ours, *theirs})
    assert len(ours) + len(theirs) == len([*(tmp_path / "compared/cells").iterdir()]) == 18 + 2
    assert told[0][0] == told[1][0]


@pytest.mark.slow
def test_a_worker_is_a_process_that_does_what_the_first_one_has_not_begun(tmp_path, monkeypatch):
    def watching(store, shared, machine):
        while not all(store.is_settled(cell) for portion in shared for cell in portion):
            time.sleep(0.1)

    monkeypatch.setattr(work_, "work", watching)
    compared = asked(tmp_path / "compared", methods=["mcc"], seeds=1, workers=2)
    assert len([*(compared.path / "cells").iterdir()]) == 4


@pytest.mark.slow
def test_a_killed_process_leaves_its_cell_to_another(files, tmp_path, environment):
    command = [*COMMAND, *files, "--methods", "mcc", "--seeds", "1", "--resume"]
    first = subprocess.Popen([*command, "--steps", "600"], stderr=subprocess.PIPE, text=True, env=environment)
    beside = (tmp_path / "compared/cells").glob(".*/cell/recipe.yaml")
    while first.poll() is None and not [*beside]:
        time.sleep(0.05)
        beside = (tmp_path / "compared/cells").glob(".*/cell/recipe.yaml")
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    done = subprocess.run([*command, "--steps", "600"], capture_output=True, text=True, env=environment, check=True)
    assert len(trained_by(done.stderr)) >= 3
    assert [path for path in (tmp_path / "compared/cells").iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_cell_that_another_holds_is_waited_for(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        watched(patched, dies_at=2)
        with pytest.raises(KeyboardInterrupt):
            asked(tmp_path / "compared", methods=["mcc"], seeds=1)
    beside = tmp_path / "compared/cells"
    [held] = [path for path in beside.iterdir() if path.name.startswith(".") and (path / "cell").is_dir()]
    from acclimate.lock import locked

    completed, ended = watched(monkeypatch), []
    with locked(held):
        given = {"methods": ["mcc"], "seeds": 1, "resume": True}
        other = threading.Thread(target=lambda: ended.append(asked(tmp_path / "compared", **given)))
        other.start()
        while len(completed) < 2:
            time.sleep(0.05)
        time.sleep(0.5)
        assert (len(completed), ended) == (2, [])
    other.join(60)
    assert (len(completed), len(ended)) == (3, 1)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"methods": ["supervised"]}, "methods: supervised trains on target labels, which compare does without"),
        ({"methods": ["mccc"]}, "methods: no method 'mccc'; did you mean mcc"),
        ({"methods": ["mcc", "mcc"]}, "methods: 'mcc' and others overlap"),
        ({"methods": ["all", "mcc"]}, "methods: 'all' and others overlap"),
        ({"settings": {"margin": 3}}, "margin: has no effect on any of the methods"),
        ({"workers": 0}, "workers=0: input should be greater than or equal to 1"),
        ({"backbone": "cnn"}, "backbone cnn"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_leaves_nothing(tmp_path, more, told):
    with pytest.raises(BadInput, match=told):
        asked(tmp_path / "compared", **more)
    assert [*tmp_path.iterdir()] == []


def test_numbers_are_refused(tmp_path):
    source, target = samples.prices(tmp_path / "a.csv"), samples.prices(tmp_path / "b.csv", seed=1)
    with pytest.raises(BadInput, match="has numbers as labels, and compare chooses among classifiers"):
        acclimate.compare(source, target, tmp_path / "compared", label="price", methods=["dann"])
    assert not (tmp_path / "compared").exists()


def test_a_run_is_no_source(finished_run, tmp_path):
    with pytest.raises(BadInput, match="the source is a Run, and compare learns from the source's examples"):
        acclimate.compare(finished_run, shifted()[0], tmp_path / "compared")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "compared").mkdir()
    (tmp_path / "compared/cat").touch()
    with pytest.raises(BadInput, match=r"cannot resume: not a folder of a comparison \(contains 'cat'\)"):
        asked(tmp_path / "compared", resume=True)


def test_an_existing_folder_needs_resume(tmp_path):
    (tmp_path / "compared").mkdir()
    with pytest.raises(BadInput, match="exists already; continue it with resume=True"):
        asked(tmp_path / "compared")


def test_the_store_reads_no_damaged_cell(tmp_path):
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed/0.json").write_text("{}")
    with pytest.raises(BadInput, match=r"changed or damaged: 0.json: setting is missing"):
        Store(tmp_path)._read(tmp_path / "failed/0.json", cells_.FailedCell)
