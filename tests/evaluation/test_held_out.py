"""The joint law of held-out pairs, written out pair by pair."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from kerasmi.evaluation import mutual_information as mi
from kerasmi.evaluation.held_out import HeldOut

IMAGES = np.array([4, 4, 9, 7, 7, 7])
TEXTS = np.array([7, 9, 4, 9, 9, 7, 4])


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return HeldOut(rng.normal(size=(6, 7)), IMAGES, TEXTS, [1, 1, 2, 3, 3, 3])


def joint():
    """Probability of each matched pair: an image, then one of its texts."""
    law = Counter()
    for i, study in enumerate(IMAGES):
        own = np.flatnonzero(np.equal(TEXTS, study))
        for t in own:
            law[i, t] += Fraction(1, len(IMAGES) * len(own))
    return law


def test_the_weights_are_the_marginal_of_the_texts(pairs):
    marginal = Counter()
    for (_, t), p in joint().items():
        marginal[t] += p
    np.testing.assert_allclose(
        pairs.text_weights / pairs.text_weights.sum(),
        [float(marginal[t]) for t in range(7)],
    )


def test_the_mean_of_matched_is_that_of_the_joint_law(pairs):
    expected = sum(
        float(p) * pairs.scores[i, t] for (i, t), p in joint().items()
    )
    assert pairs.matched.mean() == pytest.approx(expected)
    assert pairs.n_positives == len(joint())


def test_donsker_varadhan_is_the_sum_over_both_laws(pairs):
    top = sum(float(p) * pairs.scores[i, t] for (i, t), p in joint().items())
    weights = pairs.text_weights
    total = weight = 0.0
    for i, t in np.ndindex(6, 7):
        if IMAGES[i] != TEXTS[t]:
            total += weights[t] * np.exp(float(pairs.scores[i, t]))
            weight += weights[t]
    expected = top - np.log(total / weight)
    assert mi.donsker_varadhan(pairs).value == pytest.approx(expected)


def test_what_a_patient_has_in_common_is_no_negative():
    """Three studies of two patients: only the third's is told apart."""
    studies, subjects = np.arange(3), np.array([5, 5, 6])
    scores = np.array([[9, 9, 1], [9, 9, 2], [3, 4, 9]])
    pairs = HeldOut(scores, studies, studies, subjects)
    expected = subjects[:, None] != subjects
    np.testing.assert_array_equal(pairs.negatives(slice(None)), expected)
    some = np.array([2, 0])
    np.testing.assert_array_equal(
        pairs.negatives(some, some), expected[np.ix_(some, some)]
    )
    assert pairs.largest_negative == 4
    value = mi.donsker_varadhan(pairs).value
    assert value == pytest.approx(9 - np.log(np.exp([1, 2, 3, 4]).mean()))
    # and so in blocks: the third image has two candidates besides its own
    told = mi.infonce(pairs, candidates=3, rounds=1)
    others = np.log([(np.e**9 + np.e) / 2, (np.e**9 + np.e**2) / 2])
    third = np.log(np.exp([9, 3, 4]).mean())
    assert told.value == pytest.approx(9 - np.mean([*others, third]))


def test_halves_of_shuffled_pairs_have_negatives():
    studies = np.arange(12)
    pairs = HeldOut(np.zeros((12, 12)), studies, studies, studies // 2)
    for seed in range(20):
        for half in pairs.shuffled(seed).halves(seed):
            assert half.negatives(slice(None)).any(axis=0).all()
    fewer = HeldOut(np.zeros((5, 5)), *[np.arange(5)] * 2)
    with pytest.raises(ValueError, match=r"three in each half\. Received: 5"):
        fewer.halves()


def test_negatives_are_the_pairs_of_two_studies(pairs):
    expected = IMAGES[:, None] != TEXTS
    np.testing.assert_array_equal(pairs.negatives(slice(None)), expected)
    some = np.array([5, 0])
    np.testing.assert_array_equal(pairs.negatives(some), expected[some])
    assert pairs.largest_negative == pairs.scores[expected].max()


def test_a_text_belongs_to_the_subject_of_its_study(pairs):
    assert pairs.text_subjects.tolist() == [3, 2, 1, 2, 2, 3, 1]
    alone = HeldOut(pairs.scores, IMAGES, TEXTS)
    np.testing.assert_array_equal(alone.subjects, IMAGES)
    np.testing.assert_array_equal(alone.text_subjects, TEXTS)


def test_the_order_of_images_and_texts_does_not_count(pairs):
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(6), rng.permutation(7)
    moved = HeldOut(
        pairs.scores[np.ix_(rows, columns)],
        IMAGES[rows],
        TEXTS[columns],
        pairs.subjects[rows],
    )
    one, other = (mi.donsker_varadhan(p) for p in (pairs, moved))
    assert one.value == pytest.approx(other.value)
    assert one.standard_error == pytest.approx(other.standard_error)
