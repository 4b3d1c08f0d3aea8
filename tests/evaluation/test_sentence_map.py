"""One sentence over one image: everything in the image's own pixels."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from kerasmi.evaluation.figures import to_array
from kerasmi.evaluation.region_maps import seen_square
from kerasmi.evaluation.sentence_map import (
    best_box,
    best_region,
    sentence_map,
)


def _one_hot(row, column, value=2.0):
    scores = np.zeros((4, 4), np.float32)
    scores[row, column] = value
    return scores


def _boxes(figure):
    axes = figure.axes[0]
    return [
        (p.get_x(), p.get_y(), p.get_width(), p.get_height())
        for p in axes.patches
        if isinstance(p, Rectangle)
    ]


def test_the_best_box_of_a_square_image_is_its_cell():
    scores = _one_hot(1, 3)
    assert best_region(scores) == (1, 3)
    assert best_box(scores, (0, 0, 64, 64)) == (48, 16, 64, 32)


def test_the_best_box_of_a_wide_image_lies_in_its_central_square():
    # 300 x 100 seen at 50: the square is x 100 to 200
    square = seen_square(100, 300, 50)
    assert square == (100, 0, 200, 100)
    assert best_box(_one_hot(2, 0), square) == (100, 50, 125, 75)


def test_the_frame_is_the_best_box_and_the_dots_are_the_square():
    figure = sentence_map(np.zeros((100, 300)), "A.", _one_hot(2, 0), 50)
    best, square = _boxes(figure)
    # half a pixel: matplotlib counts from the centre of the first one
    assert best == pytest.approx((99.5, 49.5, 25, 25))
    assert square == pytest.approx((99.5, -0.5, 100, 100))
    axes = figure.axes[0]
    assert axes.get_xlim() == (-0.5, 299.5)
    assert axes.get_ylim() == (99.5, -0.5)


def test_a_square_image_is_seen_whole_so_there_are_no_dots():
    figure = sentence_map(np.zeros((64, 64)), "A.", _one_hot(0, 0), 64)
    assert len(_boxes(figure)) == 1


def test_colour_is_at_the_best_region_and_nowhere_else():
    figure = sentence_map(np.zeros((64, 64)), "A.", _one_hot(3, 3), 64)
    axes = figure.axes[0]
    picture = to_array(figure)

    def colour(x, y):
        column, row = axes.transData.transform((x, y))
        return picture[picture.shape[0] - 1 - int(row), int(column)].astype(int)

    red, _, blue = colour(55.5, 55.5)
    assert red > blue + 80
    assert np.ptp(colour(8, 8)) <= 2


@pytest.mark.parametrize("rise", [0.0, 0.1, 4.0])
def test_a_map_that_rises_little_stays_pale(rise):
    figure = sentence_map(np.zeros((64, 64)), "A.", _one_hot(0, 0, rise), 64)
    drawn = figure.axes[0].images[1]
    assert drawn.norm.vmin == 0
    assert drawn.norm.vmax == pytest.approx(max(0.5, rise * 15 / 16))


def test_a_constant_does_not_change_the_picture():
    scores = np.random.default_rng(0).normal(size=(4, 4))
    first = sentence_map(np.zeros((40, 60)), "A.", scores, 64)
    second = sentence_map(np.zeros((40, 60)), "A.", scores - 5, 64)
    difference = to_array(first).astype(int) - to_array(second)
    assert np.abs(difference).max() <= 1


def test_a_long_sentence_and_a_dollar_stay_in_the_figure():
    long = "The $heart$ is large, and so are the lungs. " * 5
    figure = sentence_map(np.zeros((90, 30)), long, _one_hot(0, 0), 16)
    to_array(figure)
    box = figure.texts[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.axes[0].get_window_extent().y1


@pytest.mark.parametrize("shape", [(32, 256), (60, 180), (60, 60), (256, 32)])
def test_the_words_of_the_scale_stay_in_the_figure(shape):
    figure = sentence_map(np.zeros(shape), "A.", _one_hot(0, 0), 16)
    to_array(figure)
    box = figure.axes[1].yaxis.label.get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.y1
    assert box.x1 <= figure.bbox.x1
