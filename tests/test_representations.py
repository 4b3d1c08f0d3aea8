"""The data of a run, from wherever it is evaluated."""

from types import SimpleNamespace

import pytest

from kerasmi import build, representations
from kerasmi import recipe as recipes
from kerasmi.reporter import Reporter
from kerasmi.runs import Run


@pytest.fixture
def opened(monkeypatch):
    """Paths of the data that were opened."""
    found = []

    def data(recipe, beside, reporter):
        found.append(recipe.data.path)
        return SimpleNamespace(fingerprint="f00d", path=recipe.data.path)

    monkeypatch.setattr(build, "data", data)
    return found


def test_data_by_a_relative_path_are_found_from_another_folder(
    tmp_path, monkeypatch, opened
):
    records = tmp_path / "here" / "records"
    records.mkdir(parents=True)
    monkeypatch.chdir(records.parent)
    recipe = recipes.load(
        "image_only", ("data.source=records", "data.path=records")
    )
    run = Run.create(tmp_path / "run", recipe)
    run.mark_done("pretrain", data_fingerprint="f00d")
    run.record_environment(data={"path": str(records.resolve())})
    representations.open_data(run, Reporter())
    monkeypatch.chdir(tmp_path)
    representations.open_data(run, Reporter())
    assert [str(path) for path in opened] == ["records", str(records)]
    # what is not needed is not read
    (run.path / "environment.json").write_text("damaged")
    monkeypatch.chdir(records.parent)
    representations.open_data(run, Reporter())
    assert len(opened) == 3
