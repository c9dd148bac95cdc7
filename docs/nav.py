"""The site's navigation: the pages that mkdocs.yml names, plus those listed in a section's README."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/*.md")
OPTIONAL = {"SECURITY.md"}


def outside() -> list[str]:
    """Paths of the pages that are not in docs/."""
    return sorted(str(path.relative_to(ROOT)) for pattern in OUTSIDE for path in ROOT.glob(pattern))


def complete(nav: list[Any]) -> list[Any]:
    """Add the pages that a section's README lists, and drop an optional page that does not exist."""
    return [_complete(item) for item in nav if not _missing(item)]


def _missing(item: Any) -> bool:
    page = _content(item)
    return isinstance(page, str) and page in OPTIONAL and not (ROOT / page).exists()


def _complete(item: Any) -> Any:
    if isinstance(below := _content(item), str):
        return item
    more = listed(below[0]) if len(below) == 1 and isinstance(below[0], str) else []
    return {next(iter(item)): complete([*below, *more])}


def _content(item: Any) -> Any:
    """The page of an entry, or the entries of a section."""
    return next(iter(item.values())) if isinstance(item, dict) else item


def listed(readme: str) -> list[Any]:
    """The pages that a README links to in its own folder, grouped by its headings."""
    folder = Path(readme).parent
    found: list[Any] = []
    for part in re.split(r"^## ", (ROOT / readme).read_text("utf-8"), flags=re.M):
        heading, _, text = part.partition("\n")
        links = dict(re.findall(r"\[`([\w.]+)`\]\((\w+\.md)\)", text))
        pages = [{name.removesuffix(".md"): str(folder / page)} for name, page in links.items()]
        found += [{heading: pages}] if pages and not heading.startswith("#") else pages
    return found


def flat(nav: list[Any]) -> list[str]:
    """Every page of a navigation."""
    below = map(_content, nav)
    return [page for entry in below for page in ([entry] if isinstance(entry, str) else flat(entry))]
