"""Methods of Keras that a user's own code calls, where kerasmi must answer."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import batch, image_encoder, model

from kerasmi.critics import ConcatCritic
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.optimizers import paper

IMAGES = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)


def classifier(trainable="tuned"):
    return ImageClassifier(image_encoder(), ("Edema",), trainable=trainable)


def text_encoder():
    return model().text_encoder


def texts(inputs):
    return {name: inputs[name] for name in ("token_ids", "padding_mask")}


@pytest.mark.parametrize("make", [model, classifier])
def test_compiling_without_an_optimizer_is_refused(make):
    with pytest.raises(ValueError, match=r"`optimizer`.*Received: None"):
        make().compile(None)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_what_is_frozen_is_refused(accumulate):
    made = model()
    made.trainable = False
    made.compile("adam", accumulate=accumulate)
    with pytest.raises(ValueError, match="nothing to train"):
        made.fit(batch(4), verbose=0)
    assert np.isfinite(
        made.evaluate(batch(4), verbose=0, return_dict=True)["loss"]
    )


@pytest.mark.parametrize("was_tuned", [True, False])
@pytest.mark.parametrize("optimizer", [paper, lambda made: "adam"])
def test_what_is_frozen_or_tuned_after_compiling_is_compiled_again(
    optimizer, was_tuned
):
    made = model()
    made.text_encoder.trainable = was_tuned
    made.compile(optimizer(made))
    made.text_encoder.trainable = not was_tuned
    words = "after `compile`, as of '.*Compile again"
    with pytest.raises(ValueError, match=words):
        made.train_on_batch(batch(4))
    made.compile(optimizer(made), run_eagerly=True)
    made.train_on_batch(batch(4))


def test_a_classifier_that_is_frozen_after_compiling_is_compiled_again():
    made = classifier()
    made.compile("sgd")
    made.image_encoder.lower.trainable = False
    with pytest.raises(
        ValueError, match=r"after `compile`, as of .*Compile again"
    ):
        made.fit(IMAGES, np.zeros((4, 1)), verbose=0)


@pytest.mark.parametrize(
    "make", [model, classifier, image_encoder, text_encoder]
)
def test_a_file_that_could_not_be_read_is_not_written(tmp_path, make):
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match=r"`filepath`.*\.keras"):
            make().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_export_needs_no_signature(tmp_path):
    made, inputs = model(), batch(5, texts=3)
    inputs.pop("study_ids")
    made.export(tmp_path / "model", verbose=False)
    archive = tf.saved_model.load(str(tmp_path / "model"))
    found = archive.serve(inputs)
    np.testing.assert_allclose(found, made(inputs), atol=1e-6)
    flat = {name: x[:, 0] for name, x in texts(inputs).items()}
    text = made.text_encoder
    text.export(tmp_path / "text", verbose=False)
    archive = tf.saved_model.load(str(tmp_path / "text"))
    found = archive.serve(flat)
    np.testing.assert_allclose(found, text(flat), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*does not have a `quantize`")
def test_a_text_encoder_is_quantized_and_read(tmp_path):
    made, inputs = text_encoder(), texts(batch(4))
    before = np.asarray(made(inputs))
    made.quantize("int8")
    after = np.asarray(made(inputs))
    assert 0 < np.abs(after - before).max() < 0.2 * np.abs(before).max()
    made.save(tmp_path / "text.keras")
    loaded = keras.saving.load_model(tmp_path / "text.keras")
    np.testing.assert_array_equal(loaded(inputs), after)


@pytest.mark.parametrize("make", [model, classifier])
def test_what_cannot_be_quantized_says_so_first(make):
    made = make()
    before = made.get_weights()
    with pytest.raises(ValueError, match="`quantize`"):
        made.quantize("int8")
    for one, other in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def unknown_pixel():
    images = IMAGES.copy()
    images[1, 3, 3] = np.nan
    return images


@pytest.mark.parametrize(
    "make",
    [
        image_encoder,
        lambda: image_encoder("global"),
        classifier,
        lambda: classifier("frozen"),
    ],
)
def test_an_image_with_an_unknown_pixel_has_no_features(make):
    found = make().predict(unknown_pixel(), verbose=0)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2, 3]]).all()


def test_the_loss_of_an_unknown_pixel_is_nan():
    # a ReLU of the critic, too, makes 0 of NaN
    made = model()
    made.compile("adam")
    inputs = {**batch(4), "images": unknown_pixel()}
    history = made.fit(inputs, verbose=0).history
    assert np.isnan(history["loss"]).all()


@pytest.mark.parametrize("make", [image_encoder, classifier])
def test_networks_of_images_are_exported_as_by_keras(tmp_path, make):
    made = make()
    made.export(tmp_path / "model", verbose=False)
    archive = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(archive.serve(IMAGES), made(IMAGES), atol=1e-6)


@pytest.mark.parametrize("make", [image_encoder, classifier])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_clone_without_its_methods_is_refused(make, recursive):
    made = make()
    with pytest.raises(ValueError, match=r"`clone_model`.*copy\.deepcopy"):
        keras.models.clone_model(made, recursive=recursive)
    copied = copy.deepcopy(made)
    anew = type(made).from_config(made.get_config())
    assert type(copied) is type(anew) is type(made)
    np.testing.assert_array_equal(copied(IMAGES), made(IMAGES))


@pytest.mark.parametrize("make", [model, text_encoder])
def test_what_is_no_functional_model_is_cloned(make):
    made = make()
    cloned = keras.models.clone_model(made)
    assert type(cloned) is type(made)
    assert cloned.count_params() == made.count_params()


def test_a_model_around_an_encoder_is_cloned_with_it():
    images = keras.Input((16, 16, 1))
    made = keras.Model(images, image_encoder()(images))
    cloned = keras.models.clone_model(made)
    assert type(cloned.layers[-1]) is type(image_encoder())


@pytest.mark.parametrize("region", ["max", "logsumexp", "matched"])
def test_a_held_out_pixel_that_is_unknown_is_told_by_the_joint_model(region):
    # as in training: a ReLU of the critic, too, makes 0 of NaN
    made = model(region=region)
    made.compile("sgd")
    inputs = {**batch(4, texts=2), "images": unknown_pixel()}
    scores = made.predict(inputs, verbose=0)
    assert np.isnan(scores[1]).all()
    assert np.isfinite(scores[[0, 2, 3]]).all()
    assert np.isnan(made.region_scores(*made.encode(inputs))[1]).all()
    found = made.evaluate(inputs, verbose=0, return_dict=True)
    assert np.isnan(found["loss"])
    assert np.isnan(found["mutual_information"])


def test_an_encoder_of_ones_own_need_not_tell_of_an_unknown_pixel():
    images = keras.Input((16, 16, 1))
    maps = keras.layers.Conv2D(4, 4, 4, activation="relu")(images)
    parts = model()
    made = ImageTextModel(
        keras.Model(images, keras.layers.Reshape((-1, 4))(maps)),
        parts.text_encoder,
        ConcatCritic((4,)),
    )
    scores = made.predict({**batch(4), "images": unknown_pixel()}, verbose=0)
    assert np.isnan(scores[1]).all()
    assert np.isfinite(scores[[0, 2, 3]]).all()


@keras.saving.register_keras_serializable(package="kerasmi_tests")
class OwnTextEncoder(keras.Model):
    """Its layers have no names: Keras counts them, other ones in each copy."""

    dim = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = keras.layers.Embedding(20, 4)
        self.dense = keras.layers.Dense(4)
        self.words.build((None,))
        self.dense.build((None, 4))
        self.built = True

    def call(self, inputs, training=False):
        words = self.words(inputs["token_ids"])
        mask = keras.ops.cast(inputs["padding_mask"], words.dtype)[..., None]
        return self.dense(keras.ops.sum(words * mask, axis=-2))

    def get_config(self):
        return {"name": self.name}


def read(made, path):
    made.save(path / "own.keras")
    return keras.saving.load_model(path / "own.keras")


def cloned(made, path):
    del path
    copied = keras.models.clone_model(made)
    copied.set_weights(made.get_weights())
    copied.compile_from_config(made.get_compile_config())
    # Keras's own method leaves out what a scale of the loss is around
    for one, other in zip(
        made.optimizer.variables, copied.optimizer.variables, strict=True
    ):
        other.assign(one)
    return copied


def scaled(optimizer):
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)


@pytest.mark.parametrize("around", [lambda optimizer: optimizer, scaled])
@pytest.mark.parametrize("copy_of", [read, cloned])
def test_the_pair_of_optimizers_finds_layers_without_names_again(
    tmp_path, copy_of, around
):
    made = ImageTextModel(image_encoder(), OwnTextEncoder(), ConcatCritic((4,)))
    optimizer = around(paper(made, 1e-3, 1e-4))
    made.compile(optimizer, loss="cpc", run_eagerly=True)
    made.fit(batch(4), verbose=0)
    found = copy_of(made, tmp_path)
    dense = [m.text_encoder.dense.kernel for m in (made, found)]
    assert dense[0].path != dense[1].path
    for one, other in zip(
        made.optimizer.variables, found.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for each in (made, found):
        each.run_eagerly = True
        each.make_train_function(force=True)
        each.fit(batch(4, seed=1), verbose=0, shuffle=False)
    for one, other in zip(made.weights, found.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def regularized(**settings):
    images = keras.Input((16, 16, 1))
    layer = keras.layers.Conv2D(4, 4, 4, name="own_maps", **settings)
    regions = keras.layers.Reshape((-1, 4))(layer(images))
    return ImageTextModel(
        keras.Model(images, regions), text_encoder(), ConcatCritic((4,))
    )


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"kernel_regularizer": "l2"}, "own_maps/kernel"),
        ({"activity_regularizer": "l2"}, "own_maps"),
    ],
)
def test_a_loss_that_a_layer_adds_is_refused(settings, name, accumulate):
    made = regularized(**settings)
    made.compile("adam", accumulate=accumulate)
    with pytest.raises(ValueError, match=rf"{name}: .*`weight_decay`"):
        made.fit(batch(4), verbose=0)


@pytest.mark.parametrize("kind", ["kernel", "activity"])
def test_a_loss_of_a_frozen_encoder_changes_nothing(kind):
    weights = []
    for settings in ({}, {f"{kind}_regularizer": "l2"}):
        keras.utils.set_random_seed(0)
        made = regularized(**settings)
        made.image_encoder.trainable = False
        made.compile("adam")
        made.fit(batch(4), verbose=0)
        weights.append(made.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [image_encoder, text_encoder])
def test_an_encoder_that_is_trained_alone_goes_on_when_read(tmp_path, make):
    made = make()
    made.compile("adam", loss="mse", run_eagerly=True)
    inputs = IMAGES if make is image_encoder else texts(batch(4))
    made.fit(inputs, np.ones(made(inputs).shape), verbose=0)
    made.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    for one in (loaded, copy.deepcopy(made)):
        pairs = zip(
            one.optimizer.variables, made.optimizer.variables, strict=True
        )
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    assert loaded.optimizer.iterations == 1
