"""Keras callbacks: progress, TensorBoard, pictures, validation by AUC."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasmi.optimizers import learning_rates
from kerasmi.regions import check_temperature
from kerasmi.reporter import Reporter


class AnnealTemperature(keras.callbacks.Callback):
    """Leads the region rule from one softness to another, step by step.

    The temperature of `logsumexp` changes by a constant factor each step, from
    the model's own to `final`: far below the differences of scores it is
    Eq. 5's `max`. The weights of an epoch are saved with its temperature.

    Args:
        final: temperature at the last step, in nats, above 0.
        total_steps: steps of the whole training, at least 1.

    Raises:
        TypeError: a temperature that is no number.
        ValueError: a temperature or a number of steps that is none, or, in
            `fit`, a model whose region rule has no temperature, or several
            steps in one execution, between which Keras calls no callback.
    """

    def __init__(self, final: float, total_steps: int) -> None:
        super().__init__()
        check_temperature(final, "final")
        if total_steps < 1:
            raise ValueError(
                "`total_steps`: expected at least 1, the steps of the whole "
                f"training. Received: {total_steps}"
            )
        self.final = final
        self.total_steps = total_steps

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model whose steps the temperature would not reach."""
        rule = getattr(self.model, "region", None)
        if rule != "logsumexp":
            raise ValueError(
                "`AnnealTemperature`: expected a model with the region rule "
                "'logsumexp', the only one with a temperature. Received: "
                f"{type(self.model).__name__} of region={rule!r}. Give "
                "ImageTextModel(..., region='logsumexp'), or leave the "
                "callback out."
            )
        together = self.model.steps_per_execution
        if together > 1:
            raise ValueError(
                "`AnnealTemperature`: expected steps_per_execution=1, for a "
                "temperature of each step. Received: a model compiled with "
                f"steps_per_execution={together}."
            )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the temperature of the step, by the updates made so far."""
        done = int(self.model.optimizer.iterations.numpy())
        share = min(1.0, done / max(1, self.total_steps - 1))
        start = self.model.temperature
        temperature = start * (self.final / start) ** share
        self.model.region_temperature.assign(temperature)


class Progress(keras.callbacks.Callback):
    """Tells a `Reporter` about steps and epochs, and measures throughput.

    Adds `images_per_second` to the logs of each epoch, so put it before the
    callbacks that write logs.

    Args:
        reporter: where to tell.
        epochs: epochs of the whole stage.
        steps: steps of one epoch.
        batch_size: images of one step, over all devices.
        shown: log names to show, by the word to show them under.
    """

    def __init__(
        self,
        reporter: Reporter,
        epochs: int,
        steps: int,
        batch_size: int,
        shown: dict[str, str],
    ) -> None:
        super().__init__()
        self.reporter = reporter
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.shown = shown

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock of the epoch."""
        self._begun = time.perf_counter()
        self._seconds: float | None = None
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar, with the values of this step and the rate so far.

        Reading them waits until the step is done.
        """
        self._done += 1
        now = time.perf_counter()
        if self._done == self.steps:
            self._seconds = now - self._begun
        rate = self._done * self.batch_size / (now - self._begun)
        self.reporter.advance(1, **self._values(logs), images_per_second=rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the epoch's line."""
        seconds = self._seconds or time.perf_counter() - self._begun
        rate = self._done * self.batch_size / seconds
        if logs is not None:
            logs["images_per_second"] = rate
        self.reporter.epoch(
            epoch + 1,
            self.epochs,
            **self._values(logs),
            images_per_second=rate,
        )

    def _values(self, logs: dict[str, Any] | None) -> dict[str, float]:
        return {
            word: float(np.squeeze(logs[name]))
            for name, word in self.shown.items()
            if logs and name in logs
        }


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras's TensorBoard, with the learning rate of each optimizer.

    Keras asks the optimizer for one learning rate, which `MultiOptimizer`
    refuses to give.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Leaves the logs of a step alone where epochs are written.

        Keras hands them to no writer, which takes a tenth of a small step.
        """
        by_epoch = self.update_freq == "epoch"
        super().on_train_batch_end(batch, None if by_epoch else logs)

    def _collect_learning_rate(self, logs: dict[str, Any]) -> dict[str, Any]:
        rates = learning_rates(self.model.optimizer)
        return {
            **logs,
            **{f"learning_rate/{name}": rate for name, rate in rates.items()},
        }

    def flush(self) -> None:
        """Writes what TensorFlow still holds to the event files."""
        for writer in self._writers.values():
            writer.flush()


PICTURES = 8


def pictured(epochs: int) -> set[int]:
    """The epochs, counted from 0, of so many that a picture is drawn of."""
    number = min(epochs, PICTURES)
    return {epochs * k // number - 1 for k in range(1, number + 1)}


class Pictures(keras.callbacks.Callback):
    """Writes a picture to TensorBoard at the end of some epochs, and the last.

    Of at most `PICTURES` epochs, evenly spaced: drawing one takes as long as
    ten steps of a small model.

    Args:
        folder: TensorBoard folder of the pictures.
        name: tag of the picture.
        draw: called without arguments; returns `(H, W, 3)` uint8.
        epochs: of the whole training, which a `fit` that goes on within an
            epoch does not know.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        draw: Callable[[], np.ndarray],
        epochs: int,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.name = name
        self.draw = draw
        self.pictured = pictured(epochs)

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the event file."""
        self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draws and writes."""
        if epoch not in self.pictured:
            return
        with self._writer.as_default():
            tf.summary.image(self.name, self.draw()[None], step=epoch)

    def flush(self) -> None:
        """Writes what TensorFlow still holds to the event file."""
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the event file."""
        self._writer.close()


class ValidationScore(keras.callbacks.Callback):
    """Adds a score of the validation predictions to each epoch's logs.

    Put it before the callbacks that select or write by it.

    Args:
        predict: called without arguments; the predictions `(n, outputs)` of
            the model as it is, for the validation images in a fixed order.
        score: from predictions to a number, larger is better.
        name: name in the logs.
    """

    def __init__(
        self,
        predict: Callable[[], np.ndarray],
        score: Callable[[np.ndarray], float],
        name: str = "val_auc",
    ) -> None:
        super().__init__()
        self.predict = predict
        self.score = score
        self.name = name

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Predicts and scores."""
        if logs is not None:
            logs[self.name] = self.score(self.predict())
