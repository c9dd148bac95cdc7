"""The command that a Run keeps does the same again."""

import shlex

import numpy as np

from acclimate.workflows.command import command_of


def test_options_with_their_default_are_left_out():
    options = {"method": "auto", "seeds": 1, "devices": 1, "drop": (), "label": None, "settings": {}, "steps": 3}
    assert command_of("a", "b", "c", options | {"strict": False}) == "acclimate adapt a b -o c --steps 3"


def test_a_switch_has_no_value_and_chosen_seeds_need_python():
    assert command_of("a", "b", "c", {"strict": True}) == "acclimate adapt a b -o c --strict"
    assert command_of("a", "b", "c", {"seeds": [0, 2]}) == "acclimate.adapt('a', 'b', 'c', seeds=[0, 2])"


def test_lists_settings_and_paths_are_written_as_the_shell_takes_them():
    options = {"drop": ["x", "y"], "target_labels": "my labels.csv#site=va", "settings": {"train.compile": True}}
    words = shlex.split(command_of("a b", "$HOME", "c", options))
    assert words[2:] == [
        "a b", "$HOME", "-o", "c", "--drop", "x,y", "--target-labels", "my labels.csv#site=va",
        "--set", "train.compile=true",
    ]  # fmt: skip


def test_examples_in_memory_make_it_a_call():
    found = command_of((np.ones(2), [0, 1]), np.ones(2), "run", {"score": (np.ones(2), [0, 1]), "steps": 3})
    assert found == "acclimate.adapt(source, target, 'run', score=score, steps=3)"


def test_a_run_keeps_its_command(finished_run):
    from acclimate.run_folder import RunFolder

    assert "adapt" in RunFolder(finished_run).environment["command"]


def test_several_sources_are_separated_by_commas_where_that_can_be_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "a,b"):
        (tmp_path / name).mkdir()
    assert command_of(["b", tmp_path / "a"], "t", "c", {}) == f"acclimate adapt b,{tmp_path}/a t -o c"
    assert command_of(["a", "b"], "t", "c", {}) == "acclimate.adapt(['a', 'b'], 't', 'c')"
    assert command_of([(np.ones(2), [0, 1]), "a"], "t", "c", {}) == "acclimate.adapt(source, 't', 'c')"
