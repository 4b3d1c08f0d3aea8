"""CONTRIBUTING.md promises a tree that the linters find clean."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["ruff check .", "ruff format --check .", "mypy"]
)
def test_the_tree_is_clean(command):
    answer = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=TREE,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_class_returns_nothing():
    # mkdocs, strict, refuses `Returns:` there; a layer has an `Output shape:`
    for path in (TREE / "kerasmi").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                told = ast.get_docstring(node) or ""
                assert "Returns:" not in told.splitlines(), (path, node.name)
