"""Inputs and parts of the joint model that do not fit, named."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from small_models import batch, image_encoder, model

from kerasmi import critics, losses, pair_scores
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_text_model import ImageTextModel


def changed(**values):
    inputs = batch(4, texts=2)
    return {**inputs, **{k: v(inputs[k]) for k, v in values.items()}}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (batch(4)["images"], "dict: images, token_ids.*study_ids"),
        ({"images": batch(4)["images"]}, "`token_ids`: expected among"),
        (
            {k: v for k, v in batch(4).items() if k != "study_ids"},
            "`study_ids`: expected among the inputs",
        ),
        (
            changed(images=lambda x: (255 * x).astype("uint8")),
            r"`images`: expected floats in \[0, 1\]. Received: uint8",
        ),
        (
            changed(
                token_ids=lambda x: x[:, 0], padding_mask=lambda x: x[:, 0]
            ),
            r"\(images, texts, tokens\).*Received: shape \(4, 6\)",
        ),
        (changed(token_ids=lambda x: x.astype("float32")), "dtype float32"),
        (
            changed(padding_mask=lambda x: x[:, :1]),
            r"`padding_mask`: expected .*\(4, 2, 6\). Received: \(4, 1, 6\)",
        ),
        (
            changed(
                token_ids=lambda x: x[:, :0], padding_mask=lambda x: x[:, :0]
            ),
            r"a text for each image.*\(4, 0, 6\).*without a report out",
        ),
        (
            changed(
                token_ids=lambda x: x[..., :0],
                padding_mask=lambda x: x[..., :0],
            ),
            r"a token of each.*\(4, 2, 0\)",
        ),
        (
            changed(images=lambda x: x[:3]),
            "same number of images. Received: images of 3, token_ids of 4",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs, words):
    made = model()
    made.compile("sgd")
    with pytest.raises(ValueError, match=words):
        made.train_step((inputs,))


def test_images_of_integers_are_refused_by_the_encoder_and_the_classifier():
    images = np.zeros((2, 16, 16, 1), "uint8")
    parts = [image_encoder()]
    for trainable in ("frozen", "tuned"):
        parts.append(ImageClassifier(parts[0], ("a",), trainable=trainable))
    for part in parts:
        with pytest.raises(ValueError, match=r"expected floats.*uint8"):
            part.predict(images, verbose=0)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("image_encoder", "resnet", "`image_encoder`.*Received: str"),
        ("image_encoder", image_encoder().lower, r"\(None, 4, 4, 6\)"),
        ("text_encoder", "bert", "`text_encoder`.*`dim`.*Received: str"),
        ("critic", keras.layers.Dense(2), "`critic`.*Received: Dense"),
    ],
)
def test_parts_that_do_not_fit_are_named(part, value, words):
    made = model()
    parts = {
        name: getattr(made, name)
        for name in ("image_encoder", "text_encoder", "critic")
    }
    with pytest.raises(ValueError, match=words):
        ImageTextModel(**{**parts, part: value})


@pytest.mark.parametrize(
    "ids", [["a", "b", "c", "d"], [1.0, 2.0, 3.0, 4.0]], ids=["names", "floats"]
)
@pytest.mark.parametrize(
    ("method", "settings"), [("fit", {"shuffle": False}), ("evaluate", {})]
)
def test_study_ids_that_are_no_integers_are_named(method, settings, ids):
    made = model()
    made.compile("sgd")
    inputs = {**batch(4), "study_ids": np.array(ids)}
    for data in (inputs, tf.data.Dataset.from_tensors(inputs)):
        with pytest.raises(ValueError, match=r"`study_ids`.*return_inverse"):
            getattr(made, method)(data, verbose=0, **settings)


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: (x,)])
def test_names_of_held_out_studies_are_named_before_training(pack):
    made = model()
    made.compile("sgd", run_eagerly=True)
    held_out = {**batch(4), "study_ids": np.array(list("abcd"))}
    with pytest.raises(ValueError, match=r"`study_ids`.*return_inverse"):
        made.fit(batch(4), validation_data=pack(held_out), verbose=0)
    assert made.optimizer.iterations == 0


def test_study_ids_that_are_no_array_are_named():
    made = model()
    made.compile("sgd")
    ids = [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"an array of int.*Received: list\."):
        made.fit({**batch(4), "study_ids": ids}, verbose=0)


@pytest.mark.parametrize("training", [False, True])
def test_texts_longer_than_bert_has_positions_are_named(training):
    inputs = batch(2, length=513)
    with pytest.raises(ValueError, match=r"at most 512 .*texts of 513"):
        model()(inputs, training=training)


def test_a_temperature_that_is_no_number_is_named():
    with pytest.raises(TypeError, match=r"`temperature`.*'1' \(str\)"):
        model(region="logsumexp", temperature="1")


@keras.saving.register_keras_serializable(package="tests")
class Bilinear(critics.Critic):
    """A critic of one's own, with nothing after its projections."""

    def build(self, region_features_shape, text_features_shape):
        super().build(region_features_shape, text_features_shape)
        self.image_projection = keras.layers.Dense(4)
        self.text_projection = keras.layers.Dense(4)
        self.image_projection.build(region_features_shape)
        self.text_projection.build(text_features_shape)

    def head_weights(self):
        return []

    def row_scores(self, image, text, weights):
        return ops.sum(image * text, axis=-1)


@pytest.mark.parametrize("region", ["max", "logsumexp"])
def test_encoders_and_a_critic_of_ones_own_are_trained(tmp_path, region):
    images = keras.Input((16, 16, 1))
    maps = keras.layers.Conv2D(4, 3, 2)(images)
    tokens = {
        name: keras.Input((None, None), dtype="int32", name=name)
        for name in ("token_ids", "padding_mask")
    }
    words = keras.layers.Embedding(20, 5)(tokens["token_ids"])
    shown = ops.cast(tokens["padding_mask"], "float32")[..., None]
    made = ImageTextModel(
        keras.Model(images, keras.layers.Reshape((-1, 4))(maps)),
        keras.Model(tokens, ops.mean(words * shown, axis=-2)),
        Bilinear(),
        region=region,
    )
    made.compile("adam", loss="cpc")
    inputs = batch(8, texts=2)
    made.fit(inputs, batch_size=4, verbose=0)
    made.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(made(inputs), loaded(inputs))


class Gated(Bilinear):
    """Scores by a layer of its own, which no large batch could train."""

    def build(self, region_features_shape, text_features_shape):
        super().build(region_features_shape, text_features_shape)
        self.gate = keras.layers.Dense(1, use_bias=False, name="gate")
        self.gate.build((None, 4))

    def row_scores(self, image, text, weights):
        return self.gate(image * text)[..., 0]


class LateGated(Bilinear):
    """Makes its layer where it is met first."""

    def row_scores(self, image, text, weights):
        self.gate = keras.layers.Dense(1, use_bias=False, name="gate")
        return self.gate(image * text)[..., 0]


class LooseGated(Bilinear):
    """Makes a layer that nobody keeps."""

    def row_scores(self, image, text, weights):
        return keras.layers.Dense(1, use_bias=False, name="gate")(image * text)[
            ..., 0
        ]


class HandedGated(Gated):
    """What the message says to do."""

    def head_weights(self):
        return [ops.convert_to_tensor(self.gate.kernel)]

    def row_scores(self, image, text, weights):
        return ops.matmul(image * text, weights[0])[..., 0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Gated, "the scores of Gated read '.*gate/kernel'"),
        # it may be tuned again
        (
            functools.partial(Gated, trainable=False),
            "the scores of Gated read '.*gate/kernel'",
        ),
        (LateGated, "LateGated makes no scores: You cannot add"),
        (LooseGated, "the scores of LooseGated read '.*gate/kernel'"),
    ],
)
def test_a_critic_that_would_fail_in_a_large_batch_is_refused(kind, words):
    made = model()
    words = rf"`critic`: {words}.*`head_weights`"
    with pytest.raises(ValueError, match=words):
        ImageTextModel(made.image_encoder, made.text_encoder, kind())


class ByRegion(critics.SeparableCritic):
    """Large batches have the gradient of `row_scores`, which it leaves."""

    def region_scores(self, image, text, weights):
        return ops.square(super().region_scores(image, text, weights))


class ByRow(critics.SeparableCritic):
    def row_scores(self, image, text, weights):
        return ops.square(super().row_scores(image, text, weights))


class ByCall(critics.ConcatCritic):
    """No score of the joint model is made by `call`."""

    def call(self, region_features, text_features, training=None):
        return 2 * super().call(region_features, text_features, training)


@pytest.mark.parametrize(
    ("kind", "method"),
    [(ByRegion, "row_scores"), (ByRow, "row_scores"), (ByCall, "call")],
)
def test_a_critic_whose_methods_make_other_scores_is_refused(kind, method):
    made = model()
    words = f"`critic`: `{method}` and `region_scores` of {kind.__name__} make"
    with pytest.raises(ValueError, match=words):
        ImageTextModel(made.image_encoder, made.text_encoder, kind())


def test_a_critic_that_was_built_for_other_encoders_is_refused():
    made = model()
    images = keras.Input((16, 16, 1))
    maps = keras.layers.Conv2D(5, 4, 4)(images)
    other = keras.Model(images, keras.layers.Reshape((-1, 5))(maps))
    with pytest.raises(
        ValueError, match=r"`critic`: ConcatCritic takes no .* 5 for"
    ):
        ImageTextModel(other, made.text_encoder, made.critic)


def test_an_encoder_of_one_text_for_an_image_is_refused():
    made = model()
    tokens = keras.Input((None, None), dtype="int32", name="token_ids")
    words = keras.layers.Embedding(20, 5)(tokens)
    flat = keras.Model({"token_ids": tokens}, ops.mean(words, axis=(1, 2)))
    with pytest.raises(ValueError, match=r"`text_encoder`.*\(None, 5\)"):
        ImageTextModel(made.image_encoder, flat, critics.ConcatCritic((4,)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_token_ids_may_be_any_integers(dtype):
    inputs = changed(token_ids=lambda x: x.astype(dtype))
    made = model()
    made.compile("sgd", run_eagerly=True)
    found = made.train_on_batch(inputs)
    same = model()
    same.compile("sgd", run_eagerly=True)
    assert found == pytest.approx(same.train_on_batch(changed()))


def test_a_critic_that_hands_its_layer_over_is_trained_in_blocks(monkeypatch):
    monkeypatch.setattr(pair_scores, "KEPT_FLOATS", {})
    parts = model()
    made = ImageTextModel(
        parts.image_encoder, parts.text_encoder, HandedGated()
    )
    made.compile("sgd", loss="cpc")
    before = np.array(made.critic.gate.kernel)
    made.fit(batch(8, texts=2), verbose=0)
    assert np.abs(np.array(made.critic.gate.kernel) - before).max() > 0


@pytest.mark.parametrize(
    "identifier",
    [
        "cpc",
        losses.CPC,
        losses.CPC(),
        keras.saving.serialize_keras_object(losses.CPC()),
    ],
)
def test_a_loss_is_found_as_keras_finds_one(identifier):
    assert losses.get(identifier).get_config() == losses.CPC().get_config()


@pytest.mark.parametrize("identifier", [None, "mse", ["cpc"], keras.Model, 1])
def test_what_is_no_bound_is_refused(identifier):
    with pytest.raises(ValueError, match="Expected a BoundLoss or one of"):
        losses.get(identifier)
