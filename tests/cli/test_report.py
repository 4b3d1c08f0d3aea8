"""`kerasmi report` on folders that were drawn, not trained."""

import pytest
import run_folders
from click.testing import CliRunner
from pages import Page

from kerasmi.cli import main


@pytest.fixture
def run(tmp_path):
    return run_folders.write_run(tmp_path / "run")


def kerasmi(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_it_writes_the_page_and_says_where(run):
    result = kerasmi(run)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{run / 'report.html'}\n"
    assert Page((run / "report.html").read_text("utf-8")).images


def test_it_writes_the_page_of_a_grid(tmp_path):
    folder = run_folders.write_grid(tmp_path / "grid", seeds=1)
    result = kerasmi(folder, "--output", tmp_path / "grid.html")
    assert result.exit_code == 0, result.output
    assert "Grid both" in (tmp_path / "grid.html").read_text("utf-8")
    assert not (folder / "report.html").exists()


def test_show_text_shows_what_may_be_of_people(run):
    recipe = run / "recipe.yaml"
    text = recipe.read_text().replace("source: phantom", "source: records")
    recipe.write_text(text)
    page = run / "report.html"
    assert kerasmi(run).exit_code == 0
    assert "No change." not in Page(page.read_text("utf-8")).text
    assert kerasmi(run, "--show-text").exit_code == 0
    assert "No change." in Page(page.read_text("utf-8")).text
