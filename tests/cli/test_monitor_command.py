import json

import numpy as np
import polars as pl
import pytest

import acclimate
from acclimate.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("monitor"), np.random.default_rng(0)

    def write(name, n, shift):
        y = rng.integers(0, 2, n)
        pl.DataFrame({"a": rng.normal(size=n) + 3 * y + shift, "b": rng.normal(size=n), "y": y}).write_csv(
            folder / name
        )

    for name, n, shift in (("source.csv", 200, 0), ("target.csv", 600, 0), ("same.csv", 900, 0), ("moved.csv", 900, 2)):
        write(name, n, shift)
    given = {"label": "y", "method": "source_only", "steps": 20}
    acclimate.adapt(folder / "source.csv", folder / "target.csv", folder / "run", **given)
    return folder


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["acclimate", "monitor", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code, capsys.readouterr()


def test_exit_code_and_output_tell_whether_there_is_an_alarm(folder, monkeypatch, capsys):
    code, quiet = call(monkeypatch, capsys, folder / "run", folder / "same.csv")
    assert (code, quiet.out.count("\n")) == (0, 1)
    code, loud = call(monkeypatch, capsys, folder / "run", folder / "moved.csv")
    assert code == 1
    assert "a is above" in loud.out
    assert "--on-alarm adapt" in loud.out


def test_json_is_one_object(folder, monkeypatch, capsys):
    code, printed = call(monkeypatch, capsys, folder / "run", folder / "moved.csv", "--json")
    found = json.loads(printed.out)
    assert (code, found["rows"], found["alarms"][0]["since"]) == (1, 900, 0)


def test_bad_input_is_one_line(folder, monkeypatch, capsys):
    for words in (
        ("no.csv",),
        (folder / "moved.csv", "--detector", "no", "--label", "y"),
        (folder / "moved.csv", "--every", 0),
        (folder / "moved.csv", "--on-alarm", "no"),
        (folder / "moved.csv", "--steps", 5),
        (),
        ("--rollback",),
    ):
        code, printed = call(monkeypatch, capsys, folder / "run", *words)
        assert (code, printed.out) == (2, "")
        assert printed.err.strip().splitlines()[-1].startswith("acclimate: ")


def test_the_run_in_use_is_printed(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["acclimate", "monitor", str(folder / "run"), "--current"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"{folder / 'run'}\n")
