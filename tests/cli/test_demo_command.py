import json

import pytest
import samples

DIGITS = [(f"{i}", digit, samples.picture(10 * digit + i, 32)) for digit in (0, 1) for i in range(12)]


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "wrong", [("--steps", 0), ("--seeds", 0), ("--stepz", 3), ("--steps", "many")], ids=lambda o: f"{o[0]} {o[1]}"
)
def test_an_option_that_is_refused_removes_nothing(acclimate, tmp_path, wrong):
    for name in "source", "target", "run":
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    before = below(tmp_path)
    result = acclimate("demo", "--folder", tmp_path, *wrong)
    assert (result.code, len(result.lines)) == (2, 1)
    assert wrong[0] in result.lines[0]
    assert below(tmp_path) == before


def test_a_folder_of_other_files_is_refused_in_one_line(acclimate, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "mine.txt").write_text("mine")
    result = acclimate("demo", "--folder", tmp_path, "--steps", 1)
    assert (result.code, len(result.lines)) == (2, 1)
    assert "not a demo folder (contains 'source')" in result.lines[0]
    assert below(tmp_path) == {"source/mine.txt": b"mine"}


def test_an_empty_path_is_refused(acclimate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = acclimate("demo", "--folder", "", "--steps", 1)
    assert (result.code, result.lines) == (2, ["acclimate: --folder: the path is empty; use a folder's name"])
    assert below(tmp_path) == {}


@pytest.mark.slow
def test_it_can_be_run_again(acclimate, tmp_path, monkeypatch):
    written = [(name, digit, samples.picture(100 + i, 32)) for i, (name, digit, _) in enumerate(DIGITS)]
    monkeypatch.setattr("acclimate.data.demo.font_digits", lambda: iter(DIGITS))
    monkeypatch.setattr("acclimate.data.demo.handwritten_digits", lambda: iter(written))
    result = [acclimate("demo", "--folder", tmp_path / "demo", "--steps", 1, "--json") for _ in range(2)]
    assert [t.code for t in result] == [0, 0]
    assert json.loads(result[1].out)["run"] == str(tmp_path / "demo/run")
