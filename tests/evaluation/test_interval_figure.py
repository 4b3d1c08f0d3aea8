"""What the figure of intervals draws is what the table says."""

import itertools

import numpy as np
import pandas as pd
import pytest

from kerasmi.evaluation import drawing, interval_figure, representation_figures


def rows(**changed):
    frame = {
        "name": ["R@1", "R@5"],
        "value": [0.2, 0.5],
        "low": [0.1, 0.4],
        "high": [0.3, 0.7],
        "chance": [0.05, np.nan],
        "note": ["of 20", "of 30"],
    }
    return pd.DataFrame({**frame, **changed})


def test_each_row_shows_its_interval_value_chance_and_note():
    drawn = interval_figure.figure(rows(), "share")
    (axes,) = drawn.axes
    ends = [path[:, 0].tolist() for path in axes.collections[0].get_segments()]
    assert ends == [[0.1, 0.3], [0.4, 0.7]]
    values, chance = axes.lines[:2]
    assert values.get_xdata().tolist() == [0.2, 0.5]
    assert chance.get_xdata()[0] == 0.05
    assert [text.get_text() for text in axes.texts] == ["of 20", "of 30"]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["R@1", "R@5"]
    low, high = axes.get_ylim()
    assert low > high  # from top to bottom
    assert axes.get_xlabel() == "share"
    (legend,) = drawn.legends
    assert len(legend.get_texts()) == 2


def test_without_chance_there_is_no_legend():
    drawn = interval_figure.figure(rows(chance=np.nan), "nats")
    assert not drawn.legends


@pytest.mark.parametrize("name", [r"costs $\foo$", "a_b ^ c", "word " * 40])
def test_any_name_of_a_user_can_be_drawn(name):
    frame = rows(name=[name, "plain"], low=[np.nan, 0.4], high=[np.nan, 0.7])
    picture = drawing.to_array(interval_figure.figure(frame, "share"))
    assert picture.std() > 0


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.2), (-0.0002, 0.0004), (-1, 2), (-120, 300)]
)
def test_names_and_numbers_do_not_touch(low, high):
    word = "no A user's own name of a finding that is long"
    ends = np.array([low, high, low, high])
    table = pd.DataFrame(
        {
            "kind": ["all", *[f"{word} {k}" for k in range(3)]],
            "nats": ends,
            "standard_error": (high - low) / 10,
            "carried": ends / 10,
            "n_sentences": 9999,
        }
    )
    drawn = representation_figures.kinds(table)
    drawing.to_array(drawn)
    (axes,) = drawn.axes
    for axis, side in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        first, last = axis.get_view_interval()
        boxes = [
            getattr(tick.label1.get_window_extent(), f"interval{side}")
            for tick in axis.get_major_ticks()
            if min(first, last) <= tick.get_loc() <= max(first, last)
        ]
        assert len(boxes) >= 2
        boxes.sort(key=lambda box: box[0])
        gaps = [after[0] - box[1] for box, after in itertools.pairwise(boxes)]
        assert min(gaps) > (8 if side == "x" else 0), gaps


def test_kinds_have_no_negative_zero_and_count_one_sentence():
    table = pd.DataFrame(
        {
            "kind": ["all", "Edema"],
            "nats": [-1e-4, 0.2],
            "standard_error": 0.1,
            "carried": [-1e-4, -0.02],
            "n_sentences": [2, 1],
        }
    )
    (axes,) = representation_figures.kinds(table).axes
    assert [text.get_text() for text in axes.texts] == [
        "2 sentences, +0.000 of 0.000",
        "1 sentence, -0.020 of 0.000",
    ]
    assert "the partition (mean over negatives) held fixed" in axes.get_xlabel()


def test_a_value_without_an_interval_stands_alone_and_its_note_is_last():
    table = rows(low=[np.nan, 0.4], note=["one subject", np.nan])
    table = table.assign(n_cases=9, metric=["R@1", "R@5"])
    shown = representation_figures.with_interval(table, ["name"])
    assert shown["value"].tolist() == ["0.200", "0.500 [0.400, 0.700]"]
    assert shown.columns[-1] == "note"
    without = representation_figures.with_interval(
        table.assign(note="", metric="median rank", value=12.0), ["name"]
    )
    assert "note" not in without
    assert without["value"].tolist() == ["12.0", "12.0 [0.4, 0.7]"]
