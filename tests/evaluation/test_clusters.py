"""Resampled means and medians against cases repeated one by one."""

import numpy as np
import pytest
from scipy.stats import binomtest

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


@pytest.mark.parametrize("row", ["mean_row", "share_row", "median_row"])
@pytest.mark.parametrize("values", [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
def test_of_one_subject_there_is_no_interval(row, values):
    found = getattr(of([5, 5, 5]), row)(
        "R@1", np.array(values), np.full(3, 0.2)
    )
    statistic = np.median if row == "median_row" else np.mean
    assert found["value"] == pytest.approx(statistic(values))
    assert np.isnan([found["low"], found["high"]]).all()
    assert found["note"] == "interval not estimable: one subject"
    assert (found["metric"], found["chance"]) == ("R@1", pytest.approx(0.2))


def test_of_one_case_of_several_subjects_there_is_no_interval():
    shared = Clusters.of([np.array([1, 2])], RESAMPLES, 0.95)
    found = shared.share_row("R@1", np.array([0.0]), np.array([0.5]))
    assert np.isnan(found["low"])
    assert found["note"] == "interval not estimable: one case"


@pytest.mark.parametrize("trials", [2, 7, 40])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_share_of_0_or_1_has_the_exact_interval_of_its_subjects(
    trials, confidence
):
    subjects = of(np.repeat(np.arange(trials), 3), confidence)
    none = subjects.share(np.zeros(3 * trials))
    exact = binomtest(0, trials).proportion_ci(confidence, method="exact")
    assert (none.low, none.high) == pytest.approx((exact.low, exact.high))
    every = subjects.share(np.ones(3 * trials))
    assert (every.low, every.high) == pytest.approx((1 - exact.high, 1))
    assert f"of {trials} trials" in none.note
    assert "every case is 1" in every.note


def test_a_share_between_is_resampled_as_a_mean():
    subjects = of(np.arange(20) // 2)
    values = np.repeat([0.0, 1.0, 1.0, 0.0], 5)
    assert subjects.share(values) == subjects.mean(values)


def test_cases_shared_by_more_subjects_are_no_more_trials():
    shared = Clusters.of([np.arange(9), np.arange(5)], RESAMPLES, 0.95)
    assert shared.share(np.zeros(2)).note.endswith("of 2 trials")


def test_cases_of_one_subject_are_one_trial_beside_one_that_many_share():
    cases = [np.array([0])] * 4 + [np.arange(1, 40)]
    found = Clusters.of(cases, RESAMPLES, 0.95).share(np.zeros(5))
    assert found.note.endswith("of 2 trials")
    exact = binomtest(0, 2).proportion_ci(0.95, method="exact")
    assert found.high == pytest.approx(exact.high)


def test_a_share_that_cannot_be_other_than_1_is_certain():
    row = of(np.arange(4)).share_row("R@10", np.ones(4), np.ones(4))
    assert (row["low"], row["high"]) == (1, 1)
    assert row["note"] == "1 whatever the scores are"


def test_a_mean_of_equal_values_has_no_interval_unless_it_is_a_share():
    subjects = of(np.arange(6))
    for found in (
        subjects.mean(np.ones(6)),
        subjects.median(np.ones(6)),
        subjects.share(np.full(6, 0.25)),
    ):
        assert np.isnan([found.low, found.high]).all()
        assert found.note.endswith("every case has the same value")


def test_a_median_may_be_the_same_in_every_resample():
    found = of(np.arange(40)).median(np.array([1.0] * 39 + [2]))
    assert (found.low, found.high) == (1, 1)
    assert found.note == "the same in every resample"
    values = np.array([1.0] * 9 + [2, 2, 2])
    found = of(np.arange(12), confidence=0.5).median(values)
    assert (found.low, found.high) == (1, 1)
    assert found.note == "the same in nearly every resample"


def test_subjects_that_differ_widen_the_interval_their_images_do_not():
    values = np.repeat([0.0, 1.0] * 10, 5)
    by_subject = of(np.repeat(np.arange(20), 5)).mean(values)
    by_image = of(np.arange(100)).mean(values)
    wide = by_subject.high - by_subject.low
    assert wide > 1.5 * (by_image.high - by_image.low)
