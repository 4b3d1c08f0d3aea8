"""Means, shares and medians of single cases, resampled by subject."""

import dataclasses
from typing import Any

import numpy as np

from kerasmi.evaluation import statistics
from kerasmi.evaluation.statistics import Interval


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Cases (queries, sentences) and the subjects they come from.

    Attributes:
        owners: `(S, n)` float, the share of each case that each subject has;
            every column sums to 1.
        counts: `(R, S)` how often each subject was drawn in each resample.
        confidence: of the intervals.
    """

    owners: np.ndarray
    counts: np.ndarray
    confidence: float = 0.95

    @classmethod
    def of(
        cls,
        subjects: list[np.ndarray],
        resamples: int,
        confidence: float,
        seed: int = 0,
    ) -> "Clusters":
        """Cases that belong to one subject or are shared by several.

        Args:
            subjects: for each case its subjects, any hashable numbers.
            resamples: number of resamples of subjects.
            confidence: of the intervals.
            seed: of the resampling.
        """
        flat = np.concatenate(subjects)
        names, index = np.unique(flat, return_inverse=True)
        cases = np.repeat(np.arange(len(subjects)), [len(s) for s in subjects])
        owners = np.zeros((len(names), len(subjects)), np.float32)
        np.add.at(owners, (index, cases), 1.0)
        owners /= owners.sum(axis=0)
        counts = statistics.resample_subjects(len(names), resamples, seed)
        return cls(owners, counts, confidence)

    def some(self, cases: np.ndarray) -> "Clusters":
        """Some of the cases, in the same resamples.

        Args:
            cases: mask or numbers.
        """
        return dataclasses.replace(self, owners=self.owners[:, cases])

    @property
    def n_subjects(self) -> int:
        """Subjects that own a part of a case."""
        return int(self.owners.any(axis=1).sum())

    def row(
        self, name: str, values: np.ndarray, chance: np.ndarray
    ) -> dict[str, Any]:
        """A row of a table: the mean of the values and what chance gives.

        Args:
            name: of the metric.
            values: `(n,)` of each case.
            chance: `(n,)` of each case, where nothing is known.
        """
        interval = self.mean(values)
        return {
            "metric": name,
            "value": float(values.mean()),
            "low": interval.low,
            "high": interval.high,
            "chance": float(chance.mean()),
        }

    def median_row(
        self, name: str, values: np.ndarray, chance: np.ndarray
    ) -> dict[str, Any]:
        """As `row`, of the median."""
        interval = self.median(values)
        return {
            "metric": name,
            "value": float(np.median(values)),
            "low": interval.low,
            "high": interval.high,
            "chance": float(np.median(chance)),
        }

    def mean(self, values: np.ndarray) -> Interval:
        """The interval of the mean of `(n,)` values over the cases."""
        sums = self.counts @ (self.owners @ values)
        weights = self.counts @ self.owners.sum(axis=1)
        drawn = weights > 0  # in small groups not in every resample
        return statistics.percentile_interval(
            sums[drawn] / weights[drawn], self.confidence
        )

    def median(self, values: np.ndarray) -> Interval:
        """The interval of the median of `(n,)` values over the cases."""
        order = np.argsort(values, kind="stable")
        ranked = np.asarray(values, float)[order]
        below = np.cumsum(self.counts @ self.owners[:, order], axis=1)
        below = below[below[:, -1] > 0]
        half = below[:, -1:] / 2
        # As for whole weights: where the weight is split evenly between two
        # values, the mean of both.
        lower = (below < half * (1 - 1e-6)).sum(axis=1)
        upper = (below < half * (1 + 1e-6)).sum(axis=1)
        return statistics.percentile_interval(
            (ranked[lower] + ranked[upper]) / 2, self.confidence
        )
