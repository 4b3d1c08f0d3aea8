import numpy as np
import pytest
import tensorflow as tf

from kerasmi import round_numbers

NUMBERS = range(1, 4000)


@pytest.mark.parametrize(
    ("number", "up", "down"),
    [
        (1, 1, 1),
        (8, 8, 8),
        (9, 10, 8),
        (17, 20, 16),
        (40, 40, 40),
        (65, 80, 64),
    ],
)
def test_rounded(number, up, down):
    assert round_numbers.rounded_up(number) == up
    assert round_numbers.rounded_down(number) == down


def test_rounded_by_a_quarter_at_most_and_to_few_numbers():
    up = [round_numbers.rounded_up(n) for n in NUMBERS]
    down = [round_numbers.rounded_down(n) for n in NUMBERS]
    for n, above, below in zip(NUMBERS, up, down, strict=True):
        assert below <= n <= above <= 1.25 * n
        assert round_numbers.rounded_up(below) == below
        assert round_numbers.rounded_down(above) == above
    assert len(set(up)) == 44  # 7, and 4 for each power of two


@pytest.mark.parametrize(
    ("number", "up"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128), (128, 128)]
)
def test_of_rows_fills_up_as_it_is_told(number, up):
    shapes = []

    def double(values):
        shapes.append(values.shape[0])
        return 2 * values

    call = round_numbers.of_rows(double, round_numbers.power_of_two)
    assert call(tf.ones((number, 2))).shape == (number, 2)
    assert shapes == [up]


def test_of_rows_fills_up_and_gives_the_rows_of_the_block():
    shapes = []

    def double(values, mask):
        shapes.append((values.shape, mask.shape))
        return tf.where(mask, 2 * values, -1)

    values = tf.reshape(tf.range(33), (11, 3))
    mask = values % 2 == 0
    found = round_numbers.of_rows(double)(values, mask)
    assert shapes == [((12, 3), (12, 3))]
    np.testing.assert_array_equal(found, double(values, mask))


def test_of_pairs_fills_up_both_and_gives_their_pairs():
    shapes = []

    def products(left, right):
        shapes.append((left.shape, right.shape))
        return tf.reduce_sum(left, 1) @ tf.transpose(right[:, 0])

    rng = np.random.default_rng(0)
    left = tf.constant(rng.integers(-5, 5, (9, 2, 3)))
    right = tf.constant(rng.integers(-5, 5, (18, 1, 3)))
    found = round_numbers.of_pairs(products)(left, right)
    assert shapes == [((10, 2, 3), (20, 1, 3))]
    np.testing.assert_array_equal(found, products(left, right))


def test_blocks_of_any_size_have_one_trace():
    # else it is a race of threads whose shape the first trace is of
    shapes = []

    def double(block):
        shapes.append(tuple(block.shape))
        return 2 * block

    spec = tf.TensorSpec((None, 3), tf.float32)
    traced = round_numbers.traced(double, spec)
    for rows in (2, 5, 2):
        assert traced(tf.ones((rows, 3))).shape == (rows, 3)
    assert shapes == [(None, 3)]
