"""Comparisons whose cells are trained on Ray."""

import importlib.util
import os
import re
import signal
import sys
import threading
import time

import pytest
from samples import shifted

import acclimate
from acclimate import plugins
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.workflows.compare import on_ray

GIVEN = {"methods": ["mcc", "nrc"], "seeds": 2, "steps": 200, "settings": {"train.save_every": 20}}
DEADLY = """
import os, signal
from acclimate.methods import Method

class Deadly(Method):
    '''Kills its process.'''

    def losses(self, source, labels, target, progress):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def asked(folder, **more):
    return acclimate.compare(shifted(), shifted(shift=2, seed=1)[0], folder, **{**GIVEN, **more})


@pytest.fixture
def two_workers():
    """A Ray of this machine alone, with room for two tasks."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'acclimate[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def kill_a_worker(folder, killed):
    """Kill the first process that has written a checkpoint."""
    while not (begun := [*folder.glob("cells/.*/cell/checkpoints/*.*")]):
        time.sleep(0.01)
    lock = begun[0].parents[2] / "run.lock"
    pid = int(re.search(r"process (\d+) on", lock.read_text())[1])
    assert pid != os.getpid()
    os.kill(pid, signal.SIGKILL)
    killed.append(pid)


@pytest.mark.slow
def test_a_killed_worker_leaves_its_cells_to_another_and_the_choice_is_the_same(tmp_path, two_workers, caplog):
    caplog.set_level("INFO", "acclimate")
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "compared", killed))
    killer.start()
    compared = asked(tmp_path / "compared", on="ray")
    killer.join(60)
    told = re.findall(r"cell (\d+) of 16: (.+) \(\d+ s\)", caplog.text)
    assert len(killed) == 1
    assert sorted(int(number) for number, _ in told) == [*range(1, 17)]
    assert len({name for _, name in told}) == 16
    cells = [RunFolder(path) for path in (compared.path / "cells").iterdir()]
    assert [[line["step"] for line in cell.losses()] for cell in cells] == [[*range(1, 201)]] * (
        16 + 2
    )  # the student of both seeds
    expected = asked(tmp_path / "alone")
    assert compared.found["choice"] == expected.found["choice"]
    ranks = [{row["name"]: row["rank"] for row in one.found["ranking"]} for one in (compared, expected)]
    assert ranks[0] == pytest.approx(ranks[1], abs=1e-6)


@pytest.mark.slow
def test_a_cell_whose_worker_is_killed_every_time_is_named(tmp_path, two_workers, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setattr(on_ray, "RETRIES", 0)
    name = plugins.import_spec(f"{tmp_path / 'deadly.py'}:Deadly")
    compared = asked(tmp_path / "compared", on="ray", methods=[name], seeds=1)
    sys.modules.pop("deadly")
    failed = {row["method"]: row["failed"] for row in compared.found["ranking"]}
    assert failed["source_only"] == {}
    assert "its worker was lost 1 times" in failed[name]["0"]


def test_without_ray_one_line_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"Ray is not installed; run `pip install 'acclimate\[ray\]'`"):
        asked(tmp_path / "compared", on="ray")
    assert not (tmp_path / "compared").exists()


def test_workers_of_this_machine_and_a_cluster_are_not_both_taken(tmp_path):
    with pytest.raises(BadInput, match="workers: is for this machine, and on uses all CPUs of the cluster"):
        asked(tmp_path / "compared", on="ray", workers=2)


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1", "127.0.0.1:99999"])
def test_a_cluster_out_of_reach_leaves_nothing(tmp_path, address):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'acclimate[ray]'")
    with pytest.raises(BadInput, match=f"on {address}: cannot reach Ray"):
        asked(tmp_path / "compared", on=address)
    assert not (tmp_path / "compared").exists()
