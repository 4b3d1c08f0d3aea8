"""Grids around an experiment that is played, so without TensorFlow."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from played_experiment import PlayedExperiment

from kerasmi import grid, grid_recipe, grid_results, grid_tables
from kerasmi.errors import DataError, RecipeError, RunError, TrainingError
from kerasmi.evaluation import figures, report, untaught
from kerasmi.evaluation.holm import holm
from kerasmi.grid_folder import GridFolder
from kerasmi.grid_progress import seconds_left, steps
from kerasmi.output_files import OutputError
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

IMAGES = "data.images={train: 96, validation: 48, test: 48}"
BOTH = (IMAGES, "retrain.labels=40", "evaluate.bootstrap=9")
SMALL = (*BOTH, "retrain.tasks=[edema_severity]")
LABELS = [
    *(IMAGES, "evaluate.bootstrap=9", "retrain.tasks=[edema_severity]"),
    "grid.recipes=[image_only, local_mine]",
    "grid.labels=[20, 0.5, all]",
]


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []
        self.tables = []

    def message(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.lines.append(f"Warning: {text}")

    def start(self, stage, total, unit="step", detail="", epochs=None):
        self.lines.append(stage)

    def table(self, title, frame):
        self.tables.append(frame)


@pytest.fixture
def whole():
    """For the tests that look at the tables and pictures."""


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Tables and pictures take most of the time: left out elsewhere."""
    if "whole" not in request.fixturenames:
        monkeypatch.setattr(report, "write", lambda folder: None)
        monkeypatch.setattr(grid_tables, "write", lambda folder, told: None)
        monkeypatch.setattr(figures, "save", lambda figure, path: None)


@pytest.fixture
def experiment():
    return PlayedExperiment()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def go(tmp_path, experiment, told):
    """Runs a grid in `runs/grid` and closes it."""

    def go(overrides=SMALL, seeds=1, resume=False, name="tables", **options):
        plan = grid_recipe.load(name, overrides, seeds)
        output = tmp_path / "runs/grid"
        with GridFolder.create(output, plan, resume) as folder:
            try:
                grid.run(folder, experiment, told, **options)
            except DataError:
                folder.discard()
                raise
        return folder

    return go


def _runs(experiment):
    return [name for name, _, _ in experiment.calls]


def _files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_every_member_is_run_once_as_a_run_of_its_own(go, experiment):
    folder = go(seeds=2)
    names = [member.name for member in folder.plan.members]
    assert _runs(experiment) == names
    assert len(names) == 10
    for member in folder.plan.members:
        run = Run.open(folder.path / member.name)
        assert run.recipe == member.recipe
    assert experiment.forgotten == 10


def test_the_tables_hold_18_rows_for_each_seed(go, told):
    folder = go(BOTH, seeds=2)
    results = pd.read_csv(folder.path / "results.csv")
    means = results[results["label"] == "mean"]
    keys = ["variant", "encoder", "task", "seed"]
    assert len(means) == len(means.drop_duplicates(keys)) == 36
    (table,) = told.tables
    assert list(table) == ["variant", "encoder", "pathology9", "edema_severity"]
    assert len(table) == 9
    row = table.iloc[-1]
    mine = means[
        (means["variant"] == row["variant"])
        & (means["encoder"] == row["encoder"])
        & (means["task"] == "pathology9")
    ]["value"]
    spread = f"{mine.mean():.3f} ± {mine.std():.3f} (2)"
    assert row["pathology9"] == spread


def test_what_a_grid_says_is_written(go, whole):
    folder = go()
    for name in (
        *("grid.yaml", "results.csv", "comparisons.csv", "report.html"),
        *("figures/auc.png", "tables/tables.md", "tables/tables.html"),
    ):
        assert (folder.path / name).stat().st_size > 0, name
    again = grid_recipe.load(folder.path / "grid.yaml")
    assert again.members == folder.plan.members
    tests = pd.read_csv(folder.path / "comparisons.csv")
    assert {"local vs global", "cpc vs mine"} <= set(tests["comparison"])
    counts = pd.read_csv(folder.path / "results.csv", dtype=str)["n_positive"]
    assert all(re.fullmatch(r"\d+", count) for count in counts.dropna())


def test_a_grid_of_labels_of_ones_own_has_their_table(go, whole, told):
    own = ("retrain.tasks=[findings]", "retrain.findings=[Nodule, Edema]")
    folder = go((*BOTH, *own))
    written = (folder.path / "tables/tables.md").read_text()
    assert "## Findings. AUC of the findings" in written
    rows = [x for x in written.splitlines() if "-mi-" in x]
    assert len(rows) == 8
    page = (folder.path / "report.html").read_text()
    assert "Findings. AUC of the findings" in page
    tests = pd.read_csv(folder.path / "comparisons.csv")
    assert set(tests["task"]) == {"findings"}
    for path in folder.path.rglob("seed0/results.csv"):
        results = pd.read_csv(path, dtype=str)
        results["note"] = f"{untaught.START} it: no positive one"
        results.to_csv(path, index=False)
    grid_tables.write(folder, told)
    written = (folder.path / "tables/tables.md").read_text()
    assert "Edema: nothing was learned of it: no positive one." in written


def test_progress_is_told_over_the_whole_grid(go, told):
    go(seeds=2)
    starts = [x for x in told.lines if re.match(r"\d+ of 10: ", x)]
    assert len(starts) == 10
    assert starts[0] == "1 of 10: image_only/seed0"
    assert re.fullmatch(r"3 of 10: global_cpc/seed0  [\d:]+ left", starts[2])
    assert "local_cpc/seed1  retrain/edema_severity/tuned" in told.lines


def test_the_time_left_follows_the_steps_of_finished_stages(go, experiment):
    folder = go(BOTH, only=["seed0"], seeds=2)
    left = {m.name: m.recipe.retrain.encoders for m in folder.plan.members}
    # played: two seconds for each stage, whatever its steps
    stages = 2 + 4 * 5
    assert seconds_left(folder, left) == pytest.approx(2.0 * stages)
    member = folder.plan.members[-1]
    assert steps(member.recipe, ["tuned"]) == {
        "pretrain": 16 * (96 // 16),
        "retrain/pathology9/tuned": 40 * 2,
        "retrain/edema_severity/tuned": 40 * 2,
    }


def test_stages_at_once_share_their_time(go):
    folder = go(BOTH, only=["seed0"], seeds=2)
    left = {m.name: m.recipe.retrain.encoders for m in folder.plan.members}
    alone = seconds_left(folder, left)
    for path in folder.path.rglob("retrain/**/done.json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "at_once": 2}))
    pretrainings = 2.0 * 4
    retrainings = alone - pretrainings
    found = seconds_left(folder, left)
    assert found == pytest.approx(pretrainings + retrainings / 2)


def test_no_time_is_guessed_before_anything_is_measured(tmp_path):
    plan = grid_recipe.load("tables", SMALL)
    with GridFolder.create(tmp_path / "grid", plan) as folder:
        assert seconds_left(folder, {"image_only/seed0": ("tuned",)}) is None


# Parts of a grid


def test_only_what_is_chosen_runs_and_the_rest_is_pending(go, experiment, told):
    folder = go(only=["local_cpc/tuned", "image_only"])
    assert set(experiment.trained) == {
        ("image_only/seed0", "retrain/edema_severity/image_only"),
        ("local_cpc/seed0", "pretrain"),
        ("local_cpc/seed0", "retrain/edema_severity/tuned"),
    }
    results = pd.read_csv(folder.path / "results.csv")
    assert set(results["encoder"]) == {"image_only", "tuned"}
    (line,) = (x for x in told.lines if "not finished" in x)
    assert "global_mine/seed0 frozen" in line
    assert "local_cpc/seed0 frozen" in line
    assert "local_cpc/seed0 tuned" not in line


def test_what_was_done_is_never_repeated(go, experiment, told):
    go(only=["local_cpc/tuned"])
    before = list(experiment.trained)
    folder = go(resume=True)
    assert len(experiment.trained) == len(set(experiment.trained)) == 13
    assert experiment.trained[0] == before[0]
    experiment.calls.clear()
    go(resume=True)
    assert experiment.calls == []
    assert told.lines[-1] == "5 of 5 were done before, kept"
    results = pd.read_csv(folder.path / "results.csv")
    assert len(results[results["label"] == "mean"]) == 9


def test_results_from_before_an_encoder_was_done_are_made_anew(go, experiment):
    folder = go(only=["local_cpc/tuned"])
    run = Run.open(folder.path / "local_cpc/seed0")
    old = (run.path / "results.csv").read_text()
    go(resume=True, only=["local_cpc"])
    # killed after the last stage and before the evaluation
    (run.path / "results.csv").write_text(old)
    experiment.calls.clear()
    go(resume=True, only=["local_cpc"])
    assert _runs(experiment) == ["local_cpc/seed0"]
    results = pd.read_csv(run.path / "results.csv")
    assert set(results["encoder"]) == {"frozen", "tuned"}


def test_a_run_killed_before_its_page_was_written_is_evaluated_anew(
    go, experiment
):
    folder = go(only=["local_cpc"])
    page = folder.path / "local_cpc/seed0/report.html"
    page.unlink()
    before = list(experiment.trained)
    experiment.calls.clear()
    go(resume=True, only=["local_cpc"])
    assert _runs(experiment) == ["local_cpc/seed0"]
    assert experiment.trained == before
    assert page.is_file()


def test_a_killed_grid_goes_on_where_it_was(go, experiment):
    where = ("global_cpc/seed0", "retrain/edema_severity/tuned")
    experiment.fail = {where: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        go()
    done = list(experiment.trained)
    assert experiment.forgotten == 3
    experiment.fail = {}
    go(resume=True)
    assert experiment.trained[: len(done)] == done
    assert experiment.trained[len(done)] == where
    assert len(experiment.trained) == len(set(experiment.trained)) == 13


def test_a_grid_may_grow(go, experiment):
    go()
    before = len(experiment.trained)
    go(seeds=2, resume=True)
    names = {name for name, _ in experiment.trained[before:]}
    assert names == {
        f"{variant}/seed1"
        for variant in (
            *("image_only", "global_mine", "global_cpc"),
            *("local_mine", "local_cpc"),
        )
    }


# Numbers of labels


def test_label_counts_share_one_pretraining(go, experiment):
    folder = go(LABELS, seeds=2)
    trained = [x for x in experiment.trained if x[1] == "pretrain"]
    first = "local_mine/labels20-seed"
    assert trained == [(f"{first}0", "pretrain"), (f"{first}1", "pretrain")]
    for seed in (0, 1):
        models = [
            folder.path
            / f"local_mine/labels{n}-seed{seed}/pretrain/model.keras"
            for n in ("20", "0.5", "all")
        ]
        assert {m.stat().st_ino for m in models} == {models[0].stat().st_ino}
        donors = {
            donor
            for name, _, donor in experiment.calls
            if name.startswith("local_mine") and name.endswith(f"seed{seed}")
        }
        assert donors == {None, f"{first}{seed}"}


def test_auc_by_number_of_labels_is_written_and_drawn(go, whole):
    folder = go(LABELS, seeds=2)
    table = pd.read_csv(folder.path / "label_efficiency.csv")
    assert list(table) == [
        *("variant", "encoder", "task", "labels", "seed", "auc")
    ]
    assert len(table) == 3 * 3 * 2
    assert (table["auc"].between(0, 1)).all()
    assert set(table["labels"]) == {20, 50, 100}
    assert (folder.path / "figures/label_efficiency.png").stat().st_size > 0
    results = pd.read_csv(folder.path / "results.csv")
    assert set(results["labels"]) == set(table["labels"])
    tests = pd.read_csv(folder.path / "comparisons.csv", dtype={"labels": str})
    assert set(tests["labels"]) == {"20", "0.5", "all"}
    means = tests["label"] == "mean"
    for family in (tests[means], tests[~means]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p_delong"]))


# What goes wrong


def test_a_failed_run_is_named_and_the_others_go_on(go, experiment, told):
    where = ("global_cpc/seed0", "pretrain")
    experiment.fail = {where: TrainingError("the loss became NaN in epoch 2")}
    with pytest.raises(TrainingError) as caught:
        go()
    line = str(caught.value)
    assert "1 of 5 runs failed: global_cpc/seed0; the first: the loss" in line
    assert isinstance(caught.value.__cause__, TrainingError)
    failed = "Warning: global_cpc/seed0 failed: the loss became NaN in epoch 2"
    assert failed in told.lines
    assert _runs(experiment)[-1] == "local_cpc/seed0"
    assert len(told.tables) == 1
    experiment.fail = {}
    experiment.calls.clear()
    go(resume=True)
    assert _runs(experiment) == ["global_cpc/seed0"]


def test_a_failed_run_ends_the_grid_when_told_so(go, experiment):
    experiment.fail = {"global_mine/seed0": ArithmeticError("no number")}
    with pytest.raises(TrainingError, match="global_mine/seed0"):
        go(stop_on_error=True)
    assert _runs(experiment) == ["image_only/seed0", "global_mine/seed0"]


def test_wrong_data_ends_the_grid_at_once_and_leaves_nothing(
    go, experiment, tmp_path
):
    experiment.fail = {"image_only/seed0": DataError("shard 7 is cut short")}
    with pytest.raises(DataError, match="shard 7 is cut short"):
        go()
    assert _files(tmp_path) == []


def test_wrong_data_of_one_run_is_told_when_others_are_done(go, experiment):
    experiment.fail = {"local_mine/seed0": DataError("has no report")}
    with pytest.raises(TrainingError, match="local_mine/seed0; the first: has"):
        go()
    assert _runs(experiment)[-1] == "local_cpc/seed0"


def test_wrong_data_after_a_failed_run_leaves_what_that_run_told(
    go, experiment, tmp_path
):
    experiment.fail = {
        "image_only/seed0": ArithmeticError("no number"),
        "global_mine/seed0": DataError("shard 7 is cut short"),
    }
    with pytest.raises(TrainingError, match="image_only/seed0, global_mine"):
        go()
    left = tmp_path / "runs/grid/image_only/seed0/environment.json"
    assert left.is_file()


def test_two_recipes_of_one_variant_get_no_paired_tests(
    go, told, tmp_path, monkeypatch, whole
):
    monkeypatch.chdir(tmp_path)
    text = "data: {source: phantom}\nretrain: {encoders: [image_only]}\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text)
    (tmp_path / "own.yaml").write_text("grid: {recipes: [a, b]}\n")
    folder = go((), name="own.yaml")
    (line,) = (x for x in told.lines if "no paired tests" in x)
    assert "image-only-supervised" in line
    assert not (folder.path / "comparisons.csv").exists()
    assert (folder.path / "results.csv").is_file()


@pytest.fixture
def differing(monkeypatch):
    """From now on the runs cannot stand in one table."""

    def refuse(runs):
        raise RunError("of other data")

    return lambda: monkeypatch.setattr(grid_tables.comparable, "check", refuse)


def test_tables_of_before_do_not_stand_for_runs_that_differ(
    go, told, whole, differing
):
    folder = go()
    differing()
    (folder.path / "tables/own.txt").write_text("mine")
    grid_results.write(folder, told)
    assert "no paired tests, no tables as in the paper" in told.lines[-1]
    assert not (folder.path / "comparisons.csv").exists()
    assert _files(folder.path / "tables") == ["own.txt"]
    page = (folder.path / "report.html").read_text()
    assert "Paired tests" not in page
    assert "AUC of edema severity" not in page


def test_tables_behind_a_link_are_not_removed(
    go, told, whole, differing, tmp_path
):
    folder = go()
    theirs = tmp_path / "theirs"
    (folder.path / "tables").rename(theirs)
    (folder.path / "tables").symlink_to(theirs)
    differing()
    with pytest.raises(OutputError, match="a link leads out of"):
        grid_tables.write(folder, told)
    assert _files(theirs) == ["tables.html", "tables.md"]


def test_only_words_that_choose_something_are_taken(go, experiment):
    with pytest.raises(RecipeError, match="--only local_cps: chooses nothing"):
        go(only=["local_cps"])
    assert experiment.calls == []


# Folders


@pytest.fixture
def refused(go):
    def refused(*arguments, **options):
        with pytest.raises(RunError) as caught:
            go(*arguments, **options)
        return str(caught.value)

    return refused


def test_a_grid_is_not_run_again_without_resume(go, refused):
    go()
    assert "holds this grid already; continue it with --resume" in refused()


def test_a_grid_does_not_lose_runs(go, refused):
    go(seeds=2)
    line = refused(seeds=1, resume=True)
    assert "holds the run global_cpc/seed1, which is not of this grid" in line


def test_a_grid_that_holds_a_link_is_not_gone_on_with(go, refused, tmp_path):
    folder = go()
    member = folder.path / folder.plan.members[0].name
    member.rename(tmp_path / "elsewhere")
    member.symlink_to(tmp_path / "elsewhere")
    line = refused(resume=True)
    assert line.startswith(f"{member}: a link, which a grid does not write")


def test_a_grid_of_other_values_is_refused(go, refused):
    go()
    line = refused([*SMALL, "retrain.epochs=3"], resume=True)
    assert "global_cpc/seed0: holds the run of another recipe" in line
    assert "retrain.epochs is 40 there and 3 here" in line


def test_the_folder_of_a_run_is_refused(refused, tmp_path, go):
    plan = grid_recipe.load("tables")
    Run.create(tmp_path / "runs/grid", plan.members[0].recipe).close()
    assert "not empty and no grid" in refused()


def test_a_second_process_is_refused(tmp_path, refused, go):
    go(only=["image_only"])
    code = (
        "import sys\n"
        "from kerasmi import grid_recipe\n"
        "from kerasmi.grid_folder import GridFolder\n"
        "plan = grid_recipe.load('tables', sys.argv[2:], 1)\n"
        "held = GridFolder.create(sys.argv[1], plan, True)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs/grid"), *SMALL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert "another process is at this grid" in refused(resume=True)
        holder.stdin.close()


def test_members_draw_their_data_beside_the_grid(go, tmp_path, monkeypatch):
    folder = go(only=["image_only"])
    (member, *_) = folder.plan.members
    assert folder.run_of(member).data_folder == tmp_path / "runs/data"
    monkeypatch.chdir(folder.path / "image_only")
    relative = Run.open("seed0")
    assert relative.data_folder == tmp_path / "runs/data"
    monkeypatch.chdir(tmp_path)
    # a grid's recipe beside the folder of runs does not make them members
    (tmp_path / "grid.yaml").write_text("grid: {recipes: [local_mine]}\n")
    alone = Run(tmp_path / "runs/alone", member.recipe)
    assert alone.data_folder == tmp_path / "runs/data"


def test_means_say_what_is_not_there():
    rows = pd.DataFrame(
        {
            "variant": ["a", "a", "b"],
            "encoder": ["tuned", "tuned", "tuned"],
            "task": ["one", "two", "one"],
            "label": "mean",
            "value": [0.5, np.nan, 0.25],
        }
    )
    table = grid_results.means(rows)
    assert table.to_numpy().tolist() == [
        ["a", "tuned", "0.500 (1)", "not defined"],
        ["b", "tuned", "0.250 (1)", "-"],
    ]
