"""All re-trainings of a run, two at once where one leaves cores idle."""

import dataclasses
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

import tensorflow as tf

from kerasmi import (
    interruption,
    labelled,
    resuming,
    retrain,
    side_by_side,
    stages,
)
from kerasmi.data.dataset import Dataset
from kerasmi.held_out_images import HeldOutImages
from kerasmi.interruption import Interrupted
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

AT_ONCE = 2  # each holds a model and its optimizer


def run(
    recipe: Recipe,
    run: Run,
    dataset: Dataset,
    encoder: ImageEncoder | None,
    reporter: Reporter,
    strategy: tf.distribute.Strategy,
    encoders: tuple[str, ...] | None = None,
) -> None:
    """Re-trains what is not done yet: each task with each encoder.

    Two stages at once where an operation leaves cores idle
    (`side_by_side.at_once`): they share nothing but what they read, and come
    out as one after the other, to the last bit.

    Args:
        recipe: its `retrain` section is used.
        run: the run folder.
        dataset: labelled records.
        encoder: the pre-trained encoder; None for an image-only recipe.
        reporter: told of the progress.
        strategy: devices to train on.
        encoders: those to re-train, of the recipe's; None: all.

    Raises:
        TrainingError: of the first stage that failed; what was under way
            beside it is finished, and nothing is begun after it.
        Interrupted: a signal asked to stop, and the steps were saved; a stage
            that failed is warned of.
    """
    held_out = HeldOutImages(recipe, dataset)
    todo = [
        (task, mode)
        for task in stages.tasks(recipe)
        for mode in recipe.retrain.encoders
        if encoders is None or mode in encoders
    ]
    at_once = min(AT_ONCE, side_by_side.at_once(), len(todo))
    if strategy.num_replicas_in_sync > 1:
        at_once = 1  # the devices of a strategy are busy together
    work = _Retraining(
        recipe, run, dataset, encoder, strategy, held_out, at_once
    )
    if at_once < 2:
        for task, mode in todo:
            work.do(task, mode, reporter)
        return
    failed = threading.Event()

    def one(task: stages.Task, mode: str) -> None:
        if failed.is_set() or interruption.requested():
            return
        try:
            work.do(task, mode, reporter.beside())
        except BaseException:
            failed.set()
            raise

    # frozen stages are the shortest: last, so that none is left alone for long
    todo.sort(key=lambda stage: stage[1] == "frozen")
    pool = ThreadPoolExecutor(at_once)
    with interruption.deferred(reporter.message, in_threads=True), pool:
        try:
            begun = [pool.submit(one, *stage) for stage in todo]
            found = _outcomes(begun)
        except BaseException:
            # Ctrl-C of own code, which has no handler: the pool waits for all
            interruption.request()
            raise
        _raise([error for error in found if error is not None], reporter)


def _outcomes(begun: list[Future[None]]) -> list[BaseException | None]:
    """Waits for all, awake once a second.

    A signal that comes as this thread falls asleep, or to another one, is
    heard as it wakes.
    """
    while wait(begun, timeout=1).not_done:
        pass
    return [future.exception() for future in begun]


def _raise(errors: list[BaseException], reporter: Reporter) -> None:
    """Raises an interruption that names all, or else the first failure.

    The other failures are warned of, as a stage may not fail again.
    """
    saved = [str(e) for e in errors if isinstance(e, Interrupted) and str(e)]
    failures = [e for e in errors if not isinstance(e, Interrupted)]
    stopped = interruption.requested()
    for error in failures if stopped else failures[1:]:
        reporter.warning(f"{type(error).__name__}: {error}")
    if stopped:
        # else a grid would take the failure, and go on with its next run
        raise Interrupted("; ".join(saved))
    for error in failures:
        raise error


@dataclasses.dataclass(frozen=True)
class _Retraining:
    """What the stages have in common."""

    recipe: Recipe
    run: Run
    dataset: Dataset
    encoder: ImageEncoder | None
    strategy: tf.distribute.Strategy
    held_out: HeldOutImages
    at_once: int

    def do(self, task: stages.Task, mode: str, reporter: Reporter) -> None:
        """Does a stage, if it is not done."""
        stage = task.stage(mode)
        folder = self.run.stage(stage)
        if self.run.is_done(stage):
            resuming.forget(folder)
            reporter.message(f"{stage}: done before, kept ({folder})")
            return
        if not resuming.has_checkpoint(folder):
            self.run.clear(stage)
        begun = time.monotonic()
        predictions = retrain.run(
            self.recipe,
            self.dataset,
            task,
            mode,
            self.encoder,
            folder,
            reporter,
            self.strategy,
            self.held_out,
        )
        self.run.write_csv(f"{stage}/predictions.csv", predictions)
        drawn = labelled.drawn_images(self.recipe, self.dataset, task)
        self.run.mark_done(
            stage,
            seconds=round(time.monotonic() - begun, 3),
            labelled_images=len(drawn),
            at_once=self.at_once,
        )
        resuming.forget(folder)
