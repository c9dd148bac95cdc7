import pytest

from acclimate.report.compare import (
    ensemble_lines,
    failures,
    finding,
    lines,
    regret,
    rejections,
    render_comparison,
    table,
)


def row(name, rank, accuracy=None, **more):
    scored = {"target": {"n": 400, "accuracy": accuracy, "accuracy_sd": 0.01}} if accuracy else {}
    return {
        "name": name, "method": name.partition(" ")[0], "settings": {}, "rank": rank, "rejected": {}, "failed": {},
        "scores": {"entropy": -0.5, "snd": 2.0}, "left_out": [], "source_val": 0.9, "seconds": 1.25, **scored, **more,
    }  # fmt: skip


def change(difference, low, high):
    return {"measure": "accuracy", "difference": difference, "low": low, "high": high, "n": 400, "seeds": 2}


def found(*, labelled=True):
    mean = {"target": {"n": 400, "accuracy": 0.85, "accuracy_sd": 0.0}, "change": change(0.15, 0.1, 0.2)}
    members = {"0": {"a": 0.5, "b": 0.5}, "1": {"a": 1.0}}
    rows = [
        row("<b>mcc", 0.8, 0.8, change=change(0.1, 0.05, 0.15), scores={"snd": 3.0}, left_out=["entropy"]),
        row("dann", 0.6, 0.9, change=change(0.2, 0.15, 0.25)),
        row("source_only", 0.4, 0.7),
        row("tca", 0.0, 0.3, change=change(-0.4, -0.5, -0.3), rejected={"0": "collapsed", "1": "collapsed"}, scores={}),
        row("cdan", None, failed={"1": "a loss is not finite"}, rejected={"0": "flat"}, scores={}),
        row("vada", None, failed={"0": "no", "1": "no"}, scores={}, source_val=None, seconds=None),
    ]
    if not labelled:
        rows = [{k: v for k, v in one.items() if k not in {"target", "change"}} for one in rows]
    return {
        "source": "/data/books", "target": "/data/<b>films", "classes": ["0", "1"], "seeds": [0, 1], "positive": [],
        "score": {"path": "/data/films", "n": 400} if labelled else None, "tta": [], "digests": {},
        "left_out": {"mdd": "does not suit"}, "choice": "<b>mcc", "reference": "source_only", "seconds": 90.0,
        "recipes": {"source_only": {"method": "source_only", "backbone": "mlp", "finetune": "full"}},
        "reason": "it has the highest mean rank, 0.80 of 1", "caution": "", "ranking": rows,
        "ensembles": [{"name": "mean", "members": members, **(mean if labelled else {})}],
        "agreement": [{"validator": "snd", "correlation": -0.25, "settings": 4}] if labelled else [],
    }  # fmt: skip


def test_the_choice_is_told_with_its_accuracy_and_its_difference_to_source_only():
    assert finding(found()) == (
        "<b>mcc is chosen: 80.0% ± 1.0% accuracy on the target. Chosen without target labels among 6 settings of 6 "
        "methods, 2 seeds each: it has the highest mean rank, 0.80 of 1. Against source_only: +10.0 points (95% "
        "interval +5.0 to +15.0). Scored on 400 examples of /data/films."
    )


def test_what_the_guard_says_against_the_choice_is_told():
    given = {**found(), "caution": "its seeds agree less often"}
    assert finding(given).endswith("Caution: the guard finds source_only safer: its seeds agree less often.")
    assert "<strong>Caution:</strong> the guard finds source_only safer" in render_comparison(given)
    assert "Caution" not in render_comparison(found())


def test_without_labels_the_accuracy_is_unknown():
    assert finding(found(labelled=False)).startswith("<b>mcc is chosen; its accuracy on the target is unknown. Chosen")
    assert regret(found(labelled=False)) is None


def test_a_change_whose_interval_holds_zero_is_no_clear_change():
    given = found()
    given["ranking"][0]["change"] = change(0.01, -0.01, 0.03)
    assert "Against source_only: no clear change, +1.0 points (95% interval −1.0 to +3.0)." in finding(given)


def test_the_setting_that_labels_would_have_chosen_is_named():
    assert regret(found()) == ("dann", "90.0%", "10.0")


def test_a_line_has_all_that_is_known_of_a_setting():
    first, second, third, fourth, fifth = lines(found())
    assert (first.rank, first.accuracy, first.change, first.better) == (
        "0.80",
        "80.0 ± 1.0",
        "+10.0 (+5.0 to +15.0)",
        "better",
    )
    assert (first.scores, second.scores) == (["3.000", "no say"], ["2.000", "−0.500"])
    assert (third.change, third.better) == ("–", "")
    assert (fourth.rejected, fourth.better, fourth.scores) == ("rejected", "worse", ["–", "–"])
    assert (fifth.rank, fifth.rejected) == ("–", "rejected in 1 of 2 seeds")


def test_reasons_name_the_seeds_they_are_of():
    assert failures(found()) == [("cdan", ["seed 1: a loss is not finite"]), ("vada", ["no"])]
    assert rejections(found()) == [("tca", ["collapsed"]), ("cdan", ["seed 0: flat"])]


def test_an_ensemble_tells_how_many_models_it_has():
    [line] = ensemble_lines(found())
    assert (line.members, line.accuracy, line.better) == ("1 to 2", "85.0 ± 0.0", "better")


def test_the_table_has_the_accuracy_only_with_labels():
    words = table(found()).splitlines()
    assert words[0].split() == ["setting", "mean", "rank", "accuracy", "against", "source-only", "gates", "s"]
    assert words[4].split() == ["tca", "0.00", "30.0", "±", "1.0", "−40.0", "(−50.0", "to", "−30.0)", "rejected", "1.2"]
    assert table(found(labelled=False)).splitlines()[1].split() == ["<b>mcc", "0.80", "1.2"]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_says_all_and_no_name_becomes_markup(labelled):
    page = render_comparison(found(labelled=labelled))
    assert "&lt;b&gt;mcc" in page
    assert "<b>mcc" not in page
    for word in ("Training failed: seed 1: a loss is not finite", "Left out: does not suit", "collapsed"):
        assert word in page
    assert ("Validators against accuracy" in page) == labelled


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_the_page_and_asks_for_nothing(tmp_path, chromium, width):
    path = tmp_path / "compare.html"
    path.write_text(render_comparison(found()), "utf-8")
    page, complaints, requests = chromium.new_page(viewport={"width": width, "height": 800}), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    assert page.locator("table").first.locator("tbody tr").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    page.close()
