import pytest

from acclimate.report.label_curves import (
    axis_positions,
    best_strategies,
    curves,
    finding,
    measure_tables,
    render_labels,
    table,
)


def at(n, accuracy):
    return {"budget": f"{n} per class", "labels": 2 * n, "per_class": float(n), "seeds": 2, "accuracy": accuracy,
            "accuracy_sd": 0.02}  # fmt: skip


def found(a, b):
    """Curves of two strategies at 0, 1 and 10 labels per class; the second cannot do without."""
    budgets = [{"name": f"{n} per class", "labels": 2 * n, "per_class": float(n)} for n in (0, 1, 10)]
    recipe = {"backbone": "mlp", "train": {"steps": 5}}
    return {
        "source": "/data/books", "target": "/data/<b>films", "classes": ["0", "1"], "drawn_from": 50,
        "scored": {"path": "films", "n": 40}, "seeds": [0, 1], "budgets": budgets, "seconds": 90.0, "points": [{}] * 10,
        "strategies": {"first": recipe, "<b>second": recipe},
        "curves": {"first": [at(n, y) for n, y in zip((0, 1, 10), a, strict=True)],
                   "<b>second": [at(n, y) for n, y in zip((1, 10), b, strict=True)]},
    }  # fmt: skip


GROWING = found([0.5, 0.6, 0.7], [0.4, 0.9])


def test_the_best_of_each_budget_is_found():
    assert [(best.per_class, best.strategy) for best in best_strategies(GROWING)] == [
        (0, "first"), (1, "first"), (10, "<b>second")]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (GROWING, "With 10 labels per class, <b>second has the highest accuracy: 90.0% (mean of 2 seeds). "
                  "Without labels, first has an accuracy of 50.0%."),
        (found([0.5, 0.7, 0.6], [0.6, 0.705]), "With 10 labels per class, <b>second has the highest accuracy: 70.5% "
         "(mean of 2 seeds). 1 label per class comes within one point of that (first, 70.0%). Without labels, first "
         "has an accuracy of 50.0%."),
        (found([0.9, 0.7, 0.6], [0.6, 0.7]), "With no labels, first has the highest accuracy: 90.0% (mean of 2 "
                                             "seeds)."),
    ],
)  # fmt: skip
def test_how_many_labels_are_worth_their_price_is_said(given, says):
    assert finding(given) == says


def test_the_table_has_a_row_for_each_strategy_and_a_gap_where_nothing_is_known():
    lines = table(GROWING).splitlines()
    assert lines[0].split() == ["labels", "per", "class", "0", "1", "10"]
    assert lines[2].split() == ["<b>second", "–", "40.0", "±", "2.0", "90.0", "±", "2.0"]


def test_every_measure_has_its_numbers_with_views_and_without():
    seen = found([0.5, 0.6, 0.7], [0.4, 0.9])
    for at_budget in (at for curve in seen["curves"].values() for at in curve):
        at_budget |= {"auc": 0.8, "tta": {"accuracy": 0.75}}
    tables = measure_tables(seen | {"tta": ["hflip"], "positive": ["1"]})
    named = ["Accuracy", "Accuracy, with views hflip", "AUC, 1 against the rest"]
    assert [measure.measure for measure in tables] == named
    assert tables[1].rows[1] == ("<b>second", ["–", "75.0", "75.0"])
    assert table(seen).splitlines()[-1].split() == ["<b>second,", "views", "–", "75.0", "75.0"]


def test_no_labels_stand_left_of_the_logarithmic_axis():
    assert axis_positions([0, 1, 10]) == {0.0: -1.0, 1: 0.0, 10: 1.0}
    assert axis_positions([0]) == {0.0: -1.0}
    assert axis_positions([5, 10]).keys() == {5, 10}


def test_each_curve_has_its_points_and_their_spread():
    first, second = curves(GROWING)["views"]["all"]["data"]
    assert first["y"] == [0.5, 0.6, 0.7]
    assert first["error_y"]["array"] == [0.02] * 3
    assert (first["line"]["dash"], first["marker"]["symbol"]) != (second["line"]["dash"], second["marker"]["symbol"])


def test_the_page_says_all_and_no_name_becomes_markup():
    page = render_labels(GROWING)
    words = page[: page.index('<script type="application/json"')]
    assert "&lt;b&gt;second" in words
    assert "<b>second" not in words
    assert "90.0 ± 2.0" in words
    assert "40 examples" in words


@pytest.mark.slow
@pytest.mark.parametrize("width", [380, 1200])
def test_a_browser_draws_the_page_light_and_dark_and_asks_for_nothing(tmp_path, chromium, width):
    path = tmp_path / "labels.html"
    path.write_text(render_labels(GROWING), "utf-8")
    page, complaints, requests = chromium.new_page(viewport={"width": width, "height": 800}), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    for scheme in "dark", "light":
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(f"body[data-drawn='{scheme}']")
        assert page.locator("[data-plot] .scatterlayer .trace").count() == 2
        assert page.locator("[data-plot] .errorbar").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    page.close()
