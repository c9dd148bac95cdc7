"""The help of each command, its version, and completion in a shell."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

from acclimate.cli import _commands
from acclimate.cli.help import DEFAULTS, EXAMPLES
from acclimate.data.budgets import FRACTIONS
from acclimate.recipe import Training

RUN = [sys.executable, "-c", "import sys; sys.argv[0] = 'acclimate'; from acclimate.cli import main; main()"]


def sections(text):
    """The help by section."""
    found = re.split(r"^(\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.mark.parametrize("command", _commands())
def test_every_option_is_in_a_group_with_its_default(command, acclimate):
    shown = sections(acclimate(command, "--help").out)
    assert "Other" not in shown
    groups = [text for name, text in shown.items() if name not in {"Arguments", "Examples"}]
    options = re.split(r"^  (?=-)", "".join(groups), flags=re.MULTILINE)[1:]
    plain = [" ".join(option.split()) for option in options if "--help" not in option]
    assert all(option.endswith("]") and ("[default: " in option or "[required]" in option) for option in plain)


def test_options_are_grouped_by_what_they_are_about(acclimate):
    shown = sections(acclimate("adapt", "--help").out)
    assert [*shown] == ["Arguments", "Data", "Method", "Training", "Scoring", "Output", "Examples"]
    for option, group in (("--label", "Data"), ("--backbone", "Method"), ("--steps", "Training"), ("--tta", "Scoring")):
        assert f"  {option} " in shown[group]


@pytest.mark.parametrize("command", _commands())
def test_the_examples_use_options_that_there_are(command, acclimate):
    text = acclimate(command, "--help").out
    assert [line.strip() for line in sections(text)["Examples"].splitlines() if line] == list(EXAMPLES[command])
    for example in map(shlex.split, EXAMPLES[command]):
        assert example[:2] == ["acclimate", command]
        assert all(
            re.search(rf"^  (-o, )?{word}\b", text, re.MULTILINE) or word == "-o"
            for word in example
            if word.startswith("-")
        )


def test_defaults_that_the_help_tells_are_those_of_the_code():
    assert DEFAULTS["steps"] == str(Training().steps)
    assert DEFAULTS["precision"] == Training().precision
    assert list(FRACTIONS) == [float(n) for n in DEFAULTS["fractions"].split(",")]


def test_the_version_is_that_of_the_package(acclimate):
    result = acclimate("--version")
    assert (result.code, result.out) == (0, f"acclimate {version('acclimate')}\n")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("acclimate ada", "adapt"),
        ("acclimate adapt --back", "--backbone"),
        ("acclimate adapt --method deep_c", "deep_coral"),
        ("acclimate adapt --finetune ll", "llrd"),
        ("acclimate predict --test-time te", "tent"),
    ],
)
def test_a_shell_completes_commands_options_and_names(typed, completed):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_ACCLIMATE_COMPLETE": "complete_bash"}
    done = subprocess.run(RUN, capture_output=True, text=True, check=False, env={**os.environ, **words})
    assert done.stdout.split() == [completed]
