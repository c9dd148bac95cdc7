import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import samples

HOSTILE = ("<script>alert(1)</script>", "</script><!--", "<ink>")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)


def pictures(seed: int, n: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Noise ``(n, 12, 12)`` with a bright stripe whose place is the class; the names of the classes bite."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % len(HOSTILE)
    x = rng.integers(0, 60, (n, 12, 12)).astype(np.uint8)
    for picture, code in zip(x, codes, strict=True):
        picture[4 * code : 4 * code + 3] += 180
    return x, np.array(HOSTILE)[codes]


def texts(path: Path, n: int = 30) -> Path:
    """Reviews with a label, all of them with markup in it."""
    words = ["a fine <b>book</b> & more", "dull </script><img src=x onerror=alert(1)>"]
    frame = pl.DataFrame({"text": [f"{words[i % 2]} {i}" for i in range(n)], "label": ["ab"[i % 2] for i in range(n)]})
    frame.write_csv(path)
    return path


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """A Run on images in memory with two seeds, its target scored."""
    from acclimate import adapt

    target = pictures(1)
    place = tmp_path_factory.mktemp("report") / "scored"
    return adapt(
        pictures(0), target[0], place, method="dann", steps=3, seeds=2, score=target, tta=["hflip"], augment="trivial"
    )


@pytest.fixture(scope="session")
def unscored(tmp_path_factory):
    """A Run on texts whose target has no labels."""
    from acclimate import adapt

    place = tmp_path_factory.mktemp("report")
    source, target = texts(place / "source.csv"), texts(place / "target.csv", 24)
    return adapt(source, target, place / "run", method="mcc", steps=3, label="label", text="text")


@pytest.fixture(scope="session")
def baseline(tmp_path_factory):
    """A Run of nothing but the baseline on a handful of rows that are all the same."""
    from acclimate import adapt

    place = tmp_path_factory.mktemp("report") / "run"
    return adapt((np.ones((6, 3)), [0, 1] * 3), np.ones((2, 3)), place, method="source_only", steps=2)


@pytest.fixture(scope="session")
def linear(tmp_path_factory):
    """A Run of a shallow method, which has no losses."""
    from acclimate import adapt

    (x, y), place = ((np.random.default_rng(0).normal(size=(40, 3)), [0, 1] * 20), tmp_path_factory.mktemp("report"))
    return adapt((x, y), x + 1, place / "run", method="importance_weighting")


@pytest.fixture(scope="session")
def from_a_run(scored, tmp_path_factory):
    """A Run that started from another and never met the source."""
    from acclimate import adapt

    target = pictures(1)
    return adapt(scored, target[0], tmp_path_factory.mktemp("report") / "run", method="shot", steps=3, score=target)


@pytest.fixture(scope="session")
def numbers(tmp_path_factory):
    """A Run of two seeds that predicts numbers, its target scored."""
    from acclimate import adapt

    place = tmp_path_factory.mktemp("report")
    source, target = samples.prices(place / "s.csv"), samples.prices(place / "t.csv", n=40, shift=1, seed=1)
    return adapt(source, target, place / "run", method="dann", steps=3, seeds=2, label="price", score=target)


@pytest.fixture(scope="session")
def unscored_numbers(tmp_path_factory):
    """A Run of the baseline that predicts numbers for images without labels."""
    from acclimate import adapt

    x, _ = pictures(0)
    place = tmp_path_factory.mktemp("report") / "run"
    return adapt((x, x.mean((1, 2))), x, place, method="source_only", steps=2, settings={"train.batch_size": 8})


@pytest.fixture
def copy(tmp_path):
    """Copies a Run, so that a test may change it."""
    from acclimate.run_folder import RunFolder

    def copied(run: RunFolder) -> RunFolder:
        return RunFolder(shutil.copytree(run.path, tmp_path / "run"))

    return copied


@dataclass
class Seen:
    """A page in the browser, what it complained of and what it asked for."""

    page: object
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def point_at(self, plot: str) -> str:
        """The words that come up over the first point of a map."""
        point = self.page.locator(f'[data-plot="{plot}"] .point').first
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
        self.page.wait_for_selector("#tip:not([hidden])", timeout=5000)
        return self.text("#tip")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A headless browser, the same for all tests."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no browser to look at the report with (none of {', '.join(BROWSERS)} on PATH)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def look(chromium):
    """Opens a Run's report, or comes back to it: ``look(run, touch=True)``."""
    opened = {}

    def looked(run, *, touch: bool = False) -> Seen:
        if (run.path, touch) not in opened:
            width = 380 if touch else 1200
            context = chromium.new_context(viewport={"width": width, "height": 800}, has_touch=touch)
            opened[run.path, touch] = watched(context.new_page(), run)
        return opened[run.path, touch]

    yield looked
    for seen in opened.values():
        seen.page.context.close()


def watched(page, run) -> Seen:
    """The Run's report in ``page``, drawn."""
    seen = Seen(page)
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (seen.complaints.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(run.file("report.html").as_uri())
    page.wait_for_selector("body[data-drawn]")
    return seen
