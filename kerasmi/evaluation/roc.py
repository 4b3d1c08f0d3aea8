"""ROC curves with a band from resampled subjects."""

import dataclasses

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from kerasmi.evaluation import statistics


@dataclasses.dataclass(frozen=True)
class Curve:
    """An ROC curve and its pointwise band.

    Attributes:
        false_positive: `(k,)` rate of the exact curve.
        true_positive: `(k,)` rate of the exact curve.
        grid: `(g,)` false-positive rates of the band.
        low: `(g,)` lower limit of the true-positive rate.
        high: `(g,)` upper limit.
    """

    false_positive: np.ndarray
    true_positive: np.ndarray
    grid: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve(
    targets: np.ndarray,
    scores: np.ndarray,
    subjects: np.ndarray,
    counts: np.ndarray,
    confidence: float = 0.95,
) -> Curve:
    """The exact ROC curve and a band over resamples of subjects.

    Args:
        targets: `(n,)` of 0 and 1, both present.
        scores: `(n,)` float.
        subjects: `(n,)` int, the column of `counts` of each image's subject.
        counts: `(R, S)` from `statistics.resample_subjects`.
        confidence: of the pointwise band.

    Returns:
        A `Curve`; resamples that lack a class are left out of the band.
    """
    exact = roc_curve(targets, scores, drop_intermediate=False)
    grid = np.linspace(0, 1, 101)
    drawn = _resampled(targets, scores, counts[:, subjects], grid)
    tail = (1 - confidence) / 2
    low, high = np.full((2, len(grid)), np.nan)
    if len(drawn):
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Curve(exact[0], exact[1], grid, low, high)


def _resampled(
    targets: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    grid: np.ndarray,
) -> np.ndarray:
    order = np.argsort(-scores, kind="stable")
    # A step of the curve ends where the score changes.
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    positive = targets[order] == 1
    weights = weights[:, order]
    hits = np.cumsum(np.where(positive, weights, 0), axis=1)[:, ends]
    alarms = np.cumsum(np.where(positive, 0, weights), axis=1)[:, ends]
    both = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
    rates = [
        np.interp(grid, np.r_[0, x] / x[-1], np.r_[0, y] / y[-1])
        for x, y in zip(alarms[both], hits[both], strict=True)
    ]
    return np.array(rates).reshape(-1, len(grid))


def curves(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Curve]:
    """The curve of each encoder for one label's usable predictions."""
    names, subjects = np.unique(rows["subject_id"], return_inverse=True)
    counts = statistics.resample_subjects(len(names), resamples, seed)
    found = {}
    for encoder in dict.fromkeys(rows["encoder"]):
        mine = (rows["encoder"] == encoder).to_numpy()
        found[encoder] = curve(
            rows["target"].to_numpy()[mine],
            rows["score"].to_numpy()[mine],
            subjects[mine],
            counts,
        )
    return found
