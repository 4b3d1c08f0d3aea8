"""Stage 1: train the encoders on a bound, and read out held-out MI."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi import build, callbacks
from kerasmi.data.dataset import Dataset
from kerasmi.errors import TrainingError
from kerasmi.evaluation import figures
from kerasmi.measure import measure
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.pictures import Examples
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter

SHOWN = {
    "mutual_information": "bound",
    "val_mutual_information": "validation",
}
WITH_CEILING = ("cpc",)  # InfoNCE cannot exceed log|C|; Eq. 3 has no ceiling


def shown(bound: str) -> dict[str, str]:
    """Log names shown while training, by the word to show them under."""
    first, *rest = SHOWN.items()
    ceiling = [("ceiling", "ceiling")] if bound in WITH_CEILING else []
    return dict([first, *ceiling, *rest])


def run(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    reporter: Reporter,
    strategy: tf.distribute.Strategy,
) -> ImageEncoder:
    """Trains, keeps the weights with the best validation bound, reads out.

    Writes `model.keras`, `history.csv`, `tensorboard/`,
    `mutual_information.csv` and figures into `folder`.

    Returns:
        The image encoder of the best epoch.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    objective, settings = build.stage(recipe)
    keras.utils.set_random_seed(recipe.seed)
    steps = dataset.counts["train"]["with_text"] // settings.batch_size
    with strategy.scope():
        model = build.image_text_model(
            recipe, dataset, steps * settings.epochs, reporter
        )
    train, steps = build.pairs(recipe, dataset, "train", model)
    validation, validation_steps = build.pairs(
        recipe, dataset, "validation", model
    )
    reporter.start(
        "pretrain",
        steps * settings.epochs,
        "step",
        f"{objective.scope} {objective.bound}, {settings.epochs} epochs",
        epochs=settings.epochs,
    )
    history = model.fit(
        train,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        validation_data=validation,
        validation_steps=validation_steps,
        verbose=0,
        shuffle=False,  # the pipeline has shuffled
        callbacks=_callbacks(recipe, dataset, model, folder, reporter, steps),
    )
    if not np.isfinite(history.history["loss"]).all():
        raise TrainingError(
            f"pretrain: the loss became NaN in epoch {len(history.epoch)}. Try "
            "a lower pretrain.learning_rate or more pretrain.warmup_steps."
        )
    best = max(history.history["val_mutual_information"])
    reporter.finish(validation=best)
    # a fresh copy, on one device: read-outs and re-training need no strategy
    model = keras.saving.load_model(folder / "model.keras")
    measure(recipe, dataset, model, folder, reporter)
    _draw(recipe, dataset, model, folder)
    return model.image_encoder


def _callbacks(
    recipe: Recipe,
    dataset: Dataset,
    model: ImageTextModel,
    folder: Path,
    reporter: Reporter,
    steps: int,
) -> list[keras.callbacks.Callback]:
    objective, settings = build.stage(recipe)
    annealing = []
    if objective.final_temperature is not None:
        annealing.append(
            callbacks.AnnealTemperature(
                objective.final_temperature, steps * settings.epochs
            )
        )
    return [
        *annealing,
        callbacks.Progress(
            reporter,
            settings.epochs,
            steps,
            settings.batch_size,
            shown(objective.bound),
        ),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(str(folder / "history.csv")),
        keras.callbacks.ModelCheckpoint(
            str(folder / "model.keras"),
            monitor="val_mutual_information",
            mode="max",
            save_best_only=True,
        ),
        callbacks.TensorBoard(str(folder / "tensorboard")),
        *_pictures(recipe, dataset, model, folder),
    ]


def _pictures(
    recipe: Recipe, dataset: Dataset, model: ImageTextModel, folder: Path
) -> list[keras.callbacks.Callback]:
    """Maps of scores over regions; none where the image is one region."""
    if model.image_encoder.grid == (1, 1):
        return []
    examples = Examples(recipe, dataset, model)
    return [
        callbacks.Pictures(
            folder / "tensorboard" / "pictures",
            "sentences_and_regions",
            lambda: figures.to_array(examples.draw(model)),
        )
    ]


def _draw(
    recipe: Recipe,
    dataset: Dataset,
    model: ImageTextModel,
    folder: Path,
) -> None:
    history = pd.read_csv(folder / "history.csv")
    objective, _ = build.stage(recipe)
    curves = figures.training_curves(
        history, ceiling=objective.bound in WITH_CEILING
    )
    figures.save(curves, folder / "training_curves.png")
    if model.image_encoder.grid != (1, 1):
        examples = Examples(recipe, dataset, model).mapped(model)
        examples.save(folder / "sentences_and_regions.npz")
        figures.save(examples.draw(), folder / "sentences_and_regions.png")
