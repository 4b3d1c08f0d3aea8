"""Intervals by resampling subjects, paired differences, spreads over seeds.

Images of one subject are not independent, so whole subjects are drawn with
replacement, never single images.
"""

import dataclasses

import numpy as np
import pandas as pd

from kerasmi.evaluation.predictions import usable
from kerasmi.reporter import counted

SKIPPED_SHARE = 0.05
# Bounds the memory of one chunk of resamples: about 64 MB in float64.
CHUNK_ENTRIES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A percentile interval and what it rests on.

    Attributes:
        low: lower limit.
        high: upper limit.
        resamples: resamples drawn.
        skipped: resamples left out because a class was missing in them.
        note: what a reader must know, or `""`.
    """

    low: float
    high: float
    resamples: int
    skipped: int
    note: str = ""


def resample_subjects(
    n_subjects: int, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Draws subjects with replacement.

    Args:
        n_subjects: number of subjects S.
        resamples: number of resamples R.
        seed: of the generator; the same seed gives the same resamples.

    Returns:
        `(R, S)` int32: how often each subject was drawn; each row sums to S.
    """
    if n_subjects < 1 or resamples < 1:
        raise ValueError(
            "Resampling needs at least one subject and one resample. "
            f"Received: {counted(n_subjects, 'subject')}, "
            f"{counted(resamples, 'resample')}."
        )
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, n_subjects), np.int32)
    for row in counts:
        drawn = generator.integers(0, n_subjects, n_subjects)
        row[:] = np.bincount(drawn, minlength=n_subjects)
    return counts


def weighted_auc(
    targets: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """AUC under many weightings of the same images at once.

    `sum_ij w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / sum_ij w_i w_j` over
    positives i and negatives j, from one sort and cumulative sums.

    Args:
        targets: `(n,)` of 0 and 1.
        scores: `(n,)` float.
        weights: `(R, n)`, nonnegative.

    Returns:
        `(R,)` float64; NaN marks a row in which a class has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked = np.asarray(scores)[order]
    positive = np.asarray(targets)[order] == 1
    weights = np.asarray(weights, np.float64)[:, order]
    below = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(np.where(positive, 0.0, weights), axis=1, out=below[:, 1:])
    won = below[:, np.searchsorted(ranked, ranked[positive], side="left")]
    tied = below[:, np.searchsorted(ranked, ranked[positive], side="right")]
    weights = weights[:, positive]
    pairs = weights.sum(axis=1) * below[:, -1]
    wins = np.einsum("rn,rn->r", weights, (won + tied) / 2)
    return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1.0), np.nan)


def bootstrap_auc(
    targets: np.ndarray,
    scores: np.ndarray,
    subjects: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """AUC in every resample of subjects.

    Args:
        targets: `(n,)` of 0 and 1.
        scores: `(n,)` float.
        subjects: `(n,)` int, the column of `counts` of each image's subject.
        counts: `(R, S)` from `resample_subjects`.

    Returns:
        `(R,)` float64; NaN where a class is missing in the resample.
    """
    step = max(1, CHUNK_ENTRIES // max(1, len(targets)))
    return np.concatenate(
        [
            weighted_auc(targets, scores, counts[at : at + step][:, subjects])
            for at in range(0, len(counts), step)
        ]
    )


def percentile_interval(
    values: np.ndarray, confidence: float = 0.95
) -> Interval:
    """The central `confidence` share of the resampled values.

    Args:
        values: `(R,)`; NaN marks a resample that has no value.
        confidence: between 0 and 1.

    Returns:
        An `Interval`; its note speaks when more than 5 % of the resamples had
        to be skipped, when none is left, or when the interval has no width.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence must lie between 0 and 1. Received: {confidence}."
        )
    kept = values[~np.isnan(values)]
    skipped = len(values) - len(kept)
    if len(kept) == 0:
        note = f"no interval: a class is missing in all {skipped} resamples"
        return Interval(np.nan, np.nan, len(values), skipped, note)
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    notes = []
    if skipped > SKIPPED_SHARE * len(values):
        notes.append(
            f"a class is missing in {skipped} of {len(values)} resamples"
        )
    if low == high:
        notes.append("the interval has no width: too few overlapping cases")
    return Interval(
        float(low), float(high), len(values), skipped, "; ".join(notes)
    )


def difference(
    predictions_a: pd.DataFrame,
    predictions_b: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired difference of AUC, a minus b, on the same images.

    Both are evaluated in the same resamples of subjects, so what the images
    have in common cancels. A difference is resolved when its interval leaves
    out 0.

    Args:
        predictions_a: predictions of one encoder of one run.
        predictions_b: the same images and labels from another.
        split: the split to evaluate.
        resamples: number of resamples of subjects.
        confidence: of the interval.
        seed: of the resampling.

    Returns:
        One row per (task, label) and a `"mean"` row per task, with the columns
        task, label, value_a, value_b, difference, low, high, n_positive,
        n_negative, n_subjects, note. Where a class is absent, or every target
        is ignored, the values are NaN and the note says why.

    Raises:
        ValueError: several encoders in one frame, or the frames differ in
            their images, labels or targets.
    """
    pairs = _align(usable(predictions_a, split), usable(predictions_b, split))
    rows = []
    for task, labels in _labels(predictions_a, predictions_b, split).items():
        of_task = pairs[pairs["task"] == task]
        names, subjects = np.unique(of_task["subject_id"], return_inverse=True)
        of_task = of_task.assign(subject=subjects)
        counts = np.zeros((resamples, 0), np.int32)
        if len(names):
            counts = resample_subjects(len(names), resamples, seed)
        rows += _task_differences(task, labels, of_task, counts, confidence)
    return pd.DataFrame(rows)


def _labels(
    a: pd.DataFrame, b: pd.DataFrame, split: str
) -> dict[str, list[str]]:
    """The labels of each task, sorted; those without a usable target too."""
    found: dict[str, set[str]] = {}
    for frame in (a, b):
        there = frame.loc[frame["split"] == split, ["task", "label"]]
        for task, label in there.drop_duplicates().to_numpy():
            found.setdefault(str(task), set()).add(str(label))
    return {task: sorted(found[task]) for task in sorted(found)}


def _align(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    for name, frame in (("predictions_a", a), ("predictions_b", b)):
        encoders = sorted(set(frame["encoder"]))
        if len(encoders) > 1:
            raise ValueError(
                f"{name} must hold one encoder. Received: {encoders}. Select "
                "one, as in predictions[predictions.encoder == 'tuned']."
            )
    key = ["task", "label", "image_id"]
    pairs = a.merge(
        b[[*key, "target", "score"]],
        on=key,
        how="outer",
        suffixes=("", "_b"),
        indicator="found",
    )
    lonely = pairs[pairs["found"] != "both"]
    if not lonely.empty:
        raise ValueError(
            "A paired difference needs the same images and labels on both "
            f"sides. On one side only: {counted(len(lonely), 'row')}, the "
            "first: "
            f"{lonely.iloc[0][key].to_dict()}."
        )
    if (pairs["target"] != pairs["target_b"]).any():
        raise ValueError(
            "A paired difference needs the same targets on both sides. "
            "Evaluate both runs with the same label policy."
        )
    return pairs


def _task_differences(
    task: str,
    labels: list[str],
    rows: pd.DataFrame,
    counts: np.ndarray,
    confidence: float,
) -> list[dict]:
    results, points, draws = [], [], []
    for label in labels:
        of_label = rows[rows["label"] == label]
        targets = of_label["target"].to_numpy()
        subjects = of_label["subject"].to_numpy()
        once = np.ones((1, counts.shape[1]), np.int32)
        sides = [of_label["score"].to_numpy(), of_label["score_b"].to_numpy()]
        point = [bootstrap_auc(targets, s, subjects, once)[0] for s in sides]
        drawn = [bootstrap_auc(targets, s, subjects, counts) for s in sides]
        row = {
            "n_positive": int(targets.sum()),
            "n_negative": int((targets == 0).sum()),
            "n_subjects": len(np.unique(subjects)),
        }
        results.append(
            {"task": task, "label": label}
            | _difference_row(point, drawn[0] - drawn[1], confidence, row)
        )
        if not np.isnan(point[0]):
            points.append(point)
            draws.append(drawn[0] - drawn[1])
    row = {
        "n_positive": pd.NA,
        "n_negative": pd.NA,
        "n_subjects": counts.shape[1],
    }
    point = list(np.mean(points, axis=0)) if points else [np.nan, np.nan]
    nothing = np.full(len(counts), np.nan)
    together = np.mean(draws, axis=0) if draws else nothing
    mean = {"task": task, "label": "mean"}
    mean |= _difference_row(point, together, confidence, row)
    if 0 < len(draws) < len(results):
        over = f"mean of {len(draws)} of {len(results)} labels"
        mean["note"] = "; ".join(filter(None, [over, mean["note"]]))
    return [*results, mean]


def _difference_row(
    point: list[float], drawn: np.ndarray, confidence: float, counts: dict
) -> dict:
    interval = percentile_interval(drawn, confidence)
    undefined = np.isnan(point[0])
    return {
        "value_a": point[0],
        "value_b": point[1],
        "difference": point[0] - point[1],
        "low": interval.low,
        "high": interval.high,
        **counts,
        "note": "not defined: a class is absent"
        if undefined
        else interval.note,
    }


def seeds(
    results: pd.DataFrame, by: tuple[str, ...] = ("task", "encoder", "label")
) -> pd.DataFrame:
    """Mean and spread of each value over the seeds of repeated runs.

    Args:
        results: stacked `results.csv` tables, one seed each (columns `by`,
            `seed` and `value`).
        by: what identifies a cell; add `"run"` for several methods.

    Returns:
        One row per cell: `by`, mean, sd (n - 1 in the denominator; NaN for one
        seed), n (seeds with a value), undefined (seeds without one).

    Raises:
        ValueError: a seed occurs twice in a cell.
    """
    repeated = results[results.duplicated([*by, "seed"])]
    if not repeated.empty:
        raise ValueError(
            "Each seed must occur once in a cell. Received twice: "
            f"{repeated.iloc[0][[*by, 'seed']].to_dict()}. Name the methods "
            "apart in a column and add it to `by`."
        )
    values = results.groupby(list(by), sort=False)["value"]
    table = values.agg(mean="mean", sd="std", n="count", size="size")
    table["undefined"] = table.pop("size") - table["n"]
    return table.reset_index()
