"""A demo folder: only what a demo wrote is replaced."""

import shutil
from pathlib import Path

import pytest
import samples
from PIL import Image

from acclimate.data import demo
from acclimate.errors import BadInput

TWO_DIGITS = [(f"{kind}-{i}", digit, samples.picture(i)) for kind in "ab" for i in range(2) for digit in (0, 1)]


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    """A few pictures in the place of thousands."""
    for name in "font_digits", "handwritten_digits":
        monkeypatch.setattr(demo, name, lambda: iter(TWO_DIGITS))


@pytest.fixture
def folder(tmp_path, finished_run):
    """A demo folder with a Run, and what a kill leaves of another training in it."""
    demo.write_demo(tmp_path / "demo")
    shutil.copytree(finished_run, tmp_path / "demo/run")
    (tmp_path / "demo/run/checkpoints").mkdir(exist_ok=True)
    for name in "checkpoints/adapted-0.ckpt", "models/.adapted-1.safetensors.17.partial":
        (tmp_path / "demo/run" / name).touch()
    return tmp_path / "demo"


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder, says):
    before = below(folder)
    with pytest.raises(BadInput) as told:
        demo.write_demo(folder)
    assert says in str(told.value)
    assert below(folder) == before


def test_a_demo_is_two_folders_of_classes_and_a_list(tmp_path):
    source, target, run = demo.write_demo(tmp_path / "new")
    assert {path.name for path in source.iterdir()} == {path.name for path in target.iterdir()} == {"0", "1"}
    assert not run.exists()
    assert (tmp_path / "new" / ".acclimate-demo").read_text().splitlines()[0] == "source/0/a-0.png"


def test_an_earlier_demo_is_replaced(folder, monkeypatch):
    (folder / "notes.txt").write_text("mine")
    monkeypatch.setattr(demo, "font_digits", lambda: iter([("other", 0, samples.picture())]))
    source, _, run = demo.write_demo(folder)
    assert set(below(source)) == {"0/other.png"}
    assert "source/0/a-0.png" not in (folder / ".acclimate-demo").read_text()
    assert not run.exists()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("killed_at", [1, 5, 8])
@pytest.mark.parametrize(("kind", "name"), [(Path, "unlink"), (Image.Image, "save")])
def test_a_demo_killed_while_it_removes_or_writes_is_replaced(folder, monkeypatch, kind, name, killed_at):
    usual, done = getattr(kind, name), []

    def dies(this, *given, **more):
        done.append(this)
        if len(done) == killed_at:
            raise KeyboardInterrupt
        return usual(this, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(demo, "font_digits", lambda: iter([(f"new-{i}", 0, samples.picture()) for i in range(8)]))
        patched.setattr(kind, name, dies)
        with pytest.raises(KeyboardInterrupt):
            demo.write_demo(folder)
    assert len(below(demo.write_demo(folder)[0])) == len(TWO_DIGITS)


def test_a_demo_killed_before_its_list_was_there_is_replaced(tmp_path):
    (tmp_path / "..acclimate-demo.17.partial").touch()
    assert demo.write_demo(tmp_path)[0].is_dir()


@pytest.mark.parametrize("name", ["source/0/a.png", "run/recipe.yaml", "notes.txt"])
def test_a_folder_without_a_list_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    top = name.partition("/")[0]
    refused(tmp_path, f"{tmp_path}: not a demo folder (contains '{top}'); remove it, or choose another fo")


@pytest.mark.parametrize("name", ["source/0/mine.png", "target/more/mine.JPG", "source/mine.png"])
def test_a_foreign_image_is_refused_since_it_would_be_learnt_from(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"mine")
    refused(folder, f"{folder / name}: not written by the demo; move it, or choose another folder")


def test_a_foreign_file_that_is_no_image_is_left_alone(folder):
    (folder / "source/0/notes.txt").write_text("mine")
    demo.write_demo(folder)
    assert (folder / "source/0/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["run/mine.csv", "run/outputs/mine.parquet", "run/models/mine.safetensors"])
def test_a_foreign_file_in_the_run_is_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"mine")
    refused(folder, f"{folder / name}: not written by the demo")


@pytest.mark.parametrize("name", ["source", "target/1", "run", "run/models"])
def test_a_link_to_another_folder_is_refused(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    before = below(tmp_path / "elsewhere")
    refused(folder, f"{folder / name}: not written by the demo")
    assert below(tmp_path / "elsewhere") == before


def test_a_list_that_names_files_elsewhere_removes_none(folder, tmp_path):
    (tmp_path / "mine.png").write_bytes(b"mine")
    with (folder / ".acclimate-demo").open("a") as names:
        names.write("../mine.png\nsource/0/../../../mine.png\n")
    demo.write_demo(folder)
    assert (tmp_path / "mine.png").exists()


def test_a_file_is_no_folder_for_a_demo(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(BadInput, match="demo: is a file; choose another folder"):
        demo.write_demo(tmp_path / "demo")
