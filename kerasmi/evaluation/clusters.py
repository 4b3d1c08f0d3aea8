"""Means, shares and medians of single cases, resampled by subject.

Resamples of cases that are all alike are all alike too: their interval would
have no width, however few they are. Where every case is 0, or every case 1, the
interval of a share is the exact one; elsewhere there is none, and a note.
"""

import dataclasses
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

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

    @property
    def n_independent(self) -> int:
        """Cases that may each have a subject of its own: no more are trials.

        At most the cases and the subjects; fewer where one subject has many
        cases and many subjects share another.
        """
        owned = csr_array(self.owners > 0)
        return int((maximum_bipartite_matching(owned) >= 0).sum())

    def mean_row(
        self, name: str, values: np.ndarray, chance: np.ndarray
    ) -> dict[str, Any]:
        """A row of a table: the mean of the values and what chance gives.

        Args:
            name: of the metric.
            values: `(n,)` of each case.
            chance: `(n,)` of each case, where nothing is known.

        Returns:
            metric, value, low, high, chance and note, see `Interval`.
        """
        return _row(name, np.mean(values), np.mean(chance), self.mean(values))

    def share_row(
        self, name: str, values: np.ndarray, chance: np.ndarray
    ) -> dict[str, Any]:
        """As `mean_row`, of values from 0 to 1."""
        interval = self.share(values)
        if (chance == 1).all():  # as many candidates as are looked at
            interval = Interval(1.0, 1.0, 0, 0, "1 whatever the scores are")
        return _row(name, np.mean(values), np.mean(chance), interval)

    def median_row(
        self, name: str, values: np.ndarray, chance: np.ndarray
    ) -> dict[str, Any]:
        """As `mean_row`, of the median."""
        return _row(
            name, np.median(values), np.median(chance), self.median(values)
        )

    def mean(self, values: np.ndarray) -> Interval:
        """The interval of the mean of `(n,)` values over the cases."""
        if reason := self._nothing_varies(values):
            return _none(reason)
        sums = self.counts @ (self.owners @ values)
        weights = self.counts @ self.owners.sum(axis=1)
        drawn = weights > 0  # in small groups not in every resample
        return self._percentiles(sums[drawn] / weights[drawn])

    def share(self, values: np.ndarray) -> Interval:
        """As `mean`, of values from 0 to 1; exact where all are 0 or all 1.

        Nothing is known of how alike the cases of a subject are, so a subject
        counts as one trial: the interval is rather too wide than too narrow,
        unless subjects with many cases are unlike those with few.

        References:
            - Clopper and Pearson, 1934, https://doi.org/10.1093/biomet/26.4.404
        """
        edge = float(values[0])
        if edge not in (0.0, 1.0) or (values != edge).any():
            return self.mean(values)
        trials = self.n_independent
        if trials == 1:
            return self.mean(values)
        beyond = 1 - ((1 - self.confidence) / 2) ** (1 / trials)
        low, high = (0.0, beyond) if edge == 0 else (1 - beyond, 1.0)
        note = (
            f"every case is {edge:.0f}: exact interval (Clopper-Pearson) of"
            f" {trials} trials"
        )
        return Interval(low, high, 0, 0, note)

    def median(self, values: np.ndarray) -> Interval:
        """The interval of the median of `(n,)` values over the cases."""
        if reason := self._nothing_varies(values):
            return _none(reason)
        order = np.argsort(values, kind="stable")
        ranked = np.asarray(values, float)[order]
        below = np.cumsum(self.counts @ self.owners[:, order], axis=1)
        below = below[below[:, -1] > 0]
        half = below[:, -1:] / 2
        # As for whole weights: where the weight is split evenly between two
        # values, the mean of both.
        lower = (below < half * (1 - 1e-6)).sum(axis=1)
        upper = (below < half * (1 + 1e-6)).sum(axis=1)
        return self._percentiles((ranked[lower] + ranked[upper]) / 2)

    def _percentiles(self, draws: np.ndarray) -> Interval:
        found = statistics.percentile_interval(draws, self.confidence)
        note = ""
        if found.low == found.high:
            nearly = "nearly " if np.ptp(draws) else ""
            note = f"the same in {nearly}every resample"
        return dataclasses.replace(found, note=note)

    def _nothing_varies(self, values: np.ndarray) -> str:
        """Why resamples of the values would tell nothing; empty if they do."""
        if self.n_subjects == 1:
            return "one subject"
        if len(values) == 1:
            return "one case"
        return "" if np.ptp(values) else "every case has the same value"


def _none(reason: str) -> Interval:
    return Interval(np.nan, np.nan, 0, 0, f"interval not estimable: {reason}")


def _row(
    name: str, value: np.floating, chance: np.floating, interval: Interval
) -> dict[str, Any]:
    return {
        "metric": name,
        "value": float(value),
        "low": interval.low,
        "high": interval.high,
        "chance": float(chance),
        "note": interval.note,
    }
