"""A batch in parts takes the step of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from dense_models import dense_model
from small_models import batch, image_encoder, model

from kerasmi import optimizers
from kerasmi.critics import Critic
from kerasmi.models import all_pairs
from kerasmi.models.image_text_model import ImageTextModel

PARTS = 4


def _without_batch_statistics(made):
    for layer in made.image_encoder._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return made


def _stepped(inputs, accumulate, loss, region, eagerly, steps=2):
    made = _without_batch_statistics(model(region=region))
    made.compile(
        keras.optimizers.SGD(0.1),
        loss=loss,
        accumulate=accumulate,
        run_eagerly=eagerly,
    )
    data = tf.data.Dataset.from_tensors(inputs).repeat(steps)
    history = made.fit(data, epochs=1, verbose=0, shuffle=False).history
    return made, history


@pytest.mark.parametrize(
    ("loss", "region", "eagerly"),
    [("mine", "max", False), ("cpc", "logsumexp", True)],
)
def test_parts_take_the_steps_of_the_whole_batch(loss, region, eagerly):
    # images 0 and 5 are of one study and in different parts
    studies = [0, 1, 2, 3, 4, 0, 5, 6]
    inputs = batch(8, texts=2, studies=studies)
    whole, logs = _stepped(inputs, 1, loss, region, eagerly)
    start = model(region=region).get_weights()
    parts, logs_of_parts = _stepped(inputs, PARTS, loss, region, eagerly)
    moved = [
        np.abs(a - b).max()
        for a, b in zip(start, whole.get_weights(), strict=True)
    ]
    assert max(moved) > 1e-3
    # coarse: what a small gradient moves is less; see the next test
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for name, values in logs.items():
        np.testing.assert_allclose(
            values, logs_of_parts[name], rtol=1e-5, atol=1e-6, err_msg=name
        )
    if loss == "mine":
        np.testing.assert_allclose(
            whole.objective.log_average, parts.objective.log_average, rtol=1e-6
        )


# no softmax sees a shift of all that it is of: not that of attention the keys'
# bias, and not that of InfoNCE the scores'
WITHOUT_GRADIENT = {
    "mine": ("key/bias",),
    "cpc": ("key/bias", "score/bias"),
}


@pytest.mark.parametrize(
    ("loss", "region", "eagerly"),
    [("mine", "max", False), ("cpc", "logsumexp", True)],
)
def test_parts_have_the_gradient_of_the_whole_batch(loss, region, eagerly):
    studies = [0, 1, 2, 3, 4, 0, 5, 6]
    inputs = _tensors(batch(8, texts=2, studies=studies))
    made = _without_batch_statistics(model(region=region))
    made.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=eagerly)
    # MINE's average is of a step before
    made.train_on_batch(inputs)
    found = []
    for parts in (1, PARTS):
        made.accumulate = parts
        step = made._differentiated
        _, _, gradients = (step if eagerly else tf.function(step))(inputs)
        found.append([np.array(tf.convert_to_tensor(g)) for g in gradients])
    for variable, a, b in zip(made.trainable_variables, *found, strict=True):
        if variable.path.endswith(WITHOUT_GRADIENT[loss]):
            np.testing.assert_allclose([a, b], 0.0, atol=1e-6)
            continue
        most = np.abs(a).max()
        assert most > 1e-6, variable.path
        np.testing.assert_allclose(
            b, a, rtol=0, atol=1e-5 * most, err_msg=variable.path
        )


def test_dropout_and_statistics_of_a_part_are_those_of_both_passes():
    # Against one tape over the parts, each encoded once with gradient.
    inputs = batch(8, texts=2)
    weights, gradients = [], []
    for in_parts in (False, True):
        made = model(dropout=0.3)
        made.compile(keras.optimizers.SGD(0.0), loss="cpc", accumulate=PARTS)
        if in_parts:
            _, _, gradient = made._differentiated_in_parts(_tensors(inputs))
        else:
            gradient = _on_one_tape(made, inputs)
        gradients.append(gradient)
        weights.append(made.get_weights())
    for a, b in zip(*gradients, strict=True):
        scale = np.abs(tf.convert_to_tensor(a)).max()
        np.testing.assert_allclose(
            tf.convert_to_tensor(a), b, rtol=1e-5, atol=1e-5 * scale + 1e-9
        )
    # moving statistics have moved once for each part
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def _tensors(inputs):
    return {name: tf.constant(x) for name, x in inputs.items()}


def _on_one_tape(made, inputs):
    each = len(inputs["images"]) // PARTS
    with tf.GradientTape() as tape:
        features = [
            made.encode(
                {
                    name: tf.constant(x[start : start + each])
                    for name, x in inputs.items()
                },
                training=True,
            )
            for start in range(0, PARTS * each, each)
        ]
        images, texts = (tf.concat(x, 0) for x in zip(*features, strict=True))
        pairs, scores, *_ = all_pairs.reduced(
            made.critic,
            made._rules,
            images,
            texts,
            inputs["study_ids"],
            np.ones(inputs["token_ids"].shape[:2], "int32"),
            training=True,
        )
        loss = made.objective(pairs, scores)
    return tape.gradient(loss, made.trainable_variables)


def test_a_saved_model_still_accumulates(tmp_path):
    made = model()
    made.compile(optimizers.paper(made), accumulate=2, run_eagerly=True)
    made.train_on_batch(batch(4))
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.accumulate == 2


def test_fewer_than_one_part_is_refused():
    made = model()
    with pytest.raises(ValueError, match="accumulate=0"):
        made.compile("sgd", accumulate=0)
    made.compile("sgd", accumulate=np.int64(2))
    assert made.get_compile_config()["accumulate"] == 2


class Tied(Critic):
    """Projects texts by a layer of the text encoder's."""

    def __init__(self, layer):
        super().__init__()
        self.text_projection = layer
        self.image_projection = keras.layers.Dense(layer.units)

    def build(self, region_features_shape, text_features_shape):
        super().build(region_features_shape, text_features_shape)
        self.image_projection.build(region_features_shape)

    def head_weights(self):
        return []

    def row_scores(self, image, text, weights):
        return tf.reduce_sum(image * text, axis=-1)


def test_parts_are_refused_where_critic_and_encoder_share_a_weight():
    tokens = {
        name: keras.Input((None, None), dtype="int32", name=name)
        for name in ("token_ids", "padding_mask")
    }
    words = keras.layers.Embedding(20, 5)(tokens["token_ids"])
    shared = keras.layers.Dense(5, name="shared")
    texts = keras.Model(tokens, shared(keras.ops.mean(words, axis=2)))
    made = ImageTextModel(image_encoder(), texts, Tied(shared))
    made.compile("sgd")
    with pytest.raises(ValueError, match=r"'shared/kernel'.*accumulate=2"):
        made.compile("sgd", accumulate=2)
    shared.trainable = False
    made.compile("sgd", accumulate=2)


def test_parts_that_do_not_divide_a_batch_are_refused_by_name():
    made = model()
    made.compile("sgd", accumulate=3)
    with pytest.raises(ValueError, match=r"accumulate=3 and a batch of 8"):
        made.train_on_batch(batch(8))


def test_a_last_batch_that_the_parts_do_not_divide_is_refused():
    made = model()
    made.compile("sgd", accumulate=4)
    data = tf.data.Dataset.from_tensor_slices(batch(14)).batch(8)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="4 parts do not divide"
    ):
        made.fit(data, verbose=0, shuffle=False)
    with pytest.raises(ValueError, match="integer of at least 1"):
        made.compile("sgd", accumulate=1.5)


def test_a_gradient_of_a_shape_unknown_to_its_trace_is_summed():
    made = dense_model()
    made.compile("sgd", loss="cpc", accumulate=2)
    data = tf.data.Dataset.from_tensor_slices(batch(8, texts=2)).batch(8)
    history = made.fit(data, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"]).all()
