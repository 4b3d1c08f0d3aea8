"""The whole experiment: pretrain, retrain, evaluate. A recipe in, a run out."""

import dataclasses
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from kerasmi import (
    build,
    cluster,
    distribute,
    drawing_phantom,
    environment,
    labelled,
    preconditions,
    pretrain,
    resuming,
    retrain,
    retrainings,
    stages,
    written_tables,
)
from kerasmi.data import labels
from kerasmi.data.dataset import Dataset
from kerasmi.data.faults import explain_data_error
from kerasmi.data.records import read
from kerasmi.errors import RecipeError, RunError, TrainingError
from kerasmi.evaluation import auc, figures, report, tables
from kerasmi.folder import is_full
from kerasmi.forgetting import forget as forget
from kerasmi.models import loading
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, counted
from kerasmi.run_log import LOG, RunLog
from kerasmi.runs import Run
from kerasmi.sheet import sheet


def run(
    recipe: Recipe,
    run: Run,
    reporter: Reporter,
    *,
    devices: int = 1,
    encoders: tuple[str, ...] | None = None,
    pretrained: Run | None = None,
    services: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Runs the stages that are not done yet.

    Args:
        recipe: what to do.
        run: the run folder, created or resumed.
        reporter: told of everything.
        devices: replicas of this process; `distribute.configure(devices)`
            must have been called.
        encoders: those to re-train now, of the recipe's; None: all.
        pretrained: a run whose finished pretraining is taken over, if it was
            of the same data on as many devices. Its recipe must agree with
            `recipe` in all that pretraining depends on.
        services: `HOST:PORT` of servers that prepare the batches; see
            `kerasmi.data.service`.

    Returns:
        The results table, as in `results.csv`, of all encoders done; empty
        for a worker that is not the chief.

    Raises:
        RecipeError: batches that the devices cannot share evenly.
        RunError: TensorFlow has started with other threads than the recipe's.
        DataError: data that is missing, empty or damaged.
        TrainingError: a loss that is no number, or a full disk.
        Interrupted: a signal asked to stop.
    """
    with RunLog(run.path / LOG, reporter) as log:
        try:
            how = (devices, encoders, pretrained, services)
            return _work(recipe, run, log, *how)
        except (OSError, tf.errors.OpError) as error:
            if not is_full(error):
                raise
            raise TrainingError(
                f"{run.path}: the disk is full. The stages that are finished"
                " and the last checkpoint are intact: make room and continue"
                " with --resume."
            ) from error


def _work(
    recipe: Recipe,
    run: Run,
    reporter: Reporter,
    devices: int,
    encoders: tuple[str, ...] | None,
    pretrained: Run | None,
    services: tuple[str, ...],
) -> pd.DataFrame:
    distribute.set_intra_op_threads(recipe.intra_op_threads)
    strategy = distribute.strategy(devices)
    distribute.wait_for_all(strategy)  # the others copy the run folder
    devices = strategy.num_replicas_in_sync
    _check_devices(recipe, devices)
    with distribute.chief_first(strategy):
        dataset = build.data(recipe, run.data_folder, reporter)
    dataset = dataclasses.replace(dataset, services=services)
    run.record_environment(
        seed=recipe.seed,
        data_fingerprint=dataset.fingerprint,
        devices=devices,
        data=_account(dataset),
        **distribute.facts(),
        **({} if run.is_done("pretrain") else build.text_encoder_files(recipe)),
    )
    _compare_starts(run, reporter)
    run.write_csv("labels.csv", labels.table1(dataset.images))
    preconditions.check(recipe, dataset)
    retrain.check(recipe, dataset, devices)
    reporter.message(f"devices: {distribute.told(devices)}")
    for text in _cautions(recipe, dataset):
        reporter.warning(text)
    try:
        if pretrained is not None:
            _adopt(run, pretrained, dataset, reporter, devices)
        encoder = _pretrained(recipe, run, dataset, reporter, strategy)
        retrainings.run(
            recipe, run, dataset, encoder, reporter, strategy, encoders
        )
    except tf.errors.OpError as error:
        if distribute.NO_NEGATIVES in str(error):
            raise TrainingError(
                f"pretrain: {distribute.NO_NEGATIVES}"
            ) from None
        explained = explain_data_error(error, dataset)
        if explained is None:
            raise
        # TensorFlow's own words may hold the record that it could not parse
        raise explained from None
    distribute.wait_for_all(strategy)
    if not cluster.here().is_chief:
        return pd.DataFrame()
    done = _whole(recipe, run, reporter)
    predictions = pd.concat(_predicted(run, stage) for stage in done)
    return _evaluated(recipe, run, dataset, predictions, reporter)


def _whole(recipe: Recipe, run: Run, reporter: Reporter) -> list[str]:
    """The stages of the tasks and encoders that are done, with all findings.

    A mean over some of a task's findings would pass for that of the task.
    """
    kept: set[str] = set()
    for name, parts in stages.parts(recipe).items():
        done = [stage for stage in parts if run.is_done(stage)]
        if len(done) == len(parts):
            kept.update(parts)
        elif done:
            reporter.message(
                f"{name}: {len(done)} of {counted(len(parts), 'network')} done:"
                " not in the results before all are"
            )
    every = stages.retraining(recipe, recipe.retrain.encoders)
    return [stage for stage in every if stage in kept]


def _predicted(run: Run, stage: str) -> pd.DataFrame:
    """The predictions of a stage that is done.

    Raises:
        RunError: they cannot be read.
    """
    path = run.stage(stage) / "predictions.csv"
    try:
        return written_tables.read(path)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read: {error}; restore the file, or remove its"
            " done.json: --resume then does the stage anew"
        ) from error


def _cautions(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What may make the result worse than the recipe means it to be."""
    stored = dataset.image_size
    return [
        *preconditions.enlargement(recipe, dataset.path, stored),
        *labelled.one_class(recipe, dataset),
    ]


def _account(dataset: Dataset) -> dict[str, Any]:
    """Which data it was, for `environment.json`; `labels.csv` counts it."""
    options = dataset.made_by.get("options") or {}
    return {
        "path": str(dataset.path.resolve()),
        "name": dataset.name,
        "source": dataset.source,
        "has_truth": dataset.has_truth,
        "intensity": options.get("intensity"),
        "counts": dataset.counts,
    }


def _compare_starts(run: Run, reporter: Reporter) -> None:
    """Tells what differs from the last start that came to its data."""
    *earlier, now = run.starts()
    before = [start for start in earlier if "data_fingerprint" in start]
    different = environment.differences(before[-1], now) if before else []
    found = [f"{name}: {a} before and {b} now" for name, a, b in different]
    if found:
        reporter.warning(
            "this start is not like the one before, so the results may differ"
            f" from those of a run in one go: {'; '.join(found)}"
        )


def _check_devices(recipe: Recipe, devices: int) -> None:
    if devices > 1:
        _refuse_what_one_device_alone_can(recipe)
    for section in ("pretrain", "retrain"):
        settings = getattr(recipe, section)
        if settings is not None and settings.batch_size % devices:
            raise RecipeError(
                f"{recipe.name}: {section}.batch_size: {settings.batch_size} "
                f"images cannot be shared evenly by {devices} devices. Use a "
                f"multiple of {devices}."
            )


def _refuse_what_one_device_alone_can(recipe: Recipe) -> None:
    if recipe.precision == "mixed_float16":
        raise RecipeError(
            f"{recipe.name}: precision: mixed_float16 is not possible on "
            "several devices, where Keras scales the loss of each by its own "
            "overflows. Use mixed_bfloat16, or --devices 1."
        )
    if recipe.pretrain is not None and recipe.pretrain.accumulate > 1:
        raise RecipeError(
            f"{recipe.name}: pretrain.accumulate: not possible on several "
            "devices, which share the batch already. Leave it out, or use "
            "--devices 1."
        )


def _pretrained(
    recipe: Recipe,
    run: Run,
    dataset: Dataset,
    reporter: Reporter,
    strategy: tf.distribute.Strategy,
) -> ImageEncoder | None:
    if recipe.objective is None:
        return None
    folder = run.stage("pretrain")
    if run.is_done("pretrain"):
        resuming.forget(folder)
        reporter.message(f"pretrain: done before, kept ({folder})")
        return _kept(folder / "model.keras").image_encoder
    if not resuming.has_checkpoint(folder):
        run.clear("pretrain")
    begun = time.monotonic()
    encoder = pretrain.run(recipe, dataset, folder, reporter, strategy)
    run.mark_done(
        "pretrain",
        seconds=round(time.monotonic() - begun, 3),
        data_fingerprint=dataset.fingerprint,
        devices=strategy.num_replicas_in_sync,
    )
    resuming.forget(folder)
    return encoder


def _kept(path: Path) -> Any:
    """The model of a stage that was finished before."""
    try:
        return loading.load(path)
    except ValueError as error:
        raise RunError(
            f"{path}: cannot be read: {error}; restore the file, or remove its"
            " done.json: --resume then does the stage anew"
        ) from None


def _adopt(
    run: Run, donor: Run, dataset: Dataset, reporter: Reporter, devices: int
) -> None:
    """Takes over the pretraining of another run, where it is the same."""
    if run.is_done("pretrain"):
        return
    made = donor.facts("pretrain")
    here = {"data_fingerprint": dataset.fingerprint, "devices": devices}
    for fact, value in here.items():
        if made.get(fact) != value:
            reporter.warning(
                f"pretrain: that of {donor.path} is not taken over: its"
                f" {fact} is {made.get(fact)}, and {value} here"
            )
            return
    run.adopt("pretrain", donor)
    whence = os.path.relpath(donor.path, run.path)
    run.record_environment(pretrain_from=whence)
    reporter.message(f"pretrain: taken over from {donor.path}")


def _evaluated(
    recipe: Recipe,
    run: Run,
    dataset: Dataset,
    predictions: pd.DataFrame,
    reporter: Reporter,
) -> pd.DataFrame:
    results = auc.evaluate(
        predictions,
        resamples=recipe.evaluate.bootstrap,
        confidence=recipe.evaluate.confidence,
        seed=recipe.seed,
    )
    results = labelled.noted(results, recipe, dataset)
    run.write_csv("predictions.csv", predictions)
    folder = run.stage("figures")
    figures.save(figures.roc_curves(predictions), folder / "roc.png")
    figures.save(figures.forest(results), folder / "auc.png")
    figures.save(
        sheet(list(itertools.islice(read(dataset, "train"), 12))),
        folder / "data.png",
    )
    answers = "truth" if dataset.has_truth else "labels"
    reporter.table(
        f"AUC on the test set (against its {answers})", tables.summary(results)
    )
    # last, the page after its results: by both a grid knows a finished run
    (run.path / report.REPORT).unlink(missing_ok=True)
    run.write_csv("results.csv", results)
    report.write(run.path)
    return results


def describe(
    recipe: Recipe, beside: Path, devices: int = 1
) -> list[tuple[str, str]]:
    """What a run would do, for `--dry-run`; trains and writes nothing.

    Args:
        recipe: what to do.
        beside: folder that phantoms are kept in.
        devices: replicas of this process, as `run` takes them.

    Returns:
        Pairs of a name and a value: shapes, parameters, and where the data
        is there steps, and a warning of what may make the result worse.

    Raises:
        DataError, RecipeError: what a run would refuse before it trains.
    """
    devices *= cluster.here().number  # of all workers: nobody is waited for
    _check_devices(recipe, devices)
    dataset = build.existing_data(recipe, beside)
    if dataset is not None:
        preconditions.check(recipe, dataset)
        retrain.check(recipe, dataset, devices)
    lines = [("recipe", recipe.name or ""), ("data", _data_line(recipe))]
    encoder = build.image_encoder(recipe)
    _, regions, dim = encoder.output_shape
    lines.append(
        (
            "image encoder",
            f"{recipe.image_encoder.preset}: {recipe.data.image_size} pixels "
            f"-> {regions} x {dim}, "
            f"{counted(encoder.count_params(), 'parameter')}",
        )
    )
    if recipe.objective is not None:
        target, how = build.stage(recipe)
        lines.append(
            (
                "pretrain",
                f"{target.scope} {target.bound}, "
                f"{counted(how.epochs, 'epoch')} of batches of "
                f"{how.batch_size}, {counted(how.sentences, 'text')} each"
                + _pretraining_steps(recipe, dataset),
            )
        )
    for task in stages.tasks(recipe):
        for mode in recipe.retrain.encoders:
            lines.append(
                (
                    task.stage(mode),
                    f"{_labels(recipe)}, "
                    f"{counted(recipe.retrain.epochs, 'epoch')} of batches of "
                    f"{recipe.retrain.batch_size}"
                    + _retraining_steps(recipe, dataset, task, devices),
                )
            )
    if dataset is not None:
        told = _cautions(recipe, dataset)
        lines.extend(("warning", text) for text in told)
    return lines


def _pretraining_steps(recipe: Recipe, dataset: Dataset | None) -> str:
    if dataset is None or recipe.pretrain is None:
        return ""
    return f": {counted(preconditions.steps(recipe.pretrain, dataset), 'step')}"


def _retraining_steps(
    recipe: Recipe,
    dataset: Dataset | None,
    task: stages.Task,
    devices: int,
) -> str:
    if dataset is None:
        return ""
    settings = recipe.retrain
    images = len(labelled.images(recipe, dataset, task))
    steps, _ = retrain.steps_of_epoch(images, settings.batch_size, devices)
    return f": {counted(steps * settings.epochs, 'step')} on {images}"


def _labels(recipe: Recipe) -> str:
    asked = recipe.retrain.labels
    if isinstance(asked, float):
        return f"{asked:.6g} of the labelled images"
    if asked is None:
        return "all labelled images"
    return counted(asked, "labelled image")


def _data_line(recipe: Recipe) -> str:
    if recipe.data.path is not None:
        return str(recipe.data.path)
    if recipe.data.source == "phantom":
        return drawing_phantom.name(recipe)
    return "to be named: data.path=FOLDER"
