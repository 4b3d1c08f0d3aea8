"""What the figure of intervals draws is what the table says."""

import numpy as np
import pandas as pd
import pytest

from kerasmi.evaluation import drawing, interval_figure


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
