import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from dense_models import TEXTS, dense_model
from small_models import batch, image_encoder, model
from tensorflow.python.ops import op_selector

from kerasmi import cluster, distribute, optimizers
from kerasmi.errors import RunError
from kerasmi.models.fused_normalization import FusedBatchNormalization

STEPS = 5
# Of a batch, four images go to each device: 0 is the study of two images of
# the first and of one of the second, 1 of one image of either.
STUDIES = np.array([0, 0, 1, 2, 0, 1, 3, 4])


def batches(texts):
    studies = (STUDIES + 10 * np.arange(STEPS)[:, None]).ravel()
    inputs = batch(8 * STEPS, texts, studies=studies)
    data = tf.data.Dataset.from_tensor_slices(inputs)
    return data.batch(8, drop_remainder=True)


def both(two_devices, make, loss, texts, rate=0.01):
    """A model of `make` trained on one device, another on two, and logs."""
    found = []
    for scope_of in (contextlib.nullcontext, two_devices.scope):
        with scope_of():
            made = make()
            made.compile(keras.optimizers.SGD(rate), loss=loss)
        logs = made.fit(batches(texts), verbose=0, shuffle=False).history
        found.append((made, logs))
    return found


@pytest.mark.parametrize(
    ("loss", "scope", "texts"), [("mine", "local", 2), ("cpc", "global", 1)]
)
def test_two_devices_take_the_same_steps_as_one(
    two_devices, loss, scope, texts
):
    def make():
        return model(scope=scope, region="logsumexp", normalize=True)

    (one, logs), (two, logs_of_two) = both(two_devices, make, loss, texts)
    start = make().get_weights()
    moved = max(
        np.abs(a - b).max()
        for a, b in zip(start, one.get_weights(), strict=True)
    )
    assert moved > 1e-4
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    for name in ("loss", "mutual_information", "ceiling", "gradient_norm"):
        np.testing.assert_allclose(logs[name], logs_of_two[name], rtol=1e-4)
    # 1 own text and those of the images of other studies, on either device
    others = (STUDIES[:, None] != STUDIES).sum(axis=1)
    ceiling = np.log1p(texts * others).mean()
    np.testing.assert_allclose(logs_of_two["ceiling"], ceiling, rtol=1e-5)
    if loss == "mine":
        np.testing.assert_allclose(
            one.objective.log_average.numpy(),
            two.objective.log_average.numpy(),
            rtol=1e-5,
        )


@pytest.mark.parametrize("region", ["matched", "max"])
def test_one_region_is_found_across_devices(two_devices, region):
    def make():
        return dense_model(region)

    (one, _), (two, _) = both(two_devices, make, "mine", TEXTS, rate=0.1)
    start = zip(make().get_weights(), one.get_weights(), strict=True)
    assert max(np.abs(a - b).max() for a, b in start) > 1e-4
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_gather_keeps_order_shape_and_gradient(two_devices):
    values = tf.reshape(tf.range(12.0), (4, 3))
    data = two_devices.experimental_distribute_dataset(
        tf.data.Dataset.from_tensors(values).unbatch().batch(4)
    )

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            whole = distribute.gather(x)
            value = tf.reduce_sum(whole**2) / 2.0
        return whole, tape.gradient(value, x)

    whole, gradient = two_devices.run(step, args=(next(iter(data)),))
    for part in two_devices.experimental_local_results(whole):
        np.testing.assert_array_equal(part, values)
    # d/dx of the sum over replicas of sum(x^2) / 2 is 2 x
    parts = two_devices.experimental_local_results(gradient)
    np.testing.assert_allclose(np.concatenate(parts), 2 * values.numpy())


def test_a_sum_over_devices_has_two_gradients(two_devices):
    @tf.function
    def step(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                (total,) = distribute.reduce_sum([x**2])
                value = total**2 / 2.0
            slope = inner.gradient(value, x)
        return total, slope, outer.gradient(slope, x)

    parts = two_devices.run(step, args=(_numbered(two_devices),))
    total, slope, curve = map(two_devices.experimental_local_results, parts)
    # x of the devices is 1 and 2; V = R (sum of squares)^2 / 2 for R devices
    np.testing.assert_array_equal(total, [5, 5])
    np.testing.assert_array_equal(slope, [2 * 2 * 5 * 1, 2 * 2 * 5 * 2])
    # of the sum of both slopes: 4 (5 + 2 x (1 + 2))
    np.testing.assert_array_equal(curve, [4 * (5 + 6), 4 * (5 + 12)])


def test_the_trace_of_a_step_does_not_look_through_it_for_every_sum(
    two_devices, monkeypatch
):
    seen, walk = [], op_selector.get_backward_walk_ops

    def counted(*given, **options):
        found = walk(*given, **options)
        seen.append(len(found))
        return found

    monkeypatch.setattr(op_selector, "get_backward_walk_ops", counted)
    layers = [FusedBatchNormalization(synchronized=True) for _ in range(3)]
    with two_devices.scope():
        network = keras.Sequential([keras.Input((2, 2, 3)), *layers])

    @tf.function
    def step():
        images = tf.random.uniform((2, 2, 2, 3))
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(network(images, training=True) ** 3)
        return tape.gradient(value, network.trainable_variables)

    two_devices.run(step)
    # with Keras's own layer the longest is past 300 operations
    assert len(seen) >= 18
    assert max(seen) < 10


def _numbered(strategy):
    """1.0 on the first device, 2.0 on the second, and so on."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(context.replica_id_in_sync_group + 1.0)
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"jit_compile": True}, "jit_compile"),
        ({"steps_per_execution": 2}, "steps_per_execution"),
    ],
)
def test_what_keras_breaks_on_several_devices_is_refused(
    two_devices, settings, named
):
    with two_devices.scope():
        made = model()
        with pytest.raises(ValueError, match=named):
            made.compile(keras.optimizers.SGD(0.1), **settings)


def test_clipping_on_several_devices_is_refused(two_devices):
    with two_devices.scope():
        made = model()
        with pytest.raises(ValueError, match="global_clipnorm"):
            made.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))


def test_clipping_inside_an_optimizer_is_refused_too(two_devices):
    clipped = keras.optimizers.SGD(0.1, clipnorm=1.0)
    several = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(), {"x": clipped})
    )
    scaled = keras.optimizers.LossScaleOptimizer(clipped)
    unclipped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    with two_devices.scope():
        made = model()
        for optimizer, named in (
            (several, "^clipnorm: "),
            (scaled, "^clipnorm, LossScaleOptimizer: "),
            (unclipped, "^LossScaleOptimizer: "),
        ):
            with pytest.raises(ValueError, match=named):
                made.compile(optimizer)


def test_a_classifier_trains_the_same_on_two_devices(two_devices):
    from kerasmi.models.image_classifier import ImageClassifier

    images = np.random.default_rng(0).random((16, 16, 16, 1), np.float32)
    targets = np.random.default_rng(1).integers(0, 2, (16, 2)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((images, targets)).batch(8)
    weights = []
    for scope in (contextlib.nullcontext, two_devices.scope):
        with scope():
            keras.utils.set_random_seed(0)
            made = ImageClassifier(image_encoder(), ("Edema", "Pneumonia"))
            made.compile(keras.optimizers.SGD(0.01))
        made.fit(data, epochs=2, verbose=0, shuffle=False)
        weights.append(made.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_fewer_than_one_device_is_refused():
    with pytest.raises(RunError, match="at least 1"):
        distribute.configure(0)


def gpus(monkeypatch, number):
    """So many GPUs, and what TensorFlow is asked to show of them."""
    found = [
        tf.config.PhysicalDevice(f"/physical_device:GPU:{index}", "GPU")
        for index in range(number)
    ]
    shown = list(found)

    def show(some, kind):
        shown[:] = some

    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: found)
    monkeypatch.setattr(config, "set_visible_devices", show)
    monkeypatch.setattr(config, "get_visible_devices", lambda kind: shown)
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda gpu: {}
    )
    return found, shown


@pytest.mark.parametrize("devices", [1, 2])
def test_gpus_that_are_not_asked_for_are_left_to_others(monkeypatch, devices):
    found, shown = gpus(monkeypatch, 3)
    distribute.configure(devices)
    assert shown == found[:devices]
    names = [gpu.name for gpu in found[:devices]]
    assert distribute.facts()["accelerators"] == names


@pytest.mark.parametrize(
    ("names", "devices", "told"),
    [
        (["H200"], 1, "1 GPU: H200"),
        (["H200", "H200"], 2, "2 GPUs: H200"),
        (["T4", "H200"], 2, "2 GPUs: 1 T4, 1 H200"),
        (["H200", "H200", "H200"], 1, "1 of 3 GPUs: H200"),
    ],
)
def test_the_gpus_of_a_run_are_told(monkeypatch, names, devices, told):
    gpus(monkeypatch, len(names))
    details = {
        gpu.name: {"device_name": name}
        for gpu, name in zip(
            tf.config.list_physical_devices("GPU"), names, strict=True
        )
    }
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: details[gpu.name],
    )
    distribute.configure(devices)
    assert distribute.told(devices) == told


@pytest.mark.parametrize(
    ("workers", "replicas", "told"),
    [
        (1, 1, "1 CPU; TensorFlow sees no GPU"),
        (1, 2, "1 CPU in 2 parts; TensorFlow sees no GPU"),
        (2, 2, "1 CPU, on each of 2 workers; TensorFlow sees no GPU"),
    ],
)
def test_a_run_without_a_gpu_says_so(monkeypatch, workers, replicas, told):
    gpus(monkeypatch, 0)
    here = cluster.Cluster(tuple(f"host:{i}" for i in range(workers)))
    monkeypatch.setattr(cluster, "here", lambda: here)
    assert distribute.told(replicas) == told


def test_more_gpus_than_tensorflow_has_started_with_are_refused(monkeypatch):
    found, _ = gpus(monkeypatch, 2)

    def started(some, kind):
        raise RuntimeError("Visible devices cannot be modified")

    monkeypatch.setattr(tf.config, "set_visible_devices", started)
    logical = found[:1]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: logical)
    distribute.configure(1)
    with pytest.raises(RunError, match="already started with fewer GPUs"):
        distribute.configure(2)


def test_a_learning_rate_that_devices_share_is_read(two_devices):
    with two_devices.scope():
        optimizer = keras.optimizers.SGD(0.125, name="sgd")
    assert optimizers.learning_rates(optimizer) == {"sgd": 0.125}


def test_threads_are_fixed_once_tensorflow_has_started():
    keras.ops.zeros(1)
    now = distribute.facts()["threads"]["intra_op"]
    distribute.set_intra_op_threads(now)
    distribute.set_intra_op_threads(None)
    with pytest.raises(RunError, match=rf"has already started with {now}; "):
        distribute.set_intra_op_threads(now + 1)
    assert distribute.facts()["threads"]["intra_op"] == now


@pytest.mark.parametrize("images", [7, 5])
@pytest.mark.parametrize(
    ("verb", "settings"),
    [("fit", {"shuffle": False}), ("evaluate", {}), ("predict", {})],
)
def test_a_batch_that_the_devices_cannot_share_evenly_is_refused(
    two_devices, verb, settings, images
):
    with two_devices.scope():
        made = model()
        made.compile("sgd")
    data = tf.data.Dataset.from_tensor_slices(batch(images)).batch(4)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="different numbers of images"
    ):
        getattr(made, verb)(data, verbose=0, **settings)


def test_a_device_predicts_the_scores_of_its_share(two_devices):
    with two_devices.scope():
        made = model()
        made.compile("sgd")
    inputs = batch(6)
    predicted = made.predict(
        tf.data.Dataset.from_tensor_slices(inputs).batch(6), verbose=0
    )
    shares = [
        made({name: each[rows] for name, each in inputs.items()})
        for rows in (slice(3), slice(3, None))
    ]
    np.testing.assert_allclose(predicted, np.concatenate(shares), rtol=1e-5)
