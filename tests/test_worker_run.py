"""Only the chief writes the run folder."""

import shutil
import tempfile

import pytest

from kerasmi import interruption
from kerasmi import recipe as recipes
from kerasmi.errors import RunError
from kerasmi.runs import Run
from kerasmi.worker_run import WorkerRun


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def recipe():
    return recipes.load("local_mine")


def test_what_another_worker_writes_is_not_seen_in_the_run(tmp_path, recipe):
    with Run.create(tmp_path / "run", recipe) as run:
        run.write_text("pretrain/checkpoint/half", "of it")
        # a checkpoint says how long they were
        logs = "pretrain/tensorboard/train/events"
        run.write_text(logs, "of epochs")
        before = contents(run.path)
        with WorkerRun.copy(run.path, recipe) as copied:
            read = copied.path / "pretrain/checkpoint/half"
            assert read.read_text() == "of it"
            assert (copied.path / logs).read_text() == "of epochs"
            assert copied.data_folder == run.data_folder
            assert copied.path != run.path
            copied.record_environment(devices=2)
            copied.clear("pretrain")
            copied.mark_done("pretrain")
            where = copied.path
        assert not where.exists()
        assert contents(run.path) == before


def test_a_copy_that_is_cut_off_is_not_left_behind(
    tmp_path, recipe, monkeypatch
):
    def cut_off(source, copy, **_):
        copy.mkdir()
        raise interruption.Interrupted

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(shutil, "copytree", cut_off)
    with (
        Run.create(tmp_path / "run", recipe) as run,
        pytest.raises(interruption.Interrupted),
    ):
        WorkerRun.copy(run.path, recipe)
    assert [*scratch.iterdir()] == []


def test_a_worker_without_the_files_of_the_chief_is_told(tmp_path, recipe):
    with pytest.raises(RunError, match="one file system"):
        WorkerRun.copy(tmp_path / "elsewhere", recipe)


def test_the_run_of_another_recipe_is_refused(tmp_path, recipe):
    with Run.create(tmp_path / "run", recipe):
        other = recipes.load("local_cpc")
        with pytest.raises(RunError, match="another recipe"):
            WorkerRun.copy(tmp_path / "run", other)
