import tensorflow as tf

from kerasmi import features


def test_blocks_of_any_size_have_one_trace():
    # else it is a race of threads whose shape the first trace is of
    traced = []

    def double(block):
        traced.append(block.shape)
        return 2 * block

    compiled = features._compiled(double, features._spec(None, 3))
    for rows in (2, 5, 2):
        assert compiled(tf.ones((rows, 3))).shape == (rows, 3)
    assert [tuple(shape) for shape in traced] == [(None, 3)]
