"""A program of examples/ that is expected to refuse what it is given."""

import runpy
import sys

import pytest


def refusal(program, words, monkeypatch, capsys):
    """Runs the program as a script.

    Args:
        program: its path.
        words: what is typed behind it.
        monkeypatch: pytest's.
        capsys: pytest's.

    Returns:
        What it wrote to stderr, having ended with status 2.
    """
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [str(program), *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(program), run_name="__main__")
    assert stopped.value.code == 2
    return capsys.readouterr().err
