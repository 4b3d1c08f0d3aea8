"""Resampled means and medians against cases repeated one by one."""

import numpy as np
import pytest

from kerasmi.evaluation.clusters import Clusters

RESAMPLES = 40


def resampled(clusters, values, statistic):
    """The statistic in each resample, each case as often as it was drawn."""
    times = np.rint(clusters.counts @ clusters.owners).astype(int)
    return [statistic(np.repeat(values, row)) for row in times if row.any()]


def of(subjects, confidence=0.9):
    cases = [np.array([one]) for one in subjects]
    return Clusters.of(cases, RESAMPLES, confidence, seed=3)


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("cases", [9, 10])
def test_the_interval_is_that_of_cases_drawn_with_their_subjects(
    statistic, cases
):
    rng = np.random.default_rng(cases)
    clusters = of(rng.integers(0, 4, cases))
    values = rng.integers(0, 5, cases).astype(float)
    draws = resampled(clusters, values, getattr(np, statistic))
    found = getattr(clusters, statistic)(values)
    np.testing.assert_allclose(
        (found.low, found.high), np.quantile(draws, [0.05, 0.95]), atol=1e-12
    )


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_some_cases_are_read_in_the_same_resamples(statistic):
    rng = np.random.default_rng(0)
    clusters, values = of(np.arange(12) // 2), rng.normal(size=3)
    part = clusters.some(np.array([1, 2, 3]))
    assert part.n_subjects == 2
    draws = resampled(part, values, getattr(np, statistic))
    assert len(draws) < RESAMPLES  # neither subject drawn in some
    found = getattr(part, statistic)(values)
    np.testing.assert_allclose(
        (found.low, found.high), np.quantile(draws, [0.05, 0.95]), atol=1e-12
    )


def test_a_shared_case_belongs_to_each_in_part():
    shared = [np.array([7, 7, 8]), np.array([8]), np.array([9, 7])]
    clusters = Clusters.of(shared, RESAMPLES, 0.95)
    np.testing.assert_allclose(
        clusters.owners, [[2 / 3, 0, 1 / 2], [1 / 3, 1, 0], [0, 0, 1 / 2]]
    )
    assert clusters.n_subjects == 3


def test_of_one_subject_nothing_varies():
    clusters = of([5, 5, 5])
    row = clusters.row("share", np.array([0.0, 0.0, 1.0]), np.full(3, 0.25))
    assert row["value"] == row["low"] == row["high"] == pytest.approx(1 / 3)
    assert row["chance"] == 0.25
    middle = clusters.median_row("rank", np.array([1.0, 9, 4]), np.ones(3))
    assert middle["value"] == middle["low"] == middle["high"] == 4
    assert (middle["metric"], middle["chance"]) == ("rank", 1.0)


def test_subjects_that_differ_widen_the_interval_their_images_do_not():
    values = np.repeat([0.0, 1.0] * 10, 5)
    by_subject = of(np.repeat(np.arange(20), 5)).mean(values)
    by_image = of(np.arange(100)).mean(values)
    wide = by_subject.high - by_subject.low
    assert wide > 1.5 * (by_image.high - by_image.low)
