import numpy as np
import pandas as pd
import pytest

from kerasmi.data import labels
from kerasmi.data.schema import BLANK, UNCERTAIN
from kerasmi.errors import DataError

STORED = np.array([[1], [0], [UNCERTAIN], [BLANK]])


@pytest.mark.parametrize(
    ("uncertain", "blank", "expected"),
    [
        ("ignore", "ignore", [1, 0, -1, -1]),
        ("zeros", "ignore", [1, 0, 0, -1]),
        ("ones", "ignore", [1, 0, 1, -1]),
        ("ignore", "zero", [1, 0, -1, 0]),
        ("ones", "zero", [1, 0, 1, 0]),
    ],
)
def test_each_policy_changes_its_own_values(uncertain, blank, expected):
    targets = labels.apply_policy(STORED, uncertain, blank)
    assert targets.dtype == np.float32
    assert targets[:, 0].tolist() == expected


def test_a_policy_may_differ_by_label():
    targets = labels.apply_policy(
        [[UNCERTAIN] * 3],
        {"Edema": "ones", "Consolidation": "zeros"},
        labels=["Consolidation", "Edema", "Pneumonia"],
    )
    assert targets.tolist() == [[0, 1, -1]]


def test_no_finding_makes_blanks_negative_where_it_was_said():
    names = ["Edema", "Support Devices", "Edema Severity", "No Finding"]
    targets = labels.apply_policy(
        [[BLANK, BLANK, BLANK, 1], [BLANK, BLANK, BLANK, BLANK]],
        blank="zero_if_no_finding",
        labels=names,
        no_finding=[1, BLANK],
    )
    # A report without a finding may well show devices; it grades no edema.
    assert targets.tolist() == [[0, -1, -1, 1], [-1, -1, -1, -1]]


@pytest.mark.parametrize("blank", labels.BLANK_POLICIES)
def test_a_severity_that_was_not_graded_is_never_a_target(blank):
    targets = labels.apply_policy(
        [[3], [0], [BLANK]],
        "ones",
        blank,
        labels=["Edema Severity"],
        no_finding=[1, 1, 1],
    )
    assert targets[:, 0].tolist() == [3, 0, -1]


def test_the_stored_values_are_left_as_they_were():
    stored = STORED.copy()
    labels.apply_policy(stored, "ones", "zero")
    np.testing.assert_array_equal(stored, STORED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uncertain": "one"}, "uncertain must be one of"),
        (
            {"uncertain": {"Edema": "one"}, "labels": ["Edema"]},
            "received 'one'",
        ),
        ({"uncertain": {"Edma": "ones"}, "labels": ["Edema"]}, "'Edma'"),
        ({"blank": "zeros"}, "blank must be one of"),
        ({"blank": "zero_if_no_finding"}, "needs `no_finding`"),
    ],
)
def test_unknown_policies_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        labels.apply_policy(STORED, **arguments)
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        labels.apply_policy(STORED[:, 0])


@pytest.fixture
def rows():
    return pd.DataFrame(
        {
            "subject_id": ["a", "a", "b", "c"],
            "split": ["train", "train", "train", "test"],
            "sentences": 1,
            "Edema": [1, 0, UNCERTAIN, BLANK],
            "Edema Severity": [2, BLANK, BLANK, 3],
            "truth: Edema": [1, 1, 0, 0],
            "shard": 0,
            "position": range(4),
        }
    )


def test_targets_come_in_the_order_asked_for(rows):
    targets = labels.targets(rows, ["Edema Severity", "Edema"])
    assert targets.tolist() == [[2, 1], [-1, 0], [-1, -1], [3, -1]]


def test_the_truth_is_taken_where_asked_for(rows):
    targets = labels.targets(rows, ["Edema"], truth=True)
    assert targets[:, 0].tolist() == [1, 1, 0, 0]


def test_a_label_that_is_not_there_is_named(rows):
    with pytest.raises(DataError, match="no 'Mass'; it has Edema, Edema Sev"):
        labels.targets(rows, ["Mass"])
    with pytest.raises(DataError, match="no 'No Finding'"):
        labels.targets(rows, ["Edema"], blank="zero_if_no_finding")


def test_the_table_of_classes_counts_every_image_once(rows):
    table = labels.table1(rows).set_index(["label", "split"])
    classes = ["0", "1", "2", "3", "uncertain", "blank"]
    assert (table[classes].sum(axis=1) == table["images"]).all()
    edema = table.loc[("Edema", "train")]
    assert edema[classes].tolist() == [1, 1, 0, 0, 1, 0]
    assert edema["subjects"] == 2
    assert table.loc[("Edema Severity", "test"), "3"] == 1
