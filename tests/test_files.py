import os
import signal
import sys

import pytest
import torch
from safetensors.torch import save_file

from acclimate.files import append_whole, write_atomically
from acclimate.run_folder import RunFolder


@pytest.fixture
def full_at():
    """Gives files a largest size, after which a write comes back short, as on a full disk."""
    resource = pytest.importorskip("resource")  # Windows has none
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_a_full_disk_cuts_off_is_not_appended_at_all(full_at, tmp_path):
    append_whole(tmp_path / "log", b"first\n")
    full_at(10)
    with pytest.raises(OSError, match=r"No space left|too large"):
        append_whole(tmp_path / "log", b"second\n")
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
