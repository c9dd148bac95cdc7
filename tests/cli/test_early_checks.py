"""What is told before torch is imported: errors in paths, options and names, and that work begins."""

import json
import subprocess
import sys

import pytest
import samples

MAIN = "from acclimate.cli import main; main()"

EACH = """
import io, json, sys
from contextlib import redirect_stderr
from acclimate.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["acclimate", *command.split()]
    with redirect_stderr(io.StringIO()) as told:
        try:
            main()
        except SystemExit as left:
            print(json.dumps([left.code, told.getvalue(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""
"""Runs commands in one process; prints each one's exit code, its words, and the packages imported so far."""
WRONG = {
    "adapt no . -o run": "no: no such file or folder",
    "adapt .,no . -o run": "no: no such file or folder",
    "adapt .,RUN . -o run": "is a Run, which can only be the source by itself",
    "compare ., . -o run": "the path is empty",
    "adapt . no#part -o run": "no: no such file or folder",
    "adapt . . -o run --score no": "no: no such file or folder",
    "adapt . . -o .": ".: exists already",
    "adapt . . -o run --weights no.pth": "no.pth: weights file not found",
    "adapt . . -o run --method dan_n": "did you mean dann?",
    "adapt . . -o run --finetune lor": "did you mean lora?",
    "adapt . . -o run --backbone resnet50": "did you mean timm:resnet50?",
    "adapt . . -o run --method dann --set weihgt=1": "did you mean weight?",
    "adapt . . -o run --set train.lr=fast": "train.lr='fast' is invalid",
    "labels . no -o run": "no: no such file or folder",
    "predict no . -o p.csv": "no: no such Run",
    "predict RUN no -o p.csv": "no: no such file or folder",
    "predict RUN . -o p.csv --test-time tentt": "did you mean tent?",
    "evaluate RUN no": "no: no such file or folder",
    "report no": "no: no such Run",
}
"""A command, and what it says."""


@pytest.fixture(scope="module")
def told(finished_run, tmp_path_factory):
    commands = json.dumps([command.replace("RUN", str(finished_run)) for command in WRONG])
    done = subprocess.run(
        [sys.executable, "-c", EACH, commands], capture_output=True, text=True, check=True,
        cwd=tmp_path_factory.mktemp("empty"),
    )  # fmt: skip
    return dict(zip(WRONG, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("command", WRONG)
def test_bad_input_is_told_before_torch_is_imported(command, told):
    code, words, packages = told[command]
    assert code == 2
    assert WRONG[command] in words
    assert not {"torch", "numpy", "polars", "timm"} & set(packages)


@pytest.mark.parametrize("command", ["predict RUN new.npz -o p.csv", "evaluate RUN new.npz", "adapt new.npz . -o run"])
def test_a_command_tells_what_it_reads_before_torch_is_imported(command, finished_run, tmp_path):
    samples.arrays(tmp_path / "new.npz")
    stops = "import sys\nfor heavy in ('torch', 'numpy'):\n    sys.modules[heavy] = None\n"
    command = [sys.executable, "-c", stops + MAIN, *command.replace("RUN", str(finished_run)).split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr.startswith("acclimate: reading new.npz")


def test_training_tells_what_it_reads_first(acclimate, tmp_path):
    source, target = samples.arrays(tmp_path / "a.npz"), samples.arrays(tmp_path / "b.npz")
    result = acclimate("adapt", source, target, "-o", tmp_path / "run", "--steps", 1, "--method", "source_only")
    assert result.lines[0] == f"acclimate: reading {source} and {target}"
