"""What a person reads on a page."""

import html
import re


def words(run) -> str:
    """The page's text: no plotly.js, no tags, no entities."""
    text = run.file("report.html").read_text("utf-8").replace("<wbr>", "")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style).*?</\1>", " ", text))).split())
