"""What a Python file says of a class or a function, read without importing it."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

Definition = ast.ClassDef | ast.FunctionDef


class Description(NamedTuple):
    """What a docstring says, and the options with their defaults as they are written.

    Attributes:
        does: The first sentence.
        when: The first sentence on when to use it; empty if there is none.
        reference: The papers.
        options: Defaults of the keyword-only arguments by name.
    """

    does: str
    when: str
    reference: str
    options: dict[str, str]


def read_class(path: Path) -> ast.ClassDef:
    """The one class that a file defines."""
    [found] = (node for node in _parsed(path) if isinstance(node, ast.ClassDef))
    return found


def read_function(path: Path, name: str) -> ast.FunctionDef:
    """The function called ``name`` in a file."""
    return next(node for node in _parsed(path) if isinstance(node, ast.FunctionDef) and node.name == name)


def read_keys(path: Path, name: str) -> list[str]:
    """The keys of the dictionary that a file assigns to ``name``."""
    value = next(n.value for n in _parsed(path) if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == name)
    assert isinstance(value, ast.Dict), name
    return [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def describe(definition: Definition) -> Description:
    """What a class or a function says of itself; the options of a class are those of its ``__init__``."""
    within = definition.body if isinstance(definition, ast.ClassDef) else [definition]
    wanted = "__init__" if isinstance(definition, ast.ClassDef) else definition.name
    function = next((n for n in within if isinstance(n, ast.FunctionDef) and n.name == wanted), None)
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if function else ()
    options = {a.arg: ast.unparse(default) for a, default in arguments if default is not None}
    return Description(*say(ast.get_docstring(definition) or ""), options)


def say(doc: str) -> tuple[str, str, str]:
    r"""The first sentence of a docstring, the first sentence on when to use it, and the papers.

    Example:
        >>> say("Do it.\n\nWhen to use:\n    Always, with ``x``. Else not.\n\nReference:\n    A, 2020.")
        ('Do it.', 'Always, with x.', 'A, 2020.')
    """
    when = re.search(r"^When to use:\n((?:    .*\n?)+)", doc, re.MULTILINE)
    sentence = re.split(r"(?<=[.])\s+(?=[A-Z])", " ".join(when[1].split()))[0] if when else ""
    reference = " ".join(doc.partition("Reference:")[2].split())
    return _plain(doc.split("\n", 1)[0]), _plain(sentence), reference


def _plain(text: str) -> str:
    """Text without the marks of code and mathematics."""
    return re.sub(r":math:`([^`]*)`|``([^`]*)``", lambda marked: marked[1] or marked[2], text)


def _parsed(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text("utf-8")).body
