import runpy
import shlex
from pathlib import Path

from refused_examples import refusal

from kerasmi import preconditions, recipe
from kerasmi.data.dataset import Dataset

ROOT = Path(__file__).parents[2]


def test_own_data_are_imported_and_the_recipe_fits(tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "examples/own_data.py"))
    script["main"](tmp_path, images=200)
    printed = capsys.readouterr().out
    made = Dataset.open(tmp_path / "records", verify="hash")
    assert sum(count["images"] for count in made.counts.values()) == 200
    assert "# Audit of records" in printed
    assert "Edema" in printed
    (command,) = (
        line for line in printed.splitlines() if line.startswith("kerasmi run")
    )
    _, _, name, *overrides, option, folder = shlex.split(command)
    # not the folder of the README's first command
    assert (option, folder) == ("--output", "runs/own")
    asked = recipe.load(name, overrides)
    assert asked.data.path == made.path
    preconditions.check(asked, made)


def test_another_number_of_images_is_refused_in_one_line(
    tmp_path, capsys, monkeypatch
):
    program = str(ROOT / "examples/own_data.py")
    runpy.run_path(program)["main"](tmp_path, images=30)
    words = ["--folder", tmp_path, "--images", 40]
    assert refusal(program, words, monkeypatch, capsys) == (
        f"Error: {tmp_path / 'records'}: holds another data set (its made_by"
        " differs); name another folder, or remove it.\n"
    )
