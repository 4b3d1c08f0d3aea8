"""Exact areas under the ROC curve, per label and for severity cuts."""

import dataclasses

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from kerasmi.evaluation import statistics
from kerasmi.evaluation.predictions import COLUMNS, usable

SEVERITY_CUTS = ("0|123", "01|23", "012|3")
MEAN = "mean"
RESULT_COLUMNS = (
    "task",
    "label",
    "encoder",
    "metric",
    "value",
    "low",
    "high",
    "n_positive",
    "n_negative",
    "n_subjects",
    "seed",
    "note",
)


@dataclasses.dataclass(frozen=True)
class NotDefined:
    """An AUC that does not exist, and why: never 0, never a silent NaN."""

    reason: str

    def __str__(self) -> str:
        return f"not defined: {self.reason}"


def auc(targets: np.ndarray, scores: np.ndarray) -> float | NotDefined:
    """The probability that a positive scores above a negative (ties count 1/2).

    Args:
        targets: `(n,)` of 0 and 1.
        scores: `(n,)` float, larger means more likely positive.

    Returns:
        The AUC in [0, 1], or `NotDefined` when a class is absent.

    Raises:
        ValueError: a target other than 0 and 1, unequal lengths, or scores
            that are not finite.
    """
    targets, scores = np.asarray(targets), np.asarray(scores)
    if targets.shape != scores.shape or targets.ndim != 1:
        raise ValueError(
            "targets and scores must be two vectors of one length. "
            f"Received shapes: {targets.shape} and {scores.shape}."
        )
    present = set(np.unique(targets).tolist())
    if not present <= {0, 1}:
        raise ValueError(
            f"targets must be 0 or 1. Received: {sorted(present)}. Drop "
            "ignored images and cut severity levels first."
        )
    absent = [
        name
        for value, name in ((1, "positive"), (0, "negative"))
        if value not in present
    ]
    if absent:
        return NotDefined("no " + " and no ".join(absent))
    if not np.isfinite(scores).all():
        raise ValueError("Scores must be finite; the model has diverged.")
    return float(roc_auc_score(targets, scores))


def severity_scores(probabilities: np.ndarray) -> np.ndarray:
    """Probability of level 1 or more, 2 or more, 3: one score per cut.

    Args:
        probabilities: `(n, 4)` class probabilities (a softmax head), or
            `(n, 3)` probabilities of `level >= k` (a cumulative head).

    Returns:
        `(n, 3)` float64 for the cuts 0|123, 01|23, 012|3.

    Raises:
        ValueError: another shape, values outside [0, 1], or four class
            probabilities that do not sum to 1 (logits, for instance).
    """
    values = np.asarray(probabilities, np.float64)
    if values.ndim != 2 or values.shape[1] not in (3, 4):
        raise ValueError(
            "Severity needs (n, 4) class probabilities or (n, 3) cumulative "
            f"ones. Received shape: {values.shape}."
        )
    if not ((values >= -1e-6) & (values <= 1 + 1e-6)).all():
        raise ValueError(
            "Severity needs probabilities in [0, 1]. Received values from "
            f"{values.min():.3g} to {values.max():.3g}: apply the softmax or "
            "sigmoid first."
        )
    if values.shape[1] == 3:
        return values
    if np.abs(values.sum(axis=1) - 1).max(initial=0.0) > 1e-3:
        raise ValueError("Four class probabilities must sum to 1 in each row.")
    # Summed from the top: P(3), P(2) + P(3), P(1) + P(2) + P(3).
    return np.cumsum(values[:, :0:-1], axis=1)[:, ::-1]


def severity_predictions(
    identity: pd.DataFrame,
    levels: np.ndarray,
    probabilities: np.ndarray,
    name: str = "Edema Severity",
) -> pd.DataFrame:
    """Rows of the predictions table for the three cuts of a severity.

    Args:
        identity: one row per image: task, encoder, image_id, study_id,
            subject_id, split.
        levels: `(n,)` int, 0 to 3; negative where the level is unknown (those
            images are left out).
        probabilities: `(n, 4)` or `(n, 3)`, see `severity_scores`.
        name: label that stands before the cut.

    Returns:
        Frame with the columns of predictions.csv, labels such as
        `"Edema Severity 0|123"`, binary targets, scores `P(level >= k)`.
    """
    levels = np.asarray(levels)
    if levels.size and levels.max() > 3:
        raise ValueError(
            f"Severity levels run from 0 to 3. Received: {levels.max()}."
        )
    scores = severity_scores(probabilities)
    if not len(identity) == len(levels) == len(scores):
        raise ValueError(
            "identity, levels and probabilities must have one row per image. "
            f"Received: {len(identity)}, {len(levels)} and {len(scores)}."
        )
    known = levels >= 0
    frames = [
        identity[known].assign(
            label=f"{name} {cut}",
            target=(levels[known] >= k + 1).astype(np.int64),
            score=scores[known, k],
        )
        for k, cut in enumerate(SEVERITY_CUTS)
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def evaluate(
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    resampling_seed: int = 0,
) -> pd.DataFrame:
    """The results table: AUC, its interval and class counts of every label.

    Exact AUC by scikit-learn; percentile intervals from subjects drawn with
    replacement. All labels and encoders of a task share the resamples, and the
    `"mean"` row of a (task, encoder) averages the labels within each resample.

    Args:
        predictions: the table predictions.csv.
        split: the split to evaluate.
        resamples: number of resamples of subjects.
        confidence: of the intervals.
        seed: the run's seed, copied into the table.
        resampling_seed: of the bootstrap.

    Returns:
        Frame with the columns `RESULT_COLUMNS`. Where a class is absent,
        `value`, `low` and `high` are NaN and `note` begins "not defined".
    """
    rows = usable(predictions, split)
    everyone = predictions[predictions["split"] == split]
    results = []
    for task in dict.fromkeys(everyone["task"]):
        of_task = everyone[everyone["task"] == task]
        subjects = np.unique(of_task["subject_id"])
        counts = statistics.resample_subjects(
            len(subjects), resamples, resampling_seed
        )
        for encoder in dict.fromkeys(of_task["encoder"]):
            labels = dict.fromkeys(
                of_task.loc[of_task["encoder"] == encoder, "label"]
            )
            one = rows[(rows["task"] == task) & (rows["encoder"] == encoder)]
            table = _label_rows(one, list(labels), subjects, counts, confidence)
            results += [
                {"task": task, "encoder": encoder, "metric": "auc"} | row
                for row in table
            ]
    frame = pd.DataFrame(results).assign(seed=seed)
    whole = ["n_positive", "n_negative", "n_subjects"]
    return frame.astype(dict.fromkeys(whole, "Int64"))[list(RESULT_COLUMNS)]


def _label_rows(
    rows: pd.DataFrame,
    labels: list[str],
    subjects: np.ndarray,
    counts: np.ndarray,
    confidence: float,
) -> list[dict]:
    """One row per label and the mean of those that are defined."""
    results, draws, absent = [], [], []
    for label in labels:
        one = rows[rows["label"] == label]
        targets, scores = one["target"].to_numpy(), one["score"].to_numpy()
        at = np.searchsorted(subjects, one["subject_id"])
        value = auc(targets, scores)
        row = {
            "label": label,
            "n_positive": int(targets.sum()),
            "n_negative": int((targets == 0).sum()),
            "n_subjects": len(np.unique(at)),
        }
        if isinstance(value, NotDefined):
            absent.append(label)
            row |= {"value": np.nan, "low": np.nan, "high": np.nan}
            row["note"] = str(value)
        else:
            draws.append(statistics.bootstrap_auc(targets, scores, at, counts))
            row |= {"value": value} | _interval(draws[-1], confidence)
        results.append(row)
    return [*results, _mean_row(results, draws, absent, subjects, confidence)]


def _mean_row(
    rows: list[dict],
    draws: list[np.ndarray],
    absent: list[str],
    subjects: np.ndarray,
    confidence: float,
) -> dict:
    row = {
        "label": MEAN,
        "n_positive": pd.NA,
        "n_negative": pd.NA,
        "n_subjects": len(subjects),
    }
    if not draws:
        reason = NotDefined("no label has both classes")
        nothing = {"value": np.nan, "low": np.nan, "high": np.nan}
        return row | nothing | {"note": str(reason)}
    values = [r["value"] for r in rows if not np.isnan(r["value"])]
    row |= {"value": float(np.mean(values))}
    row |= _interval(np.mean(draws, axis=0), confidence)
    if absent:
        over = f"mean of {len(draws)} of {len(rows)} labels"
        left_out = f"{over}, without {', '.join(absent)}"
        row["note"] = "; ".join(filter(None, [left_out, row["note"]]))
    return row


def _interval(values: np.ndarray, confidence: float) -> dict:
    found = statistics.percentile_interval(values, confidence)
    return {"low": found.low, "high": found.high, "note": found.note}
