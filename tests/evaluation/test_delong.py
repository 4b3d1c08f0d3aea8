"""DeLong's covariance against its definition, jackknives and the bootstrap."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kerasmi.evaluation import delong, statistics


def data(seed=0, n=60, ties=False, scores=3):
    rng = np.random.default_rng(seed)
    targets = np.r_[0, 1, rng.integers(0, 2, n - 2)]
    common = rng.normal(size=(n, 1))
    values = common + rng.normal(size=(n, scores)) + targets[:, None]
    return targets, np.round(values) if ties else values


def alone(targets, scores):
    n = len(targets)
    return delong.components(targets, scores, np.arange(n), n)


def by_definition(targets, scores):
    """V10 and V01 pair by pair: mean of [s+ > s-] + [s+ = s-] / 2."""
    above = scores[targets == 1][:, None]
    below = scores[targets == 0][None]
    won = (above > below) + 0.5 * (above == below)
    return won.mean(axis=1), won.mean(axis=0)


def deleted(targets, scores, which):
    """AUC of each score without the images `which`."""
    kept = np.setdiff1d(np.arange(len(targets)), which)
    return np.array(
        [roc_auc_score(targets[kept], column[kept]) for column in scores.T]
    )


def jackknife(values):
    """`(n - 1) / n` times the sum of squares about the mean."""
    centred = values - values.mean(axis=0)
    return (len(values) - 1) / len(values) * centred.T @ centred


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_give_the_components_of_the_definition(ties):
    targets, scores = data(ties=ties)
    found = delong.structural_components(targets, scores)
    expected = by_definition(targets, scores)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_areas_are_those_of_scikit_learn(ties):
    targets, scores = data(ties=ties)
    found = alone(targets, scores).areas
    expected = [roc_auc_score(targets, column) for column in scores.T]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_covariance_is_delongs_equation(ties):
    targets, scores = data(ties=ties)
    of_positives, of_negatives = by_definition(targets, scores)
    expected = np.cov(of_positives.T) / len(of_positives)
    expected += np.cov(of_negatives.T) / len(of_negatives)
    found = delong.covariance([alone(targets, scores)])
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_the_jackknife_over_positives_plus_that_over_negatives(ties):
    # An identity (Arvesen 1969): the components are the pseudo-values.
    targets, scores = data(ties=ties)
    expected = sum(
        jackknife(
            np.array(
                [
                    deleted(targets, scores, image)
                    for image in np.flatnonzero(targets == side)
                ]
            )
        )
        for side in (0, 1)
    )
    found = delong.covariance([alone(targets, scores)])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_with_one_image_each_subjects_are_images_in_any_order():
    targets, scores = data()
    names = np.random.default_rng(1).permutation(len(targets))
    # Subjects without an image change nothing.
    found = delong.components(targets, scores, names, len(targets) + 5)
    np.testing.assert_allclose(
        delong.covariance([found]),
        delong.covariance([alone(targets, scores)]),
        rtol=1e-10,
    )


def test_with_clusters_it_is_obuchowskis_equation():
    targets, scores = data(n=80)
    subjects = np.random.default_rng(2).integers(0, 30, 80)
    theta = alone(targets, scores).areas
    of_positives, of_negatives = by_definition(targets, scores)
    m, n = len(of_positives), len(of_negatives)
    x, y = np.zeros((30, 3)), np.zeros((30, 3))
    for subject in range(30):
        of_x = of_positives[subjects[targets == 1] == subject] - theta
        of_y = of_negatives[subjects[targets == 0] == subject] - theta
        x[subject], y[subject] = of_x.sum(axis=0), of_y.sum(axis=0)
    i10 = len(set(subjects[targets == 1]))
    i01 = len(set(subjects[targets == 0]))
    i = len(set(subjects))
    s10 = i10 / ((i10 - 1) * m) * x.T @ x
    s01 = i01 / ((i01 - 1) * n) * y.T @ y
    s11 = i / (i - 1) * x.T @ y
    expected = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    found = delong.components(targets, scores, subjects, 30)
    np.testing.assert_allclose(delong.covariance([found]), expected, rtol=1e-9)


def test_clusters_agree_with_leaving_out_whole_subjects():
    # Not an identity: the jackknife over subjects agrees to order 1 / S.
    targets, scores = data(n=600, scores=2)
    subjects = np.arange(600) // 3
    left_out = [
        deleted(targets, scores, np.flatnonzero(subjects == subject))
        for subject in range(200)
    ]
    parts = delong.components(targets, scores, subjects, 200)
    np.testing.assert_allclose(
        delong.covariance([parts]), jackknife(np.array(left_out)), rtol=0.05
    )


def test_repeating_every_image_of_a_subject_changes_nothing():
    targets, scores = data()
    n = len(targets)
    once = delong.covariance([alone(targets, scores)])
    twice = delong.components(
        np.tile(targets, 2), np.tile(scores, (2, 1)), np.tile(range(n), 2), n
    )
    np.testing.assert_allclose(delong.covariance([twice]), once, rtol=1e-9)


def test_a_contrast_has_the_variance_of_the_weighted_sum():
    targets, scores = data()
    parts = alone(targets, scores)
    weights = np.array([0.5, 0.5, -1.0])
    one = parts.contrast([0, 1], [2])
    assert one.areas[0] == pytest.approx(weights @ parts.areas)
    expected = weights @ delong.covariance([parts]) @ weights
    assert delong.covariance([one])[0, 0] == pytest.approx(expected)


def test_the_mean_over_labels_has_the_variance_of_the_bootstrap():
    # Labels of the same subjects, with common noise: their covariance counts.
    rng = np.random.default_rng(3)
    n, subjects = 400, np.arange(400) // 2
    common, first = rng.normal(size=n), rng.integers(0, 2, n)
    counts = statistics.resample_subjects(200, 2000)
    labels, draws = [], []
    for _ in range(3):
        targets = np.where(rng.uniform(size=n) < 0.8, first, 1 - first)
        scores = (targets + common + 0.3 * rng.normal(size=n))[:, None]
        labels.append(delong.components(targets, scores, subjects, 200))
        draws.append(
            statistics.bootstrap_auc(targets, scores[:, 0], subjects, counts)
        )
    together = delong.covariance(labels)[0, 0]
    separate = np.mean([delong.covariance([one]) for one in labels]) / 3
    assert together == pytest.approx(np.var(np.mean(draws, axis=0)), rel=0.15)
    assert together > 1.5 * separate


def test_p_is_uniform_where_nothing_differs_and_subjects_repeat():
    rng = np.random.default_rng(4)
    clustered, naive = [], []
    subjects = np.arange(120) // 4
    for _ in range(400):
        targets = np.repeat(rng.integers(0, 2, 30), 4)
        of_subject = np.repeat(rng.normal(size=(30, 2)), 4, axis=0)
        scores = of_subject + 0.3 * rng.normal(size=(120, 2))
        for names, found in ((subjects, clustered), (np.arange(120), naive)):
            parts = delong.components(targets, scores, names, 120)
            one = parts.contrast([0], [1])
            variance = delong.covariance([one])[0, 0]
            found.append(delong.p_value(one.areas[0], variance))
    # 20 expected of 400 below 0.05; four standard errors above is 37.
    assert sum(p < 0.05 for p in clustered) <= 37
    assert sum(p < 0.05 for p in naive) > 60


@pytest.mark.parametrize(
    ("difference", "variance", "expected"),
    [
        (1.959964, 1.0, 0.05),
        (-2.575829, 1.0, 0.01),
        (0.0, 0.5, 1.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_p_is_that_of_the_normal_distribution(difference, variance, expected):
    found = delong.p_value(difference, variance)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("variance", [0.0, math.nan])
def test_a_difference_without_variance_has_no_p(variance):
    assert math.isnan(delong.p_value(0.2, variance))


def test_a_label_of_one_positive_subject_has_no_variance():
    targets, scores = np.array([1, 1, 0, 0, 0]), np.arange(5.0)[:, None]
    parts = delong.components(targets, scores, np.array([0, 0, 1, 2, 3]), 4)
    assert math.isnan(delong.covariance([parts])[0, 0])
