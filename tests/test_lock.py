import os
import shutil
import signal
import subprocess
import sys

import pytest
import samples

from acclimate import adapt, labels
from acclimate.errors import BadInput
from acclimate.lock import LOCK, locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")

HOLD = """
import sys, time
from pathlib import Path
from acclimate.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder():
    """Gives a process that holds the lock of a folder."""
    started = []

    def hold(folder):
        started.append(subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_who_holds_a_run_and_since_when(holder, finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    process = holder(run)
    with pytest.raises(BadInput, match=rf"run: in use by process {process.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:"):
        adapt(samples.shifted(), samples.shifted()[0], run, resume=True)


def test_the_lock_of_a_killed_process_is_free(holder, tmp_path):
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_a_folder_that_can_be_continued(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).write_text("process 1 on here since long ago")
    adapt(samples.shifted(), samples.shifted()[0], tmp_path / "run", resume=True, method="source_only", steps=1)
    assert not (tmp_path / "run" / LOCK).exists()


def test_label_curves_are_of_one_process_too(tmp_path):
    (tmp_path / "labels").mkdir()
    with locked(tmp_path / "labels"), pytest.raises(BadInput, match=f"labels: in use by process {os.getpid()} on"):
        labels(samples.shifted(), samples.shifted(shift=1), tmp_path / "labels", resume=True, steps=1, per_class=[1])


def test_a_lock_that_its_holder_removes_is_not_taken_for_the_new_one(tmp_path, monkeypatch):
    opened, usual = [], os.path.samestat

    def gone_once(*stats):
        opened.append(stats)
        return usual(*stats) and len(opened) > 1

    monkeypatch.setattr(os.path, "samestat", gone_once)
    with locked(tmp_path):
        assert len(opened) == 2
