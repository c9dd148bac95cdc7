"""A Run as a notebook shows it."""

import shutil

import pytest

from acclimate.errors import BadInput
from acclimate.runs.run import Run


@pytest.fixture
def run(finished_run, tmp_path):
    return Run.open(shutil.copytree(finished_run, tmp_path / "run"))


def test_its_repr_is_the_headline(run):
    assert repr(run) == f"<Run {run.path}: The accuracy on the target is unknown>"


def test_a_run_that_cannot_be_read_has_a_repr_too(run):
    run.file("scores.json").unlink()
    assert repr(run) == f"<Run {run.path}>"


def test_its_summary_has_scores_and_next_steps(run):
    said, accuracy = run.summary(), run.scores["source_val"]["accuracy"]
    assert f"{accuracy:.1%} (n = {run.scores['source_val']['n']})" in said
    assert "acclimate audit RUN TARGET --ask 100 -o to_label.csv" in said


def test_its_html_is_escaped_and_loads_nothing(run, tmp_path):
    moved = Run(run.path.rename(tmp_path / "<script>"))
    html = moved._repr_html_()
    assert "&lt;script&gt;" in html
    for markup in "<script", "src=", "href=", "style=":
        assert markup not in html


def test_its_report_is_a_path(run):
    assert run.report() == run.file("report.html")
    run.report().unlink()
    with pytest.raises(BadInput, match="draw it with `acclimate report"):
        run.report()
