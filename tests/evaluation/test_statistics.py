"""Resampled subjects against scikit-learn, paired differences, seeds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kerasmi.evaluation import statistics


def predictions(seed, effect, n=400, encoder="tuned", label="Edema"):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, n)
    common = rng.normal(size=n)
    own = np.random.default_rng(seed).normal(size=n)
    return pd.DataFrame(
        {
            "task": "pathology9",
            "encoder": encoder,
            "image_id": [f"i{k}" for k in range(n)],
            "study_id": [f"s{k}" for k in range(n)],
            "subject_id": [f"p{k // 2}" for k in range(n)],
            "split": "test",
            "label": label,
            "target": targets,
            "score": effect * targets + common + 0.2 * own,
        }
    )


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_auc_agrees_with_scikit_learn(ties):
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 2, 80)
    scores = targets + rng.normal(size=80)
    if ties:
        scores = np.round(scores)
    weights = rng.integers(0, 4, (20, 80))
    found = statistics.weighted_auc(targets, scores, weights)
    expected = [
        roc_auc_score(targets, scores, sample_weight=w) for w in weights
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_resample_without_a_class_has_no_value():
    weights = np.array([[1, 1, 0, 0], [1, 0, 1, 0]])
    found = statistics.weighted_auc(
        np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0]), weights
    )
    np.testing.assert_array_equal(found, [np.nan, 1.0])


def test_the_images_of_a_subject_are_drawn_together():
    counts = statistics.resample_subjects(5, 200, seed=1)
    assert (counts.sum(axis=1) == 5).all()
    np.testing.assert_array_equal(
        counts, statistics.resample_subjects(5, 200, seed=1)
    )
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 2, 20), rng.normal(size=20)
    subjects = np.repeat(np.arange(5), 4)
    found = statistics.bootstrap_auc(targets, scores, subjects, counts[:20])
    for draw, value in zip(counts[:20], found, strict=True):
        # The resample written out, image by image.
        images = np.repeat(np.arange(20), draw[subjects])
        assert value == pytest.approx(
            roc_auc_score(targets[images], scores[images])
        )


def test_chunks_do_not_change_the_values(monkeypatch):
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 2, 30), rng.normal(size=30)
    counts = statistics.resample_subjects(30, 50)
    whole = statistics.bootstrap_auc(targets, scores, np.arange(30), counts)
    monkeypatch.setattr(statistics, "CHUNK_ENTRIES", 7 * 30)
    parts = statistics.bootstrap_auc(targets, scores, np.arange(30), counts)
    np.testing.assert_array_equal(whole, parts)


def test_repeating_images_of_a_subject_does_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 60)
    scores = targets + rng.normal(size=60)
    counts = statistics.resample_subjects(60, 300)
    subjects = np.arange(60)
    once = statistics.bootstrap_auc(targets, scores, subjects, counts)
    repeated = (np.repeat(x, 3) for x in (targets, scores, subjects))
    thrice = statistics.bootstrap_auc(*repeated, counts)
    np.testing.assert_allclose(once, thrice)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # Normal scores one standard deviation apart: AUC = Phi(1 / sqrt 2).
    truth, hits = 0.7602, 0
    rng = np.random.default_rng(5)
    for seed in range(100):
        targets = np.repeat([0, 1], 60)
        scores = targets + rng.normal(size=120)
        counts = statistics.resample_subjects(120, 200, seed)
        values = statistics.bootstrap_auc(
            targets, scores, np.arange(120), counts
        )
        found = statistics.percentile_interval(values)
        hits += found.low <= truth <= found.high
    # 95 expected; four standard errors below.
    assert hits >= 86


def test_skipped_resamples_are_counted_and_many_are_said():
    values = np.r_[np.full(6, np.nan), np.linspace(0, 1, 94)]
    found = statistics.percentile_interval(values)
    assert found.skipped == 6
    assert found.note == "a class is missing in 6 of 100 resamples"
    few = statistics.percentile_interval(values[2:])
    assert few.skipped == 4
    assert few.note == ""


def test_no_resample_left_gives_no_interval():
    found = statistics.percentile_interval(np.full(10, np.nan))
    assert np.isnan(found.low)
    assert "no interval" in found.note


def test_an_interval_without_width_says_so():
    found = statistics.percentile_interval(np.ones(10))
    assert "no width" in found.note


def test_a_share_of_95_for_95_percent_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.percentile_interval(np.ones(10), confidence=95)


def test_the_difference_of_a_table_with_itself_is_zero():
    one = predictions(0, 1.0)
    rows = statistics.difference(one, one, resamples=50)
    assert (rows[["difference", "low", "high"]] == 0).all(axis=None)


def test_pairing_resolves_what_two_intervals_do_not():
    better, worse = predictions(1, 1.3), predictions(2, 1.0)
    rows = statistics.difference(better, worse, resamples=300)
    edema = rows[rows["label"] == "Edema"].iloc[0]
    assert edema.difference == pytest.approx(edema.value_a - edema.value_b)
    assert 0 < edema.low < edema.difference < edema.high
    intervals = []
    for one in (better, worse):
        counts = statistics.resample_subjects(200, 300)
        subjects = np.repeat(np.arange(200), 2)
        drawn = statistics.bootstrap_auc(
            one["target"].to_numpy(), one["score"].to_numpy(), subjects, counts
        )
        intervals.append(statistics.percentile_interval(drawn))
    assert intervals[0].low < intervals[1].high


def test_the_order_of_the_rows_does_not_change_a_difference():
    better, worse = predictions(1, 1.3), predictions(2, 1.0)
    mixed = worse.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        statistics.difference(better, worse, resamples=20),
        statistics.difference(better, mixed, resamples=20),
    )


@pytest.mark.parametrize("lost", ["Copy", "Edema"])
def test_a_label_whose_targets_are_all_ignored_has_a_row(lost):
    one = predictions(2, 1.0)
    both = pd.concat([one, one.assign(label="Copy")])
    both.loc[(both["label"] == lost).to_numpy(), "target"] = -1
    found = statistics.difference(both, both, resamples=20).set_index("label")
    assert list(found.index) == ["Copy", "Edema", "mean"]
    row = found.loc[lost]
    assert np.isnan([row.difference, row.value_a, row.low, row.high]).all()
    assert row["note"].startswith("not defined")
    assert (row.n_positive, row.n_negative, row.n_subjects) == (0, 0, 0)
    assert found.loc["mean", "difference"] == 0
    assert found.loc["mean", "note"].startswith("mean of 1 of 2 labels")


def test_a_task_whose_targets_are_all_ignored_has_rows():
    one = predictions(2, 1.0)
    lost = one.assign(task="findings", label="Nodule", target=-1)
    both = pd.concat([one, lost])
    found = statistics.difference(both, both, resamples=20)
    rows = found[found["task"] == "findings"]
    assert list(rows["label"]) == ["Nodule", "mean"]
    assert rows["difference"].isna().all()
    assert rows["note"].str.startswith("not defined").all()
    known = found[found["task"] == "pathology9"]
    assert (known["difference"] == 0).all()


def test_a_difference_without_a_class_is_not_defined():
    one = predictions(0, 1.0)
    rows = [one, one.assign(label="Copy", target=1)]
    both = pd.concat(rows)
    found = statistics.difference(both, both, resamples=20).set_index("label")
    assert np.isnan(found.loc["Copy", "difference"])
    assert found.loc["Copy", "note"].startswith("not defined")
    assert found.loc["mean", "note"].startswith("mean of 1 of 2 labels")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.iloc[1:], "same images"),
        (lambda one: one.assign(target=1 - one["target"]), "same targets"),
        (
            lambda one: pd.concat([one, one.assign(encoder="frozen")]),
            "one encoder",
        ),
    ],
)
def test_what_cannot_be_paired_is_refused(change, message):
    one = predictions(0, 1.0)
    with pytest.raises(ValueError, match=message):
        statistics.difference(change(one), one, resamples=10)


def test_seeds_give_mean_spread_and_what_is_undefined():
    results = pd.DataFrame(
        {
            "task": "t",
            "encoder": "tuned",
            "label": ["a", "a", "a", "b", "b", "b"],
            "seed": [0, 1, 2, 0, 1, 2],
            "value": [0.7, 0.8, 0.9, 0.5, np.nan, np.nan],
        }
    )
    table = statistics.seeds(results).set_index("label")
    assert table.loc["a", ["mean", "sd", "n"]].tolist() == pytest.approx(
        [0.8, 0.1, 3]
    )
    assert np.isnan(table.loc["b", "sd"])
    assert table["undefined"].tolist() == [0, 2]


def test_two_methods_under_one_seed_are_not_taken_for_seeds():
    row = {"task": "t", "encoder": "e", "label": "a", "seed": 0, "value": 0.5}
    with pytest.raises(ValueError, match="once in a cell"):
        statistics.seeds(pd.DataFrame([row, row]))
