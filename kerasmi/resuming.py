"""A training that goes on from its last checkpoint, to the same result.

What decides the rest of a training is in its checkpoint: weights, the state of
the seed generators, the optimizer, MINE's average, the metrics of an epoch
begun, the best epoch so far, and how long `history.csv` and the event files
were. The batches follow from the seed, the epoch and the step alone.
"""

import contextlib
import dataclasses
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi import checkpoint_files as files
from kerasmi import (
    cluster,
    distribute,
    interruption,
    stage_logs,
    training_state,
)
from kerasmi.checkpoint_files import Checkpoint, Position
from kerasmi.errors import RunError, TrainingError
from kerasmi.folder import CHECKPOINT, sync_folder
from kerasmi.reporter import Reporter
from kerasmi.stage_logs import HISTORY

MODEL = "model.keras"
# Share of the time that checkpoints may take: short epochs go without one.
OVERHEAD = 0.02

_BEGINNING = Position()


@dataclasses.dataclass(frozen=True)
class Start:
    """Where the training of a stage begins.

    Attributes:
        position: how much is done.
        checkpoint: what it goes on from; None at the very beginning.
    """

    position: Position = _BEGINNING
    checkpoint: Checkpoint | None = None

    @property
    def fresh(self) -> bool:
        """Whether nothing is done."""
        return self.checkpoint is None

    def left(self, epochs: int, steps: int) -> int:
        """Steps still to do, of so many epochs of so many steps."""
        return (epochs - self.position.epoch) * steps - self.position.step


def begin(
    folder: Path,
    reporter: Reporter,
    strategy: tf.distribute.Strategy | None = None,
) -> Start:
    """Finds the last good checkpoint of a stage and cuts its logs back to it.

    Args:
        folder: of the stage.
        reporter: warned of checkpoints that are damaged.
        strategy: of the workers, who must find the same.

    Raises:
        RunError: another worker would go on elsewhere.
    """
    found = files.newest(
        folder / CHECKPOINT,
        reporter.warning,
        lambda c: stage_logs.missing(folder, c),
    )
    start = Start() if found is None else Start(*found)
    _check_together(folder, start.position, strategy)
    for position in files.positions(folder / CHECKPOINT):
        if position > start.position or start.fresh:
            files.remove(folder / CHECKPOINT / position.file)
    sizes = start.checkpoint.facts["sizes"] if start.checkpoint else {}
    stage_logs.cut_back(folder, sizes)
    if start.checkpoint is not None:
        at = f"epoch {start.position.epoch + 1}"
        if start.position.step:
            at += f", step {start.position.step + 1}"
        reporter.message(f"{folder}: goes on at {at}")
    return start


def _check_together(
    folder: Path, position: Position, strategy: tf.distribute.Strategy | None
) -> None:
    """Raises where workers would train different models together."""
    if strategy is None:
        return
    if not distribute.agree(strategy, [position.epoch, position.step]):
        raise RunError(
            f"{folder}: the workers found different checkpoints, this one"
            f" epoch {position.epoch + 1}, step {position.step + 1}. Start all"
            " of them anew with --resume"
        )


def has_checkpoint(folder: Path) -> bool:
    """Whether the folder of a stage holds a checkpoint."""
    return bool(files.positions(folder / CHECKPOINT))


def forget(folder: Path) -> None:
    """Removes the checkpoints of a stage that is finished."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def fit(
    model: keras.Model,
    batches: Callable[[int, int], tf.data.Dataset],
    start: Start,
    *,
    folder: Path,
    monitor: str,
    epochs: int,
    steps: int,
    callbacks: list[keras.callbacks.Callback],
    reporter: Reporter,
    whole: keras.Model | None = None,
    **options: Any,
) -> pd.DataFrame:
    """`model.fit` from `start`, with checkpoints; keeps the best epoch.

    Writes `history.csv`, `checkpoint/` and at the end `model.keras`, the model
    of the epoch with the largest score, whose weights and optimizer the model
    is left with.

    Args:
        model: compiled, as new.
        batches: from an epoch and a step to the batches from there on.
        start: what `begin` gave.
        folder: of the stage.
        monitor: the score, a name in the logs; NaN is never the best.
        epochs: of the whole training.
        steps: of one epoch.
        callbacks: what else is to be done.
        reporter: told when a signal is noted.
        whole: the model to save, where `model` is a part of it that shares
            its optimizer.
        **options: further arguments of `keras.Model.fit`.

    Returns:
        The history of all epochs, as in `history.csv`.

    Raises:
        RunError: the checkpoint is of another model.
        TrainingError: no epoch has a score, or a checkpoint cannot be written.
        Interrupted: a signal came, and the step was saved.
    """
    whole = whole or model
    keeper = _Keeper(whole, folder, monitor, epochs, steps, start, callbacks)
    # the keeper last: all the others have written what it measures
    log = keras.callbacks.CSVLogger(str(folder / HISTORY), append=True)
    options |= {
        "callbacks": [*callbacks, log, keeper],
        "verbose": 0,
        "shuffle": False,  # the pipeline has shuffled
    }
    if start.checkpoint is not None:
        training_state.restore(whole, start.checkpoint.arrays, folder)
    epoch, step = start.position.epoch, start.position.step
    with _noted_signals(reporter), _closed(log):
        if step:
            model.fit(
                batches(epoch, step),
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=steps - step,
                **options,
            )
            epoch += 1
        if epoch < epochs:
            model.fit(
                batches(epoch, 0),
                initial_epoch=epoch,
                epochs=epochs,
                steps_per_epoch=steps,
                **options,
            )
    keeper.put_best()
    _save(whole, folder / MODEL)
    return pd.read_csv(folder / HISTORY)


def _noted_signals(
    reporter: Reporter,
) -> contextlib.AbstractContextManager[None]:
    # Several workers save together or not at all: a signal, which may have
    # come to one of them, stops it at once, and the last checkpoint stands.
    if cluster.here().is_many:
        return contextlib.nullcontext()
    return interruption.deferred(reporter.message)


@contextlib.contextmanager
def _closed(log: keras.callbacks.CSVLogger) -> Iterator[None]:
    """Closes the file of a training that ends by an exception."""
    try:
        yield
    finally:
        log.on_train_end()


class _Keeper(keras.callbacks.Callback):
    """Writes checkpoints, and knows the best epoch."""

    def __init__(
        self,
        whole: keras.Model,
        folder: Path,
        monitor: str,
        epochs: int,
        steps: int,
        start: Start,
        callbacks: list[keras.callbacks.Callback],
    ) -> None:
        super().__init__()
        self.flushed = [c for c in callbacks if hasattr(c, "flush")]
        self.whole = whole
        self.folder = folder
        self.monitor = monitor
        self.epochs = epochs
        self.steps = steps
        self.start = start
        facts = start.checkpoint.facts if start.checkpoint else {}
        self._best: dict[str, Any] | None = facts.get("best")
        self._best_before = self._best
        # copies of the best epoch's, where it is not written yet
        self._best_arrays: dict[str, np.ndarray] = {}
        self._next = 0.0
        self._position = start.position

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts the metrics of an epoch begun back; Keras has reset them."""
        begun = self.start.position
        self._position = Position(epoch)
        if self.start.checkpoint and begun.step and epoch == begun.epoch:
            self._position = begun
            arrays = self.start.checkpoint.arrays
            training_state.assign(
                training_state.of_metrics(self.model), arrays, self.folder
            )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves where a signal asked to stop."""
        at = Position(self._position.epoch, self._position.step + 1)
        self._position = at
        # after the last step the validation is due, then the epoch is saved
        if interruption.requested() and at.step < self.steps:
            self._write(at)
            self._stop(f"epoch {at.epoch + 1}, step {at.step} of {self.steps}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compares with the best, and saves."""
        done, stop = epoch + 1, interruption.requested()
        # the clocks of several workers differ
        in_time = cluster.here().is_many or time.monotonic() >= self._next
        due = done == self.epochs or stop or in_time
        score = float((logs or {})[self.monitor])
        if score > (self._best["score"] if self._best else float("-inf")):
            self._best = {"epoch": done, "score": score}
            held = (
                {}
                if due
                else dict(
                    training_state.arrays(training_state.of_model(self.whole))
                )
            )
            self._best_arrays = held
        if due:
            self._write(Position(done))
        if stop:
            self._stop(f"the end of epoch {done}")

    def put_best(self) -> None:
        """Gives the model the state of the best epoch."""
        if self._best is None:
            raise TrainingError(
                f"{self.folder}: {self.monitor} was NaN in every epoch, so"
                " there is no best one. Try a lower learning rate."
            )
        path = self.folder / CHECKPOINT / files.best_file(self._best["epoch"])
        arrays = files.read(path).arrays
        training_state.assign(
            training_state.of_model(self.whole), arrays, self.folder
        )

    def _write(self, position: Position) -> None:
        begun = time.monotonic()
        folder = self.folder / CHECKPOINT
        try:
            for callback in self.flushed:
                callback.flush()
            self._write_best(folder)
            facts = {"best": self._best, "sizes": stage_logs.sizes(self.folder)}
            state = itertools.chain(
                training_state.of_model(self.whole),
                training_state.of_metrics(self.model),
            )
            arrays = training_state.arrays(state)
            files.write(folder / position.file, arrays, facts)
        except OSError as error:
            raise TrainingError(
                f"{folder}: a checkpoint cannot be written:"
                f" {error.strerror or error}. {_intact(folder)}"
            ) from None
        best = (self._best, self._best_before)
        files.prune(folder, [b["epoch"] for b in best if b])
        self._best_before = self._best
        now = time.monotonic()
        self._next = now + (now - begun) / OVERHEAD

    def _write_best(self, folder: Path) -> None:
        if self._best is None or self._best == self._best_before:
            return
        path = folder / files.best_file(self._best["epoch"])
        state = training_state.arrays(training_state.of_model(self.whole))
        files.write(path, self._best_arrays.items() or state, self._best)
        self._best_arrays = {}

    def _stop(self, where: str) -> None:
        raise interruption.Interrupted(f"saved in {self.folder} at {where}")


def _intact(folder: Path) -> str:
    there = files.positions(folder)
    if not there:
        return (
            "It is the first of this stage; stages that are finished are"
            " intact: make room and continue with --resume, which begins this"
            " one anew."
        )
    return (
        f"That of epoch {there[-1].epoch} is intact: make room and continue"
        " with --resume."
    )


def _save(model: keras.Model, path: Path) -> None:
    """Saves a model whole or not at all, and to the disk.

    Its checkpoints are removed next: a power cut must not take both.
    """
    beside = path.with_name(f".{path.name}")
    # Keras wants the ending
    beside = beside.with_suffix(".beside.keras")
    try:
        model.save(beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
