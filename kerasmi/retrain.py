"""Stage 2: re-train the image classifier, frozen, tuned or image-only.

Selection and prediction of a frozen encoder start from features that are
worked out once (`HeldOutImages`), and so does its training where images are
not augmented: exactly the same function, without the frozen network in it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi import build, callbacks, resuming, side_by_side, watching
from kerasmi.data import kept, pipeline
from kerasmi.data import labels as label_policy
from kerasmi.data.dataset import Dataset
from kerasmi.data.stream import Order
from kerasmi.errors import DataError, RecipeError
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
from kerasmi.reporter import Reporter
from kerasmi.stages import Task, tasks
from kerasmi.types import Tensor

SHOWN = {"loss": "loss", "val_auc": "validation AUC"}


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
    keras.utils.set_random_seed(recipe.seed)
    held_out = held_out or HeldOutImages(recipe, dataset)
    chosen = labelled_images(recipe, dataset, this)
    features = None
    if encoder is not None and encoder_mode == "frozen":
        features = _unaugmented(recipe, dataset, chosen, encoder)
    start = resuming.begin(folder, reporter)
    replicas = strategy.num_replicas_in_sync
    whole_only = leaves_idle(len(chosen), settings.batch_size, replicas)
    steps, rest = divmod(len(chosen), settings.batch_size)
    steps += rest > 0 and not whole_only
    if whole_only:
        reporter.message(
            f"{this.stage(encoder_mode)}: the last {rest} images of each epoch"
            f" are too few for {replicas} devices and left out; they differ"
            " from epoch to epoch"
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
            drop_remainder=whole_only,
            inputs=features,
        )
        return made

    with strategy.scope(), build.precision(recipe):
        model = _classifier(recipe, this, encoder_mode, encoder, steps)
        trained = model if features is None else model.on_features()
    reporter.start(
        this.stage(encoder_mode),
        start.left(settings.epochs, steps),
        "step",
        f"{len(chosen)} labelled images, {settings.epochs} epochs",
        epochs=settings.epochs,
    )
    scores = _scorer(model, held_out, encoder)
    observed = targets(recipe, dataset, "validation", this, truth=False)
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
                lambda p: mean_auc(this, observed, p),
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
        images = len(labelled_images(recipe, dataset, this))
        size = recipe.retrain.batch_size
        if images < size and leaves_idle(images, size, replicas):
            raise RecipeError(
                f"{recipe.name}: retrain.batch_size: {size}, but {images} "
                f"labelled images, too few for each of {replicas} devices. "
                f"Use at most {images // replicas * replicas}."
            )
        observed = targets(recipe, dataset, "validation", this, truth=False)
        outputs = HEADS[this.head].units(len(this.labels))
        mean_auc(this, observed, np.full((len(observed), outputs), 1 / outputs))


def drawn_images(recipe: Recipe, dataset: Dataset, this: Task) -> list[str]:
    """Training images with a usable label, as many as the recipe allows.

    The same images for every encoder, and for all findings of a task: the
    first of one order that `seed` alone decides.

    Raises:
        DataError: fewer labelled images than asked for, or none.
    """
    rows = dataset.rows("train")
    known = targets(recipe, dataset, "train", this.whole, truth=False) >= 0
    images = rows["image_id"][known.any(axis=1)].to_numpy()
    asked = recipe.retrain.labels
    wanted = _number(asked, len(images))
    if not len(images) or len(images) < wanted or wanted < 1:
        raise DataError(
            f"{dataset.path}: {len(images)} training images have a usable "
            f"label of {this.name}; retrain.labels asks for {asked or 'all'}. "
            "Change it, or data.uncertain and data.blank."
        )
    drawn = np.random.default_rng(recipe.seed).permutation(len(images))
    return sorted(images[drawn[:wanted]].tolist())


def _number(asked: int | float | None, available: int) -> int:
    if asked is None:
        return available
    return round(asked * available) if isinstance(asked, float) else asked


def labelled_images(recipe: Recipe, dataset: Dataset, this: Task) -> list[str]:
    """Those of `drawn_images` with a usable label of `this`.

    Raises:
        DataError: there is none.
    """
    drawn = drawn_images(recipe, dataset, this)
    if not this.is_part:
        return drawn
    rows = dataset.rows("train")
    known = targets(recipe, dataset, "train", this, truth=False)[:, 0] >= 0
    chosen = sorted(set(drawn) & set(rows["image_id"][known]))
    if not chosen:
        raise DataError(
            f"{dataset.path}: none of the {len(drawn)} training images has a "
            f"usable label of {this.labels[0]}. Raise retrain.labels, or use "
            "retrain.heads: multilabel."
        )
    return chosen


def targets(
    recipe: Recipe,
    dataset: Dataset,
    split: str,
    this: Task,
    truth: bool,
) -> np.ndarray:
    """`(n, L)` targets of a split under the label policy; -1 where ignored.

    Args:
        recipe: its label policies are used.
        dataset: the records.
        split: which images.
        this: which labels.
        truth: the known answers (phantom only) instead of the labels.
    """
    return label_policy.targets(
        dataset.rows(split),
        this.labels,
        truth=truth,
        uncertain=recipe.data.uncertain,
        blank=recipe.data.blank,
    )


def mean_auc(this: Task, known: np.ndarray, predictions: np.ndarray) -> float:
    """Mean AUC over the labels (or severity cuts) that have both classes.

    Args:
        this: the task.
        known: `(n, L)` targets, -1 where ignored.
        predictions: `(n, outputs)` probabilities.

    Raises:
        DataError: none has.
    """
    if this.head != "multilabel":
        level = known[:, 0]
        predictions = auc.severity_scores(predictions)
        cuts = np.arange(1, 4)
        known = np.where(level[:, None] < 0, -1, level[:, None] >= cuts)
    values = [
        auc.auc(column[column >= 0], scores[column >= 0])
        for column, scores in zip(known.T, predictions.T, strict=True)
    ]
    defined = [value for value in values if isinstance(value, float)]
    if not defined:
        what, remedy = f"no label of {this.name} has both", ""
        if this.is_part:
            what = f"{this.labels[0]} does not have both"
            remedy = ", or retrain.heads: multilabel"
        raise DataError(
            f"validation: {what} a positive and a negative image, so no epoch "
            "can be chosen. Use more validation images, or other label "
            f"policies (data.uncertain, data.blank){remedy}."
        )
    return float(np.mean(defined))


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
        known = targets(recipe, dataset, split, this, dataset.has_truth)
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
