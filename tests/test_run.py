import json

import pytest

from acclimate.errors import BadInput
from acclimate.run import FORMAT, RunFolder


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("scores.json", {"a": 1})

    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match="No space left on device"):
        run.write("scores.json", fail)
    assert run.scores == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    run = RunFolder(tmp_path)
    for name in "old", "new":
        run.write_folder("preprocess", lambda path, name=name: (path / name).touch())
    assert [p.name for p in (tmp_path / "preprocess").iterdir()] == ["new"]


def test_what_a_kill_left_is_swept_away(tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/.a.parquet.17.partial").touch()
    (tmp_path / ".preprocess.x.partial").mkdir()
    (tmp_path / "scores.json").touch()
    RunFolder(tmp_path).sweep()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["outputs", "scores.json"]


def test_lines_are_added_to_lines(tmp_path):
    run = RunFolder(tmp_path)
    for step in 1, 2:
        run.append("losses.jsonl", json.dumps({"step": step}) + "\n")
    assert [line["step"] for line in run.losses()] == [1, 2]


def test_a_run_of_newer_software_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("environment.json", {"format": FORMAT + 1})
    with pytest.raises(BadInput, match="upgrade"):
        run.check_format()
