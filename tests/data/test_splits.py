import numpy as np
import pandas as pd
import pytest

from kerasmi.data import splits
from kerasmi.errors import DataError

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
SUBJECTS = [f"p{n}" for n in range(5000)]


def test_a_subject_stays_in_one_split():
    ids = np.repeat(SUBJECTS[:200], 5)
    np.random.default_rng(0).shuffle(ids)
    found = splits.by_subject(ids, SHARES)
    frame = pd.DataFrame({"subject_id": ids, "split": found})
    splits.assert_disjoint(frame)
    assert set(found) == set(SHARES)


def test_the_shares_are_met():
    found = splits.by_subject(SUBJECTS, SHARES)
    for split, share in SHARES.items():
        # Five standard errors of a share of 5000.
        error = 5 * (share * (1 - share) / 5000) ** 0.5
        assert abs((found == split).mean() - share) < error


def test_neither_order_nor_company_moves_a_subject():
    alone = splits.by_subject(SUBJECTS[:100], SHARES)
    among = splits.by_subject(SUBJECTS[::-1], SHARES)[::-1]
    np.testing.assert_array_equal(alone, among[:100])


def test_another_seed_is_another_split():
    first, second = (
        splits.by_subject(SUBJECTS, SHARES, seed=s) for s in (0, 1)
    )
    # Independent splits agree on .7^2 + .1^2 + .2^2 = .54 of the subjects.
    assert abs((first == second).mean() - 0.54) < 0.04


def test_a_share_of_zero_is_empty():
    shares = {"train": 0.5, "validation": 0.0, "test": 0.5}
    assert set(splits.by_subject(SUBJECTS, shares)) == {"train", "test"}
    assert set(splits.by_subject(SUBJECTS, {"test": 1.0})) == {"test"}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {"test": 0.4, "train": 0.5},
            "received test=0.4,train=0.5; .* sum to 1",
        ),
        ({"train": 1.5, "test": -0.5}, "sum to 1"),
        ({"train": 0.5, "test": float("nan")}, "test=nan"),
        ({"train": float("nan")}, "train=nan"),
        ({"train": 0.5, "dev": 0.5}, "must name splits"),
    ],
)
def test_shares_without_meaning_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        splits.by_subject(SUBJECTS, shares)


def test_a_subject_in_two_splits_is_named():
    frame = pd.DataFrame(
        {
            "subject_id": ["a", "b", "b", "c", "c"],
            "split": ["train", "train", "test", "test", "test"],
        }
    )
    with pytest.raises(
        DataError, match="row 1 is in the splits train and test"
    ):
        splits.assert_disjoint(frame)
