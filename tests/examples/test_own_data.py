import runpy
import shlex
from pathlib import Path

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
    _, _, name, *overrides = shlex.split(command)
    asked = recipe.load(name, overrides)
    assert asked.data.path == made.path
    preconditions.check(asked, made)
