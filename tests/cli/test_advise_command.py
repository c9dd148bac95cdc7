"""``acclimate advise``: the advice in sentences, as JSON and as a page; commands that the command line takes."""

import json
import re
import shlex

import pytest
import samples
import typer

from acclimate import advisor
from acclimate.advice import Facts, Given
from acclimate.cli import _app


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples.arrays(tmp_path / "a.npz", n=60)
    samples.arrays(tmp_path / "b.npz", n=60, seed=1)


def test_the_advice_is_printed_with_its_path_and_command(acclimate, arrays):
    told = acclimate("advise", "a.npz", "b.npz", "--labels-per-class", 5)
    lines = told.out.splitlines()
    assert told.code == 0
    assert lines[1] == "  Are examples of the source at hand? Yes"
    assert any(line.startswith("Command: acclimate adapt a.npz b.npz -o runs/advised") for line in lines)
    assert any(line.startswith("Expected: ") and ".md)" in line for line in lines)


def test_json_is_one_object(acclimate, arrays):
    found = json.loads(acclimate("advise", "a.npz", "b.npz", "--json").out)
    assert {"name", "does", "why", "commands", "path", "runner_up", "gain", "page", "changes", "facts"} <= set(found)


def test_the_page_has_the_command_and_the_diagnosis(acclimate, arrays, tmp_path):
    told = acclimate("advise", "a.npz", "b.npz", "-o", "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert told.out.splitlines()[-1] == "Page: page.html"
    assert "acclimate adapt a.npz b.npz" in text
    assert "The diagnosis" in text
    assert not re.search(r"(src|href)=\"http", text)


@pytest.mark.parametrize("leaf", advisor.leaves(), ids=lambda leaf: leaf.does)
def test_the_command_line_takes_every_command(monkeypatch, leaf):
    given = Given("a.npz", "b.npz", "c.npz", ("--label", "num"), model="run")
    for command in advisor.commands(leaf, Facts(better="timm:resnet18"), given):
        _, name, *words = shlex.split(command)
        monkeypatch.setattr("sys.argv", ["acclimate", name, *words])
        context = typer.main.get_command(_app()).get_command(None, name).make_context(name, words)
        assert context.params["output"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.npz"], "no such file"),
        (["b.npz", "--target-labels", "none.npz"], "no such file"),
        (["b.npz", "--labels-per-class", "-3"], "--labels-per-class"),
        (["b.npz", "--backbones", "minilm"], "--backbones"),
        (["b.npz", "-o", "page.txt"], "not a .html file"),
        (["b.npz", "--overwrite"], "--overwrite"),
        (["x.npz"], "give the same columns"),
    ],
)
def test_bad_input_is_one_line(acclimate, arrays, tmp_path, arguments, says):
    samples.arrays(tmp_path / "x.npz", d=3)
    before = sorted(tmp_path.iterdir())
    told = acclimate("advise", "a.npz", *arguments)
    assert told.code == 2
    assert says in told.lines[-1]
    assert sorted(tmp_path.iterdir()) == before


def test_a_source_without_labels_is_refused(acclimate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples.prices(tmp_path / "a.csv")
    told = acclimate("advise", "a.csv", "a.csv")
    assert (told.code, len(told.lines)) == (2, 1)
    assert "has no labels" in told.lines[0]
