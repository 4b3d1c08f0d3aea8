"""Stage 1: train the encoders on a bound, and read out held-out MI."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi import build, callbacks, resuming, watching
from kerasmi.data.dataset import Dataset
from kerasmi.data.stream import Order
from kerasmi.evaluation import figures, trouble
from kerasmi.measure import measure
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.pictures import Examples
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, counted

SHOWN = {
    "mutual_information": "bound",
    "val_mutual_information": "validation",
}
WITH_CEILING = ("cpc",)  # InfoNCE cannot exceed log|C|; Eq. 3 has no ceiling


def shown(bound: str) -> dict[str, str]:
    """Log names shown while training, by the word to show them under."""
    (first, word), *rest = SHOWN.items()
    if not trouble.in_nats(bound):
        word = "value"  # a `bound` is told in nats
    ceiling = [("ceiling", "ceiling")] if bound in WITH_CEILING else []
    return dict([(first, word), *ceiling, *rest])


def run(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    reporter: Reporter,
    strategy: tf.distribute.Strategy,
) -> ImageEncoder:
    """Trains, keeps the weights with the best validation bound, reads out.

    Writes `model.keras`, `history.csv`, `tensorboard/`, `checkpoint/`,
    `mutual_information.csv` and figures into `folder`. Goes on from the
    checkpoint that the folder holds, if it holds one.

    Returns:
        The image encoder of the best epoch.

    Raises:
        TrainingError: the loss is no longer a number; a full disk.
        Interrupted: a signal asked to stop, and the step was saved.
    """
    objective, settings = build.stage(recipe)
    keras.utils.set_random_seed(recipe.seed)
    steps = dataset.counts["train"]["with_text"] // settings.batch_size
    with strategy.scope():
        model = build.image_text_model(
            recipe, dataset, steps * settings.epochs, reporter
        )
    start = resuming.begin(folder, reporter, strategy)

    # no maps of scores where the image is one region
    is_local = model.image_encoder.grid != (1, 1)
    examples = Examples(recipe, dataset, model) if is_local else None

    def batches(epoch: int, step: int) -> tf.data.Dataset:
        return build.pairs(recipe, dataset, "train", model, epoch, step)[0]

    validation, validation_steps = build.pairs(
        recipe, dataset, "validation", model
    )
    reporter.start(
        "pretrain",
        start.left(settings.epochs, steps),
        "step",
        f"{objective.scope} {objective.bound}, "
        f"{counted(settings.epochs, 'epoch')}",
        epochs=settings.epochs,
    )
    history = resuming.fit(
        model,
        batches,
        start,
        folder=folder,
        monitor="val_mutual_information",
        epochs=settings.epochs,
        steps=steps,
        callbacks=_callbacks(
            recipe,
            dataset,
            model,
            folder,
            reporter,
            steps,
            start,
            next(iter(validation)),
            examples,
        ),
        reporter=reporter,
        # else Keras makes one iterator more after each validation
        validation_data=validation.repeat(),
        validation_steps=validation_steps,
    )
    best = float(history["val_mutual_information"].max())
    reporter.finish(validation=best)
    has_ceiling = objective.bound in WITH_CEILING
    ceiling = float(history["val_ceiling"].max()) if has_ceiling else np.inf
    level = trouble.level(objective.bound, best, ceiling)
    reporter.message(f"pretrain: {level}")
    if strategy.num_replicas_in_sync > 1:
        # a copy on one device: read-outs and re-training need no strategy
        model = keras.saving.load_model(folder / "model.keras")
    measure(recipe, dataset, model, folder, reporter)
    _draw(recipe, model, examples, folder)
    return model.image_encoder


def _callbacks(
    recipe: Recipe,
    dataset: Dataset,
    model: ImageTextModel,
    folder: Path,
    reporter: Reporter,
    steps: int,
    start: resuming.Start,
    held_out: dict[str, tf.Tensor],
    examples: Examples | None,
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
        watching.FiniteLoss(
            folder,
            start.position,
            lambda epoch, step: _images(recipe, dataset, epoch, step),
            "Try a lower pretrain.learning_rate or more pretrain.warmup_steps.",
        ),
        callbacks.TensorBoard(
            str(folder / "tensorboard"), write_graph=start.fresh
        ),
        *_pictures(model, examples, folder, settings.epochs),
        watching.Troubles(held_out, reporter, objective.bound in WITH_CEILING),
    ]


def _images(
    recipe: Recipe, dataset: Dataset, epoch: int, step: int
) -> list[str]:
    """The images of a training step."""
    _, settings = build.stage(recipe)
    rows = dataset.rows("train")
    order = Order(
        settings.batch_size,
        shuffle=True,
        seed=recipe.seed,
        epochs=settings.epochs,
        first_epoch=epoch,
        first_step=step,
    )
    rows = rows[rows["sentences"] > 0]
    return watching.images_of_batch(dataset, "train", rows, order)


def _pictures(
    model: ImageTextModel, examples: Examples | None, folder: Path, epochs: int
) -> list[keras.callbacks.Callback]:
    if examples is None:
        return []
    return [
        callbacks.Pictures(
            folder / "tensorboard" / "pictures",
            "sentences_and_regions",
            lambda: figures.to_array(examples.draw(model)),
            epochs,
        )
    ]


def _draw(
    recipe: Recipe,
    model: ImageTextModel,
    examples: Examples | None,
    folder: Path,
) -> None:
    history = pd.read_csv(folder / "history.csv")
    objective, _ = build.stage(recipe)
    curves = figures.training_curves(
        history,
        ceiling=objective.bound in WITH_CEILING,
        chance=trouble.CHANCE.get(objective.bound),
        axis=trouble.axis(objective.bound),
    )
    figures.save(curves, folder / "training_curves.png")
    if examples is not None:
        found = examples.mapped(model)
        found.save(folder / "sentences_and_regions.npz")
        figures.save(found.draw(), folder / "sentences_and_regions.png")
