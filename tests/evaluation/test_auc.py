"""Exact AUCs, severity cuts, and what is said where none exists."""

import numpy as np
import pandas as pd
import pytest

from kerasmi.evaluation import auc as aucs
from kerasmi.evaluation import predictions as tables_of


def table(targets, scores, label="Edema", encoder="tuned", task="pathology9"):
    n = len(targets)
    return pd.DataFrame(
        {
            "task": task,
            "encoder": encoder,
            "image_id": [f"i{k}" for k in range(n)],
            "study_id": [f"s{k}" for k in range(n)],
            "subject_id": [f"p{k // 2}" for k in range(n)],
            "split": "test",
            "label": label,
            "target": targets,
            "score": scores,
        }
    )


def random_table(label, seed, n=120, **kwargs):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n)
    return table(targets, targets + rng.normal(size=n), label, **kwargs)


def row(results, label, encoder="tuned"):
    chosen = (results.label == label) & (results.encoder == encoder)
    return results[chosen].iloc[0]


def test_auc_is_the_share_of_pairs_in_the_right_order():
    # Pairs (positive, negative): .4>.3, .4=.4 (half), .8>.3, .8>.4.
    value = aucs.auc(np.array([0, 0, 1, 1]), np.array([0.3, 0.4, 0.4, 0.8]))
    assert value == pytest.approx(3.5 / 4)


def test_scores_that_are_no_number_are_refused():
    with pytest.raises(ValueError, match="finite"):
        aucs.auc(np.array([0, 1]), np.array([0.1, np.nan]))


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([1, 1], "no negative"),
        ([0, 0], "no positive"),
        ([], "no positive and no negative"),
    ],
)
def test_an_absent_class_is_not_defined_and_says_which(targets, reason):
    value = aucs.auc(np.array(targets), np.zeros(len(targets)))
    assert str(value) == f"not defined: {reason}"


def test_severity_levels_as_targets_are_refused():
    with pytest.raises(ValueError, match="0 or 1"):
        aucs.auc(np.array([0, 3]), np.array([0.1, 0.2]))


def test_severity_scores_are_tail_sums_of_the_class_probabilities():
    scores = aucs.severity_scores(np.array([[0.1, 0.2, 0.3, 0.4]]))
    np.testing.assert_allclose(scores, [[0.9, 0.7, 0.4]])


def test_cumulative_probabilities_pass_through():
    given = np.array([[0.9, 0.7, 0.4]])
    np.testing.assert_array_equal(aucs.severity_scores(given), given)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.array([[2.0, -1.0, 0.0, 0.0]]), "softmax"),
        (np.array([[0.5, 0.5, 0.5, 0.5]]), "sum to 1"),
        (np.ones((2, 5)), "shape"),
    ],
)
def test_what_is_not_a_severity_distribution_is_refused(probabilities, message):
    with pytest.raises(ValueError, match=message):
        aucs.severity_scores(probabilities)


def test_severity_cuts_are_binary_targets_with_unknown_levels_left_out():
    identity = table([0] * 5, [0.0] * 5, task="edema_severity")
    identity = identity.drop(columns=["label", "target", "score"])
    levels = np.array([0, 1, 2, 3, -2])
    softmax = np.eye(4)[[0, 1, 2, 3, 0]]
    rows = aucs.severity_predictions(identity, levels, softmax)
    assert list(rows.columns) == list(tables_of.COLUMNS)
    by_cut = {k: list(v) for k, v in rows.groupby("label")["target"]}
    assert by_cut == {
        "Edema Severity 0|123": [0, 1, 1, 1],
        "Edema Severity 01|23": [0, 0, 1, 1],
        "Edema Severity 012|3": [0, 0, 0, 1],
    }
    results = aucs.evaluate(rows, resamples=20)
    assert (results["value"] == 1).all()


def test_the_results_hold_exact_values_counts_and_intervals_around_them():
    predictions = random_table("Edema", 0)
    results = aucs.evaluate(predictions, resamples=300, seed=7)
    assert list(results.columns) == list(aucs.RESULT_COLUMNS)
    one = row(results, "Edema")
    assert one.value == aucs.auc(predictions.target, predictions.score)
    assert one.low < one.value < one.high
    assert one.n_positive == predictions.target.sum()
    assert one.n_positive + one.n_negative == 120
    assert (one.n_subjects, one.seed, one.note) == (60, 7, "")


def test_the_interval_is_of_subjects_and_not_of_images():
    once = random_table("Edema", 0)
    again = [once.assign(image_id=f"{n}" + once["image_id"]) for n in range(4)]
    one, four = (
        row(aucs.evaluate(frame, resamples=200), "Edema")
        for frame in (once, pd.concat(again))
    )
    assert four.n_positive == 4 * one.n_positive
    assert four.n_subjects == one.n_subjects
    assert (four.value, four.low, four.high) == pytest.approx(
        (one.value, one.low, one.high)
    )
    # were the images subjects, four times as many would halve the interval
    apart = pd.concat(again).assign(subject_id=lambda f: f["image_id"])
    narrow = row(aucs.evaluate(apart, resamples=200), "Edema")
    assert narrow.high - narrow.low < 0.7 * (four.high - four.low)


def test_ignored_targets_count_nowhere():
    predictions = random_table("Edema", 0)
    extra = random_table("Edema", 1).assign(target=-1, score=99.0)
    extra["image_id"] = "x" + extra["image_id"]
    both = pd.concat([predictions, extra])
    pd.testing.assert_frame_equal(
        aucs.evaluate(both, resamples=50),
        aucs.evaluate(predictions, resamples=50),
    )


def test_an_absent_class_is_named_in_the_row_and_in_the_mean():
    whole = random_table("Atelectasis", 1).assign(target=1)
    results = aucs.evaluate(
        pd.concat([random_table("Edema", 0), whole]), resamples=50
    )
    absent, mean = row(results, "Atelectasis"), row(results, "mean")
    assert np.isnan(absent.value)
    assert absent.note == "not defined: no negative"
    assert (absent.n_positive, absent.n_negative) == (120, 0)
    assert mean.value == row(results, "Edema").value
    assert mean.note == "mean of 1 of 2 labels, without Atelectasis"


def test_a_label_ignored_in_every_image_still_has_its_row():
    nothing = random_table("Pneumonia", 1).assign(target=-1)
    results = aucs.evaluate(
        pd.concat([random_table("Edema", 0), nothing]), resamples=20
    )
    assert row(results, "Pneumonia").note.startswith("not defined")


def test_nothing_defined_leaves_no_number_in_the_mean():
    results = aucs.evaluate(
        random_table("Edema", 0).assign(target=0), resamples=20
    )
    assert results["value"].isna().all()
    assert results["note"].str.startswith("not defined").all()


def test_the_mean_averages_the_labels_within_each_resample():
    # Two copies of one label: their mean has exactly the label's interval.
    edema = random_table("Edema", 0)
    both = pd.concat([edema, edema.assign(label="Copy")])
    results = aucs.evaluate(both, resamples=100)
    one, mean = row(results, "Edema"), row(results, "mean")
    assert (mean.low, mean.high) == (one.low, one.high)
    # Two independent labels: the mean is surer than either.
    both = pd.concat([edema, random_table("Other", 5)])
    results = aucs.evaluate(both, resamples=300)
    width = results["high"] - results["low"]
    assert width.iloc[-1] < width.iloc[:-1].min()


def test_encoders_and_tasks_are_evaluated_apart():
    frames = [
        random_table("Edema", 0, encoder="frozen"),
        random_table("Edema", 1, encoder="tuned"),
        random_table("Edema", 2, encoder="tuned", task="other"),
    ]
    results = aucs.evaluate(pd.concat(frames), resamples=20)
    assert len(results) == 6
    for frame in frames:
        task, encoder = frame.iloc[0][["task", "encoder"]]
        found = results[
            (results["task"] == task)
            & (results["encoder"] == encoder)
            & (results["label"] == "Edema")
        ]
        alone = aucs.auc(frame.target, frame.score)
        assert found["value"].tolist() == [alone]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 3}, "severity"),
        ({"score": np.nan}, "finite"),
        ({"image_id": "same"}, "once"),
        ({"split": "train"}, "No prediction belongs to split 'test'"),
    ],
)
def test_a_table_that_cannot_be_evaluated_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        aucs.evaluate(random_table("Edema", 0).assign(**change))


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"Missing: \['score'\]"):
        aucs.evaluate(random_table("Edema", 0).drop(columns="score"))
