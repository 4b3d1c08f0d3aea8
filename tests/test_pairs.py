"""Labels of pairs from study ids."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import pairs


def test_images_of_one_study_are_ignored_off_the_diagonal():
    labels = pairs.label_pairs(np.array([7, 8, 7]))
    np.testing.assert_array_equal(labels, [[1, 0, -1], [0, 1, 0], [-1, 0, 1]])
    assert labels.dtype == "int32"


def test_texts_of_one_image_are_neighbouring_columns():
    labels = pairs.label_pairs(np.array([7, 8, 7]), texts_per_image=2)
    expected = [
        [1, 1, 0, 0, -1, -1],
        [0, 0, 1, 1, 0, 0],
        [-1, -1, 0, 0, 1, 1],
    ]
    np.testing.assert_array_equal(labels, expected)


def test_masks_are_disjoint_and_leave_out_ignored_pairs():
    labels = pairs.label_pairs(np.array([7, 8, 7]))
    positives, negatives = pairs.positives(labels), pairs.negatives(labels)
    np.testing.assert_array_equal(positives, np.eye(3, dtype=bool))
    np.testing.assert_array_equal(negatives, np.asarray(labels) == 0)


@pytest.mark.parametrize("first", [50414266, 2**62])
def test_neighbouring_large_ids_stay_apart(first):
    ids = np.array([first, first + 1], "int64")
    labels = pairs.label_pairs(tf.constant(ids))
    np.testing.assert_array_equal(labels, np.eye(2))


@pytest.mark.parametrize(
    "ids", [np.array([1.0, 2.0]), np.array([[1, 2]]), np.array(3)]
)
def test_ids_that_are_no_vector_of_integers_are_refused(ids):
    with pytest.raises(ValueError, match="vector of integers"):
        pairs.label_pairs(ids)


def test_less_than_one_text_per_image_is_refused():
    with pytest.raises(ValueError, match="Received: texts_per_image=0"):
        pairs.label_pairs(np.array([1, 2]), texts_per_image=0)
    with pytest.raises(ValueError, match="Received: texts_per_image=0"):
        pairs.label_pairs(np.array([1, 2]), texts_per_image=np.int64(0))


def test_a_batch_without_a_negative_is_refused():
    with pytest.raises(ValueError, match="at least two studies"):
        pairs.require_negatives(pairs.label_pairs(np.array([7, 7])))
    with pytest.raises(ValueError, match="at least two studies"):
        pairs.require_negatives(np.array([[1]]))


def test_a_batch_with_a_negative_passes():
    labels = pairs.label_pairs(np.array([7, 8]))
    assert pairs.require_negatives(labels) is labels


def test_symbolic_labels_pass_without_a_value():
    symbolic = keras.KerasTensor((None, None), dtype="int32")
    assert pairs.require_negatives(symbolic) is symbolic

    @tf.function(input_signature=[tf.TensorSpec((None,), "int64")])
    def label(ids):
        return pairs.require_negatives(pairs.label_pairs(ids))

    np.testing.assert_array_equal(label(np.array([7, 7])), [[1, -1], [-1, 1]])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_known_batch_gives_labels_of_known_shape(jit_compile):
    shapes = []

    @tf.function(jit_compile=jit_compile)
    def label(ids):
        labels = pairs.label_pairs(ids, texts_per_image=3)
        shapes.append(tuple(labels.shape))
        return labels

    label(tf.constant([1, 2, 3, 4], "int64"))
    assert shapes == [(4, 12)]
