"""``acclimate diagnose``: findings in sentences, as JSON and as a page; bad input in one line."""

import json
import re

import numpy as np
import pytest
import samples


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples.prices(tmp_path / "a.csv")
    samples.prices(tmp_path / "b.csv", shift=2, seed=1)


def test_findings_are_printed_worst_first(acclimate, tables):
    told = acclimate("diagnose", "a.csv", "b.csv", "--label", "price")
    lines = told.out.splitlines()
    assert told.code == 0
    assert lines[0] == "Very different: a.csv and b.csv"
    assert any(line.startswith("Very different: area: mean up by") for line in lines)
    assert not any("price" in line for line in lines)


def test_json_is_one_object(acclimate, tables):
    found = json.loads(acclimate("diagnose", "a.csv", "b.csv", "--label", "price", "--json").out)
    assert found["verdict"] == "very different"
    assert {"where", "name", "test", "statistic", "p", "effect", "verdict", "text"} <= set(found["tests"][0])


def test_the_page_draws_each_column_that_moved(acclimate, tables, tmp_path):
    told = acclimate("diagnose", "a.csv", "b.csv", "--label", "price", "-o", "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert told.out.splitlines()[-1] == "Page: page.html"
    assert len(re.findall(r"<svg", text)) >= 1
    assert "area: mean up by" in text
    assert not re.search(r"(src|href)=\"http", text)


def test_texts_show_the_examples_most_typical_of_the_difference(acclimate, tmp_path):
    book, film = samples.reviews(tmp_path / "a.csv", n=40), samples.reviews(tmp_path / "b.csv", n=40, thing="film")
    acclimate("diagnose", book, film, "--label", "mood", "--text", "text", "-o", tmp_path / "page.html")
    assert "Examples most typical" in (tmp_path / "page.html").read_text("utf-8")


def test_a_run_gives_its_own_features(acclimate, finished_run, tmp_path):
    a, b = samples.arrays(tmp_path / "a.npz", n=60), samples.arrays(tmp_path / "b.npz", n=60, seed=4)
    found = json.loads(acclimate("diagnose", a, b, "--model", finished_run, "--json").out)
    assert {one["where"] for one in found["tests"]} >= {"domains", "outputs", "label", "column"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.csv", "none.csv"], "no such file"),
        (["a.csv", "b.csv", "--label", "prize"], "did you mean price"),
        (["a.csv", "b.csv", "--model", "a.csv"], "a.csv"),
        (["a.csv", "b.csv", "--target-labels", "none.csv"], "no such file"),
        (["a.csv", "b.csv", "-o", "page.txt"], "not a .html file"),
        (["a.csv", "b.csv", "-o", "none/page.html"], "does not exist"),
        (["a.csv", "b.csv", "--overwrite"], "--overwrite"),
        (["a.csv", "x.npz"], "give the same kind"),
        (["a.csv", "b.csv", "--target-labels", "b.csv"], "has no labels"),
    ],
)
def test_bad_input_is_one_line(acclimate, tables, tmp_path, arguments, says):
    np.savez(tmp_path / "x.npz", x=np.zeros((30, 3), np.float32))
    before = sorted(tmp_path.iterdir())
    told = acclimate("diagnose", *arguments)
    assert told.code == 2
    assert len(told.lines) == 1
    assert says in told.lines[0]
    assert sorted(tmp_path.iterdir()) == before


def test_columns_beside_a_run_are_refused(acclimate, tables, finished_run):
    told = acclimate("diagnose", "a.csv", "b.csv", "--model", finished_run, "--label", "price")
    assert (told.code, len(told.lines)) == (2, 1)
    assert "omit it" in told.lines[0]


def test_a_page_that_exists_is_kept(acclimate, tables, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    told = acclimate("diagnose", "a.csv", "b.csv", "-o", "page.html")
    assert told.code == 2
    assert (tmp_path / "page.html").read_text() == "mine"
