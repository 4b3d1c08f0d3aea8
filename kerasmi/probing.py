"""Frozen features of a trained model, and labels to probe them with."""

from typing import Any

import numpy as np
import pandas as pd

from kerasmi import labelled, stages
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError
from kerasmi.evaluation import auc, label_scores, probes
from kerasmi.evaluation.probes import Part, Probed
from kerasmi.features import Features
from kerasmi.stages import Task

_PROBES = {probes.LINEAR: probes.linear, probes.NEIGHBOURS: probes.neighbours}
_SETTING = "setting"


def evaluate(features: Features, dataset: Dataset, split: str) -> pd.DataFrame:
    """AUC of a linear probe and of nearest neighbours, for each task.

    Trained on the labelled images that re-training uses, the mean of the
    regions' features for each; validation picks the settings. Severities are
    three labels, one for each cut.

    Args:
        features: the trained model.
        dataset: labelled records.
        split: the split to judge on.

    Returns:
        A results table with the probes as encoders, and their `setting`.

    Raises:
        DataError: a task that has no label with both classes.
    """
    recipe = features.recipe
    frames, settings, lost = [], {}, set()
    pooled = {
        name: _pooled(features, dataset, name, None)
        for name in {"validation", split}
    }
    for task in {one.name: one.whole for one in stages.tasks(recipe)}.values():
        chosen = labelled.drawn_images(recipe, dataset, task)
        train = Part(
            _pooled(features, dataset, "train", chosen),
            _targets(features, dataset, task, "train", False, chosen),
        )
        validation = Part(
            pooled["validation"],
            _targets(features, dataset, task, "validation", False),
        )
        known = _targets(features, dataset, task, split, dataset.has_truth)
        names = _names(task)
        for probe, work in _PROBES.items():
            try:
                found = work(train, validation, pooled[split])
            except ValueError as error:
                raise DataError(
                    f"{dataset.path}: {task.name}: {error}"
                ) from None
            settings[task.name, probe] = found.setting
            gone = probes.undefined(found, names)
            lost |= {(task.name, probe, label) for label in gone}
            frames.append(
                _predictions(dataset, split, task, probe, names, known, found)
            )
    table = auc.evaluate(
        pd.concat(frames, ignore_index=True),
        split=split,
        resamples=recipe.evaluate.bootstrap,
        confidence=recipe.evaluate.confidence,
        seed=recipe.seed,
    )
    table[_SETTING] = [settings[key] for key in _keys(table, "task", "encoder")]
    untaught = [key in lost for key in _keys(table, "task", "encoder", "label")]
    table.loc[untaught, "note"] = (
        "not defined: the labelled images lack a class"
    )
    return table


def _pooled(
    features: Features, dataset: Dataset, split: str, chosen: list[str] | None
) -> np.ndarray:
    """`(n, D)` mean of the regions' features of each image."""
    blocks = features.region_blocks(dataset, split, chosen)
    return np.concatenate([block.mean(axis=1) for block in blocks])


def _targets(
    features: Features,
    dataset: Dataset,
    task: Task,
    split: str,
    truth: bool,
    chosen: list[str] | None = None,
) -> np.ndarray:
    known = labelled.targets(features.recipe, dataset, split, task, truth)
    if chosen is not None:
        rows = dataset.rows(split)["image_id"]
        known = known[rows.isin(set(chosen)).to_numpy()]
    if task.head == "multilabel":
        return known.astype(int)
    return probes.severity_targets(known[:, 0])


def _names(task: Task) -> list[str]:
    if task.head == "multilabel":
        return list(task.labels)
    return [f"{task.labels[0]} {cut}" for cut in auc.SEVERITY_CUTS]


def _predictions(
    dataset: Dataset,
    split: str,
    task: Task,
    probe: str,
    names: list[str],
    known: np.ndarray,
    found: Probed,
) -> pd.DataFrame:
    # A label that was not learnt has no score: none of its images counts.
    learnt = np.isfinite(found.scores)
    return label_scores.table(
        dataset.rows(split),
        names,
        np.where(learnt, known, -1),
        np.where(learnt, found.scores, 0.0),
        task.name,
        probe,
    )


def _keys(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))
