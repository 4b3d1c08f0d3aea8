"""What stands in a cell, and the table of one run."""

import io

import numpy as np
import pandas as pd

from kerasmi.evaluation import tables


def results(value=0.798, seed=0, encoder="tuned", n_positive=312):
    row = {
        "task": "pathology9",
        "encoder": encoder,
        "metric": "auc",
        "seed": seed,
        "n_subjects": 500,
        "note": "",
    }
    edema = {"label": "Edema 0|1", "value": value, "low": value - 0.027}
    edema |= {"high": value + 0.026, "n_positive": n_positive}
    edema |= {"n_negative": 688}
    absent = {"label": "Atelectasis", "value": np.nan, "low": np.nan}
    absent |= {"high": np.nan, "n_positive": 255, "n_negative": 0}
    absent |= {"note": "not defined: no negative"}
    mean = edema | {"label": "mean", "n_positive": pd.NA, "n_negative": pd.NA}
    frame = pd.DataFrame([row | mean, row | edema, row | absent])
    return frame.astype({"n_positive": "Int64", "n_negative": "Int64"})


def test_a_cell_holds_value_interval_and_counts():
    shown = tables.summary(results())
    assert shown.loc[1, "tuned"] == "0.798 [0.771, 0.824]  (312/688)"
    assert shown.loc[0, "tuned"] == "0.798 [0.771, 0.824]"


def test_an_absent_class_says_not_defined_and_why():
    shown = tables.summary(results())
    assert shown.loc[2, "tuned"] == "not defined  (255/0)"
    assert shown.loc[2, "note"] == "not defined: no negative"


def test_encoders_stand_side_by_side_and_a_note_names_its_encoder():
    frozen = results(0.7, encoder="frozen").assign(note="")
    shown = tables.summary(pd.concat([results(), frozen]))
    assert list(shown.columns) == ["task", "label", "tuned", "frozen", "note"]
    assert shown.loc[2, "note"] == "tuned: not defined: no negative"


def test_a_table_read_back_from_csv_prints_the_same():
    written = io.StringIO(results().to_csv(index=False))
    pd.testing.assert_frame_equal(
        tables.summary(pd.read_csv(written)), tables.summary(results())
    )


def test_over_seeds_the_spread_stands_behind_the_mean():
    (row, *_) = results().to_dict("records")
    shown = tables.cell(row | {"sd": 0.011}, counts=False)
    assert shown == "0.798 ± 0.011 [0.771, 0.824]"


def test_markdown_keeps_the_bars_of_severity_cuts_inside_their_cells():
    text = tables.markdown(tables.summary(results()))
    lines = text.splitlines()
    assert len(lines) == 5
    assert r"Edema 0\|1" in text
    cells = {line.replace(r"\|", "").count("|") for line in lines}
    assert cells == {5}


def test_csv_reads_back_as_text():
    shown = tables.summary(results())
    back = pd.read_csv(io.StringIO(tables.csv(shown)), dtype=str)
    back = back.fillna("")
    pd.testing.assert_frame_equal(back, shown, check_dtype=False)


def test_notes_are_numbered_and_the_table_is_not_changed():
    shown = tables.summary(results())
    numbered, found = tables.footnotes(shown)
    assert found == ["not defined: no negative"]
    assert numbered["note"].tolist() == ["", "", "1"]
    assert shown.loc[2, "note"] == found[0]
    same, none = tables.footnotes(shown.drop(columns="note"))
    assert (list(same), none) == (["task", "label", "tuned"], [])
