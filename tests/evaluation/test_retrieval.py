"""Retrieval: known tables, ties, and what the critic's gauge may not change."""

import math

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from kerasmi.evaluation import retrieval


def table(scores, report_of_image, subjects=None, **options):
    subjects = np.arange(len(scores)) if subjects is None else subjects
    found = retrieval.evaluate(
        np.asarray(scores, float),
        np.asarray(report_of_image),
        np.asarray(subjects),
        **{"resamples": 50, **options},
    )
    return found.set_index(["direction", "metric"])


@pytest.fixture
def split():
    """Scores of 12 images with 8 sentences, and 5 reports of them."""
    rng = np.random.default_rng(0)
    reports = [np.array(r) for r in ([0, 1], [2], [3, 4, 5], [6, 1], [7, 7])]
    written = np.array([2.0, 5, 1, 1, 3, 1, 1, 4])
    return rng.normal(size=(12, 8)).astype(np.float32), reports, written


# Candidates


def test_reports_that_say_the_same_are_one_candidate():
    texts = [[3, 1], [1, 3], [1], [1, 1], [1]]
    reports, report_of = retrieval.distinct_reports(
        [np.array(t) for t in texts]
    )
    assert report_of.tolist() == [0, 0, 1, 2, 1]
    assert [one.tolist() for one in reports] == [[1, 3], [1], [1, 1]]


# Scores of reports


@pytest.mark.parametrize("by_text", [False, True])
def test_a_report_scores_the_normalised_sum_of_its_sentences(split, by_text):
    scores, reports, written = split
    found = retrieval.report_scores(*split, by_text=by_text)
    for i, r in np.ndindex(found.shape):
        total = 0.0
        for text in reports[r]:
            if by_text:
                terms = [(math.exp(s), 1) for s in scores[:, text]]
            else:
                terms = [
                    (math.exp(s), n)
                    for s, n in zip(scores[i], written, strict=True)
                ]
            mean = sum(e * n for e, n in terms) / sum(n for _, n in terms)
            total += scores[i, text] - math.log(mean)
        assert found[i, r] == pytest.approx(total, abs=1e-5)


def test_a_function_of_the_image_changes_nothing(split):
    scores, *rest = split
    gauge = np.random.default_rng(1).normal(0, 300, (12, 1))
    plain = retrieval.report_scores(scores.astype(float), *rest)
    moved = retrieval.report_scores(scores + gauge, *rest)
    np.testing.assert_allclose(moved, plain, atol=1e-5)


def test_a_function_of_the_text_changes_nothing_where_texts_were_anchors(split):
    scores, *rest = split
    gauge = np.random.default_rng(1).normal(0, 300, 8)
    plain = retrieval.report_scores(scores.astype(float), *rest, by_text=True)
    moved = retrieval.report_scores(scores + gauge, *rest, by_text=True)
    np.testing.assert_allclose(moved, plain, atol=1e-5)


def test_a_longer_report_is_not_preferred_for_the_gauge(split):
    _, *rest = split
    for gauge in (-50.0, 50.0):
        found = retrieval.report_scores(np.full((12, 8), gauge), *rest)
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("by_text", [False, True])
def test_blocks_of_rows_do_not_change_the_scores(split, by_text, monkeypatch):
    whole = retrieval.report_scores(*split, by_text=by_text)
    monkeypatch.setattr(retrieval, "BLOCK_ENTRIES", 20)
    parts = retrieval.report_scores(*split, by_text=by_text)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


# The table


def test_perfect_scores_have_recall_1_and_median_rank_1():
    report_of = np.array([0, 1, 2, 0, 3, 4])
    found = table(report_of[:, None] == np.arange(5), report_of)
    assert (found["value"] == 1).all()
    first = found.xs("R@1", level=1)
    assert (first["high"] == 1).all()
    # of 6 subjects with an image, or 5 reports
    exact = [0.025 ** (1 / 6), 0.025 ** (1 / 5)]
    np.testing.assert_allclose(first["low"], exact)
    certain = found.xs("R@10", level=1)
    assert (certain[["low", "high", "chance"]] == 1).all(axis=None)
    assert found.xs(retrieval.MEDIAN, level=1)["low"].isna().all()


def test_scores_that_find_nothing_leave_room_above_0():
    wrong = np.roll(np.eye(20), 1, axis=1)
    first = table(wrong - np.eye(20), np.arange(20)).xs("R@1", level=1)
    assert (first["value"] == 0).all()
    assert (first["low"] == 0).all()
    np.testing.assert_allclose(first["high"], 1 - 0.025 ** (1 / 20))
    assert first["note"].str.contains("every case is 0").all()


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_constant_scores_read_exactly_chance(value):
    report_of = np.random.default_rng(0).integers(0, 15, 40)
    report_of[:15] = np.arange(15)
    found = table(np.full((40, 15), value), report_of)
    np.testing.assert_array_equal(found["value"], found["chance"])


def test_chance_of_one_right_report_is_k_of_all():
    found = table(np.zeros((20, 20)), np.arange(20))
    expected = {"R@1": 1 / 20, "R@5": 5 / 20, "R@10": 10 / 20}
    for direction in retrieval.DIRECTIONS:
        for metric, value in expected.items():
            at = found.loc[(direction, metric), "chance"]
            assert at == pytest.approx(value)
        assert found.loc[(direction, retrieval.MEDIAN), "chance"] == 21 / 2


def test_a_critic_that_sees_only_the_image_finds_no_report():
    scores = np.repeat(np.arange(20.0)[:, None], 20, axis=1)
    found = table(scores, np.arange(20)).loc["image to report"]
    np.testing.assert_array_equal(found["value"], found["chance"])


def test_recall_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    scores, report_of = rng.normal(size=(50, 30)), rng.integers(0, 30, 50)
    report_of[:30] = np.arange(30)
    scores[np.arange(50), report_of] += 1
    found = table(scores, report_of)
    for k in retrieval.AT:
        expected = top_k_accuracy_score(
            report_of, scores, k=k, labels=np.arange(30)
        )
        assert found.loc[("image to report", f"R@{k}"), "value"] == expected


def test_any_image_with_the_report_is_right_for_it():
    # Report 0 is of images 0 and 2; image 1, of report 1, comes first for it.
    scores = [[1.0, 0.0], [3.0, 2.0], [2.0, 1.0]]
    found = table(scores, [0, 1, 0]).loc["report to image", "value"]
    assert found["R@1"] == 1 / 2
    assert found[retrieval.MEDIAN] == np.median([2, 1])


def test_counts_are_those_of_each_direction():
    found = table(np.zeros((6, 4)), [0, 1, 2, 3, 0, 1], [0, 0, 0, 1, 1, 1])
    counts = found[["n_queries", "n_candidates", "n_subjects"]]
    assert (counts.loc["image to report"] == [6, 4, 2]).all(axis=None)
    assert (counts.loc["report to image"] == [4, 6, 2]).all(axis=None)


def test_the_order_of_the_images_does_not_count():
    rng = np.random.default_rng(3)
    scores, report_of = rng.normal(size=(12, 12)), rng.permutation(12)
    subjects, order = np.arange(12) // 2, rng.permutation(12)
    one = table(scores, report_of, subjects)
    other = table(scores[order], report_of[order], subjects[order])
    np.testing.assert_allclose(
        one.drop(columns="note").to_numpy(float),
        other.drop(columns="note").to_numpy(float),
        atol=1e-6,
    )
