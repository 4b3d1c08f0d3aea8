import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.first_token import first_token


def backbone(kind, num_layers, dropout=0.0):
    keras.utils.set_random_seed(0)
    made = kind(
        vocabulary_size=30,
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        dropout=dropout,
        max_sequence_length=12,
        dtype="float64",
    )
    rng = np.random.default_rng(0)
    for weight in made.weights:
        weight.assign(rng.normal(0.0, 0.3, weight.shape))
    return made


def texts():
    rng = np.random.default_rng(0)
    mask = (np.arange(7) < np.array([7, 3, 5, 2])[:, None]).astype("int32")
    return rng.integers(1, 30, (4, 7)).astype("int32") * mask, mask


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(
    "kind", [keras_hub.models.BertBackbone, ExactBertBackbone]
)
def test_features_and_gradients_are_those_of_the_whole_network(
    kind, num_layers
):
    made = backbone(kind, num_layers)
    ids, mask = texts()
    weights = np.random.default_rng(1).normal(size=(4, 8))
    used = [v.value for v in made.trainable_variables if "pooled" not in v.path]
    found = []
    for features in (
        lambda: first_token(made, ids, mask),
        lambda: made(
            {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask}
        )["sequence_output"][:, 0],
    ):
        with tf.GradientTape() as tape:
            value = features()
            total = tf.reduce_sum(weights * value)
        gradients = tape.gradient(total, used)
        found.append([value, *map(tf.convert_to_tensor, gradients)])
    for short, whole in zip(*found, strict=True):
        np.testing.assert_allclose(short, whole, rtol=1e-9, atol=1e-11)


def test_dropout_is_on_in_training_alone():
    made = backbone(keras_hub.models.BertBackbone, 2, dropout=0.5)
    ids, mask = texts()
    still = [np.array(first_token(made, ids, mask)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [np.array(first_token(made, ids, mask, True)) for _ in range(2)]
    assert not np.allclose(*moving)
