"""Critics: the split first layer, normalisation, precision, round trips."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import critics

rng = np.random.default_rng(0)
B, C, D_IMAGE, D_TEXT = 3, 4, 5, 6
TEXT = rng.standard_normal((C, D_TEXT)).astype("float32")


def _image(regions):
    return rng.standard_normal((B, regions, D_IMAGE)).astype("float32")


def _mlp_on_the_concatenation(critic, image, text):
    """The paper's critic, one pair at a time, on the same weights."""
    weights = {w.path.split("/", 1)[1]: w.numpy() for w in critic.weights}
    kernel = np.concatenate(
        [weights["image_projection/kernel"], weights["text_projection/kernel"]]
    )
    scores = np.empty((*image.shape[:2], len(text)))
    for i, n, c in np.ndindex(*scores.shape):
        x = np.concatenate([image[i, n], text[c]]).astype("float64")
        x = np.maximum(x @ kernel + weights["image_projection/bias"], 0)
        for layer in critic.hidden:
            name = layer.name
            x = x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
            x = np.maximum(x, 0)
        x = x @ weights["score/kernel"] + weights["score/bias"]
        scores[i, n, c] = x.item()
    return scores


@pytest.mark.parametrize("hidden_dims", [(8,), (8, 7), (8, 7, 6)])
@pytest.mark.parametrize("regions", [1, 16])
def test_split_first_layer_is_the_mlp_on_the_concatenation(
    regions, hidden_dims
):
    critic, image = critics.ConcatCritic(hidden_dims), _image(regions)
    scores = critic(image, TEXT)
    assert scores.shape == (B, regions, C)
    for variable in critic.trainable_variables:  # biases start at zero
        variable.assign(rng.standard_normal(variable.shape))
    scores = critic(image, TEXT).numpy()
    expected = _mlp_on_the_concatenation(critic, image, TEXT)
    np.testing.assert_allclose(
        scores, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max()
    )


def test_split_first_layer_starts_as_glorot_on_the_concatenation():
    critic = critics.ConcatCritic((64,))
    critic.build((None, 16, 300), (None, 100))
    limit = math.sqrt(6 / (300 + 100 + 64))
    kernels = [
        layer.kernel.numpy()
        for layer in (critic.image_projection, critic.text_projection)
    ]
    for kernel in kernels:
        assert np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    correlation = np.corrcoef(kernels[0][:100].ravel(), kernels[1].ravel())
    assert abs(correlation[0, 1]) < 0.05


CRITICS = [
    critics.ConcatCritic((8, 7)),
    critics.ConcatCritic((8,), normalize=True),
    critics.SeparableCritic(4),
    critics.SeparableCritic(4, similarity="inner", normalize=True),
]


def _copy(critic, **kwargs):
    return type(critic).from_config({**critic.get_config(), **kwargs})


@pytest.mark.parametrize("critic", CRITICS, ids=range(len(CRITICS)))
def test_a_pair_is_scored_by_its_own_features_alone(critic):
    critic, image = _copy(critic), _image(2)
    scores = critic(image, TEXT).numpy()
    one = critic(image[1:2, 1:], TEXT[2:3]).numpy()
    np.testing.assert_allclose(one.item(), scores[1, 1, 2], rtol=1e-5)


def test_cosine_is_a_cosine_over_the_temperature():
    critic, image = critics.SeparableCritic(4, temperature=0.5), _image(2)
    scores = critic(image, TEXT).numpy()
    u = image[1, 0] @ critic.image_projection.kernel.numpy()
    v = TEXT[3] @ critic.text_projection.kernel.numpy()
    cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    assert scores[1, 0, 3] == pytest.approx(cosine / 0.5, rel=1e-5)


def test_inner_product_is_scaled_by_the_root_of_its_dimension():
    critic, image = critics.SeparableCritic(4, similarity="inner"), _image(2)
    scores = critic(image, TEXT).numpy()
    u = image[1, 0] @ critic.image_projection.kernel.numpy()
    v = TEXT[3] @ critic.text_projection.kernel.numpy()
    assert scores[1, 0, 3] == pytest.approx(u @ v / 2, rel=1e-5)


def test_the_temperature_is_learned():
    critic = critics.SeparableCritic(4)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(critic(_image(2), TEXT))
    gradient = tape.gradient(total, critic.log_temperature.value)
    assert abs(float(gradient)) > 0


def test_normalisation_is_over_batch_and_regions_and_over_texts():
    critic = critics.ConcatCritic((8,), normalize=True)
    image, text = 5 + 3 * _image(16), 2 * TEXT - 7
    critic(image, text, training=True)
    moved = {
        critic.image_norm: image.mean(axis=(0, 1)),
        critic.text_norm: text.mean(axis=0),
    }
    for layer, mean in moved.items():  # momentum 0.9, from a mean of zero
        np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-4)


def test_normalisation_makes_training_blind_to_the_scale_of_features():
    critic, image = critics.ConcatCritic((8,), normalize=True), _image(16)
    scores = critic(100 * image, 100 * TEXT, training=True)
    scaled = critic(3000 * image + 5, 500 * TEXT - 3, training=True)
    np.testing.assert_allclose(scaled, scores, atol=1e-3)


def test_a_frozen_critic_uses_its_statistics():
    critic, image = critics.ConcatCritic((8,), normalize=True), _image(16)
    critic(image, TEXT)
    critic.trainable = False
    critic(9 + image, TEXT, training=True)
    np.testing.assert_array_equal(critic.image_norm.moving_mean, 0)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("critic", CRITICS, ids=range(len(CRITICS)))
def test_scores_are_float32_under_mixed_precision(critic, dtype):
    exact, half = _copy(critic), _copy(critic, dtype=dtype)
    image = _image(2)
    expected = exact(image, TEXT)
    half(image, TEXT)
    half.set_weights(exact.get_weights())
    scores = half(image, TEXT)
    assert scores.dtype == "float32"
    tolerance = 0.05 * np.abs(expected).max()
    np.testing.assert_allclose(scores, expected, atol=tolerance)


@pytest.mark.parametrize("critic", CRITICS, ids=range(len(CRITICS)))
def test_symbolic_scores_are_float32_of_known_shape(critic):
    critic = _copy(critic, dtype="mixed_bfloat16")
    image = keras.Input((16, D_IMAGE), batch_size=8)
    scores = critic(image, keras.Input((D_TEXT,), batch_size=24))
    assert scores.shape == (8, 16, 24)
    assert scores.dtype == "float32"


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("critic", CRITICS, ids=range(len(CRITICS)))
def test_a_graph_of_unknown_batch_gives_the_eager_scores(critic, jit_compile):
    critic, image = _copy(critic), _image(2)
    expected = critic(image, TEXT)
    signature = [
        tf.TensorSpec((None, 2, D_IMAGE)),
        tf.TensorSpec((None, D_TEXT)),
    ]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def score(image, text):
        return critic(image, text)

    np.testing.assert_allclose(
        score(image, TEXT), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("critic", CRITICS, ids=range(len(CRITICS)))
def test_a_saved_critic_scores_the_same(critic, tmp_path):
    critic, image = _copy(critic), _image(2)
    regions, texts = keras.Input((2, D_IMAGE)), keras.Input((D_TEXT,))
    model = keras.Model([regions, texts], critic(regions, texts))
    critic(image, TEXT, training=True)  # moves the statistics
    model.save(tmp_path / "critic.keras")
    again = keras.saving.load_model(tmp_path / "critic.keras")
    expected = model([image, TEXT])
    np.testing.assert_array_equal(again([image, TEXT]), expected)
    assert again.layers[-1].get_config() == critic.get_config()


def test_all_weights_exist_after_build():
    for critic in map(_copy, CRITICS):
        critic.build((None, 16, D_IMAGE), (None, D_TEXT))
        before = len(critic.weights)
        critic(_image(16), TEXT)
        assert len(critic.weights) == before


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: critics.ConcatCritic(()), r"`hidden_dims`.*Received: \(\)"),
        (lambda: critics.ConcatCritic((8, 0)), r"`hidden_dims`.*\(8, 0\)"),
        (
            lambda: critics.SeparableCritic(temperature=math.nan),
            "`temperature`.*Received: nan",
        ),
        (
            lambda: critics.SeparableCritic(similarity="dot"),
            "Received: similarity='dot'",
        ),
        (
            lambda: critics.SeparableCritic(temperature=0.0),
            "`temperature`.*Received: 0.0",
        ),
        (
            lambda: critics.ConcatCritic((8,))(_image(2)[:, 0], TEXT),
            "A global feature is one region",
        ),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("widths", [64, "64", (64.0,), None])
def test_widths_of_another_kind_are_named(widths):
    with pytest.raises(TypeError, match=r"`hidden_dims`.*Received"):
        critics.ConcatCritic(widths)


@pytest.mark.parametrize("temperature", ["1", True, [1.0]])
def test_a_temperature_of_another_kind_is_named(temperature):
    with pytest.raises(TypeError, match=r"`temperature`: expected a number"):
        critics.SeparableCritic(temperature=temperature)
    # numbers of numpy are numbers
    critics.SeparableCritic(dim=4, temperature=np.float32(0.5))
    critics.ConcatCritic([np.int64(4)])


@pytest.mark.parametrize(
    "kind", [critics.ConcatCritic, critics.SeparableCritic]
)
def test_a_frozen_critic_is_frozen_again_when_it_is_read(kind):
    critic = kind(normalize=True)
    critic.build((None, 4, 6), (None, 8))
    critic.trainable = False
    saved = keras.saving.serialize_keras_object(critic)
    loaded = keras.saving.deserialize_keras_object(saved)
    # a model that holds it asks each variable
    assert not any(variable.trainable for variable in loaded.variables)
