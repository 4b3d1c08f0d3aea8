"""Trouble while training: told once, or a reason to stop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi.checkpoint_files import Position
from kerasmi.data import stream
from kerasmi.data.dataset import Dataset
from kerasmi.data.stream import Order
from kerasmi.errors import TrainingError
from kerasmi.evaluation import trouble
from kerasmi.models import lean_bert
from kerasmi.reporter import Reporter
from kerasmi.runs import write_text
from kerasmi.types import Tensor

FILE = "not_finite.json"


class FiniteLoss(keras.callbacks.Callback):
    """Stops at the first step whose loss or gradient is NaN or infinite.

    A bound may stay finite while its gradient overflows: the features are then
    lost already. Under loss scaling that happens by design, and such a step is
    skipped by the optimizer; there the loss alone is looked at, and so it is
    of a model that does not log `gradient_norm`, as a classifier.

    `not_finite.json` then says which step that was and which images it was
    of, so that it can be replayed from the checkpoint before it; and, where
    the loss alone is looked at, those of the step before too, whose gradient
    may have spoilt the weights.

    Args:
        folder: of the stage.
        begun: where the training goes on.
        images: from an epoch and a step, counted from 0, to its image ids.
        remedy: what to try.

    Raises:
        TrainingError: the loss or the norm of its gradient is not finite.
    """

    def __init__(
        self,
        folder: Path,
        begun: Position,
        images: Callable[[int, int], list[str]],
        remedy: str,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.begun = begun
        self.images = images
        self.remedy = remedy
        self._last: tuple[int, int] | None = None  # epoch and step done before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch, and the steps of it that were done before."""
        self._epoch = epoch
        self._before = self.begun.step if epoch == self.begun.epoch else 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the means of the epoch, which one bad step spoils."""
        place = self._epoch, self._before + batch
        watched = self._watched(logs)
        for name, word in watched.items():
            value = float(np.squeeze(logs[name]))
            if not np.isfinite(value):
                blind = "gradient_norm" not in watched
                self._stop(place, word, value, self._last if blind else None)
        self._last = place

    def _watched(self, logs: dict[str, Any]) -> dict[str, str]:
        scaled = isinstance(
            self.model.optimizer, keras.optimizers.LossScaleOptimizer
        )
        if scaled or "gradient_norm" not in logs:
            return {"loss": "loss"}
        return {"loss": "loss", "gradient_norm": "gradient"}

    def _stop(
        self,
        place: tuple[int, int],
        word: str,
        value: float,
        suspect: tuple[int, int] | None,
    ) -> None:
        epoch, step = place
        found = {
            "epoch": epoch,
            "step": step,
            word: str(value),
            "image_ids": self.images(epoch, step),
        }
        if suspect is not None:
            found["image_ids_of_step_before"] = self.images(*suspect)
        path = self.folder / FILE
        write_text(path, json.dumps(found, indent=2) + "\n")
        kind = "NaN" if np.isnan(value) else "infinite"
        raise TrainingError(
            f"{self.folder.name}: the {word} became {kind} in epoch "
            f"{epoch + 1}, step {step + 1}; {path} names the images of "
            f"that step. {self.remedy}"
        )


class Troubles(keras.callbacks.Callback):
    """Warns, once of each, of features that collapse and bounds that saturate.

    Put it after the callbacks that add to the logs.

    Args:
        batch: a validation batch, as `ImageTextModel.encode` takes it.
        reporter: warned.
        ceiling: whether the bound has one; Eq. 3 has none.
    """

    def __init__(
        self, batch: dict[str, Any], reporter: Reporter, ceiling: bool
    ) -> None:
        super().__init__()
        self.batch = batch
        self.reporter = reporter
        self.ceiling = ceiling
        self._told: set[str] = set()
        self._encode: Callable[..., Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the features of the batch, and at the epoch's bound."""
        if self._encode is None:
            # traced: op by op it takes six times as long
            self._encode = tf.function(self._features, autograph=False)
        images, texts = map(np.asarray, self._encode(self.batch))
        found = trouble.of_features(images, texts.reshape(-1, texts.shape[-1]))
        logs = logs or {}
        if self.ceiling and "ceiling" in logs:
            value, most = logs["mutual_information"], logs["ceiling"]
            found += trouble.of_bound(float(value), float(most))
        left_out = float(logs.get("anchors_without_negatives", 0.0))
        if left_out > 0:
            found.append(
                "images without a negative text were left out of the bound;"
                " shuffle the data, or take larger batches"
            )
        for text in found:
            kind = text.partition(":")[0]
            if kind not in self._told:
                self._told.add(kind)
                self.reporter.warning(f"epoch {epoch + 1}: {text}")

    def _features(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        # as validation computes them, which has met their shapes
        with lean_bert.held_out():
            return self.model.encode(batch)


def images_of_batch(
    dataset: Dataset, split: str, rows: pd.DataFrame, order: Order
) -> list[str]:
    """Ids of the images in the first batch of an order.

    Args:
        dataset: the records.
        split: one of its splits.
        rows: those of its rows that are used.
        order: how they make batches; its first epoch and step say which.
    """
    made = stream.batches(dataset, split, rows.index.to_numpy(), order)
    _, numbers, _ = next(iter(made))
    return rows.loc[numbers.numpy(), "image_id"].tolist()
