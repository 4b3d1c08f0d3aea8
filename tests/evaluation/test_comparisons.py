"""Paired tests over seeds and labels, Holm's correction, what is refused."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from played_runs import predictions, study

from kerasmi.evaluation import (
    auc,
    comparisons,
    paired,
    paired_tests,
    statistics,
)
from kerasmi.evaluation.holm import holm
from kerasmi.evaluation.leaders import leaders
from kerasmi.evaluation.variants import IMAGE_ONLY, Method, name, objective

KEY = ["comparison", "a", "b", "task", "label"]


def paper(seeds=(0, 1)):
    """Every variant of the paper; tuned local-mi-cpc by far the best."""
    both = {"frozen": 0.8, "tuned": 1.0}
    return study(
        image_only_supervised={"image_only": 0.7},
        global_mi_cpc=both,
        global_mi_mine=both,
        local_mi_cpc={"frozen": 0.9, "tuned": 2.5},
        local_mi_mine=both,
        seeds=seeds,
    )


@pytest.fixture(scope="module")
def stacked():
    return paper()


@pytest.fixture(scope="module")
def table(stacked):
    return comparisons.compare(stacked, resamples=200)


def of(frame, comparison, label="mean", task="pathology9"):
    chosen = (frame["label"] == label) & (frame["task"] == task)
    return frame[(frame["comparison"] == comparison) & chosen]


# the families


def test_each_family_pairs_what_differs_in_one_thing(table):
    pairs = {
        comparison: set(
            of(table, comparison)[["a", "b"]].itertuples(index=False, name=None)
        )
        for comparison in table["comparison"].unique()
    }
    assert pairs == {
        "local vs global": {
            (f"local-mi-{bound} {mode}", f"global-mi-{bound} {mode}")
            for bound, mode in itertools.product(
                ("cpc", "mine"), ("frozen", "tuned")
            )
        },
        "cpc vs mine": {
            (f"{scope}-mi-cpc {mode}", f"{scope}-mi-mine {mode}")
            for scope, mode in itertools.product(
                ("global", "local"), ("frozen", "tuned")
            )
        },
    } | {
        f"{mode} vs image-only": {
            (f"{scope}-mi-{bound} {mode}", IMAGE_ONLY)
            for scope, bound in itertools.product(
                ("global", "local"), ("cpc", "mine")
            )
        }
        for mode in ("frozen", "tuned")
    }


def test_every_pair_has_a_row_for_each_label_and_the_mean(table):
    rows = of(table, "local vs global").iloc[0]
    mine = table[(table["a"] == rows["a"]) & (table["b"] == rows["b"])]
    labels = mine.groupby("task", sort=False)["label"].apply(list).to_dict()
    assert labels == {
        "pathology9": ["Atelectasis", "Edema", "mean"],
        "edema_severity": [
            *(f"Edema Severity {cut}" for cut in auc.SEVERITY_CUTS),
            "mean",
        ],
    }


def test_without_a_pair_there_is_no_row():
    found = comparisons.compare(study(local_mi_cpc={"tuned": 1.0}), resamples=5)
    assert list(found.columns) == list(paired_tests.COLUMNS)
    assert len(found) == 0


# the numbers


def test_one_seed_agrees_with_the_difference_of_two_runs():
    both = study(
        local_mi_cpc={"tuned": 1.2}, global_mi_cpc={"tuned": 0.8}, seeds=(3,)
    )
    found = comparisons.compare(both, resamples=100)
    sides = [
        both[both["variant"] == f"{scope}-mi-cpc"]
        for scope in ("local", "global")
    ]
    expected = statistics.difference(*sides, resamples=100)
    columns = ["value_a", "value_b", "difference", "low", "high"]
    columns += ["n_positive", "n_negative", "n_subjects"]
    merged = found.merge(expected, on=["task", "label"], suffixes=("", "_two"))
    assert len(merged) == len(found) == len(expected)
    for column in columns:
        np.testing.assert_allclose(
            merged[column].astype("Float64").to_numpy(float, na_value=-1),
            merged[f"{column}_two"]
            .astype("Float64")
            .to_numpy(float, na_value=-1),
            rtol=1e-10,
        )


def test_over_seeds_it_is_the_difference_of_the_means(stacked, table):
    row = of(table, "cpc vs mine", "Edema").iloc[-1]
    assert (row["a"], row["n_seeds"]) == ("local-mi-cpc tuned", 2)
    values = {
        variant: [
            auc.auc(
                *(
                    stacked[
                        (stacked["variant"] == variant)
                        & (stacked["encoder"] == "tuned")
                        & (stacked["label"] == "Edema")
                        & (stacked["seed"] == seed)
                    ][column]
                    for column in ("target", "score")
                )
            )
            for seed in (0, 1)
        ]
        for variant in ("local-mi-cpc", "local-mi-mine")
    }
    a, b = (np.array(values[f"local-mi-{bound}"]) for bound in ("cpc", "mine"))
    assert row["value_a"] == pytest.approx(a.mean())
    assert row["value_b"] == pytest.approx(b.mean())
    assert row["difference"] == pytest.approx((a - b).mean())
    assert row["sd"] == pytest.approx(np.std(a - b, ddof=1))


def test_the_mean_row_is_the_mean_of_the_labels(table):
    mean = of(table, "tuned vs image-only").iloc[0]
    labels = pd.concat(
        of(table, "tuned vs image-only", label).iloc[:1]
        for label in ("Atelectasis", "Edema")
    )
    assert mean["difference"] == pytest.approx(labels["difference"].mean())
    assert pd.isna(mean["n_positive"])


def test_a_method_against_its_copy_differs_in_nothing():
    one = study(local_mi_cpc={"tuned": 1.0}, seeds=(0, 1, 2))
    both = pd.concat([one, one.assign(variant="global-mi-cpc")])
    found = comparisons.compare(both, resamples=50)
    assert (found[["difference", "sd", "low", "high"]] == 0).all(axis=None)
    assert (found[["p_bootstrap", "p_delong", "p_holm"]] == 1).all(axis=None)


def test_bootstrap_and_delong_agree_about_an_ordinary_difference():
    both = study(local_mi_cpc={"tuned": 1.3}, global_mi_cpc={"tuned": 1.15})
    found = comparisons.compare(both, resamples=2000)
    edema = of(found, "local vs global", "Edema").iloc[0]
    assert 0.02 < edema["p_delong"] < 0.9
    assert edema["p_bootstrap"] == pytest.approx(edema["p_delong"], abs=0.05)


def test_a_clear_difference_is_one_after_all_corrections(table):
    row = (
        of(table, "tuned vs image-only")
        .set_index("a")
        .loc["local-mi-cpc tuned"]
    )
    assert row["low"] > 0
    assert row["p_holm"] < 0.01


def test_the_order_of_rows_and_runs_does_not_matter(stacked, table):
    mixed = stacked.sample(frac=1, random_state=0)
    found = comparisons.compare(mixed, resamples=200)
    one, two = (frame.set_index(KEY).sort_index() for frame in (table, found))
    pd.testing.assert_frame_equal(one, two)


def test_only_the_seeds_that_both_have_are_paired():
    both = study(local_mi_cpc={"tuned": 1.0}, global_mi_cpc={"tuned": 1.0})
    lost = (both["variant"] == "global-mi-cpc") & (both["seed"] == 1)
    found = comparisons.compare(both[~lost], resamples=20)
    assert set(found["n_seeds"]) == {1}
    assert found["note"].str.contains("1 of 2 seeds in common").all()


def test_without_a_common_seed_nothing_is_tested_and_that_is_said():
    both = study(local_mi_cpc={"tuned": 1.0}, global_mi_cpc={"tuned": 1.0})
    local = both["variant"] == "local-mi-cpc"
    apart = both[local == (both["seed"] == 0)]
    found = comparisons.compare(apart, resamples=20)
    assert len(found) == 7
    assert found[["difference", "p_delong", "p_holm"]].isna().all(axis=None)
    assert set(found["note"]) == {"not tested: no seed in common"}


def test_a_label_without_a_class_is_left_out_of_the_mean_and_says_so():
    both = study(local_mi_cpc={"tuned": 1.2}, global_mi_cpc={"tuned": 1.0})
    both.loc[both["label"] == "Edema", "target"] = 1
    found = comparisons.compare(both, resamples=20)
    edema, mean, other = (
        of(found, "local vs global", label).iloc[0]
        for label in ("Edema", "mean", "Atelectasis")
    )
    assert math.isnan(edema["difference"])
    assert edema["note"].startswith("not defined")
    assert edema["n_positive"] == 120
    assert mean["difference"] == pytest.approx(other["difference"])
    assert mean["note"] == "mean of 1 of 2 labels"


def test_ignored_images_do_not_count():
    both = study(local_mi_cpc={"tuned": 1.2}, global_mi_cpc={"tuned": 1.0})
    some = both["image_id"].isin(["i000", "i001"])
    ignored = both.assign(target=both["target"].where(~some, -1))
    found = comparisons.compare(ignored, resamples=20)
    edema = of(found, "local vs global", "Edema").iloc[0]
    assert edema["n_positive"] + edema["n_negative"] == 118


# Holm


def test_holm_gives_the_sums_in_the_open():
    found = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    expected = [0.03, 0.06, np.nan, 0.06, 0.02]
    np.testing.assert_allclose(found, expected)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(size=8) ** 3
        rejected, left = set(), list(np.argsort(p))
        while left and p[left[0]] * len(left) <= 0.05:
            rejected.add(left.pop(0))
        assert set(np.flatnonzero(holm(p) <= 0.05)) == rejected


def test_means_and_labels_are_two_families(table):
    means = table["label"] == "mean"
    for family in (table[means], table[~means]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p_delong"]))


def test_the_p_of_the_bootstrap_counts_the_smaller_tail_twice():
    draws = np.r_[np.full(3, -1.0), np.full(96, 1.0)]
    assert paired_tests.p_bootstrap(draws) == pytest.approx(2 * 4 / 100)
    assert paired_tests.p_bootstrap(np.ones(99)) == pytest.approx(2 / 100)
    assert paired_tests.p_bootstrap(np.zeros(99)) == 1.0
    assert math.isnan(paired_tests.p_bootstrap(np.full(9, np.nan)))


# the best of each column


def test_the_best_is_resolved_where_it_surely_is(stacked):
    for task in paired.score(stacked, resamples=200):
        found = leaders(task)
        labels = found["label"] != "mean"
        p = found.loc[labels, "p_delong"]
        np.testing.assert_allclose(found.loc[labels, "p_holm"], holm(p))
        assert set(found["a"]) == {"local-mi-cpc tuned"}
        assert found["resolved"].all()


def test_the_best_of_equals_is_not_resolved():
    both = study(local_mi_cpc={"tuned": 1.0}, global_mi_cpc={"tuned": 1.0})
    for task in paired.score(both, resamples=100):
        found = leaders(task)
        assert (found["difference"] >= 0).all()
        assert not found["resolved"].any()


def test_a_single_method_is_the_best_of_nothing():
    (task, _) = paired.score(study(local_mi_cpc={"tuned": 1.0}), resamples=5)
    assert len(leaders(task)) == 0


# what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.iloc[1:], "'i000', is missing or another in local"),
        (lambda one: one.assign(target=1 - one["target"]), "same images"),
        (lambda one: one.assign(subject_id="p000"), "same images"),
        (lambda one: one[one["label"] != "Edema"], "the label 'Edema'"),
        (lambda one: one.assign(variant="mine"), "SCOPE-mi-BOUND"),
        (lambda one: pd.concat([one, one]), "once per task"),
        (lambda one: one.assign(score=np.nan), "finite"),
    ],
)
def test_what_cannot_be_paired_is_refused(change, message):
    both = study(local_mi_cpc={"tuned": 1.0}, global_mi_cpc={"tuned": 1.0})
    local = both["variant"] == "local-mi-cpc"
    wrong = pd.concat([change(both[local]), both[~local]])
    with pytest.raises(ValueError, match=message):
        comparisons.compare(wrong, resamples=5)


def test_the_seed_and_the_variant_must_be_there():
    with pytest.raises(ValueError, match=r"Missing: \['variant', 'seed'\]"):
        comparisons.compare(predictions({"tuned": 1.0}))


# names


def test_a_variant_is_named_as_in_the_paper():
    assert name(None, None) == "image-only-supervised"
    assert name("local", "cpc") == "local-mi-cpc"
    assert objective(name("global", "mine")) == ("global", "mine")


def test_methods_stand_in_the_order_of_the_paper(stacked):
    task = paired.score(stacked, resamples=5)[0]
    assert [str(method) for method in task.methods] == [
        "image-only-supervised",
        "global-mi-cpc frozen",
        "global-mi-cpc tuned",
        "global-mi-mine frozen",
        "global-mi-mine tuned",
        "local-mi-cpc frozen",
        "local-mi-cpc tuned",
        "local-mi-mine frozen",
        "local-mi-mine tuned",
    ]
    later = Method("local-mi-nwj", "tuned")
    assert later.order > task.methods[-1].order
