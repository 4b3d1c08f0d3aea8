"""`kerasmi run` around an experiment that is played, so without TensorFlow."""

import re
import signal
import tempfile
import types
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from played_experiment import PlayedExperiment

from kerasmi.cli import main
from kerasmi.cli import run as module
from kerasmi.errors import DataError, TrainingError
from kerasmi.interruption import Interrupted
from kerasmi.runs import Run


@pytest.fixture
def played(monkeypatch):
    """An experiment that notes how it was called."""
    calls = []

    def run(recipe, run, reporter, *, devices=1, services=()):
        calls.append((recipe, run, devices))
        reporter.start("pretrain", 4, "step", "local MINE, 2 epochs")
        for epoch in (1, 2):
            reporter.advance(2, bound=0.1 * epoch)
            reporter.epoch(epoch, 2, bound=0.1 * epoch, images_per_second=412)
        run.mark_done("pretrain")
        reporter.finish(bound=0.2)
        reporter.table("AUC", pd.DataFrame({"label": ["Edema"], "auc": [0.5]}))

    def describe(recipe, beside, devices):
        return [("pretrain", "2 epochs"), ("critic", "64-32-1")]

    experiment = types.SimpleNamespace(run=run, describe=describe)
    monkeypatch.setattr(module, "_start", lambda *_, **__: experiment)
    experiment.calls = calls
    return experiment


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


def _files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def _contents(folder):
    return {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")}


def _one_error(result, *parts):
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


def test_a_run_goes_to_its_name_and_says_where(kerasmi, played, tmp_path):
    result = kerasmi("run", "local_mine", "seed=4")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "runs/local_mine"
    ((recipe, run, devices),) = played.calls
    assert (recipe.seed, run.path, devices) == (4, Path("runs/local_mine"), 1)
    assert Run.open(tmp_path / "runs/local_mine").recipe == recipe


def test_progress_goes_to_stderr_and_results_to_stdout(kerasmi, played):
    result = kerasmi("run", "local_mine")
    assert "Edema" in result.stdout
    assert "Edema" not in result.stderr
    (first, epoch, _, last) = result.stderr.splitlines()
    assert first == "pretrain  local MINE, 2 epochs  4 steps"
    assert epoch == (
        "pretrain  epoch 1/2  bound 0.100 nats  412 images/s  0:00 left"
    )
    assert last.startswith("pretrain  done in 0:00  bound 0.200 nats")


def test_output_and_devices_are_passed_on(kerasmi, played, tmp_path):
    kerasmi("run", "local_mine", "--output", "here", "--devices", 2)
    ((_, run, devices),) = played.calls
    assert (run.path, devices) == (Path("here"), 2)
    assert (tmp_path / "here/recipe.yaml").is_file()


def test_a_run_is_continued_with_resume_only(kerasmi, played):
    kerasmi("run", "local_mine")
    _one_error(kerasmi("run", "local_mine"), "runs/local_mine", "--resume")
    assert kerasmi("run", "local_mine", "--resume").exit_code == 0
    assert len(played.calls) == 2


def test_a_dry_run_describes_and_writes_nothing(kerasmi, played, tmp_path):
    result = kerasmi("run", "mimic_cxr/local_mine", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "pretrain  2 epochs\ncritic    64-32-1\n"
    assert _files(tmp_path) == []
    assert played.calls == []


def test_a_dry_run_is_refused_as_the_run_would_be(kerasmi, played, tmp_path):
    kerasmi("run", "local_mine", "--output", "own")
    before = _contents(tmp_path)
    command = ("run", "local_mine", "--output", "own")
    other = (*command, "seed=1", "--resume")
    result = kerasmi(*other, "--dry-run")
    _one_error(result, "own: holds the run of another recipe: seed")
    assert result.stderr == kerasmi(*other).stderr
    result = kerasmi(*command, "--resume", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith("pretrain  2 epochs\n")
    # what it would do elsewhere is told
    taken = kerasmi(*command, "--dry-run")
    assert (taken.exit_code, taken.stdout) == (2, result.stdout)
    assert "own: holds this run already; continue it with" in taken.stderr
    assert taken.stderr == kerasmi(*command).stderr
    assert _contents(tmp_path) == before


# Bad input


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "own.yaml: line 1, column 5: not YAML"),
        ("sed: 1", "own.yaml: sed: unknown key. Did you mean `seed`?"),
        ("seed: one", "own.yaml: seed: expected a whole number"),
        (
            "objective: {scope: global, region: max}",
            "own.yaml: objective.region: has no effect",
        ),
        (
            "objective: {}\nimage_encoder: {preset: vgg}",
            "own.yaml: image_encoder.preset: no preset of that name: 'vgg'",
        ),
    ],
)
def test_a_wrong_recipe_is_one_line(kerasmi, played, tmp_path, text, part):
    (tmp_path / "own.yaml").write_text(text)
    _one_error(kerasmi("run", "own.yaml"), part)
    assert _files(tmp_path) == ["own.yaml"]
    assert played.calls == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["gone.yaml"], "gone.yaml: no recipe of that name or path"),
        (["local_mine", "sed=1"], "local_mine: sed: unknown key"),
        (["local_mine", "--output", "/proc/x/y"], "/proc/x/y: the output"),
        (["mimic_cxr/local_mine"], "mimic_cxr/local_mine: data.path: give"),
    ],
)
def test_a_wrong_argument_is_one_line(
    kerasmi, played, tmp_path, arguments, part
):
    _one_error(kerasmi("run", *arguments), part)
    assert _files(tmp_path) == []


def test_the_folder_of_another_recipe_is_refused(kerasmi, played, tmp_path):
    kerasmi("run", "local_mine", "--output", "here")
    before = _files(tmp_path)
    result = kerasmi("run", "local_cpc", "--output", "here", "--resume")
    _one_error(result, "here: ", "objective.bound is mine there and cpc here")
    assert _files(tmp_path) == before


def test_wrong_data_leaves_nothing_behind(kerasmi, played, tmp_path):
    def run(recipe, run, reporter, *, devices=1, services=()):
        run.stage("pretrain")
        raise DataError("train-00000-of-00002.tfrecord: record 7 is cut short")

    played.run = run
    result = kerasmi("run", "local_mine")
    _one_error(result, "train-00000-of-00002.tfrecord: record 7")
    assert _files(tmp_path) == []


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_server_that_is_none_is_refused(kerasmi, played, tmp_path, more):
    result = kerasmi("run", "local_mine", "--data-service", "nonsense", *more)
    _one_error(result, "--data-service", "HOST:PORT", "'nonsense'")
    assert _files(tmp_path) == []


def test_every_worker_looks_after_the_servers(kerasmi, played, monkeypatch):
    kerasmi("run", "local_mine", "--output", "here")
    second = types.SimpleNamespace(is_many=True, is_chief=False)
    monkeypatch.setattr("kerasmi.cluster.here", lambda: second)
    words = ("run", "local_mine", "--output", "here", "--resume")
    assert kerasmi(*words).exit_code == 0
    result = kerasmi(*words, "--data-service", "127.0.0.1:1")
    _one_error(result, "127.0.0.1:1 does not answer", "kerasmi data serve")


def test_a_worker_that_is_ended_leaves_no_copy(
    kerasmi, played, tmp_path, monkeypatch
):
    kerasmi("run", "local_mine", "--output", "here")
    scratch, seen = tmp_path / "scratch", []
    scratch.mkdir()

    def run(recipe, run, reporter, *, devices=1, services=()):
        seen.extend(scratch.glob("kerasmi-worker-*/here/recipe.yaml"))
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)

    played.run = run
    second = types.SimpleNamespace(is_many=True, is_chief=False)
    monkeypatch.setattr("kerasmi.cluster.here", lambda: second)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    result = kerasmi("run", "local_mine", "--output", "here", "--resume")
    assert result.exit_code == 130
    assert len(seen) == 1
    assert _files(scratch) == []


# What goes wrong on the way


def test_a_failure_is_one_line_and_exit_status_1(kerasmi, played):
    def run(*args, **options):
        raise ArithmeticError("the bound\nis not finite")

    played.run = run
    result = kerasmi("run", "local_mine")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: ArithmeticError: the bound is not finite"
        " (--debug shows where)\n"
    )


def test_debug_shows_the_traceback_before_the_line(kerasmi, played):
    def run(*args, **options):
        raise ArithmeticError("not finite")

    played.run = run
    result = kerasmi("run", "local_mine", "--debug")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last)")
    assert result.stderr.splitlines()[-1].startswith("Error: Arithmetic")


def test_ctrl_c_says_how_to_resume(kerasmi, played):
    def run(recipe, run, reporter, *, devices=1, services=()):
        raise KeyboardInterrupt

    played.run = run
    command = ["run", "local_mine", "seed=4", "--output", "a b"]
    result = kerasmi(*command)
    assert result.exit_code == 130
    assert result.stderr == (
        "Interrupted. Continue with: kerasmi run local_mine seed=4 --resume"
        " --output 'a b'\n"
    )


def test_ctrl_c_says_what_was_saved(kerasmi, played):
    def run(recipe, run, reporter, *, devices=1, services=()):
        raise Interrupted("saved in runs/local_mine/pretrain at epoch 2")

    played.run = run
    result = kerasmi("run", "local_mine", "--no-deterministic")
    assert result.exit_code == 130
    assert result.stderr == (
        "Interrupted (saved in runs/local_mine/pretrain at epoch 2). Continue"
        " with: kerasmi run local_mine --resume --no-deterministic\n"
    )


# Grids


@pytest.fixture
def many(monkeypatch):
    """An experiment that is played, for each run of a grid."""
    experiment = PlayedExperiment()
    monkeypatch.setattr(module, "_start", lambda *_, **__: experiment)
    return experiment


QUICK = ("evaluate.bootstrap=5", "retrain.tasks=[edema_severity]")
TWO = ("grid.recipes=[image_only, local_cpc]", *QUICK)


def _runs(experiment):
    return [name for name, _, _ in experiment.calls]


def test_a_grid_is_recognised_and_goes_to_its_name(kerasmi, many, tmp_path):
    result = kerasmi("run", "tables", *TWO, "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "runs/tables"
    assert _runs(many) == ["image_only/seed0", "local_cpc/seed0"]
    assert re.search(
        r"\n2 of 2: local_cpc/seed0  \d+:\d\d left\n", result.stderr
    )
    assert "Mean AUC on the test set" in result.stdout
    assert (tmp_path / "runs/tables/grid.yaml").is_file()


def test_seeds_make_a_grid_of_a_plain_recipe(kerasmi, many):
    result = kerasmi("run", "image_only", *QUICK, "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "runs/image_only_grid"
    assert _runs(many) == ["image_only/seed0", "image_only/seed1"]


def test_a_part_of_a_grid_runs_and_resume_does_the_rest(kerasmi, many):
    grid = ("run", "tables", *TWO, "--seeds", 1)
    result = kerasmi(*grid, "--only", "local_cpc/tuned")
    assert result.exit_code == 0, result.output
    assert "Warning: not finished" in result.stderr
    _one_error(kerasmi(*grid), "runs/tables", "--resume")
    assert kerasmi(*grid, "--resume").exit_code == 0
    assert len(many.trained) == len(set(many.trained)) == 4


def test_a_failed_run_of_a_grid_is_exit_status_1(kerasmi, many):
    many.fail = {"image_only/seed0": TrainingError("the loss became NaN")}
    grid = ("run", "tables", *TWO, "--seeds", 1)
    result = kerasmi(*grid)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert "1 of 2 runs failed: image_only/seed0" in last
    assert _runs(many) == ["image_only/seed0", "local_cpc/seed0"]
    many.calls.clear()
    assert kerasmi(*grid, "--resume", "--stop-on-error").exit_code == 1
    assert _runs(many) == ["image_only/seed0"]


def test_wrong_data_of_a_grid_leaves_nothing_behind(kerasmi, many, tmp_path):
    many.fail = {"image_only/seed0": DataError("record 7 is cut short")}
    result = kerasmi("run", "tables", *TWO)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last == "Error: record 7 is cut short"
    assert _files(tmp_path) == []


def test_a_dry_run_of_a_grid_lists_its_runs(kerasmi, many, tmp_path):
    result = kerasmi("run", "tables", "--only", "local_cpc", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == (
        "tables: 3 of 15 runs\n"
        "  local_cpc/seed0  frozen, tuned\n"
        "  local_cpc/seed1  frozen, tuned\n"
        "  local_cpc/seed2  frozen, tuned\n"
        "\nlocal_cpc\n"
        "  pretrain  local_cpc\n"
        "  critic    64-32-1\n"
    )
    assert _files(tmp_path) == []


def test_a_dry_run_of_a_grid_is_refused_as_the_grid_would_be(
    kerasmi, many, tmp_path
):
    grid = ("run", "tables", *TWO)
    assert kerasmi(*grid, "--seeds", 1).exit_code == 0
    before = _contents(tmp_path)
    other = (*grid, "--seeds", 1, "retrain.epochs=3", "--resume")
    result = kerasmi(*other, "--dry-run")
    _one_error(result, "image_only/seed0: holds the run")
    assert result.stderr == kerasmi(*other).stderr
    taken = kerasmi(*grid, "--seeds", 1, "--dry-run")
    assert taken.exit_code == 2
    assert taken.stdout
    assert "runs/tables: holds this grid already" in taken.stderr
    assert taken.stderr == kerasmi(*grid, "--seeds", 1).stderr
    command = (*grid, "--seeds", 2, "--resume", "--dry-run")
    assert kerasmi(*command).exit_code == 0
    assert _contents(tmp_path) == before


def test_ctrl_c_in_a_grid_says_how_to_resume(kerasmi, many):
    many.fail = {"local_cpc/seed0": KeyboardInterrupt()}
    given = ("--seeds", 1, "--output", "a b")
    result = kerasmi("run", "tables", *TWO[:1], *given, "--only", "tuned")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "Interrupted. Continue with: kerasmi run tables"
        " 'grid.recipes=[image_only, local_cpc]' --seeds 1 --resume --output"
        " 'a b' --only tuned"
    )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["local_mine", "--only", "tuned"], "--only is for a grid"),
        (["local_mine", "--stop-on-error"], "--stop-on-error is for a grid"),
        (
            ["tables", "--only", "tunde"],
            "tables: --only tunde: chooses nothing",
        ),
        (["tables", "seed=1"], "tables: grid.set: `seed`: give `grid.seeds`"),
        (["mimic_cxr/tables"], "mimic_cxr/tables: data.path: give the folder"),
        (["tables", "--seeds", "0"], "--seeds"),
    ],
)
def test_a_wrong_argument_of_a_grid_is_one_line(
    kerasmi, many, tmp_path, arguments, part
):
    _one_error(kerasmi("run", *arguments), part)
    assert _files(tmp_path) == []


def test_both_paths_of_a_grid_are_asked_for_at_once(kerasmi, many):
    result = kerasmi("run", "mimic_cxr/tables")
    assert "data.path=FOLDER text_encoder.path=FOLDER" in result.stderr
