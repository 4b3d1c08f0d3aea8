"""Ranks against every order that ties may stand in."""

import itertools

import numpy as np
import pytest

from kerasmi.evaluation import ranking


def all_orders(scores, right):
    """Rank of the first right candidate in each order that ties permit."""
    places = range(len(scores))
    return [
        1 + min(order.index(c) for c in places if right[c])
        for order in itertools.permutations(places)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_ties_count_as_the_mean_over_their_orders(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (4, 6)).astype(float)
    right = rng.random((4, 6)) < 0.4
    right[:, 2] = True
    found = ranking.rank(scores, right)
    for q in range(4):
        ranks = np.array(all_orders(scores[q], right[q]))
        assert found.rank[q] == pytest.approx(ranks.mean())
        for k in range(1, 8):
            assert found.hits(k)[q] == pytest.approx((ranks <= k).mean())


def test_the_best_right_candidate_counts_not_the_others():
    scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    found = ranking.rank(scores, np.array([[False, True, False, True]]))
    assert found.rank.tolist() == [2]
    assert [found.hits(k)[0] for k in (1, 2, 3)] == [0, 1, 1]


def test_constant_scores_are_chance():
    right = np.random.default_rng(0).random((30, 12)) < 0.3
    right[:, 0] = True
    constant = ranking.rank(np.full((30, 12), 0.1), right)
    chance = ranking.chance(right.sum(axis=1), 12)
    np.testing.assert_array_equal(constant.rank, chance.rank)
    for k in (1, 5, 10, 20):
        np.testing.assert_array_equal(constant.hits(k), chance.hits(k))


def test_chance_of_one_right_candidate_is_k_of_all():
    one = ranking.chance(np.array([1]), 40)
    assert one.hits(10)[0] == pytest.approx(10 / 40)
    assert one.rank[0] == 41 / 2


def test_only_the_order_of_scores_counts():
    rng = np.random.default_rng(1)
    scores, right = rng.normal(size=(9, 7)), np.eye(9, 7, dtype=bool)
    right[:, 3] = True
    plain = ranking.rank(scores, right).rank
    moved = ranking.rank(np.exp(scores) + rng.normal(size=(9, 1)), right).rank
    np.testing.assert_array_equal(plain, moved)


@pytest.mark.parametrize(
    ("scores", "right", "message"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), bool), "one shape"),
        (np.zeros(3), np.ones(3, bool), "one shape"),
        (np.array([[0.0, np.nan]]), np.ones((1, 2), bool), "finite"),
        (np.zeros((2, 2)), np.array([[1, 0], [0, 0]], bool), "needs a right"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, right, message):
    with pytest.raises(ValueError, match=message):
        ranking.rank(scores, right)
