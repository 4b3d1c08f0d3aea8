"""Half precision: comparable losses, float32 scores, files that keep it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import batch, image_encoder, model

from kerasmi import fused_adam, optimizers
from kerasmi.held_out_images import compiled, local_maps
from kerasmi.models.image_classifier import ImageClassifier

HALF = ["mixed_bfloat16", "mixed_float16"]
IMAGES = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)


@pytest.fixture
def in_precision():
    """A function that makes something under a policy."""
    before = keras.config.dtype_policy()

    def make(policy, function):
        keras.config.set_dtype_policy(policy)
        try:
            return function()
        finally:
            keras.config.set_dtype_policy(before)

    return make


def _data(steps):
    return tf.data.Dataset.from_tensors(batch(8, texts=2)).repeat(steps)


def _policies(part):
    """Of the layers with weights of their own."""
    return {
        layer.path: layer.dtype_policy.name
        for layer in part._flatten_layers()
        if layer.variables and not isinstance(layer, keras.Model)
    }


def _fitted(made, steps=12):
    made.compile(optimizers.paper(made, 3e-3), loss="mine")
    history = made.fit(_data(steps), epochs=2, verbose=0, shuffle=False)
    return made, history.history


@pytest.fixture(scope="module")
def logs():
    """Of a training in float32."""
    return _fitted(model(normalize=True))[1]


@pytest.mark.parametrize("policy", HALF)
def test_a_run_in_half_precision_is_comparable_and_goes_on(
    tmp_path, policy, in_precision, logs
):
    made, logs_of_half = _fitted(
        in_precision(policy, lambda: model(normalize=True))
    )
    assert made.critic.compute_dtype == policy.removeprefix("mixed_")
    # the first epoch's mean loss in nats; weights have moved by then
    np.testing.assert_allclose(logs_of_half["loss"], logs["loss"], atol=0.05)
    np.testing.assert_allclose(
        logs_of_half["gradient_norm"][0], logs["gradient_norm"][0], rtol=0.1
    )
    assert logs["loss"][1] < logs["loss"][0] - 0.05
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for part in ("image_encoder", "text_encoder", "critic"):
        policies = [_policies(getattr(m, part)) for m in (made, loaded)]
        assert policies[0] == policies[1]
        assert policy in policies[0].values()
    inputs = batch(8, texts=2)
    np.testing.assert_array_equal(made(inputs), loaded(inputs))
    assert loaded(inputs).dtype == "float32"
    assert type(loaded.optimizer) is type(made.optimizer)
    a, b = (_stepped_eagerly(m, inputs)["loss"] for m in (made, loaded))
    np.testing.assert_allclose(a, b, rtol=1e-3)


def _stepped_eagerly(made, inputs):
    made.run_eagerly = True
    made.make_train_function(force=True)
    return made.train_on_batch(inputs, return_dict=True)


def test_float16_scales_the_loss_of_both_optimizers(in_precision):
    made = in_precision("mixed_float16", model)
    made.compile(optimizers.paper(made, 1e-2, 1e-3), loss="cpc")
    scaled = made.optimizer
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    assert sorted(optimizers.learning_rates(scaled).values()) == pytest.approx(
        [1e-3, 1e-2]
    )
    start = _trained_weights(made)
    made.train_on_batch(batch(8))
    after = _trained_weights(made)
    moved = [np.abs(a - b).max() for a, b in zip(start, after, strict=True)]
    # Adam's first step is the learning rate, whatever the scale of the loss
    assert max(moved) == pytest.approx(1e-2, rel=1e-2)
    # an overflow halves the scale and moves nothing
    scaled.dynamic_scale.assign(3e38)
    made.train_on_batch(batch(8))
    assert float(scaled.dynamic_scale) == pytest.approx(1.5e38)
    for a, b in zip(after, _trained_weights(made), strict=True):
        np.testing.assert_array_equal(a, b)


def test_mine_goes_on_after_a_skipped_step(in_precision):
    made = in_precision("mixed_float16", model)
    made.compile(optimizers.paper(made, 1e-2), loss="mine", run_eagerly=True)
    made.train_on_batch(batch(8))
    start = _trained_weights(made)
    average = float(made.objective.log_average)
    unknown = batch(8)
    unknown["images"][3] = np.nan
    made.train_on_batch(unknown)
    assert float(made.objective.log_average) == average
    for a, b in zip(start, _trained_weights(made), strict=True):
        np.testing.assert_array_equal(a, b)
    logs = made.train_on_batch(batch(8), return_dict=True)
    assert np.isfinite(float(made.objective.log_average))
    assert 0 < logs["gradient_norm"] < np.inf
    moved = zip(start, _trained_weights(made), strict=True)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in moved)


def _trained_weights(made):
    return [np.array(variable) for variable in made.trainable_variables]


@pytest.mark.parametrize("policy", HALF)
def test_a_classifier_gives_float32_probabilities(policy, in_precision):
    made = in_precision(
        policy, lambda: ImageClassifier(image_encoder(), ("Edema", "Effusion"))
    )
    in_precision(policy, lambda: made.compile(fused_adam.FusedAdam(1e-3)))
    images = np.random.default_rng(0).random((8, 16, 16, 1), np.float32)
    targets = np.tile([[0.0, 1.0]], (8, 1)).astype("float32")
    first = made.train_on_batch(images, targets)
    for _ in range(5):
        last = made.train_on_batch(images, targets)
    assert last < first
    predicted = made(images)
    assert predicted.dtype == "float32"


@pytest.mark.parametrize("policy", HALF)
def test_a_classifier_reads_kept_features_of_half_precision(
    policy, in_precision
):
    made = in_precision(
        policy,
        lambda: ImageClassifier(
            image_encoder(), ("Edema",), trainable="frozen"
        ),
    )
    images = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    (kept,) = local_maps(made.image_encoder, [tf.constant(images)])
    assert kept.dtype == "float32"
    found = compiled(made.on_features())(kept)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, made(images), atol=1e-2)


def test_float16_on_several_devices_is_refused(two_devices, in_precision):
    with two_devices.scope():
        made = in_precision("mixed_float16", model)
        with pytest.raises(ValueError, match="mixed_float16"):
            made.compile("sgd")


def test_a_classifier_of_float16_is_read_with_its_optimizer(
    tmp_path, in_precision
):
    made = in_precision(
        "mixed_float16", lambda: ImageClassifier(image_encoder(), ("Edema",))
    )
    made.compile("adam", run_eagerly=True)
    images = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    made.fit(images, np.ones((4, 1)), verbose=0)
    made.save(tmp_path / "model.keras")
    # in a session of float32; Keras warns where it leaves slots behind
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    saved = zip(
        loaded.optimizer.variables, made.optimizer.variables, strict=True
    )
    for one, other in saved:
        np.testing.assert_array_equal(one, other)


def test_a_model_of_float64_is_trained(in_precision):
    made = in_precision("float64", lambda: model(normalize=True))
    made.compile("adam", loss="mine", run_eagerly=True)
    logs = made.train_on_batch(batch(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert made(batch(8)).dtype == "float64"


@pytest.mark.parametrize(
    ("head", "labels"),
    [("multilabel", ("a", "b")), ("softmax", ("a",)), ("cumulative", ("a",))],
)
def test_a_classifier_is_trained_in_a_session_of_float64(head, labels, request):
    request.addfinalizer(lambda: keras.config.set_floatx("float32"))
    keras.config.set_floatx("float64")
    made = ImageClassifier(image_encoder(), labels, head)
    made.compile("sgd")
    loss = made.train_on_batch(IMAGES, np.ones((len(IMAGES), len(labels))))
    assert np.isfinite(loss)


@pytest.mark.parametrize(
    ("policy", "session"),
    [("float64", "float32"), ("float32", "mixed_float16")],
)
def test_regions_are_not_rounded_to_the_precision_of_a_session(
    policy, session, in_precision
):
    made = in_precision(policy, image_encoder)
    local_map = in_precision(policy, lambda: made.lower(IMAGES))
    copy = in_precision(session, lambda: made.with_level("local"))
    regions = copy.get_layer("regions")(local_map)
    assert regions.dtype == local_map.dtype == policy
    np.testing.assert_array_equal(np.ravel(regions), np.ravel(local_map))
