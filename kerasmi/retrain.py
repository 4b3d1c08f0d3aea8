"""Stage 2: re-train the image classifier, frozen, tuned or image-only.

Selection and prediction of a frozen encoder start from features that are
worked out once (`HeldOutImages`), and so does its training where images are
not augmented: exactly the same function, without the frozen network in it.
"""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi import (
    build,
    callbacks,
    labelled,
    resuming,
    side_by_side,
    watching,
)
from kerasmi.data import kept, pipeline
from kerasmi.data.dataset import Dataset
from kerasmi.data.stream import Order
from kerasmi.errors import RecipeError
from kerasmi.evaluation import auc
from kerasmi.evaluation.predictions import COLUMNS
from kerasmi.fused_adam import FusedAdam
from kerasmi.held_out_images import (
    IMAGES_AT_ONCE,
    HeldOutImages,
    compiled,
    local_maps,
)
from kerasmi.models.heads import HEADS
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.optimizers import WarmUp
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, counted
from kerasmi.stages import Task, tasks
from kerasmi.types import Tensor

SHOWN = {"loss": "loss", "val_auc": "validation AUC"}

# the seed is of the process: stages beside each other draw weights in turn
_BUILDING = threading.Lock()


def run(
    recipe: Recipe,
    dataset: Dataset,
    this: Task,
    encoder_mode: str,
    encoder: ImageEncoder | None,
    folder: Path,
    reporter: Reporter,
    strategy: tf.distribute.Strategy,
    held_out: HeldOutImages | None = None,
) -> pd.DataFrame:
    """Trains one classifier, keeps its best validation epoch, predicts.

    Args:
        recipe: its `retrain` section is used.
        dataset: labelled records.
        this: the task, or one finding of it.
        encoder_mode: `"frozen"`, `"tuned"` or `"image_only"`.
        encoder: the pre-trained encoder; None for `"image_only"`.
        folder: gets `model.keras`, `history.csv`, `tensorboard/` and
            `checkpoint/`; a training goes on from the checkpoint it holds.
        reporter: told of the progress.
        strategy: devices to train on.
        held_out: validation and test images, shared by the stages of a run;
            None: this stage's own.

    Returns:
        The predictions of validation and test, as in `predictions.csv`.
    """
    settings = recipe.retrain
    held_out = held_out or HeldOutImages(recipe, dataset)
    chosen = labelled.images(recipe, dataset, this)
    features = None
    if encoder is not None and encoder_mode == "frozen":
        features = _unaugmented(recipe, dataset, chosen, encoder)
    start = resuming.begin(folder, reporter, strategy)
    replicas = strategy.num_replicas_in_sync
    steps, left_out = steps_of_epoch(len(chosen), settings.batch_size, replicas)
    if left_out:
        reporter.message(
            f"{this.stage(encoder_mode)}: left out at the end of each epoch: "
            f"{counted(left_out, 'image')}, too few for {replicas} devices; "
            "not the same from epoch to epoch"
        )

    def batches(epoch: int, step: int) -> tf.data.Dataset:
        made, _ = pipeline.labelled(
            dataset,
            "train",
            labels=this.labels,
            image_ids=chosen,
            uncertain=recipe.data.uncertain,
            blank=recipe.data.blank,
            batch_size=settings.batch_size,
            image_size=recipe.data.image_size,
            augmentation=build.augmentation(settings.augmentation),
            shuffle=True,
            seed=recipe.seed,
            epochs=settings.epochs,
            first_epoch=epoch,
            first_step=step,
            drop_remainder=left_out > 0,
            inputs=features,
        )
        return made

    with _BUILDING, strategy.scope(), build.precision(recipe):
        keras.utils.set_random_seed(recipe.seed)
        model = _classifier(recipe, this, encoder_mode, encoder, steps)
        trained = model if features is None else model.on_features()
    reporter.start(
        this.stage(encoder_mode),
        start.left(settings.epochs, steps),
        "step",
        f"{counted(len(chosen), 'labelled image')}, "
        f"{counted(settings.epochs, 'epoch')}",
        epochs=settings.epochs,
    )
    scores = _scorer(model, held_out, encoder)
    observed = labelled.targets(
        recipe, dataset, "validation", this, truth=False
    )
    history = resuming.fit(
        trained,
        batches,
        start,
        whole=model,
        folder=folder,
        monitor="val_auc",
        epochs=settings.epochs,
        steps=steps,
        callbacks=[
            callbacks.ValidationScore(
                lambda: scores("validation"),
                lambda p: labelled.mean_auc(this, observed, p),
            ),
            callbacks.Progress(
                reporter, settings.epochs, steps, settings.batch_size, SHOWN
            ),
            watching.FiniteLoss(
                folder,
                start.position,
                lambda epoch, step: _batch(
                    recipe, dataset, chosen, epoch, step
                ),
                "Try a lower retrain.learning_rate.",
            ),
            callbacks.TensorBoard(
                str(folder / "tensorboard"), write_graph=start.fresh
            ),
        ],
        reporter=reporter,
    )
    reporter.finish(**{"validation AUC": history["val_auc"].max()})
    if strategy.num_replicas_in_sync > 1:
        # a copy on one device: predicting needs no strategy
        model = keras.saving.load_model(folder / "model.keras")
        scores = _scorer(model, held_out, encoder)
    return predict(recipe, dataset, this, encoder_mode, scores)


def _unaugmented(
    recipe: Recipe,
    dataset: Dataset,
    chosen: list[str],
    encoder: ImageEncoder,
) -> np.ndarray | None:
    """`(n, h, w, D_local)` features of the images to train on.

    None where augmentation makes new images of them in each epoch, or where
    the features do not fit in memory.
    """
    floats = np.prod(encoder.lower.output_shape[1:])
    fits = 4 * floats * len(chosen) <= kept.KEPT_BYTES
    if recipe.retrain.augmentation is not None or not fits:
        return None
    images, _ = pipeline.images(
        dataset,
        "train",
        batch_size=IMAGES_AT_ONCE,
        image_size=recipe.data.image_size,
        image_ids=chosen,
    )
    return np.concatenate([m.numpy() for m in local_maps(encoder, images)])


def _scorer(
    model: ImageClassifier,
    held_out: HeldOutImages,
    encoder: ImageEncoder | None,
) -> Callable[[str], np.ndarray]:
    """Split -> `(n, outputs)` probabilities of the model as it then is."""
    blocks: Callable[[str], Iterable[Tensor]]
    if encoder is not None and model.encoder_mode == "frozen":
        network = compiled(model.on_features())
        blocks = partial(held_out.features, encoder=encoder)
    else:
        network = compiled(model)
        blocks = held_out.images

    def scores(split: str) -> np.ndarray:
        found = side_by_side.each(lambda b: network(b).numpy(), blocks(split))
        return np.concatenate(list(found))

    return scores


def _batch(
    recipe: Recipe, dataset: Dataset, chosen: list[str], epoch: int, step: int
) -> list[str]:
    """The images of a training step."""
    order = Order(
        recipe.retrain.batch_size,
        shuffle=True,
        seed=recipe.seed,
        epochs=recipe.retrain.epochs,
        first_epoch=epoch,
        first_step=step,
        # rows that are never asked for do not matter
        drop_remainder=False,
    )
    rows = dataset.rows("train", chosen)
    return watching.images_of_batch(dataset, "train", rows, order)


def _classifier(
    recipe: Recipe,
    this: Task,
    encoder_mode: str,
    encoder: ImageEncoder | None,
    steps: int,
) -> ImageClassifier:
    settings = recipe.retrain
    if encoder is None:
        encoder = build.image_encoder(recipe)
    model = ImageClassifier(
        encoder,
        this.labels,
        this.head,
        "frozen" if encoder_mode == "frozen" else "tuned",
    )
    rate = WarmUp(
        settings.learning_rate,
        total_steps=steps * settings.epochs,
        schedule=settings.schedule,
    )
    model.compile(FusedAdam(rate, name="adam"))
    return model


def steps_of_epoch(
    images: int, batch_size: int, replicas: int
) -> tuple[int, int]:
    """How many steps an epoch has, and how many images it leaves out.

    Args:
        images: to train on.
        batch_size: images in a step, over all devices.
        replicas: devices that share each batch.

    Returns:
        Steps, and the images of the last batch where that is left out.
    """
    steps, rest = divmod(images, batch_size)
    if leaves_idle(images, batch_size, replicas):
        return steps, rest
    return steps + (rest > 0), 0


def leaves_idle(images: int, batch_size: int, replicas: int) -> bool:
    """Whether the last batch of an epoch leaves a replica without an image.

    Keras cannot take a step there; a batch is cut into equal shares, the last
    ones of which may then be smaller or empty.
    """
    rest = images % batch_size
    return 0 < rest <= batch_size // replicas * (replicas - 1)


def check(recipe: Recipe, dataset: Dataset, replicas: int = 1) -> None:
    """Raises before any training what re-training would meet after it.

    Args:
        recipe: its `retrain` section is used.
        dataset: the data.
        replicas: devices that share each batch.

    Raises:
        DataError: too few labelled images, or no validation images to choose
            the best epoch by.
        RecipeError: a batch larger than the labelled images, which then leave
            a device without one.
    """
    for this in tasks(recipe):
        images = len(labelled.images(recipe, dataset, this))
        size = recipe.retrain.batch_size
        if images < size and leaves_idle(images, size, replicas):
            raise RecipeError(
                f"{recipe.name}: retrain.batch_size: {size}, but "
                f"{counted(images, 'labelled image')}, too few for each of "
                f"{replicas} devices. "
                f"Use at most {images // replicas * replicas}."
            )
        observed = labelled.targets(
            recipe, dataset, "validation", this, truth=False
        )
        outputs = HEADS[this.head].units(len(this.labels))
        labelled.mean_auc(
            this, observed, np.full((len(observed), outputs), 1 / outputs)
        )


def predict(
    recipe: Recipe,
    dataset: Dataset,
    this: Task,
    encoder_mode: str,
    scores: Callable[[str], np.ndarray],
) -> pd.DataFrame:
    """Predictions of validation and test; targets are the truth if known."""
    frames = []
    for split in ("validation", "test"):
        rows = dataset.rows(split)
        predictions = scores(split)
        identity = rows[["image_id", "study_id", "subject_id", "split"]].assign(
            task=this.name, encoder=encoder_mode
        )
        known = labelled.targets(
            recipe, dataset, split, this, dataset.has_truth
        )
        frames.append(_rows(this, identity, known, predictions))
    return pd.concat(frames, ignore_index=True)


def _rows(
    this: Task,
    identity: pd.DataFrame,
    known: np.ndarray,
    predictions: np.ndarray,
) -> pd.DataFrame:
    if this.head != "multilabel":
        return auc.severity_predictions(
            identity, known[:, 0].astype(int), predictions
        )
    frames = [
        identity.assign(
            label=label, target=known[:, k].astype(int), score=predictions[:, k]
        )
        for k, label in enumerate(this.labels)
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]
