"""All methods and seeds on the same images, in the same resamples.

What every interval and every paired test of the tables is made of.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kerasmi.evaluation import delong, statistics
from kerasmi.evaluation.predictions import usable
from kerasmi.evaluation.variants import Method
from kerasmi.reporter import counted

_RUN = ["variant", "encoder", "seed"]


class PairingError(ValueError):
    """Runs that were not evaluated on the same images and targets."""


@dataclasses.dataclass(frozen=True)
class Label:
    """The AUCs of K runs on one label.

    Attributes:
        name: of the label.
        n_positive: positive images.
        n_negative: negative images.
        n_subjects: subjects of both.
        draws: `(K, R)` AUC in every resample; NaN where a class is missing.
        parts: what each subject adds; None where the label lacks a class.
    """

    name: str
    n_positive: int
    n_negative: int
    n_subjects: int
    draws: np.ndarray
    parts: delong.Components | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An AUC or a difference of two, mean over seeds and over labels.

    Attributes:
        value: on the test images.
        draws: `(R,)` in every resample.
        variance: by DeLong's components; NaN where it cannot be told.
    """

    value: float
    draws: np.ndarray
    variance: float


@dataclasses.dataclass(frozen=True)
class Task:
    """The runs that were evaluated on one task.

    Attributes:
        name: of the task.
        runs: the K pairs of a method and a seed, by method, then seed.
        labels: the labels, each with K columns.
        n_subjects: subjects with an image in the split.
    """

    name: str
    runs: tuple[tuple[Method, int], ...]
    labels: tuple[Label, ...]
    n_subjects: int

    @property
    def methods(self) -> list[Method]:
        """The methods in the order of the paper's tables."""
        return list(dict.fromkeys(method for method, _ in self.runs))

    def seeds(self, method: Method) -> list[int]:
        """The seeds of a method."""
        return [seed for one, seed in self.runs if one == method]

    @property
    def defined(self) -> list[Label]:
        """The labels that have both classes."""
        return [label for label in self.labels if label.parts is not None]

    def columns(self, method: Method, seeds: Sequence[int]) -> list[int]:
        """Where the runs of a method with these seeds stand."""
        return [self.runs.index((method, seed)) for seed in seeds]


def estimate(
    labels: Sequence[Label], a: Sequence[int], b: Sequence[int] = ()
) -> Estimate:
    """The mean AUC of the runs `a`, minus that of `b`, mean over labels.

    Args:
        labels: one label, or those that are averaged.
        a: columns of the runs, one for each seed.
        b: columns of the others; none gives the AUC itself.
    """
    parts = [one.parts.contrast(a, b) for one in labels if one.parts]
    if len(parts) < len(labels) or not parts:
        nothing = np.full(labels[0].draws.shape[1:] if labels else 0, np.nan)
        return Estimate(math.nan, nothing, math.nan)
    draws = np.mean([one.draws[list(a)].mean(axis=0) for one in labels], axis=0)
    if len(b):
        others = [one.draws[list(b)].mean(axis=0) for one in labels]
        draws = draws - np.mean(others, axis=0)
    return Estimate(
        float(np.mean([one.areas[0] for one in parts])),
        draws,
        float(delong.covariance(parts)[0, 0]),
    )


def score(
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
) -> list[Task]:
    """Evaluates every run in the same resamples of subjects.

    With one run, the resamples are those of `auc.evaluate`.

    Args:
        predictions: the tables predictions.csv of all runs, stacked, with the
            columns `variant` (see `variants`) and `seed` beside theirs.
        split: the split to evaluate.
        resamples: number of resamples of subjects.
        seed: of the resampling.

    Returns:
        One `Task` for each task.

    Raises:
        PairingError: the runs differ in labels, images, subjects or targets.
        ValueError: a column is missing or holds what it must not.
    """
    missing = [column for column in _RUN if column not in predictions]
    if missing:
        raise ValueError(
            f"Predictions of several runs need the columns {_RUN}. "
            f"Missing: {missing}."
        )
    everyone = predictions[predictions["split"] == split]
    groups = predictions.groupby(["variant", "seed"], sort=False)
    rows = pd.concat([usable(one, split) for _, one in groups])
    tasks = []
    for name in dict.fromkeys(everyone["task"]):
        everyone_here = everyone[everyone["task"] == name]
        tasks.append(
            _task(
                str(name),
                everyone_here,
                rows[rows["task"] == name],
                resamples,
                seed,
            )
        )
    return tasks


def _task(
    name: str,
    everyone: pd.DataFrame,
    rows: pd.DataFrame,
    resamples: int,
    seed: int,
) -> Task:
    keys = everyone[_RUN].drop_duplicates().itertuples(index=False, name=None)
    runs = sorted(
        ((Method(variant, encoder), one) for variant, encoder, one in keys),
        key=lambda run: (run[0].order, run[1]),
    )
    _same_labels(name, everyone, len(runs))
    subjects = np.unique(everyone["subject_id"])
    counts = statistics.resample_subjects(len(subjects), resamples, seed)
    labels = [
        _label(str(label), rows[rows["label"] == label], runs, subjects, counts)
        for label in dict.fromkeys(everyone["label"])
    ]
    return Task(name, tuple(runs), tuple(labels), len(subjects))


def _same_labels(name: str, everyone: pd.DataFrame, n_runs: int) -> None:
    having = everyone[[*_RUN, "label"]].drop_duplicates()["label"]
    for label, count in having.value_counts().items():
        if count < n_runs:
            raise PairingError(
                f"{name}: {count} of {n_runs} runs have the label {label!r}; a "
                "table needs the same labels in all."
            )


def _label(
    name: str,
    rows: pd.DataFrame,
    runs: list[tuple[Method, int]],
    subjects: np.ndarray,
    counts: np.ndarray,
) -> Label:
    if rows.empty:
        nothing = np.full((len(runs), len(counts)), np.nan)
        return Label(name, 0, 0, 0, nothing, None)
    images, scores = _aligned(name, rows, runs)
    targets = images["target"].to_numpy()
    at = np.searchsorted(subjects, images["subject_id"])
    draws = np.full((len(runs), len(counts)), np.nan)
    parts = None
    if len(np.unique(targets)) == 2:
        draws = np.stack(
            [
                statistics.bootstrap_auc(targets, column, at, counts)
                for column in scores.T
            ]
        )
        parts = delong.components(targets, scores, at, len(subjects))
    return Label(
        name,
        int(targets.sum()),
        int((targets == 0).sum()),
        len(np.unique(at)),
        draws,
        parts,
    )


def _aligned(
    label: str, rows: pd.DataFrame, runs: list[tuple[Method, int]]
) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per image: its target and subject, and the scores of all runs."""
    what = ["image_id", "subject_id", "target"]
    names = [(method.variant, method.encoder, seed) for method, seed in runs]
    columns = pd.MultiIndex.from_tuples(names, names=_RUN)
    wide = rows.set_index([*what, *_RUN])["score"].unstack(_RUN)
    wide = wide.reindex(columns=columns)
    lonely = wide.isna().any(axis=1)
    if lonely.any():
        image, _, _ = wide.index[lonely.argmax()]
        absent = wide.columns[wide[lonely].iloc[0].isna()][0]
        raise PairingError(
            f"{label}: the runs must have the same images, subjects and "
            f"targets. Not so: {counted(int(lonely.sum()), 'image')}; the "
            "first, "
            f"{image!r}, is missing or another in {absent[0]} {absent[1]}, "
            f"seed {absent[2]}."
        )
    return wide.index.to_frame(index=False), wide.to_numpy()
