import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from kerasmi import recipe as recipes
from kerasmi.cli import main


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    """Types a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


def _commands(group, path=()):
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


@pytest.mark.parametrize("path", [(), *_commands(main)], ids=" ".join)
def test_every_help_ends_with_examples_of_itself(kerasmi, path):
    result = kerasmi(*path, "--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("\nExamples:\n")
    typed = " ".join(["kerasmi", *path])
    # a long example goes on in the next line, as in a shell
    lines = examples.replace("\\\n", " ").splitlines()
    assert len(lines) >= 2
    assert lines[0].strip().startswith(typed)
    assert all(line.strip().startswith("kerasmi ") for line in lines)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize("path", [(), *_commands(main)], ids=" ".join)
def test_no_help_cuts_a_command_short(kerasmi, path):
    _, _, listed = kerasmi(*path, "--help").stdout.partition("\nCommands:\n")
    assert not [line for line in listed.splitlines() if line.endswith("...")]


def test_the_commands_are_the_promised_ones():
    paths = {" ".join(path) for path in _commands(main)}
    assert paths == {
        "ls",
        "cp",
        "cat",
        "validate",
        "run",
        "launch",
        "selftest",
        "report",
        "table",
        "evaluate",
        "embed",
        "localize",
        "retrieve",
        "data",
        "data preview",
        "data inspect",
        "data splits",
        "data serve",
        "data import",
        "data import table",
        "data import mimic-cxr",
        "data import open-i",
        "data import chexpert",
        "data import chexpert-plus",
        "encoder",
        "encoder convert",
        "export",
    }


def test_the_version_is_told(kerasmi):
    assert kerasmi("--version").stdout.startswith("kerasmi 0.")


def test_help_from_the_shell_imports_nothing_heavy():
    code = (
        "import sys; from kerasmi.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'matplotlib', 'pydantic'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert answer.stdout.startswith("Usage: ")
    assert answer.stderr.strip() == ""


@pytest.mark.parametrize(
    "words",
    [
        ("report", "closed/run"),
        ("table", "closed/run"),
        ("validate", "own.yaml"),
        ("run", "local_mine", "--output", "closed/run"),
        ("run", "mimic_cxr/image_only", "data.path=closed/set", "--dry-run"),
    ],
    ids=" ".join,
)
def test_a_place_without_permission_is_wrong_usage(kerasmi, closed, words):
    own = "objective: {}\ndata: {path: closed/set}\n"
    closed.with_name("own.yaml").write_text(own)
    result = kerasmi(*words)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: closed/")
    assert "permission" in line.lower()
    assert "; give another " in line


def test_tensorflow_does_not_talk_amid_the_progress():
    code = (
        "from kerasmi.cli import starting\n"
        "starting.library('side_by_side')\n"
        "import tensorflow as tf\n"
        "tf.function(lambda x: x + 1, jit_compile=True)(tf.zeros(2))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (answer.returncode, answer.stderr) == (0, "")


_STARTED = """
import os, sys
from kerasmi.cli import main, starting
from threadpoolctl import threadpool_info

def told():
    of_numpy = [p for p in threadpool_info() if "numpy" in p["filepath"]]
    threads = [pool["num_threads"] for pool in of_numpy]
    print(os.environ["TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE"], *threads)
    os._exit(0)

starting.start_tensorflow = told
sys.stdout.reconfigure(write_through=True)
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "command",
    [
        ("run", "local_mine"),
        ("run", "tables"),
        ("selftest", "local_mine"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("own", [False, True])
def test_libraries_are_set_up_before_they_are_loaded_unless_told(
    command, own, tmp_path, monkeypatch
):
    names = "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "OPENBLAS_NUM_THREADS"
    for name, value in zip(names, ("1", "2"), strict=True):
        monkeypatch.delenv(name, raising=False)
        if own:
            monkeypatch.setenv(name, value)
    answer = subprocess.run(
        [sys.executable, "-c", _STARTED, *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    told = answer.stdout.splitlines()[-1:]
    cores = len(os.sched_getaffinity(0))
    assert told == [f"1 {min(2, cores)}" if own else "0 1"], answer


# ls


def test_ls_lists_every_recipe_in_columns(kerasmi):
    header, *rows = kerasmi("ls").stdout.splitlines()
    assert [row.split()[0] for row in rows] == recipes.names()
    assert header.split()[:3] == ["RECIPE", "OBJECTIVE", "SCOPE"]
    start = header.index("SCOPE")
    (row,) = [row for row in rows if row.startswith("global_cpc")]
    assert row[start:].startswith("global")
    assert row.endswith("16 + 40")
    (grid,) = [row for row in rows if row.startswith("tables")]
    assert grid[start:].startswith("global,local")
    assert grid.endswith("phantom  15 runs")


# cp


def test_cp_copies_the_comments_too(kerasmi, tmp_path):
    assert kerasmi("cp", "local_mine", "mine.yaml").exit_code == 0
    text = (tmp_path / "mine.yaml").read_text()
    assert text == recipes.source("local_mine")
    assert text.startswith("# ")


def test_cp_into_a_folder_keeps_the_name(kerasmi, tmp_path):
    assert kerasmi("cp", "mimic_cxr/local_cpc", ".").exit_code == 0
    assert (tmp_path / "local_cpc.yaml").is_file()


def test_cp_overwrites_only_when_told(kerasmi, tmp_path):
    (tmp_path / "mine.yaml").write_text("precious")
    result = kerasmi("cp", "local_mine", "mine.yaml")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: mine.yaml: exists; --force overwrites it\n"
    )
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    assert kerasmi("cp", "local_mine", "mine.yaml", "--force").exit_code == 0


def test_cp_to_a_folder_that_is_not_there_is_one_line(kerasmi, tmp_path):
    result = kerasmi("cp", "local_mine", "nowhere/mine.yaml")
    assert result.exit_code == 2
    assert "nowhere/mine.yaml: cannot be written" in result.stderr
    assert list(tmp_path.iterdir()) == []


# cat


def test_cat_prints_what_validates(kerasmi, tmp_path):
    result = kerasmi("cat", "local_mine", "seed=5")
    (tmp_path / "all.yaml").write_text(result.stdout)
    expected = recipes.load("local_mine", ["seed=5"])
    assert recipes.load("all.yaml") == expected
    assert "evaluate:" in result.stdout
    assert "# Seed of weights" in result.stdout


def test_cat_of_a_grid_prints_what_validates(kerasmi, tmp_path):
    result = kerasmi("cat", "tables", "grid.seeds=2", "retrain.epochs=3")
    assert "# 10 runs:" in result.stdout
    (tmp_path / "all.yaml").write_text(result.stdout)
    assert kerasmi("validate", "all.yaml").stdout == "all.yaml: ok\n"
    assert "#   local_cpc/seed1" in kerasmi("cat", "all.yaml").stdout


# validate


def test_validate_says_ok_for_each(kerasmi):
    result = kerasmi("validate", "local_mine", "mimic_cxr/local_mine")
    assert result.exit_code == 0
    assert result.stdout == "local_mine: ok\nmimic_cxr/local_mine: ok\n"


def test_validate_lists_everything_that_is_wrong(kerasmi, tmp_path):
    (tmp_path / "bad.yaml").write_text("objective: {bound: nce}\nseed: -1\n")
    result = kerasmi("validate", "bad.yaml", "local_mine", "gone.yaml")
    assert result.exit_code == 2
    assert result.stdout == "local_mine: ok\n"
    lines = result.stderr.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["bad.yaml:", "seed:"],
        ["bad.yaml:", "objective.bound:"],
        ["gone.yaml:", "no"],
    ]
