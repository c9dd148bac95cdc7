"""Makes report.png, the picture in the README: the top of the demo's report. Needs Chromium and `acclimate demo`.

python docs/picture.py [RUN]
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTH, HEIGHT = 1200, 1180


def main(run: Path) -> None:
    """Photograph the report of ``run``, its points coloured by class."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in browsers if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((run / "report.html").resolve().as_uri())
        page.wait_for_selector("body[data-drawn]")
        page.get_by_label("By class", exact=True).check()
        page.mouse.move(0, 0)
        maps = page.locator(".maps").bounding_box()
        assert maps
        below = maps["y"] + maps["height"] + 28
        page.screenshot(
            path=Path(__file__).with_name("report.png"),
            clip={"x": 0, "y": 0, "width": WIDTH, "height": below},
            full_page=True,
        )
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/run"))
