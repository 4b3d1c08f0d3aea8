"""CONTRIBUTING.md promises a tree that the linters find clean."""

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
