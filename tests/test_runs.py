import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from kerasmi import recipe as recipes
from kerasmi import runs
from kerasmi.errors import RunError
from kerasmi.runs import Run


@pytest.fixture
def recipe():
    return recipes.load("local_mine")


@pytest.fixture
def run(tmp_path, recipe):
    with Run.create(tmp_path / "runs" / "one", recipe) as made:
        yield made


def _files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def _refused(path, recipe, resume=False):
    with pytest.raises(RunError) as caught:
        Run.create(path, recipe, resume)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_a_new_run_holds_its_recipe_and_its_environment(run, recipe):
    assert _files(run.path) == [".lock", "environment.json", "recipe.yaml"]
    assert recipes.load(run.path / "recipe.yaml") == recipe
    (start,) = json.loads((run.path / "environment.json").read_text())
    assert start["packages"]["keras"]
    assert start["python"]


def test_facts_are_added_to_the_last_start(tmp_path, recipe):
    with Run.create(tmp_path, recipe) as run:
        run.record_environment(devices=1)
    with Run.create(tmp_path, recipe, resume=True) as run:
        run.record_environment(devices=2)
    starts = json.loads((tmp_path / "environment.json").read_text())
    assert [start["devices"] for start in starts] == [1, 2]


def test_a_run_is_opened_to_be_read(run, recipe):
    opened = Run.open(run.path)
    assert opened.recipe == recipe
    assert not opened.is_done("pretrain")


def test_a_folder_without_a_recipe_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        Run.open(tmp_path)


def test_the_folder_of_a_grid_names_a_run_of_it(tmp_path, recipe):
    member = tmp_path / "grid" / "local_mine" / "seed0"
    with Run.create(member, recipe):
        pass
    (tmp_path / "grid" / "grid.yaml").write_text("")
    with pytest.raises(RunError, match=f"one of its runs, such as {member}$"):
        Run.open(tmp_path / "grid")


def test_a_finished_stage_stays_finished(tmp_path, recipe):
    with Run.create(tmp_path, recipe) as run:
        run.stage("retrain/pathology9/frozen")
        run.mark_done("pretrain", seconds=3)
    with Run.create(tmp_path, recipe, resume=True) as run:
        assert run.is_done("pretrain")
        assert not run.is_done("retrain/pathology9/frozen")


def test_an_unfinished_stage_is_emptied(run):
    (run.stage("pretrain") / "half.keras").write_text("half")
    run.clear("pretrain")
    assert _files(run.stage("pretrain")) == []


def test_a_finished_stage_is_never_emptied(run):
    run.mark_done("pretrain")
    with pytest.raises(ValueError, match="expected an unfinished stage"):
        run.clear("pretrain")


@pytest.mark.parametrize("name", ["..", "/etc", "a/../../b", ""])
def test_nothing_is_written_outside_the_run(run, name):
    with pytest.raises(ValueError, match="expected a path inside the run"):
        run.write_text(name, "x")


def test_tables_are_written_without_their_index(run):
    path = run.write_csv("pretrain/history.csv", pd.DataFrame({"a": [1, 2]}))
    assert path.read_text() == "a\n1\n2\n"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    runs.write_text(path, "old")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        runs.write_text(path, "new")
    assert path.read_text() == "old"
    assert _files(tmp_path) == ["results.csv"]


# Folders that are refused


def test_a_run_is_not_run_again_without_resume(run, recipe):
    run.close()
    assert "--resume" in _refused(run.path, recipe)


def test_resume_starts_a_run_where_there_is_none(tmp_path, recipe):
    with Run.create(tmp_path / "new", recipe, resume=True) as run:
        assert run.started


@pytest.mark.parametrize("resume", [True, False])
def test_the_run_of_another_recipe_is_refused(run, resume):
    run.close()
    before = _files(run.path)
    other = recipes.load("local_mine", ["pretrain.epochs=3"])
    line = _refused(run.path, other, resume)
    assert "pretrain.epochs is 16 there and 3 here" in line
    assert _files(run.path) == before


def test_another_name_is_not_another_recipe(run):
    run.close()
    renamed = recipes.load("local_mine", ["name=two"])
    with Run.create(run.path, renamed, resume=True) as resumed:
        assert resumed.started


def test_a_folder_of_something_else_is_refused(tmp_path, recipe):
    (tmp_path / "thesis.tex").write_text("precious")
    assert "it holds thesis.tex" in _refused(tmp_path, recipe)
    assert _files(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("leads_to", ["file", "folder", "gone"])
@pytest.mark.parametrize("name", ["history.csv", "tensorboard/train"])
def test_a_run_that_holds_a_link_is_not_gone_on_with(
    run, recipe, tmp_path, name, leads_to
):
    run.close()
    (tmp_path / "folder").mkdir()
    for other in (tmp_path / "file", tmp_path / "folder/file"):
        other.write_text("precious")
    link = run.path / "pretrain" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / leads_to)
    before = _files(tmp_path)
    with pytest.raises(RunError, match=r"a link, which .* put what it") as told:
        Run.create(run.path, recipe, resume=True)
    assert str(told.value).startswith(f"{link}: ")
    assert _files(tmp_path) == before


def test_a_run_may_lie_behind_a_link(run, recipe, tmp_path):
    run.close()
    (tmp_path / "short").symlink_to(run.path)
    with Run.create(tmp_path / "short", recipe, resume=True) as resumed:
        assert resumed.started


def test_an_empty_folder_is_taken(tmp_path, recipe):
    with Run.create(tmp_path, recipe) as run:
        assert run.started


def test_a_file_is_refused(tmp_path, recipe):
    path = tmp_path / "file"
    path.write_text("precious")
    assert "a file" in _refused(path, recipe)
    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, recipe):
    (tmp_path / "file").write_text("precious")
    line = _refused(tmp_path / "file" / "run", recipe)
    assert "cannot be written" in line


def test_a_place_that_may_not_be_looked_into_is_refused(recipe, closed):
    line = _refused(closed / "run", recipe)
    assert line.endswith("Permission denied; give another --output")


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, recipe, monkeypatch):
    def fail(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_text", fail)
    line = _refused(tmp_path / "a" / "b", recipe)
    assert "No space left on device" in line
    assert _files(tmp_path) == []


def test_a_second_process_is_refused(tmp_path, recipe):
    code = (
        "import sys\n"
        "from kerasmi import recipe, runs\n"
        "run = runs.Run.create(sys.argv[1], recipe.load('local_mine'))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        line = _refused(tmp_path, recipe, resume=True)
        holder.stdin.close()
    assert "another process" in line
    with Run.create(tmp_path, recipe, resume=True) as run:
        assert run.started


# Taking back


def test_a_run_that_did_nothing_is_taken_back(tmp_path, recipe):
    run = Run.create(tmp_path / "runs" / "one", recipe)
    run.stage("pretrain")
    run.discard()
    assert _files(tmp_path) == []


def test_what_stands_beside_a_run_is_kept(tmp_path, recipe):
    run = Run.create(tmp_path / "runs" / "one", recipe)
    (tmp_path / "runs" / "data").mkdir()
    run.discard()
    assert _files(tmp_path) == ["runs", "runs/data"]


def test_a_run_with_a_finished_stage_is_kept(tmp_path, recipe):
    run = Run.create(tmp_path, recipe)
    run.mark_done("pretrain")
    run.discard()
    assert Run.open(tmp_path).is_done("pretrain")


def test_a_resumed_run_is_kept(tmp_path, recipe):
    Run.create(tmp_path, recipe).close()
    Run.create(tmp_path, recipe, resume=True).discard()
    assert Run.open(tmp_path).started


def test_a_run_with_a_checkpoint_is_kept(tmp_path, recipe):
    made = Run.create(tmp_path / "run", recipe)
    checkpoint = made.stage("pretrain") / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "epoch0001-step000000.npz").write_bytes(b"weights")
    made.discard()
    assert (checkpoint / "epoch0001-step000000.npz").is_file()


def test_what_a_killed_start_left_is_no_foreign_file(tmp_path, recipe):
    (tmp_path / ".recipe.yaml.4711").write_text("half")
    (tmp_path / ".lock").touch()
    with Run.create(tmp_path, recipe) as made:
        assert made.started
