"""Which labelled images re-training uses, their targets, and their score."""

import numpy as np

from kerasmi.data import labels as label_policy
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError
from kerasmi.evaluation import auc
from kerasmi.recipe import Recipe
from kerasmi.reporter import counted
from kerasmi.stages import Task


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
            f"{dataset.path}: {counted(len(images), 'training image')} with a "
            f"usable label of {this.name}; retrain.labels asks for "
            f"{asked or 'all'}. "
            "Change it, or data.uncertain and data.blank."
        )
    drawn = np.random.default_rng(recipe.seed).permutation(len(images))
    return sorted(images[drawn[:wanted]].tolist())


def _number(asked: int | float | None, available: int) -> int:
    if asked is None:
        return available
    return round(asked * available) if isinstance(asked, float) else asked


def images(recipe: Recipe, dataset: Dataset, this: Task) -> list[str]:
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
