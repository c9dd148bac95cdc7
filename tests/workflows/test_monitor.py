"""A Run watches a stream."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from samples import images, picture, prices, reviews

import acclimate
from acclimate.errors import BadInput
from acclimate.lock import Locked, locked_file
from acclimate.workflows.keep_up import Adapting, current, rollback


def rows(n, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    sold = rng.integers(0, 2, n)
    price = rng.normal(size=n) + 3 * sold + shift
    return pl.DataFrame(
        {"price": price, "town": rng.choice(["Graz", "Linz"], n), "size": rng.normal(size=n), "sold": sold}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitored")
    rows(300).write_csv(folder / "source.csv")
    rows(1000, seed=1).drop("sold").write_csv(folder / "target.csv")
    options = {"label": "sold", "method": "source_only", "steps": 60}
    return acclimate.adapt(folder / "source.csv", folder / "target.csv", folder / "run", **options)


@pytest.fixture
def stream(tmp_path):
    frame = pl.concat([rows(2000, seed=2), rows(2000, shift=1.5, seed=3)])
    frame.write_csv(tmp_path / "stream.csv")
    return tmp_path / "stream.csv"


def test_a_stream_like_the_target_raises_no_alarm(run, tmp_path):
    rows(5000, seed=4).write_csv(tmp_path / "same.csv")
    found = acclimate.monitor(run, tmp_path / "same.csv", label="sold")
    assert found.rows == found.labelled == 5000
    assert not found.alarms
    assert run.file("reference.npz").is_file()


def test_a_column_that_moves_is_named_with_its_row(run, stream):
    found = acclimate.monitor(run, stream, every=250)
    first = next(alarm for alarm in found.alarms if alarm.name == "price")
    assert (first.row, first.since) == (2250, 2000)
    assert found.command == f"acclimate monitor {run.path} {stream} --on-alarm adapt"


def test_parquet_json_lines_and_memory_give_the_same_alarms(run, stream, tmp_path):
    frame = pl.read_csv(stream)
    frame.write_parquet(tmp_path / "stream.parquet")
    lines = io.StringIO("".join(json.dumps(row) + "\n" for row in frame.iter_rows(named=True)))
    given = [stream, tmp_path / "stream.parquet", lines, frame.drop("sold")]
    found = [acclimate.monitor(run, one).alarms for one in given]
    assert found[0]
    assert all(one == found[0] for one in found)


def test_late_labels_show_that_errors_rise(run, tmp_path):
    frame = rows(4000, seed=5)
    wrong = pl.Series("sold", np.where(np.arange(4000) < 2000, frame["sold"], 1 - frame["sold"]))
    sparse = frame.with_columns(pl.when(pl.int_range(4000) % 2 == 0).then(wrong).alias("sold"))
    sparse.write_csv(tmp_path / "stream.csv")
    found = acclimate.monitor(run, tmp_path / "stream.csv", label="sold", every=200)
    assert found.labelled == 2000
    assert [alarm.where for alarm in found.alarms] == ["error"]


@pytest.mark.slow
def test_a_growing_file_continues_where_it_stopped(run, stream, tmp_path):
    whole = acclimate.monitor(run, stream, state=tmp_path / "whole.npz", label="sold", every=250)
    lines, part = stream.read_bytes().splitlines(keepends=True), tmp_path / "part.csv"
    found = None
    for end in (1, 701, 2900, 4001):
        part.write_bytes(b"".join(lines[:end]) + (lines[end][:9] if end < 4001 else b""))
        found = acclimate.monitor(run, part, state=tmp_path / "part.npz", label="sold", every=250)
    assert (found.rows, found.alarms) == (4000, whole.alarms)


def test_a_state_of_other_options_is_refused(run, stream, tmp_path):
    acclimate.monitor(run, stream, state=tmp_path / "state.npz")
    with pytest.raises(BadInput, match="was made with every 500"):
        acclimate.monitor(run, stream, state=tmp_path / "state.npz", every=100)
    (tmp_path / "state.npz").write_bytes(b"no")
    with pytest.raises(BadInput, match="not the state of a monitor"):
        acclimate.monitor(run, stream, state=tmp_path / "state.npz")


def test_line_that_is_no_json_is_named(run):
    with pytest.raises(BadInput, match="line 2 is not JSON"):
        acclimate.monitor(run, io.StringIO('{"price": 1, "town": "Graz", "size": 0}\nno\n'))


def test_a_folder_of_images_is_watched_as_it_grows(tmp_path):
    acclimate.adapt(
        images(tmp_path / "a", each=12), images(tmp_path / "b", ("",), each=30, seed=1), tmp_path / "run",
        method="source_only", steps=5,
    )  # fmt: skip
    new = images(tmp_path / "new", ("",), each=25, seed=2)
    state = {"state": tmp_path / "state.npz", "every": 20}
    assert acclimate.monitor(tmp_path / "run", new, **state).rows == 25
    for i in range(5):
        picture(i).save(new / f"later{i}.png")
    assert acclimate.monitor(tmp_path / "run", new, **state).rows == 30


def test_numbers_and_texts_are_watched(tmp_path):
    given = {"method": "source_only", "steps": 30}
    a, b = prices(tmp_path / "a.csv", n=200), prices(tmp_path / "b.csv", n=400, seed=1)
    acclimate.adapt(a, b, tmp_path / "numbers", label="price", **given)
    moved = prices(tmp_path / "c.csv", n=1000, shift=3, seed=2)
    found = acclimate.monitor(tmp_path / "numbers", moved, label="price", every=200)
    assert {"area", "predicted number"} <= {alarm.name for alarm in found.alarms}
    a, b = reviews(tmp_path / "books.csv"), reviews(tmp_path / "films.csv", n=300, thing="film")
    acclimate.adapt(a, b, tmp_path / "texts", label="mood", text="text", **given)
    assert not acclimate.monitor(tmp_path / "texts", b, label="mood", every=100).alarms


@pytest.mark.slow
def test_the_same_alarms_after_kill_9(run, stream, tmp_path):
    whole = acclimate.monitor(run, stream, state=tmp_path / "whole.npz", every=100).alarms
    lines, growing, state = stream.read_bytes().splitlines(keepends=True), tmp_path / "g.csv", tmp_path / "g.npz"
    growing.write_bytes(lines[0])
    words = [sys.executable, "-m", "acclimate", "monitor", run.path, growing, "--state", state, "--every", "100"]
    for start in range(1, len(lines), 1000):
        process = subprocess.Popen([*map(str, words), "--follow"], stdout=subprocess.DEVNULL, env={**os.environ})
        before = state.stat().st_mtime_ns if state.exists() else 0
        with growing.open("ab") as file:
            file.writelines(lines[start : start + 1000])
        deadline = time.monotonic() + 60
        while (not state.exists() or state.stat().st_mtime_ns == before) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = acclimate.monitor(run, growing, state=state, every=100)
    assert found.rows == 4000
    assert found.alarms == whole
    assert not list(Path(tmp_path).glob(".*.partial"))


def test_a_state_in_use_is_refused(run, stream, tmp_path):
    with locked_file(tmp_path / "state.npz", "another"), pytest.raises(Locked, match="choose another state"):
        acclimate.monitor(run, stream, state=tmp_path / "state.npz")
    assert not (tmp_path / "state.npz").exists()
    assert not list(tmp_path.glob(".*.lock"))


def test_the_page_shows_the_alarms(run, stream, tmp_path):
    found = acclimate.monitor(run, stream, page=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert f"{len(found.alarms)} alarms" in text
    assert text.count("<polyline") >= 4


@pytest.mark.slow
def test_an_alarm_makes_a_run_that_takes_over_and_can_be_rolled_back(tmp_path):
    rows(300).write_csv(tmp_path / "source.csv")
    rows(600, seed=1).drop("sold").write_csv(tmp_path / "target.csv")
    options = {"label": "sold", "method": "source_only", "steps": 60}
    first = acclimate.adapt(tmp_path / "source.csv", tmp_path / "target.csv", tmp_path / "run", **options)
    moved = pl.concat([rows(1200, seed=2), rows(1600, shift=3.0, seed=3)])
    moved.write_csv(tmp_path / "stream.csv")
    how = Adapting(recent=600, replay=100)
    found = acclimate.monitor(first, tmp_path / "stream.csv", label="sold", every=200, on_alarm=how)
    [attempt, *_] = found.attempts
    assert attempt.taken
    assert attempt.after["recent"] > attempt.before["recent"] + 0.1
    assert {"source_val", "recent", "earlier"} <= attempt.after.keys()
    assert str(current(first.path)) == found.attempts[-1].run
    while current(first.path) != first.path:
        rollback(first.path)
    with pytest.raises(BadInput, match="nothing to roll back"):
        rollback(first.path)
