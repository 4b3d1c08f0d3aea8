"""What a source tells its user to type can be typed."""

import ast
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import kerasmi.data.sources
from kerasmi.cli import data_import, main
from kerasmi.data.sources import named_files

SOURCES = sorted(Path(kerasmi.data.sources.__file__).parent.glob("*.py"))
TYPED = re.compile(r"(?<!\S)\(?(--[a-z-]+)")


def commands():
    return data_import.import_.commands


def options():
    return {
        option
        for command in commands().values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def texts(path):
    """All text of a module but its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_option_named_in_a_message_is_one(path):
    named = {one for text in texts(path) for one in TYPED.findall(text)}
    assert named <= options()


def test_messages_name_options_and_no_arguments():
    quoted = [
        (path.stem, text)
        for path in SOURCES
        for text in texts(path)
        if re.search(r"\b(as|option) `[a-z_]+`", text)
    ]
    assert quoted == []


def test_an_argument_is_named_as_it_is_typed():
    assert named_files.typed("test_labels") == "--test-labels"
    assert named_files.typed("test_labels") in options()


@pytest.mark.parametrize(
    ("command", "given", "told"),
    [
        ("open-i", ["images"], "give them as --reports."),
        ("chexpert-plus", ["images"], "as --reports."),
        ("mimic-cxr", ["images"], "as --severity. --split official goes"),
        ("chexpert", ["images", "--keep-view", "PB"], "--keep-view must be"),
        (
            "mimic-cxr",
            [
                *("images", "--split", "official"),
                *("--labeller", "none", "--labels", "images"),
            ],
            "--labels is given but --labeller is none",
        ),
    ],
)
def test_the_command_says_what_to_type(
    tmp_path, monkeypatch, command, given, told
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images" / "p10").mkdir(parents=True)
    source, *more = given
    line = ["data", "import", command, source, "out", *more]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2
    (error,) = result.stderr.splitlines()
    assert told in error
    assert not (tmp_path / "out").exists()
