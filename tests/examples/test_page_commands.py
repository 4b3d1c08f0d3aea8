"""The `kerasmi run` commands of the pages are of recipes that exist."""

import re
import shlex
from pathlib import Path

import pytest

from kerasmi import recipe

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/first_run.md", "docs/data.md")
START = re.compile(r"(?m)^(?:    |\$ )kerasmi run ((?:.*\\\n)*.*)")


def commands(page):
    """Recipe, overrides and options of each command that stands alone."""
    for text in START.findall((ROOT / page).read_text()):
        name, *words = shlex.split(text.replace("\\\n", ""), comments=True)
        name = "local_mine" if name == "mine.yaml" else name  # its copy
        if recipe.is_grid(name):
            continue
        options = words.index("--output") if "--output" in words else None
        yield name, [w for w in words[:options] if "=" in w], words


@pytest.mark.parametrize("page", PAGES)
def test_a_command_names_keys_that_its_recipe_takes(page):
    found = list(commands(page))
    assert found
    for name, overrides, _ in found:
        recipe.load(name, overrides)


def test_data_of_ones_own_go_to_no_folder_of_the_phantom():
    found = list(commands("docs/data.md"))
    assert len(found) >= 4
    for name, overrides, words in found:
        folder = recipe.load(name, overrides).name
        assert folder != "local_mine" or "--output" in words, words
