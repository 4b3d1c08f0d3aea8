"""A constant of TensorFlow leaves no memory behind."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import constant_op

from kerasmi import lost_dicts
from kerasmi.forgetting import forget


@pytest.fixture(autouse=True)
def as_it_was():
    before = constant_op.convert_to_eager_tensor
    constant_op.convert_to_eager_tensor = lost_dicts._given
    yield
    constant_op.convert_to_eager_tensor = before


def left_by_a_constant():
    """Bytes of Python, a constant, of 500 that nobody holds."""
    tf.constant(0.5)
    tracemalloc.start()
    try:
        for _ in range(500):
            tf.constant(0.5)
        return tracemalloc.get_traced_memory()[0] / 500
    finally:
        tracemalloc.stop()


def test_constants_leave_nothing_behind_once_a_process_has_forgotten():
    # if this fails, TensorFlow loses nothing by itself: drop the module
    assert left_by_a_constant() > 300
    forget()
    assert left_by_a_constant() < 10


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, None),
        (0.1, None),
        (0.1, tf.float64),
        (True, None),
        ("abc", None),
        ([[1, 2], [3, 4]], tf.int64),
        (np.arange(6.0).reshape(2, 3), None),
        (np.arange(6.0), "float32"),
        (np.float16(0.1), None),
    ],
)
def test_constants_are_what_they_were(value, dtype):
    before = tf.constant(value, dtype)
    lost_dicts.keep()
    after = tf.constant(value, dtype)
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert after.device == before.device
    np.testing.assert_array_equal(after.numpy(), before.numpy(), strict=True)


@pytest.mark.parametrize(
    ("value", "dtype"), [([[1], [2, 3]], None), ("a", tf.float32)]
)
def test_what_is_no_constant_is_refused_in_the_same_words(value, dtype):
    with pytest.raises((TypeError, ValueError)) as before:
        tf.constant(value, dtype)
    lost_dicts.keep()
    with pytest.raises(type(before.value)) as after:
        tf.constant(value, dtype)
    assert str(after.value) == str(before.value)


def test_a_constant_does_not_follow_the_array_it_was_made_of():
    lost_dicts.keep()
    array = np.zeros(4)
    made = tf.constant(array)
    array[:] = 1
    assert not made.numpy().any()


def test_each_constant_has_attributes_of_its_own():
    lost_dicts.keep()
    one, other = tf.constant(1), tf.constant(1)
    one.name_of_mine = "one"
    assert not hasattr(other, "name_of_mine")
    assert not hasattr(tf.constant(1), "name_of_mine")


def test_a_tensorflow_that_loses_nothing_is_left_alone(monkeypatch):
    monkeypatch.setattr(lost_dicts, "_is_lost", lambda: False)
    lost_dicts.keep()
    assert constant_op.convert_to_eager_tensor is lost_dicts._given
