"""Which labelled images re-training uses, their targets, and their score."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from kerasmi.data import labels as label_policy
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError
from kerasmi.evaluation import auc, untaught
from kerasmi.recipe import Recipe
from kerasmi.reporter import counted
from kerasmi.stages import Task, tasks


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


def one_class(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What to say of labels that cannot be learned, or not be judged.

    Of the phantom nothing, which draws enough of every finding.

    Returns:
        A sentence for each label, or cut of the severity, of which the
        labelled training images, or the test images, lack a class.
    """
    if dataset.has_truth:
        return []
    found = []
    for (task, label, unlearned), (_, _, unjudged) in zip(
        _untaught(recipe, dataset), _unjudged(recipe, dataset), strict=True
    ):
        name = f"{dataset.path}: {task}: {label}"
        if unlearned:
            found.append(f"{name}: {unlearned}, {untaught.UNLEARNED}")
        if unjudged:
            found.append(f"{name}: {unjudged}, {untaught.UNJUDGED}")
    return [f"{text}. {untaught.REMEDY}" for text in found]


def noted(
    results: pd.DataFrame, recipe: Recipe, dataset: Dataset
) -> pd.DataFrame:
    """Results with a note on each label that no training image taught.

    Args:
        results: as `auc.evaluate` returns them.
        recipe: what was trained.
        dataset: on which data.

    Returns:
        The same rows; `note` says so too of the mean that counts such a label.
    """
    notes: dict[tuple[str, str], str] = {}
    of_means: dict[str, list[str]] = {}
    judged = results.dropna(subset="value")
    in_means = set(zip(judged["task"], judged["label"], strict=True))
    for task, label, lack in _untaught(recipe, dataset):
        if lack:
            notes[task, label] = f"{untaught.START} it: {lack}"
            if (task, label) in in_means:
                of_means.setdefault(task, []).append(label)
    for task, labels in of_means.items():
        notes[task, auc.MEAN] = f"{untaught.START} {', '.join(labels)}"
    keys = zip(results["task"], results["label"], strict=True)
    told = [
        "; ".join(filter(None, (note, notes.get(key))))
        for key, note in zip(keys, results["note"], strict=True)
    ]
    return results.assign(note=told)


# task, label or cut, and the class that it lacks, in words
_Lacks = Iterator[tuple[str, str, str]]


def _untaught(recipe: Recipe, dataset: Dataset) -> _Lacks:
    rows = dataset.rows("train")
    for this in _whole(recipe):
        drawn = rows["image_id"].isin(drawn_images(recipe, dataset, this))
        known = targets(recipe, dataset, "train", this, truth=False)[drawn]
        yield from _lacks(this, known, "labelled training image")


def _unjudged(recipe: Recipe, dataset: Dataset) -> _Lacks:
    for this in _whole(recipe):
        known = targets(recipe, dataset, "test", this, truth=False)
        yield from _lacks(this, known, "test image")


def _whole(recipe: Recipe) -> Iterable[Task]:
    return {task.name: task.whole for task in tasks(recipe)}.values()


def _lacks(this: Task, known: np.ndarray, what: str) -> _Lacks:
    for name, column in zip(_names(this), _cut(this, known).T, strict=True):
        yield this.name, name, _lacking(column, what)


def _lacking(known: np.ndarray, what: str) -> str:
    """Which class a label lacks, of the images where it is known."""
    lack = [
        f"no {name} one"
        for value, name in ((1, "positive"), (0, "negative"))
        if not (known == value).any()
    ]
    if not lack:
        return ""
    return (
        f"{' and '.join(lack)} among {counted(int((known >= 0).sum()), what)}"
    )


def _names(this: Task) -> list[str]:
    if this.head == "multilabel":
        return list(this.labels)
    return [f"{this.labels[0]} {cut}" for cut in auc.SEVERITY_CUTS]


def _cut(this: Task, known: np.ndarray) -> np.ndarray:
    """`(n, L)` targets of 0 and 1, a severity cut at 1, 2 and 3; -1 ignored."""
    if this.head == "multilabel":
        return known
    level = known[:, :1]
    return np.where(level < 0, -1, level >= np.arange(1, 4))


def mean_auc(this: Task, known: np.ndarray, predictions: np.ndarray) -> float:
    """Mean AUC over the labels (or severity cuts) that have both classes.

    Args:
        this: the task.
        known: `(n, L)` targets, -1 where ignored.
        predictions: `(n, outputs)` probabilities.

    Raises:
        DataError: none has.
    """
    known = _cut(this, known)
    if this.head != "multilabel":
        predictions = auc.severity_scores(predictions)
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
