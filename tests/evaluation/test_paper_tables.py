"""Tables 1 to 3: rows, columns, what is bold, what the paper printed."""

import numpy as np
import pandas as pd
import pytest
from played_runs import study

from kerasmi.evaluation import auc, comparisons, paper_tables, published
from kerasmi.evaluation.comparison_table import comparison_table
from kerasmi.evaluation.count_table import count_table


@pytest.fixture(scope="module")
def stacked():
    return study(
        local_mi_mine={"frozen": 0.9, "tuned": 2.5},
        image_only_supervised={"image_only": 0.7},
        global_mi_cpc={"frozen": 0.8, "tuned": 1.0},
    )


@pytest.fixture(scope="module")
def made(stacked):
    return paper_tables.tables(stacked, resamples=100, above=["Labels: all."])


def test_tables_2_and_3_are_those_of_the_paper(made):
    assert [table.name for table in made] == ["Table 2", "Table 3"]
    assert list(made[0].frame) == [
        "method",
        "encoder",
        "seeds",
        *(heading for heading in made[0].frame if heading[:5] == "Level"),
        "mean",
    ]
    heading = list(made[0].frame)[3]
    assert heading.startswith("Level 0 vs 1,2,3 (")
    assert made[1].frame[
        ["method", "encoder", "seeds"]
    ].to_numpy().tolist() == [
        ["image-only-supervised", "-", "2"],
        ["global-mi-cpc", "frozen", "2"],
        ["global-mi-cpc", "tuned", "2"],
        ["local-mi-mine", "frozen", "2"],
        ["local-mi-mine", "tuned", "2"],
    ]


def test_a_confidence_is_told_to_its_last_digit(stacked):
    (first, _) = paper_tables.tables(stacked, resamples=9, confidence=0.975)
    told = " ".join(first.below)
    assert "[97.5% interval: 9 resamples" in told
    assert "(97.5% interval, and p < 0.025 by DeLong" in told
    tests = comparisons.compare(stacked, resamples=9, confidence=0.999)
    (note,) = comparison_table(tests, confidence=0.999).below
    assert "[99.9% interval over subjects" in note


def test_a_heading_counts_the_positives_and_the_negatives(stacked, made):
    edema = stacked[stacked["label"] == "Edema"].drop_duplicates("image_id")
    positive = int(edema["target"].sum())
    assert f"Edema ({positive}/{120 - positive})" in made[1].frame


def test_one_seed_shows_what_its_results_csv_says(stacked):
    one = stacked[
        (stacked["variant"] == "local-mi-mine") & (stacked["seed"] == 1)
    ]
    (_, table) = paper_tables.tables(one, resamples=50)
    expected = auc.evaluate(one, resamples=50, seed=1)
    keys = ["task", "label", "encoder"]
    both = table.numbers.merge(expected, on=keys)
    assert len(both) == len(table.numbers) == 6
    for a, b in (("mean", "value"), ("low_x", "low_y"), ("high_x", "high_y")):
        np.testing.assert_allclose(both[a].astype(float), both[b], rtol=1e-10)
    assert table.numbers["sd"].isna().all()
    assert "±" not in "".join(table.frame.to_numpy().ravel())


def test_over_seeds_a_cell_holds_mean_spread_and_interval(stacked, made):
    rows = stacked[
        (stacked["label"] == "Edema")
        & (stacked["variant"] == "global-mi-cpc")
        & (stacked["encoder"] == "tuned")
    ]
    values = [
        auc.auc(one["target"], one["score"]) for _, one in rows.groupby("seed")
    ]
    (heading,) = (name for name in made[1].frame if name.startswith("Edema"))
    text = made[1].frame.loc[2, heading]
    mean, spread = np.mean(values), np.std(values, ddof=1)
    assert text.startswith(f"{mean:.3f} ± {spread:.3f} [")
    numbers = made[1].numbers
    row = numbers[(numbers["label"] == "Edema")].iloc[2]
    assert text.endswith(f"[{row['low']:.3f}, {row['high']:.3f}]")
    assert row["low"] < mean < row["high"]


def test_the_best_is_bold_where_a_paired_test_supports_it(made):
    for table in made:
        bold = table.bold.to_numpy()
        assert bold[-1, 3:].all()
        assert bold.sum() == bold[-1, 3:].sum()
        assert any(note.startswith("Bold: ") for note in table.below)


def test_between_equals_nothing_is_bold_and_that_is_said():
    both = study(local_mi_mine={"tuned": 1.0}, global_mi_mine={"tuned": 1.0})
    for table in paper_tables.tables(both, resamples=100):
        assert not table.bold.to_numpy().any()
        assert any(note.startswith("Nothing is bold") for note in table.below)


def test_the_policies_stand_over_every_table(made):
    assert [table.above for table in made] == [("Labels: all.",)] * 2


def test_a_label_without_a_class_says_not_defined_and_why(stacked):
    wrong = stacked.copy()
    wrong.loc[wrong["label"] == "Edema", "target"] = 0
    (_, table) = paper_tables.tables(wrong, resamples=10)
    assert set(table.frame["Edema (0/120)"]) == {"not defined"}
    assert "Edema: not defined: a class is absent." in table.below
    assert any("over 1 of 2 labels" in note for note in table.below)


def test_a_task_that_no_run_has_has_no_table(stacked):
    one = stacked[stacked["task"] == "pathology9"]
    (table,) = paper_tables.tables(one, resamples=10)
    assert table.name == "Table 3"


def test_labels_of_ones_own_have_a_table_of_the_form_of_table_3():
    stacked = study(
        tasks=("findings", "pathology9"),
        image_only_supervised={"image_only": 0.7},
        local_mi_mine={"frozen": 0.9, "tuned": 2.5},
    )
    three, own = paper_tables.tables(stacked, resamples=50, above=["Labels."])
    assert (own.name, own.title) == ("Findings", "AUC of the findings")
    nodule = stacked[stacked["label"] == "Nodule"].drop_duplicates("image_id")
    positive = int(nodule["target"].sum())
    heading = f"Nodule ({positive}/{120 - positive})"
    assert list(own.frame)[:4] == ["method", "encoder", "seeds", heading]
    assert list(own.frame)[-1] == "mean"
    first = ["method", "encoder", "seeds"]
    pd.testing.assert_frame_equal(own.frame[first], three.frame[first])
    assert own.above == three.above == ("Labels.",)
    assert own.below == three.below
    tuned = stacked[
        (stacked["label"] == "Nodule") & (stacked["encoder"] == "tuned")
    ]
    values = [
        auc.auc(one["target"], one["score"]) for _, one in tuned.groupby("seed")
    ]
    mean, spread = np.mean(values), np.std(values, ddof=1)
    assert (
        own.frame[heading].iloc[-1].startswith(f"{mean:.3f} ± {spread:.3f} [")
    )


def test_the_paper_has_no_numbers_of_labels_of_ones_own():
    stacked = study(tasks=("findings",), local_mi_mine={"tuned": 1.0})
    remark = paper_tables.OTHER_DATA
    (alone,) = paper_tables.tables(stacked, resamples=10)
    (own,) = paper_tables.tables(stacked, resamples=10, paper=remark)
    pd.testing.assert_frame_equal(own.frame, alone.frame)
    assert own.below == (
        *alone.below,
        "paper (MIMIC-CXR): has no such table.",
    )


# the paper


@pytest.mark.parametrize(
    ("task", "variant", "encoder", "label", "value"),
    [
        ("edema_severity", "local-mi-cpc", "tuned", "012|3", 0.97),
        ("edema_severity", "global-mi-mine", "frozen", "01|23", 0.78),
        ("pathology9", "local-mi-mine", "tuned", "Atelectasis", 0.86),
        ("pathology9", "global-mi-cpc", "tuned", "Pneumothorax", 0.75),
        ("pathology9", "image-only-supervised", "image_only", "Edema", 0.89),
    ],
)
def test_what_the_paper_printed(task, variant, encoder, label, value):
    found = published.aucs(task)
    row = found[
        (found["variant"] == variant)
        & (found["encoder"] == encoder)
        & found["label"].str.endswith(label)
    ]
    assert row["mean"].tolist() == [value]


@pytest.mark.parametrize(
    ("task", "scope", "mean", "spread"),
    [
        ("edema_severity", "local", 0.88, 0.05),
        ("edema_severity", "global", 0.85, 0.06),
        ("pathology9", "local", 0.84, 0.05),
        ("pathology9", "global", 0.81, 0.05),
    ],
)
def test_the_tables_average_to_what_their_captions_say(
    task, scope, mean, spread
):
    found = published.aucs(task)
    of = found["variant"].str.startswith(scope) & (found["encoder"] == "tuned")
    # Over the labels and both bounds, from values of two digits.
    values = found.loc[of, "mean"]
    assert values.mean() == pytest.approx(mean, abs=0.011)
    assert values.std() == pytest.approx(spread, abs=0.011)
    assert (
        f"{scope}-mi .{100 * mean:.0f} ± .{100 * spread:02.0f}"
        in (published.AVERAGES[task])
    )


def test_the_paper_stands_below_each_of_ours_and_says_of_what_data(stacked):
    remark = paper_tables.OTHER_DATA
    (_, table) = paper_tables.tables(stacked, resamples=10, paper=remark)
    (edema,) = (name for name in table.frame if name.startswith("Edema"))
    chosen = table.frame[
        (table.frame["method"] == "local-mi-mine")
        & (table.frame["encoder"] == "tuned")
    ]
    assert chosen["source"].tolist() == [
        "kerasmi",
        "paper (MIMIC-CXR); other data: not comparable",
    ]
    assert chosen[edema].tolist()[1] == "0.89"
    assert chosen["mean"].tolist()[1] == "-"
    assert len(table.frame) == 5 + 9
    theirs = table.numbers[table.numbers["source"] != "kerasmi"]
    assert set(theirs["note"]) == {remark}
    assert not theirs["best"].any()


def test_on_the_papers_data_nothing_is_said_against_it(stacked):
    (_, table) = paper_tables.tables(stacked, resamples=10, paper="")
    assert set(table.frame["source"]) == {"kerasmi", "paper (MIMIC-CXR)"}
    assert "not comparable" not in " ".join(table.below)


# Table 1


def counts():
    rows = [
        {"label": "Edema", "split": "train", "n_images": 1234}
        | {"n_positive": 1000, "n_negative": 234},
        {"label": "Edema", "split": "test", "n_images": 50}
        | {"n_positive": 20, "n_negative": 30},
        {"label": "Edema Severity", "split": "train", "n_images": 40}
        | {f"n_level_{level}": 10 for level in range(4)},
        {"label": "Edema Severity", "split": "test", "n_images": 0}
        | {f"n_level_{level}": 0 for level in range(4)},
    ]
    return pd.DataFrame(rows)


def test_table_1_counts_images_and_classes():
    table = count_table(counts())
    assert table.frame.to_numpy().tolist() == [
        ["Edema", "1,234 (1,000/234)", "50 (20/30)"],
        ["Edema Severity", "40 (10/10/10/10)", "0 (0/0/0/0)"],
    ]
    assert list(table.frame) == ["label", "training", "test"]


def test_table_1_beside_the_papers():
    table = count_table(
        counts(),
        published_counts={"Edema": (56_203, 373)},
        remark=paper_tables.OTHER_DATA,
    )
    (train, test) = (name for name in table.frame if "paper" in name)
    assert train.startswith("training, paper (MIMIC-CXR); other data")
    assert table.frame[train].tolist() == ["56,203", "-"]
    assert table.frame[test].tolist() == ["373", "-"]
    theirs = table.numbers[table.numbers["source"] != "kerasmi"]
    assert theirs["n_images"].tolist() == [56_203, 373]
