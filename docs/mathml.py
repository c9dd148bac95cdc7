r"""A Markdown extension for the site: equations as MathML, which browsers draw without a script.

It reads GitHub's syntax (a fence called ``math``, ``$`x`$``) and that of docstrings (``.. math::``, ``:math:`x```).
In docstrings it also links papers (``arXiv:1505.07818``) and shows examples as code.
"""

import re
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from typing_extensions import override

FENCE = re.compile(r"^```math\n(.*?)\n```$", re.M | re.S)
DIRECTIVE = re.compile(r"^\.\. math::[ ]?(.*)\n?((?:[ ]{4}.*(?:\n|$)|\n)*)", re.M)
DOCTEST = re.compile(r"^>>> .*(?:\n(?=.*\S).*)*", re.M)


def mathml(latex: str, display: str = "inline") -> str:
    """An equation as MathML."""
    return str(convert(latex.replace(r"\arg", r"\operatorname{arg}"), display=display))


def displayed(latex: str) -> str:
    """A displayed equation; on a narrow page it wraps at each quad."""
    limits = re.sub(r"\\(min|max)_", r"\\\1\\limits_", " ".join(latex.split()))
    parts = limits.split(r"\qquad")
    whole = any(part.count("{") != part.count("}") for part in parts)
    return "".join(mathml(part.strip(), "block") for part in ([limits] if whole else parts))


class Blocks(Preprocessor):
    """Displayed equations."""

    @override
    def run(self, lines: list[str]) -> list[str]:
        """Set equations aside as HTML, and fence examples."""
        text = FENCE.sub(lambda m: self._stored(m[1]), "\n".join(lines))
        text = DIRECTIVE.sub(lambda m: self._stored(f"{m[1]}\n{m[2]}"), text)
        return DOCTEST.sub(r"```pycon\n\g<0>\n```", text).split("\n")

    def _stored(self, latex: str) -> str:
        html = f'<div class="equation">{displayed(latex)}</div>'
        return f"\n{self.md.htmlStash.store(html)}\n\n"


class Inline(InlineProcessor):
    """Inline equations."""

    @override
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:
        """The placeholder, and the span of text it replaces."""
        return self.md.htmlStash.store(mathml(" ".join(m[1].split()))), m.start(0), m.end(0)


class Paper(InlineProcessor):
    """Papers by their arXiv number."""

    ANCESTOR_EXCLUDES = ("a",)

    @override
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:
        """The link, and the span of text it replaces."""
        link = Element("a", {"href": f"https://arxiv.org/abs/{m[1]}"})
        link.text = m[0]
        return link, m.start(0), m.end(0)


class Equations(Extension):
    """The extension."""

    @override
    def extendMarkdown(self, md: Markdown) -> None:
        """Register the parts ahead of inline code, which shares their backticks."""
        md.preprocessors.register(Blocks(md), "equations", 30)
        md.inlinePatterns.register(Inline(r":math:`([^`]+)`", md), "math role", 200)
        md.inlinePatterns.register(Inline(r"\$`([^`]+)`\$", md), "math dollars", 200)
        md.inlinePatterns.register(Paper(r"arXiv:(\d{4}\.\d{4,5})", md), "arxiv", 100)
