"""Files and folders that this user may not open."""

import codecs
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import samples

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
NOBODY = 65534


@contextmanager
def unprivileged(folder):
    """Be a user who is bound by permissions, and owns the folder."""
    if os.geteuid():
        yield
        return
    codecs.lookup("cp437")  # imported late by what reads a zip, when the interpreter may be out of this user's reach
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place(monkeypatch, finished_run):
    """A folder that any user can reach: domains, a Run, and an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="acclimate-test-"))
    samples.arrays(folder / "s.npz", n=60)
    samples.images(folder / "images", ["cat", "dog"])
    samples.table(folder / "t.csv")
    shutil.copytree(finished_run, folder / "run")
    (folder / "out").mkdir()
    monkeypatch.chdir(folder)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(folder)


ADAPT = "--method source_only --steps 1 -o out/run"
CURVES = "--strategies source_only --per-class 1 --seeds 1 --steps 1"
CASES = {
    f"adapt s.npz s.npz {ADAPT}": ("s.npz", 0, "s.npz: cannot be read (Permission denied)"),
    f"adapt images images {ADAPT}": ("images", 0, "images: cannot be read (Permission denied)"),
    f"adapt t.csv t.csv --label sick {ADAPT}": ("t.csv", 0, "t.csv: cannot be read (Permission denied)"),
    f"adapt s.npz run/a.npz {ADAPT}": ("run", 0, "run/a.npz: permission denied"),
    "adapt s.npz s.npz --method source_only -o out/a/b": ("out", 0, "out/a/b: permission denied"),
    f"adapt s.npz s.npz --seeds 1 {ADAPT}": ("out", 0o500, "out/run: cannot be written (Permission denied)"),
    "adapt s.npz s.npz --method source_only -o run --resume": ("run", 0, "permission denied"),
    "predict run s.npz -o out/p.csv": ("run/models", 0, "permission denied"),
    "predict run s.npz -o out/q.csv": ("out", 0o500, "out/q.csv: cannot be written (Permission denied)"),
    "report run": ("run/losses.jsonl", 0, "run/losses.jsonl: permission denied"),
    "report run/": ("run", 0o500, "report.html: cannot be written (Permission denied)"),
    f"labels s.npz images {CURVES} -o out/labels": ("s.npz", 0, "cannot be read (Permission denied)"),
    f"labels s.npz t.csv {CURVES} -o out/labels": ("out", 0, "out/labels: permission denied"),
}


@pytest.mark.parametrize("command", CASES)
def test_missing_permission_is_told_in_one_line(command, place, acclimate):
    locked, mode, told = CASES[command]
    before = sorted(place.rglob("*"))
    with unprivileged(place):
        (place / locked).chmod(mode)
        found = acclimate(*shlex.split(command))
        (place / locked).chmod(0o700)
    assert (found.code, found.out) == (2, "")
    assert told in found.lines[-1]
    assert sorted(place.rglob("*")) == before
