"""The pages of the methods say what the docstrings say; `make docs` makes them anew."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)


def test_pages_are_those_that_make_docs_makes():
    there = {path.name: path.read_text("utf-8") for path in (DOCS / "methods").glob("*.md")}
    made = pages.pages()
    assert sorted(there) == sorted(made)
    assert [name for name in made if there[name] != made[name]] == []


def test_the_ladder_is_the_one_that_make_docs_makes():
    assert (DOCS / "finetune.md").read_text("utf-8") == pages.ladder()


def test_every_method_that_can_learn_the_moons_has_a_picture():
    drawn = {path.name for path in (DOCS / "methods").glob("*.png")}
    shown = [set(re.findall(r"\((.+\.png)\)", pages.page(entry))) for entry in pages.entries()]
    assert all(
        f"{entry.name}.png" in images
        for entry, images in zip(pages.entries(), shown, strict=True)
        if entry.room not in {"label_shift", "selfsup"}
    )
    assert set.union(*shown) == drawn


@pytest.mark.parametrize("entry", pages.entries(), ids=lambda entry: entry.name)
def test_a_page_has_all_of_its_parts(entry):
    page = pages.page(entry)
    for part in ("```math\n", "## When to use it", "## How to use it", "## What it needs", "## Reference"):
        assert part in page
    assert ":math:" not in page
    assert ".. math" not in page


def test_a_docstring_is_parted_into_sections():
    doc = (
        "What.\n\nMore.\n\nWhen to use:\n    Here.\n\nShapes: ``(n, d)``\n    and more.\n\n"
        "Args:\n    a: One\n        of two.\n    b: B."
    )
    parts = pages.sections(doc)
    assert parts | {"Args": ""} == {
        "": "What.\n\nMore.",
        "When to use": "Here.",
        "Shapes": "``(n, d)``\nand more.",
        "Args": "",
    }
    assert pages.arguments(parts["Args"]) == {"a": "One of two.", "b": "B."}


def test_equations_code_and_papers_become_markdown():
    text = "So\n\n.. math::\n    a\n    b\n\nwith :math:`c` of ``d``, arXiv:1505.07818.\n\n.. math:: e"
    assert pages.markdown(text) == (
        "So\n\n```math\na\nb\n```\n\nwith $`c`$ of `d`, [arXiv:1505.07818](https://arxiv.org/abs/1505.07818).\n\n"
        "```math\ne\n```"
    )
