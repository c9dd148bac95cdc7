"""The house keeps its own rules."""

import ast
import subprocess
import sys
from pathlib import Path

import acclimate

SOURCE = Path(acclimate.__file__).parent
ROOT = Path(__file__).parents[1]


def test_public_names_are_there():
    assert all(getattr(acclimate, name) is not None for name in acclimate.__all__)


def test_imports_go_down():
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_fabric_is_imported_where_training_starts_and_nowhere_else():
    importing = {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lightning_fabric")
    }
    assert importing == {"training"}


def test_a_module_binds_each_constant_once():
    for path in SOURCE.rglob("*.py"):
        bound = [
            target.id
            for node in ast.parse(path.read_text("utf-8")).body
            for target in getattr(node, "targets", [])
            if isinstance(target, ast.Name)
        ]
        assert len(bound) == len(set(bound)), path


def test_no_room_is_called_utils():
    names = {path.stem for path in SOURCE.rglob("*.py")}
    assert not names & {"utils", "common", "helpers", "helper", "misc"}
