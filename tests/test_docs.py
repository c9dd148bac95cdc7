"""Generated pages match the code; the navigation of the site names every page. `make docs` checks the links."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages, nav = load("pages"), load("nav")


@pytest.fixture(scope="module")
def made():
    return pages.files()


def test_generated_pages_are_up_to_date(made):
    assert [name for name, text in made.items() if (DOCS / name).read_text("utf-8") != text] == []


def test_no_page_of_a_method_is_left_over(made):
    assert {f"methods/{path.name}" for path in (DOCS / "methods").glob("*.md")} <= set(made)


def test_the_navigation_names_every_page_once():
    named = nav.flat(nav.complete(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    written = [str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted([*written, *nav.outside()])


def test_an_optional_page_is_named_once_it_exists(monkeypatch, tmp_path):
    monkeypatch.setattr(nav, "ROOT", tmp_path)
    entry = {"Security": "SECURITY.md"}
    assert nav.complete([entry]) == []
    (tmp_path / "SECURITY.md").touch()
    assert nav.complete([entry]) == [entry]


def test_a_section_lists_the_pages_of_its_readme_by_heading(monkeypatch, tmp_path):
    monkeypatch.setattr(nav, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("# All\n\n[`a`](a.md)\n\n## Group\n\n[`b`](b.md) [other](c.md)\n")
    assert nav.complete([{"All": ["README.md"]}]) == [{"All": ["README.md", {"a": "a.md"}, {"Group": [{"b": "b.md"}]}]}]


def test_the_command_line_page_has_every_command(made):
    assert {"adapt", "predict", "labels"} <= set(re.findall(r"^## `(\w+)`$", made["cli.md"], flags=re.M))
    assert "--finetune" in made["cli.md"]


def test_the_settings_page_has_the_options_of_training_and_backbones(made):
    assert "| `lr` | `float` or `None` | `None` |" in made["settings.md"]
    assert "### `efficientnet_lite0`" in made["settings.md"]


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
