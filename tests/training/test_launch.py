import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from samples import arrays

from acclimate.errors import BadInput
from acclimate.training.launch import in_first_process, launched

PORT = 29_517


def run_on_two_machines(folder, *arguments, each=2):
    """The command under torchrun, as two machines of ``each`` processes would start it; what each printed."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={node}",
             f"--nproc-per-node={each}", "--master-addr=127.0.0.1", f"--master-port={PORT}",
             "-m", "acclimate", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) for node in (0, 1)
    ]  # fmt: skip
    return [(*process.communicate(timeout=240), process.returncode) for process in started]


@pytest.fixture
def domains(tmp_path):
    arrays(tmp_path / "a.npz", n=80)
    arrays(tmp_path / "b.npz", n=80, seed=1)
    return tmp_path


ADAPT = ("adapt", "a.npz", "b.npz", "--method", "dann", "--set", "train.steps=20")


@pytest.mark.slow
def test_two_machines_of_two_processes_train_what_one_process_trains(domains):
    alone = subprocess.run([sys.executable, "-m", "acclimate", *ADAPT, "-o", "alone"], cwd=domains, check=True)
    (printed, _, code), (nothing, _, _) = run_on_two_machines(domains, *ADAPT, "-o", "together")
    assert alone.returncode == code == 0
    assert "together/report.html" in printed
    assert nothing == ""
    weights, expected = (load_file(domains / run / "model.safetensors") for run in ("together", "alone"))
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_bad_input_is_told_once_by_the_first_of_all_processes(domains):
    results = run_on_two_machines(domains, *ADAPT, "-o", "run", "--set", "train.batch_size=7", each=1)
    assert sum(errors.count("a batch of 7 cannot be shared among 2 processes") for _, errors, _ in results) == 1
    assert all(code != 0 for *_, code in results)
    assert not (domains / "run").exists()


def test_the_variables_of_torchrun_tell_the_place_of_a_process(monkeypatch):
    assert launched() is None
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert launched() == (5, 8, 4)


def test_a_variable_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "x")
    with pytest.raises(BadInput, match="WORLD_SIZE='x': not a number"):
        in_first_process(dict)
