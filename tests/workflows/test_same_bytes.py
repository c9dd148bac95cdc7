"""The same command twice leaves the same files."""

import os
import subprocess
import sys

import pytest
import samples

FILES = ("model.skops", "models/adapted-0.skops", "preprocess/pipeline.skops", "recipe.yaml", "scores.json")


@pytest.mark.slow
def test_two_processes_leave_the_same_bytes(tmp_path):
    source, target = samples.prices(tmp_path / "s.csv"), samples.prices(tmp_path / "t.csv", n=60, shift=1, seed=1)
    command = [sys.executable, "-m", "acclimate", "adapt", source, target, "--label", "price", "--method", "coral"]
    for seed in "1", "2":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, "-o", tmp_path / seed], env=environment, check=True, capture_output=True)
    first, second = ({name: (tmp_path / seed / name).read_bytes() for name in FILES} for seed in "12")
    assert first == second
