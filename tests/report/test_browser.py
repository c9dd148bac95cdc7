"""The report as a browser sees it."""

import pytest

pytestmark = pytest.mark.slow  # a page takes seconds to open

RUNS = ["scored", "numbers", "unscored", "baseline", "from_a_run", "unscored_numbers", "linear"]


@pytest.mark.parametrize("name", RUNS)
def test_no_complaint_and_no_request(name, request, look):
    seen = look(request.getfixturevalue(name))
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith("data:")] == [seen.page.url]


@pytest.mark.parametrize("name", RUNS)
def test_every_plot_is_drawn(name, request, look):
    seen = look(request.getfixturevalue(name))
    assert seen.count("[data-plot]") == seen.count("[data-plot] .main-svg:first-child")
    assert seen.count("[data-plot^='map '] .point") > 0
    assert (seen.count("[data-plot^='loss '] .js-line") > 0) == (name != "linear")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [380, 1200])
def test_nothing_is_wider_than_the_screen(name, width, request, look):
    seen = look(request.getfixturevalue(name))
    seen.page.set_viewport_size({"width": width, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width


def test_pointing_at_a_dot_shows_its_picture_and_names_classes_as_they_are(scored, look):
    seen = look(scored)
    said = seen.point_at("map adapted")
    assert "adapted: " in said
    assert "<" in said
    assert seen.page.locator("#tip img").evaluate("image => image.naturalWidth") == 12


def test_on_a_map_without_the_source_a_dot_is_still_the_example_it_shows(from_a_run, look):
    seen = look(from_a_run)
    assert "target" in seen.point_at("map adapted")


def test_pointing_at_a_dot_shows_its_text(unscored, look):
    assert any(words in look(unscored).point_at("map source_only") for words in ("<b>book</b>", "</script>"))


def test_the_toggle_colours_by_class_and_names_the_classes(scored, look):
    seen = look(scored)
    seen.page.get_by_label("By class", exact=True).check()
    seen.page.wait_for_selector("[data-plot='map adapted'] .annotation-text")
    names = seen.page.locator("[data-plot='map source_only'] .annotation-text").all_text_contents()
    assert names
    assert set(names) <= {"<script>alert(1)<…", "</script><!--", "<ink>"}
    assert seen.page.locator("[data-shows='map class']").is_visible()
    assert seen.page.locator("[data-shows='map domain']").is_hidden()


def test_class_names_stand_on_the_axes_as_they_are(scored, look):
    names = look(scored).page.locator("[data-plot='shares'] .ytick").all_text_contents()
    assert sorted(names) == ["</script><!--", "<ink>", "<script>alert(1)<…"]


def test_a_tap_shows_what_hovering_shows(scored, look):
    seen = look(scored, touch=True)
    seen.page.locator("[data-plot='map adapted'] .point").first.scroll_into_view_if_needed()
    box = seen.page.locator("[data-plot='map adapted'] .point").first.bounding_box()
    seen.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.wait_for_selector("#tip:not([hidden])")


def test_dark_recolours_page_and_plots(scored, look):
    seen = look(scored)
    colours = """[
        getComputedStyle(document.querySelector("[data-plot='shares'] .ytick text")).fill,
        getComputedStyle(document.body).backgroundColor]"""
    found = {}
    for scheme in "dark", "light":
        seen.page.emulate_media(color_scheme=scheme)
        seen.page.wait_for_selector(f"body[data-drawn='{scheme}']")
        found[scheme] = seen.page.evaluate(colours)
    assert all(a != b for a, b in zip(found["dark"], found["light"], strict=True))


def test_the_toggle_colours_by_prediction(numbers, look):
    seen = look(numbers)
    fills = (
        "[...document.querySelectorAll(\"[data-plot='map adapted'] .point\")].map(p => p.style.fill + p.style.stroke)"
    )
    by_domain = set(seen.page.evaluate(fills))
    seen.page.get_by_label("By prediction", exact=True).check()
    seen.page.wait_for_function(f"new Set({fills}).size > {len(by_domain)}")
    assert seen.page.locator("[data-shows='map value']").is_visible()


def test_predictions_are_drawn_against_the_truth(numbers, look):
    seen = look(numbers)
    assert seen.count("[data-plot='against adapted'] .point") == 40
    assert seen.count("[data-plot='against source_only'] .js-line") == 1
    assert seen.count("[data-plot='histogram'] .js-line") == 4


def test_pointing_at_a_dot_tells_its_numbers(numbers, look):
    said = look(numbers).point_at("map adapted")
    assert "adapted: " in said
    assert "true: " in said


def test_on_paper_it_is_light_and_whole(scored, look):
    seen = look(scored)
    seen.page.emulate_media(color_scheme="dark")
    seen.page.wait_for_selector("body[data-drawn='dark']")
    background = "getComputedStyle(document.documentElement).getPropertyValue('--card').trim()"
    assert seen.page.evaluate(background) == "#1a1e27"
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert seen.page.evaluate(background) == "#ffffff"
    assert seen.count("details:not([open])") == 0
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert seen.page.evaluate(background) == "#1a1e27"
    seen.page.emulate_media(color_scheme="light")
    seen.page.wait_for_selector("body[data-drawn='light']")


def test_ticks_of_an_axis_differ(scored, look):
    ticks = look(scored).page.evaluate(
        "[...document.querySelectorAll('[data-plot]')].flatMap(p => ['xtick', 'ytick'].map("
        "c => [...p.querySelectorAll(`.${c} text`)].map(t => t.textContent)))"
    )
    assert all(len(set(axis)) == len(axis) for axis in ticks)
