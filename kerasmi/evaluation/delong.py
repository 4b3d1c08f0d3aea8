"""The covariance of AUCs on the same images, and the test of a difference.

DeLong, DeLong and Clarke-Pearson (1988), its structural components by midranks
(Sun and Xu 2014). Where a subject has several images, its components are added
up first (Obuchowski 1997); with one image each this is DeLong's covariance.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

# A standard error below 1e-8 is rounding: no test set is that large.
_NO_VARIANCE = 1e-16


@dataclasses.dataclass(frozen=True)
class Components:
    """What each subject adds to the AUCs of K scores on one label.

    Attributes:
        areas: `(K,)` AUCs.
        positive: `(S, K)`, over the subject's positives, the sum of their
            component minus the AUC, divided by the number of positives.
        negative: `(S, K)`, the same over its negatives.
        corrections: `n / (n - 1)` for the subjects with a positive, with a
            negative, and with either.
    """

    areas: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    corrections: tuple[float, float, float]

    def contrast(self, a: Sequence[int], b: Sequence[int] = ()) -> "Components":
        """The mean of the scores `a`, minus that of `b` if given, as one."""

        def of(values: np.ndarray) -> np.ndarray:
            mean = values[..., list(a)].mean(axis=-1, keepdims=True)
            if not len(b):
                return mean
            return mean - values[..., list(b)].mean(axis=-1, keepdims=True)

        return dataclasses.replace(
            self,
            areas=of(self.areas),
            positive=of(self.positive),
            negative=of(self.negative),
        )


def structural_components(
    targets: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The share of the other class that each image is told apart from.

    Args:
        targets: `(n,)` of 0 and 1, both present.
        scores: `(n, K)` float, larger means more likely positive.

    Returns:
        `(m, K)`: for each positive, the share of the negatives that score
        below it (ties count 1/2); `(n - m, K)`: for each negative, the share
        of the positives above it. The mean of either is the AUC.
    """
    targets = np.asarray(targets)
    frame = pd.DataFrame(np.asarray(scores, np.float64))
    together = frame.rank().to_numpy()
    sides = []
    for value in (1, 0):
        mine = targets == value
        within = frame[mine].rank().to_numpy()
        sides.append((together[mine] - within) / (~mine).sum())
    return sides[0], 1 - sides[1]


def components(
    targets: np.ndarray,
    scores: np.ndarray,
    subjects: np.ndarray,
    n_subjects: int,
) -> Components:
    """The subjects' parts of the AUCs of K scores of the same images.

    Args:
        targets: `(n,)` of 0 and 1, both present.
        scores: `(n, K)` float.
        subjects: `(n,)` int, the subject of each image, from 0.
        n_subjects: S, also counting subjects without an image here.

    Returns:
        The components; a correction is NaN where it rests on one subject.
    """
    targets, subjects = np.asarray(targets), np.asarray(subjects)
    of_positives, of_negatives = structural_components(targets, scores)
    areas = of_positives.mean(axis=0)
    sums = []
    for value, parts in ((1, of_positives), (0, of_negatives)):
        total = np.zeros((n_subjects, len(areas)))
        np.add.at(total, subjects[targets == value], parts - areas)
        sums.append(total / len(parts))
    corrections = (
        _correction(subjects[targets == 1]),
        _correction(subjects[targets == 0]),
        _correction(subjects),
    )
    return Components(areas, sums[0], sums[1], corrections)


def _correction(subjects: np.ndarray) -> float:
    number = len(np.unique(subjects))
    return number / (number - 1) if number > 1 else math.nan


def covariance(labels: Sequence[Components]) -> np.ndarray:
    """The covariance of K AUCs, or of their means over several labels.

    For one label Obuchowski's estimator. Labels share their subjects, so the
    mean's covariance also holds that between labels, with the geometric mean
    of their corrections.

    Args:
        labels: the components of each label, of the same K scores and the
            same S subjects.

    Returns:
        `(K, K)` float64; NaN where a label rests on one subject.
    """

    def total(side: str, correction: int) -> np.ndarray:
        parts = [
            math.sqrt(one.corrections[correction]) * getattr(one, side)
            for one in labels
        ]
        return np.sum(parts, axis=0) / len(labels)

    positive, negative = total("positive", 0), total("negative", 1)
    across = total("positive", 2).T @ total("negative", 2)
    return positive.T @ positive + negative.T @ negative + across + across.T


def p_value(difference: float, variance: float) -> float:
    """The two-sided p of a difference of AUCs, by the normal distribution.

    Returns:
        A number in [0, 1]; 1 where nothing differs, NaN where a difference
        has no variance to be judged by.
    """
    if not variance > _NO_VARIANCE:
        return 1.0 if variance >= 0 and abs(difference) < 1e-12 else math.nan
    return math.erfc(abs(difference) / math.sqrt(2 * variance))
