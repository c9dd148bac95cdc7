import os
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from acclimate.files import write_atomically
from acclimate.run_folder import RunFolder

FULL = """
import resource, signal, sys
from pathlib import Path
from acclimate.files import append_whole

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
append_whole(Path(sys.argv[1]), b"second\\n")
"""
"""Appends in a process whose files have a largest size, after which a write comes back short, as on a full disk."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_what_a_full_disk_cuts_off_is_not_appended_at_all(tmp_path):
    (tmp_path / "log").write_bytes(b"first\n")
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path / "log"], capture_output=True, text=True, check=False)
    assert re.search("No space left|too large", done.stderr)
    assert (tmp_path / "log").read_bytes() == b"first\n"


def modes_below(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_every_file_of_a_run_has_the_permissions_that_the_umask_leaves(tmp_path, umask, mode):
    before, run, weights = os.umask(umask), RunFolder(tmp_path), {"w": torch.zeros(2)}
    try:
        run.write("models/adapted-0.safetensors", lambda path: save_file(weights, path))
        run.write_folder("preprocess", lambda path: save_file(weights, path / "model.safetensors"))
        run.append("losses.jsonl", "{}\n")
        run.write_json("scores.json", {})
    finally:
        os.umask(before)
    assert set(modes_below(tmp_path).values()) == {mode}
    assert len(modes_below(tmp_path)) == 4


def test_the_disk_holds_a_file_before_it_has_its_name(tmp_path, monkeypatch):
    seen, usual = [], os.fsync

    def watched(file):
        seen.append(((tmp_path / "a").exists(), os.fstat(file).st_size))
        usual(file)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomically(tmp_path / "a", lambda path: path.write_bytes(b"12345"))
    assert seen == [(False, 5)]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
