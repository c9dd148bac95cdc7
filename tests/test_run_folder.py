import json

import pytest

from acclimate.errors import BadInput
from acclimate.run_folder import FORMAT, RunFolder, sort_run


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


def test_a_folder_that_is_there_stays(tmp_path):
    run = RunFolder(tmp_path)
    for name in "old", "new":
        run.write_folder("preprocess", lambda path, name=name: (path / name).touch())
    assert [p.name for p in (tmp_path / "preprocess").iterdir()] == ["old"]


def test_partial_files_of_a_killed_process_are_swept_away(tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/.a.parquet.17.partial").touch()
    (tmp_path / ".preprocess.17.partial").mkdir()
    (tmp_path / "scores.json").touch()
    RunFolder(tmp_path).sweep()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["outputs", "scores.json"]


@pytest.mark.parametrize("name", [".notes.partial", "outputs/.download.partial", "mine/.a.parquet.17.partial"])
def test_partial_files_of_others_are_not_swept_away(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    RunFolder(tmp_path).sweep()
    assert (tmp_path / name).exists()


def test_only_what_was_written_is_discarded(tmp_path):
    run = RunFolder(tmp_path / "runs/new")
    run.write_json("scores.json", {})
    run.write_folder("preprocess", lambda path: (path / "a").touch())
    (tmp_path / "runs/other").mkdir()
    run.discard()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_file_of_others_in_the_folder_is_not_discarded(tmp_path):
    run = RunFolder(tmp_path / "new")
    run.write_json("scores.json", {})
    (tmp_path / "new/notes.txt").touch()
    run.discard()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["outputs", "models/adapted-0.safetensors", "scores.json"])
def test_a_run_with_a_link_in_it_is_refused(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=f"{name}: is a link"):
        RunFolder(tmp_path / "run").check_links()


def test_lines_are_added_to_lines(tmp_path):
    run = RunFolder(tmp_path)
    for step in 1, 2:
        run.append("losses.jsonl", json.dumps({"seed": 0, "phase": "adapted", "step": step}) + "\n")
    assert [line["step"] for line in run.losses()] == [1, 2]


LINE = '{"seed": 0, "phase": "adapted", "step": 1}\n'


@pytest.mark.parametrize("torn", ['{"seed": 0, "pha', '{"seed": 0, "phase": "adapted", "step": 1', "\x00\x00"])
def test_a_last_line_that_was_cut_off_is_dropped(tmp_path, torn):
    (tmp_path / "losses.jsonl").write_text(LINE + torn)
    assert len(list(RunFolder(tmp_path).losses())) == 1


@pytest.mark.parametrize(
    "torn", ['{"seed": 0, "ph' + LINE, "[1]\n", "\n", '{"seed": 0}\n', '{"seed": "0", "phase": 1, "step": 2}\n']
)
def test_a_torn_line_in_the_middle_is_named(tmp_path, torn):
    (tmp_path / "losses.jsonl").write_text(LINE + torn + LINE)
    with pytest.raises(BadInput, match=r"changed or damaged: losses.jsonl: line 2: not a line of losses"):
        list(RunFolder(tmp_path).losses())


def test_a_run_of_newer_software_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("environment.json", {"format": FORMAT + 1})
    with pytest.raises(BadInput, match="upgrade"):
        run.check_format()


@pytest.mark.parametrize(
    "name", ["trials/cells/0123456789abcdef/models/teacher-0.safetensors", "trials/cells/.0123456789abcdef/run.lock",
             "trials/cells/.0123456789abcdef/cell/checkpoints/adapted-1.ckpt", "trials/failed/0123456789abcdef.json"],
)  # fmt: skip
def test_what_a_trial_of_a_method_leaves_belongs_to_the_run(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("")
    assert sort_run(tmp_path)[1] == []


def test_a_trial_of_a_method_that_has_begun_counts_as_trained(tmp_path):
    saved = tmp_path / "trials/cells/.0123456789abcdef/cell/checkpoints/adapted-1.ckpt"
    saved.parent.mkdir(parents=True)
    saved.write_text("")
    assert RunFolder(tmp_path).has_trained()
