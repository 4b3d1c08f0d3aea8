"""Two and four devices do what one does, whatever is asked of them."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from dense_models import TEXTS, dense_model
from small_models import batch, image_encoder, model

from kerasmi import distribute, losses
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_text_model import NEGATIVES
from kerasmi.pairs import IGNORED, label_pairs
from kerasmi.recipe_schema import Negatives
from kerasmi.regions import REGION_RULES

# Two images of study 0 on the first of four devices, one on the second.
STUDIES = np.array([0, 0, 0, 1, 2, 1, 3, 4])


def compiled(strategy, loss, **settings):
    with strategy.scope():
        made = dense_model(**settings)
        made.compile(keras.optimizers.SGD(0.1), loss=loss)
    return made


def shared(strategy, inputs):
    """The first batch as each replica gets it, in order."""
    data = tf.data.Dataset.from_tensors(inputs)
    return next(iter(strategy.experimental_distribute_dataset(data)))


def step(strategy, made, inputs):
    """One training step, without a graph; returns the logs of replica 0."""
    logs = strategy.run(made.train_step, args=(shared(strategy, inputs),))
    first = strategy.experimental_local_results
    return {name: np.squeeze(first(log)[0]) for name, log in logs.items()}


ONE = tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("loss", "region"),
    [
        *((loss, "logsumexp") for loss in losses.LOSSES),
        *(("cpc", rule) for rule in REGION_RULES if rule != "logsumexp"),
    ],
)
def test_four_devices_take_the_step_of_one(four_devices, loss, region):
    inputs = batch(8, TEXTS, studies=STUDIES)
    one = compiled(ONE, loss, region=region)
    many = compiled(four_devices, loss, region=region)
    start = [np.array(w) for w in one.get_weights()]
    logs, logs_of_many = (
        step(ONE, one, inputs),
        step(four_devices, many, inputs),
    )
    moved = zip(start, one.get_weights(), strict=True)
    assert max(np.abs(a - b).max() for a, b in moved) > 1e-5
    for a, b in zip(one.get_weights(), many.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert logs.keys() == logs_of_many.keys()
    for name, value in logs.items():
        np.testing.assert_allclose(value, logs_of_many[name], rtol=1e-4)


def test_the_moving_average_of_mine_is_identical_on_every_replica(four_devices):
    made = compiled(four_devices, "mine", region="logsumexp")
    for seed in range(3):
        step(four_devices, made, batch(8, TEXTS, seed=seed, studies=STUDIES))
    parts = four_devices.experimental_local_results(
        made.objective.log_average.value
    )
    values = {float(part.numpy()) for part in parts}
    assert len(parts) == 4
    assert len(values) == 1
    assert np.isfinite(values.pop())


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_pairs_of_a_study_are_ignored_across_replicas(four_devices, negatives):
    made = compiled(four_devices, "cpc", negatives=negatives)
    inputs = batch(8, TEXTS, studies=STUDIES)
    result = four_devices.run(
        lambda x: made._reduced(x, training=False)[0],
        args=(shared(four_devices, inputs),),
    )
    expected = np.array(label_pairs(STUDIES, TEXTS))
    if negatives == "replica":
        replica = np.arange(8) // 2
        other = replica[:, None] != np.repeat(replica, TEXTS)
        expected = np.where(other, IGNORED, expected)
    for pairs in four_devices.experimental_local_results(result):
        np.testing.assert_array_equal(pairs, expected)
    assert expected[0, 2 * TEXTS] == IGNORED  # study 0, on another device


def test_replica_negatives_are_the_mean_over_what_each_replica_sees_alone(
    two_devices,
):
    # InfoNCE is a mean over images: of two halves that never meet
    inputs = batch(8, TEXTS, studies=STUDIES + 5 * np.arange(8) // 4)
    made = compiled(two_devices, "cpc", negatives="replica")
    logs = step(two_devices, made, inputs)
    values, halves = [], []
    for half in (slice(0, 4), slice(4, 8)):
        alone = compiled(ONE, "cpc", region="max")
        part = {name: value[half] for name, value in inputs.items()}
        values.append(step(ONE, alone, part)["loss"])
        halves.append(alone.get_weights())
    np.testing.assert_allclose(logs["loss"], np.mean(values), rtol=1e-5)
    for a, b, whole in zip(*halves, made.get_weights(), strict=True):
        np.testing.assert_allclose((a + b) / 2, whole, rtol=0, atol=1e-6)


def test_replica_negatives_have_a_lower_ceiling(two_devices):
    inputs = batch(8, TEXTS)
    made = compiled(two_devices, "cpc", negatives="replica")
    logs = step(two_devices, made, inputs)
    np.testing.assert_allclose(logs["ceiling"], np.log1p(3 * TEXTS), rtol=1e-6)
    made = compiled(two_devices, "cpc", negatives="global")
    logs = step(two_devices, made, inputs)
    np.testing.assert_allclose(logs["ceiling"], np.log1p(7 * TEXTS), rtol=1e-6)


def test_the_recipe_and_the_model_know_the_same_negatives():
    assert get_args(Negatives) == NEGATIVES
    with pytest.raises(ValueError, match=r"negatives.*'none'"):
        dense_model(negatives="none")


def test_two_devices_take_the_step_of_one_in_bfloat16(two_devices):
    inputs = batch(8, TEXTS, studies=STUDIES)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    weights = []
    try:
        for strategy in (ONE, two_devices):
            with strategy.scope():
                made = model(region="logsumexp", normalize=True)
                made.compile(keras.optimizers.SGD(0.01), loss="cpc")
            start = made.get_weights()
            logs = step(strategy, made, inputs)
            assert logs["loss"].dtype == "float32"
            weights.append(made.get_weights())
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    # sums in another order, of numbers with 8 bits
    one, two = (
        [w - s for w, s in zip(each, start, strict=True)] for each in weights
    )
    assert _norm(one) > 1e-4
    assert _norm([a - b for a, b in zip(one, two, strict=True)]) < 0.05 * _norm(
        one
    )


def _norm(arrays):
    return np.sqrt(sum((array**2).sum() for array in arrays))


@pytest.mark.parametrize("mode", ["frozen", "tuned"])
@pytest.mark.parametrize("head", ["multilabel", "cumulative"])
def test_a_classifier_takes_an_uneven_batch_as_one_device_does(
    four_devices, mode, head
):
    rng = np.random.default_rng(0)
    images = rng.random((7, 16, 16, 1), np.float32)  # 2, 2, 2 and 1 image
    # ignored labels, so that replicas differ in what they know
    targets = rng.integers(-1, 2, (7, 1)).astype("float32")
    targets[:3, 0] = [-1, -1, 1]
    weights = []
    for strategy in (ONE, four_devices):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            made = ImageClassifier(
                image_encoder(), ("A",), head=head, trainable=mode
            )
            made.compile(keras.optimizers.SGD(0.05))
        start = made.get_weights()
        step(strategy, made, (images, targets))
        weights.append(made.get_weights())
    moved = [
        np.abs(a - b).max() for a, b in zip(start, weights[0], strict=True)
    ]
    assert max(moved) > 1e-3
    assert sum(m > 0 for m in moved) > (0 if mode == "frozen" else 10)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("mode", ["frozen", "tuned"])
def test_a_classifier_refuses_a_batch_that_leaves_a_device_idle(
    two_devices, verb, mode
):
    images = np.zeros((5, 16, 16, 1), np.float32)  # 2 and 2, then 1 and none
    targets = np.zeros((5, 1), np.float32)
    with two_devices.scope():
        made = ImageClassifier(image_encoder(), ("A",), trainable=mode)
        made.compile(keras.optimizers.SGD(0.05))
    given = (images,) if verb == "predict" else (images, targets)
    with pytest.raises(tf.errors.InvalidArgumentError, match="got no image"):
        getattr(made, verb)(*given, batch_size=4, verbose=0)


def test_a_block_diagonal_keeps_order_and_gradient(two_devices):
    values = np.arange(1.0, 9.0, dtype="float32").reshape(4, 2)

    def whole(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            square = distribute.block_diagonal(x, fill=-1)
            value = tf.reduce_sum(square**2) / 4.0
        return square, tape.gradient(value, x)

    square, gradient = two_devices.run(
        whole, args=(shared(two_devices, values),)
    )
    expected = np.full((4, 4), -1.0)
    expected[:2, :2], expected[2:, 2:] = values[:2], values[2:]
    for part in two_devices.experimental_local_results(square):
        np.testing.assert_array_equal(part, expected)
    # d/dx of the sum over two replicas of sum(x^2) / 4 is x
    parts = two_devices.experimental_local_results(gradient)
    np.testing.assert_allclose(np.concatenate(parts), values)
