"""The whole experiment at its smallest, run once, seen from all sides."""

import dataclasses
import json
import shutil
import traceback

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from benchmarks import resume
from kerasmi import distribute, experiment, stages
from kerasmi import recipe as recipes
from kerasmi.cli import main as cli
from kerasmi.cluster import Cluster
from kerasmi.data import wire
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError, RecipeError
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow")]

SMALL = (
    "data.images={train: 96, validation: 48, test: 48}",
    "pretrain.epochs=2",
    "pretrain.warmup_steps=2",
    "pretrain.sentences=2",
    "retrain.epochs=2",
    "retrain.labels=40",
    "evaluate.bootstrap=50",
)


# of runs of which only that they end well, and how, is seen
SMALLEST = (
    "data.images={train: 32, validation: 24, test: 24}",
    "pretrain.epochs=1",
    "pretrain.batch_size=8",
    "pretrain.warmup_steps=2",
    "retrain.epochs=1",
    "retrain.batch_size=8",
    "retrain.labels=16",
    "evaluate.bootstrap=20",
)


def kerasmi_run(*arguments):
    return CliRunner().invoke(cli, ["run", *map(str, arguments)])


@pytest.fixture(scope="module")
def runs(shallow, tmp_path_factory):
    """`runs/small`, a finished run of local_mine."""
    folder = tmp_path_factory.mktemp("runs")
    done = kerasmi_run("local_mine", *SMALL, "--output", folder / "small")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def small(runs):
    return runs / "small"


def test_the_run_folder_holds_what_the_design_says(small):
    for name in (
        "recipe.yaml",
        "environment.json",
        "predictions.csv",
        "results.csv",
        "figures/roc.png",
        "figures/auc.png",
        "figures/data.png",
        "labels.csv",
        "log.txt",
        "report.html",
        "pretrain/model.keras",
        "pretrain/history.csv",
        "pretrain/mutual_information.csv",
        "pretrain/training_curves.png",
        "pretrain/sentences_and_regions.npz",
        "pretrain/sentences_and_regions.png",
    ):
        assert (small / name).stat().st_size > 0, name
    for task in ("pathology9", "edema_severity"):
        for encoder in ("frozen", "tuned"):
            stage = small / "retrain" / task / encoder
            for name in ("model.keras", "history.csv", "done.json"):
                assert (stage / name).is_file()
            assert list((stage / "tensorboard").rglob("events*"))


def test_a_dry_run_tells_the_steps_or_what_does_not_fit(runs):
    new = ("--output", runs / "new", "--dry-run")
    told = kerasmi_run("local_mine", *SMALL, *new)
    assert told.exit_code == 0, told.output
    lines = dict(line.split("  ", 1) for line in told.stdout.splitlines())
    images = Dataset.open(next((runs / "data").iterdir())).rows("train")
    batches = int((images["sentences"] > 0).sum()) // 16
    assert lines["pretrain"].endswith(f"each: {2 * batches} steps")
    # 40 labelled images in batches of 32, twice
    frozen = lines["retrain/pathology9/frozen"]
    assert frozen.endswith("batches of 32: 4 steps on 40")
    one = ("pretrain.epochs=1", "pretrain.batch_size=48", "retrain.epochs=1")
    one += ("pretrain.warmup_steps=0", "retrain.batch_size=64")
    told = kerasmi_run("local_mine", *SMALL, *one, *new)
    assert told.exit_code == 0, told.output
    assert "1 epoch of batches of 48, " in told.stdout
    assert "1 epoch of batches of 64: 1 step on 40" in told.stdout
    assert "1 epochs" not in told.stdout
    wrong = kerasmi_run("local_mine", *SMALL, "pretrain.warmup_steps=99", *new)
    assert wrong.exit_code == 2
    assert "pretrain.warmup_steps: 99" in wrong.output
    with pytest.raises(RecipeError, match="shared evenly by 3 devices"):
        experiment.describe(recipes.load("local_mine", SMALL), runs, 3)
    assert not (runs / "new").exists()


def test_the_recipe_of_the_run_makes_the_same_recipe(small):
    again = recipes.load(small / "recipe.yaml")
    asked = recipes.load("local_mine", SMALL)
    assert recipes.differences(again, asked) == []


def test_the_environment_names_versions_seed_and_data(small):
    (start,) = json.loads((small / "environment.json").read_text())
    text = json.dumps(start)
    assert keras.__version__ in text
    assert start["devices"] == 1
    assert start["seed"] == recipes.load("local_mine", SMALL).seed
    data = next((small.parent / "data").iterdir())
    dataset = Dataset.open(data)
    assert start["data_fingerprint"] == dataset.fingerprint
    assert start["data"]["path"] == str(data.resolve())
    assert start["data"]["counts"] == dataset.counts
    assert start["data"]["intensity"] is None  # drawn, not read of files


def test_the_environment_names_how_grey_levels_were_mapped(small):
    dataset = Dataset.open(next((small.parent / "data").iterdir()))
    imported = dataclasses.replace(
        dataset, made_by={"options": {"intensity": "window"}}
    )
    assert experiment._account(imported)["intensity"] == "window"


def test_every_label_has_an_auc_with_interval_and_counts(small):
    results = pd.read_csv(small / "results.csv")
    for task, labels in (("pathology9", 9), ("edema_severity", 3)):
        for encoder in ("frozen", "tuned"):
            rows = results[
                (results.task == task) & (results.encoder == encoder)
            ]
            assert len(rows) == labels + 1
            for _, row in rows[rows.label != "mean"].iterrows():
                assert row.n_positive + row.n_negative == 48
                if np.isnan(row.value):
                    assert row.note.startswith("not defined")
                else:
                    assert row.low <= row.value <= row.high


def test_test_images_are_judged_by_the_truth(small):
    data = Dataset.open(next((small.parent / "data").iterdir()))
    predictions = pd.read_csv(small / "predictions.csv")
    rows = data.rows("test")
    one = predictions[
        (predictions.split == "test")
        & (predictions.label == "Pneumonia")
        & (predictions.encoder == "tuned")
    ].set_index("image_id")
    truth = rows.set_index("image_id")["truth: Pneumonia"]
    assert (one.target == truth[one.index]).all()


def test_no_subject_is_in_two_splits(small):
    data = Dataset.open(next((small.parent / "data").iterdir()))
    assert (data.images.groupby("subject_id")["split"].nunique() == 1).all()


def test_the_best_epoch_by_validation_is_kept(small):
    history = pd.read_csv(small / "pretrain/history.csv")
    model = keras.saving.load_model(small / "pretrain/model.keras")
    steps = 96 // 16
    best = history["val_mutual_information"].idxmax()
    assert int(model.optimizer.iterations.numpy()) == (best + 1) * steps


def test_the_frozen_classifier_kept_the_pretrained_features(small):
    pretrained = keras.saving.load_model(small / "pretrain/model.keras")
    for encoder, kept in (("frozen", True), ("tuned", False)):
        model = keras.saving.load_model(
            small / "retrain/pathology9" / encoder / "model.keras"
        )
        pairs = zip(
            pretrained.image_encoder.lower.get_weights(),
            model.image_encoder.lower.get_weights(),
            strict=True,
        )
        assert all(np.array_equal(a, b) for a, b in pairs) is kept


def test_mutual_information_is_read_with_everything_to_judge_it(small):
    frame = pd.read_csv(small / "pretrain/mutual_information.csv")
    assert set(frame["pairs"]) == {"matched", "shuffled"}
    assert {
        "value",
        "standard_error",
        "ceiling",
        "n_negatives",
        "effective_negatives",
        "reliable",
    } <= set(frame.columns)
    infonce = frame[frame["name"].str.startswith("infonce")]
    assert (infonce["value"] <= infonce["ceiling"]).all()


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_is_resumed_without_training(small, monkeypatch):
    before = (small / "results.csv").read_bytes()
    stamps = {p: p.stat().st_mtime_ns for p in small.rglob("model.keras")}
    monkeypatch.setattr(
        keras.Model, "fit", lambda *a, **k: pytest.fail("trained again")
    )
    done = kerasmi_run("local_mine", *SMALL, "--output", small, "--resume")
    assert done.exit_code == 0, done.output
    assert (small / "results.csv").read_bytes() == before
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}


def test_predictions_that_are_lost_are_named_with_the_remedy(small, runs):
    again = shutil.copytree(small, runs / "lost")
    (again / "retrain/pathology9/tuned/predictions.csv").unlink()
    done = kerasmi_run("local_mine", *SMALL, "--output", again, "--resume")
    assert done.exit_code == 2, done.output
    assert "tuned/predictions.csv: cannot be read" in done.stderr
    assert "remove its done.json" in done.stderr


@pytest.mark.parametrize("killed_at", ["figures", "report"])
def test_a_run_killed_in_its_evaluation_lacks_results_or_page(
    small, tmp_path, monkeypatch, killed_at
):
    from kerasmi.evaluation import figures, report

    again = shutil.copytree(small, tmp_path / "again")
    (again / "results.csv").unlink()
    module = figures if killed_at == "figures" else report
    name = "save" if killed_at == "figures" else "write"
    real = getattr(module, name)

    def killed(*given):
        if killed_at == "report" or given[1].name == "data.png":
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(module, name, killed)
    run = Run.open(again)
    dataset = Dataset.open(next((small.parent / "data").iterdir()))
    predictions = pd.read_csv(again / "predictions.csv")
    with pytest.raises(KeyboardInterrupt):
        experiment._evaluated(run.recipe, run, dataset, predictions, Reporter())
    left = [(again / n).exists() for n in ("results.csv", "report.html")]
    assert left == [killed_at == "report", killed_at == "figures"]


@pytest.fixture(scope="module")
def resumed(small, runs):
    """A copy that was cut off elsewhere and resumed here, and what was told."""
    again = runs / "again"
    shutil.copytree(small, again)
    stage = again / "retrain/edema_severity/tuned"
    (stage / "done.json").unlink()
    (stage / "model.keras").write_bytes(b"half written")
    (again / "results.csv").unlink()
    path = again / "environment.json"
    start = json.loads(path.read_text())[-1]
    assert start["deterministic"]
    path.write_text(json.dumps([{**start, "processors": 99}]))
    done = kerasmi_run("local_mine", *SMALL, "--output", again, "--resume")
    assert done.exit_code == 0, done.output
    return again, done.stderr


def test_an_interrupted_run_resumes_at_its_stage_to_the_same_result(
    small, resumed
):
    again, told = resumed
    assert "pathology9/tuned: done before" in told
    assert (again / "results.csv").read_text() == (
        small / "results.csv"
    ).read_text()


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_gives_the_same_run_to_the_last_bit(small, runs):
    # by the library, as whoever writes a program: a silent reporter is enough
    twin = runs / "twin"
    asked = recipes.load("local_mine", SMALL)
    with Run.create(twin, asked) as run:
        results = experiment.run(asked, run, Reporter())
    assert "Edema Severity 0|123" in set(results["label"])
    # weights, optimizers and MINE's average of every model, and all tables
    assert resume.compare(small, twin) > 690


def test_a_start_in_another_environment_is_told(resumed):
    again, told = resumed
    assert "processors: 99 before and" in told
    assert "processors: 99 before and" in (again / "report.html").read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            tf.errors.InvalidArgumentError(
                None, None, f"assertion failed: [{distribute.NO_NEGATIVES}] [1]"
            ),
            "pretrain: This batch has no negative pair",
        ),
        (OSError(28, "No space left on device"), "the disk is full"),
        (
            tf.errors.ResourceExhaustedError(
                None, None, "events; No space left on device"
            ),
            "the last checkpoint are intact: make room and continue",
        ),
    ],
)
def test_trouble_ends_with_one_plain_line(
    runs, tmp_path, monkeypatch, error, words
):
    from kerasmi import pretrain

    def fail(*_):
        raise error

    monkeypatch.setattr(pretrain, "run", fail)
    data = next((runs / "data").iterdir())
    done = kerasmi_run(
        "local_mine", *SMALL, f"data.path={data}", "--output", tmp_path / "run"
    )
    assert done.exit_code == 1
    # what it would have trained on, and the trouble
    devices, line = done.stderr.strip().splitlines()
    assert devices.startswith("devices: ")
    assert words in line
    assert words in (tmp_path / "run/log.txt").read_text()


NO_RECORD = b"No effusion."


def test_a_traceback_shows_no_word_of_a_damaged_record(
    runs, tmp_path, monkeypatch
):
    from kerasmi import pretrain

    def fail(*_):
        wire.parse([NO_RECORD], ["image"])

    with pytest.raises(tf.errors.InvalidArgumentError, match="No effusion"):
        fail()

    monkeypatch.setattr(pretrain, "run", fail)
    monkeypatch.setattr(
        experiment, "explain_data_error", lambda *_: DataError("damaged")
    )
    asked = recipes.load(
        "local_mine", (*SMALL, f"data.path={next((runs / 'data').iterdir())}")
    )
    with (
        Run.create(tmp_path / "run", asked) as run,
        pytest.raises(DataError, match="damaged") as caught,
    ):
        experiment.run(asked, run, Reporter())
    told = "".join(traceback.format_exception(caught.value))
    assert "effusion" not in told


def test_a_task_with_some_of_its_networks_done_is_left_out(tmp_path):
    asked = recipes.load(
        "local_mine", ("retrain.heads=binary", "retrain.tasks=[pathology9]")
    )
    told = []
    reporter = Reporter()
    reporter.message = told.append
    with Run.create(tmp_path / "run", asked) as run:
        for stage in stages.retraining(asked, ("tuned",)):
            run.mark_done(stage)
        run.mark_done("retrain/pathology9/frozen/Edema")
        kept = experiment._whole(asked, run, reporter)
        assert kept == stages.retraining(asked, ("tuned",))
        (line,) = told
        assert line.startswith("retrain/pathology9/frozen: 1 of 9 networks")
        for stage in stages.retraining(asked, ("frozen",)):
            run.mark_done(stage)
        everything = experiment._whole(asked, run, reporter)
    assert everything == stages.retraining(asked, asked.retrain.encoders)
    assert told == [line]


@pytest.mark.usefixtures("two_devices", "undrawn")
def test_two_devices_run_the_same_recipe(tmp_path):
    done = kerasmi_run(
        "global_cpc",
        *SMALLEST,
        "retrain.tasks=[edema_severity]",
        "retrain.encoders=[tuned]",
        "retrain.severity_head=cumulative",
        "--output",
        tmp_path / "two",
        "--devices",
        2,
    )
    assert done.exit_code == 0, done.output
    (start,) = json.loads((tmp_path / "two/environment.json").read_text())
    assert start["devices"] == 2
    results = pd.read_csv(tmp_path / "two/results.csv")
    assert set(results["label"]) == {
        "Edema Severity 0|123",
        "Edema Severity 01|23",
        "Edema Severity 012|3",
        "mean",
    }


def test_a_batch_that_devices_cannot_share_is_refused(runs):
    done = kerasmi_run(
        "local_mine",
        *SMALL,
        "pretrain.batch_size=15",
        "--output",
        runs / "uneven",
        "--devices",
        2,
    )
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert "pretrain.batch_size: 15" in line
    assert not (runs / "uneven").exists()


def test_a_dry_run_of_a_worker_refuses_what_all_of_them_would(
    tmp_path, monkeypatch
):
    def joins():
        pytest.fail("waits for the other worker")

    both = Cluster(("127.0.0.1:1", "127.0.0.1:2"))
    monkeypatch.setenv("TF_CONFIG", both.config())
    monkeypatch.setattr(distribute, "_workers", joins)
    asked = ("local_mine", "--dry-run", "--output", tmp_path / "run")
    assert kerasmi_run(*asked).exit_code == 0
    done = kerasmi_run(*asked, "pretrain.batch_size=15")
    assert done.exit_code == 2
    assert "15 images cannot be shared evenly by 2 devices" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "altered"])
def test_damaged_data_is_one_line_that_names_the_file(runs, tmp_path, damage):
    data = next((runs / "data").iterdir())
    shutil.copytree(data, tmp_path / "data")
    shard = next((tmp_path / "data").glob("train-*.tfrecord"))
    expected = shard.name
    if damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-1000])
        expected = "record"
    elif damage == "altered":
        content = bytearray(shard.read_bytes())
        content[500] ^= 255
        shard.write_bytes(content)
    else:
        index = tmp_path / "data/dataset.json"
        emptied = json.loads(index.read_text()) | {"shards": [], "counts": {}}
        index.write_text(json.dumps(emptied))
        expected = "dataset.json"
    done = kerasmi_run(
        "local_mine",
        *SMALL,
        f"data.path={tmp_path / 'data'}",
        "--output",
        tmp_path / "run",
    )
    assert done.exit_code == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert expected in line
    assert str(tmp_path / "data") in line
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_image_only_run_reads_no_report(tmp_path):
    done = kerasmi_run(
        "image_only",
        *(s for s in SMALLEST if "pretrain" not in s),
        "retrain.tasks=[pathology9]",
        "--output",
        tmp_path / "image_only",
    )
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "image_only/pretrain").exists()
    results = pd.read_csv(tmp_path / "image_only/results.csv")
    assert set(results.encoder) == {"image_only"}


def test_a_loss_that_is_no_number_ends_with_one_line(runs, tmp_path):
    done = kerasmi_run(
        "local_mine",
        *SMALL,
        f"data.path={next((runs / 'data').iterdir())}",
        "pretrain.learning_rate=1e30",
        "--output",
        tmp_path / "run",
    )
    assert done.exit_code == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "pretrain.learning_rate" in line
    assert "NaN" in line
    path = tmp_path / "run/pretrain/not_finite.json"
    assert str(path) in line
    found = json.loads(path.read_text())
    images = Dataset.open(next((runs / "data").iterdir())).rows("train")
    assert len(found["image_ids"]) == 16
    assert set(found["image_ids"]) <= set(images["image_id"])


def test_validation_without_both_classes_cannot_choose_an_epoch():
    from kerasmi.errors import DataError
    from kerasmi.labelled import mean_auc
    from kerasmi.stages import Task

    task = Task("pathology9", ("Edema", "Pneumonia"), "multilabel")
    known = np.array([[1.0, -1.0], [1.0, 0.0]])
    with pytest.raises(DataError, match="both a positive and a negative"):
        mean_auc(task, known, np.full((2, 2), 0.5))
