"""Takes the pictures of pages that the README and the site show. Needs Chromium.

acclimate demo --seeds 3 && python docs/picture.py demo/run report.png
acclimate labels demo/source demo/target -o labels --per-class 1,5,10 --strategies source_only,mcc,supervised
    --seeds 2 --steps 150 && python docs/picture.py labels labels.png
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTH, HEIGHT = 1200, 1180


def main(folder: Path, picture: str) -> None:
    """Photograph the top of a report, its points coloured by class, or of a page of label curves."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in browsers if (path := shutil.which(name))), None)
    is_run = (folder / "report.html").exists()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((folder / ("report.html" if is_run else "labels.html")).resolve().as_uri())
        page.wait_for_selector("body[data-drawn]")
        if is_run:
            page.get_by_label("By class", exact=True).check()
            page.mouse.move(0, 0)
        last = page.locator(".maps" if is_run else ".js-plotly-plot").first.bounding_box()
        assert last
        page.screenshot(
            path=Path(__file__).with_name(picture),
            clip={"x": 0, "y": 0, "width": WIDTH, "height": last["y"] + last["height"] + 28},
            full_page=True,
        )
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
