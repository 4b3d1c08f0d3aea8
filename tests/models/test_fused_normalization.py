import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerasmi.models import fused_normalization, residual
from kerasmi.models.fused_normalization import FusedBatchNormalization

SHAPE = (3, 4, 5, 6)


def _weights(generator, shape=SHAPE):
    return [generator.uniform(0.5, 2.0, shape[-1:]) for _ in range(4)]


def _made(kind, dtype, weights, shape=SHAPE):
    layer = kind(dtype=dtype, **residual.BATCH_NORM)
    layer.build(shape)
    layer.set_weights(weights)
    return layer


def _step(layer, inputs, training):
    """Result, its gradients, and the moving statistics after it."""
    inputs = tf.constant(inputs, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        result = layer(inputs, training=training)
        loss = tf.reduce_sum(tf.sin(result))
    sources = [inputs, *layer.trainable_variables]
    return [result, *tape.gradient(loss, sources), *layer.get_weights()]


# as they are, and as 2, 4 and 16 pixels of a row in one
SHAPES = [SHAPE, (2, 3, 4, 16), (3, 4, 6, 24), (2, 3, 8, 4), (1, 2, 32, 5)]


def _assert_is_keras(shape, inputs, training=True, trainable=True):
    """Results, gradients and statistics are those of Keras in float64."""
    weights = _weights(np.random.default_rng(0), shape)
    fused = _made(FusedBatchNormalization, "float32", weights, shape)
    keras_s = _made(layers.BatchNormalization, "float64", weights, shape)
    fused.trainable = keras_s.trainable = trainable
    pairs = zip(
        _step(fused, inputs, training),
        _step(keras_s, inputs, training),
        strict=True,
    )
    for mine, theirs in pairs:
        # of the largest: sums of large terms have small results too
        most = 2e-5 + 2e-6 * np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=most)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_is_the_layer_of_keras_in_float64(
    shape, training, trainable
):
    inputs = np.random.default_rng(1).normal(1.0, 2.0, shape)
    # pixels of even columns are of another kind than those of odd ones
    inputs[:, :, ::2] *= 3.0
    _assert_is_keras(shape, inputs, training, trainable)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_epsilon_is_that_of_the_layer(shape):
    # a variance of its size
    inputs = np.random.default_rng(1).normal(0.0, 3e-3, shape)
    _assert_is_keras(shape, inputs)


def test_one_kernel_does_the_work():
    layer = _made(
        FusedBatchNormalization, "float32", _weights(np.random.default_rng(1))
    )
    step = tf.function(lambda x: layer(x, training=True))
    graph = step.get_concrete_function(tf.TensorSpec(SHAPE)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert "FusedBatchNormV3" in kinds
    assert "SquaredDifference" not in kinds


def _channels_seen(shape):
    """The channels of what each of a step's kernels normalises."""
    weights = _weights(np.random.default_rng(1), shape)
    layer = _made(FusedBatchNormalization, "float32", weights, shape)
    step = tf.function(lambda x: layer(x, training=True))
    graph = step.get_concrete_function(tf.TensorSpec(shape)).graph
    return [
        operation.inputs[0].shape[-1]
        for operation in graph.get_operations()
        if operation.type == "FusedBatchNormV3"
    ]


def test_the_kernel_is_given_the_folded_map():
    assert _channels_seen((3, 4, 6, 24)) == [48, 48]
    assert _channels_seen((3, 4, 5, 24)) == [24]


def test_beside_a_gpu_no_map_is_folded(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert fused_normalization._folds(tf.TensorSpec((3, 4, 6, 24))) == 1


def test_maps_are_folded_to_sixteen_channels_where_a_row_allows_it():
    shapes = [(3, 4, 6, 24), (3, 4, 5, 24), (3, 4, 6, 32), (3, None, 6, 24)]
    given = [tf.TensorSpec(shape) for shape in shapes]
    assert [fused_normalization._folds(x) for x in given] == [2, 1, 1, 1]


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_other_dtypes_are_left_to_keras(dtype):
    generator = np.random.default_rng(2)
    inputs, weights = generator.normal(1.0, 2.0, SHAPE), _weights(generator)
    fused = _made(FusedBatchNormalization, dtype, weights)
    keras_s = _made(layers.BatchNormalization, dtype, weights)
    for mine, theirs in zip(
        _step(fused, inputs, True), _step(keras_s, inputs, True), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def _padded(x, filters, kernel, stride, name):
    """What `_conv` is in plain Keras: a padded copy, a "valid" convolution."""
    x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters, kernel, strides=stride, use_bias=False, name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(
        **residual.BATCH_NORM, name=f"{name}_norm"
    )(x)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_that_of_plain_keras_in_float64(monkeypatch, training):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        made = ((8, 8, 1), (4, 6), (1, 2), 1, (3, 5, 2))
        ours = residual.residual_network(*made)
        monkeypatch.setattr(residual, "_conv", _padded)
        plain = residual.residual_network(*made)
    finally:
        keras.config.set_dtype_policy(policy)
    assert [w.shape for w in ours.weights] == [w.shape for w in plain.weights]
    plain.set_weights(ours.get_weights())
    images = np.random.default_rng(3).random((2, 8, 8, 1))
    found = []
    for network in (ours, plain):
        with tf.GradientTape() as tape:
            result = network(images, training=training)
            loss = tf.reduce_sum(tf.sin(result))
        gradients = tape.gradient(loss, network.trainable_variables)
        found.append([result, *gradients, *network.get_weights()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_on_two_devices_it_is_the_layer_of_keras_to_the_last_bit(
    two_devices, dtype
):
    weights = _weights(np.random.default_rng(0))
    images = np.random.default_rng(1).normal(2.0, 3.0, (2, *SHAPE))
    images = images.astype("float32")

    def found(kind):
        with two_devices.scope():
            layer = _made(kind, dtype, weights)

        @tf.function
        def step():
            here = tf.distribute.get_replica_context().replica_id_in_sync_group
            mine = tf.gather(images, here)
            with tf.GradientTape() as tape:
                tape.watch(mine)
                result = layer(mine, training=True)
                loss = tf.reduce_sum(tf.sin(tf.cast(result, "float32")))
            slopes = tape.gradient(loss, [mine, *layer.trainable_variables])
            return [tf.cast(x, "float32") for x in (result, *slopes)]

        of_devices = map(
            two_devices.experimental_local_results, two_devices.run(step)
        )
        return [*of_devices, layer.get_weights()]

    pairs = zip(
        found(FusedBatchNormalization),
        found(layers.BatchNormalization),
        strict=True,
    )
    for mine, theirs in pairs:
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
