"""Scores in blocks are those of the plain form, and so are all gradients.

The plain form makes every pair of a region and a text by concatenation and
lets TensorFlow differentiate through the maximum of all regions.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import critics, losses, pair_scores, regions
from kerasmi.pairs import label_pairs

D_IMAGE, D_TEXT = 5, 6
RULES = ["max", "logsumexp", "mean"]
# few enough floats for blocks of one image, some, and all; none fits evenly
BLOCKS = [9, 150, 4000]


def _concat(hidden=(9, 7), seed=0):
    keras.utils.set_random_seed(seed)
    critic = critics.ConcatCritic(hidden, dtype="float64")
    return _moved(critic)


def _separable(similarity):
    keras.utils.set_random_seed(0)
    return _moved(critics.SeparableCritic(4, similarity, dtype="float64"))


def _moved(critic):
    """Built, and no weight at zero."""
    critic.build((None, None, D_IMAGE), (None, D_TEXT))
    rng = np.random.default_rng(1)
    for weight in critic.trainable_variables:
        weight.assign(np.array(weight) + 0.3 * rng.normal(size=weight.shape))
    return critic


def _features(images, number, texts, seed=0):
    rng = np.random.default_rng(seed)
    return (
        tf.constant(rng.normal(size=(images, number, D_IMAGE))),
        tf.constant(rng.normal(size=(texts, D_TEXT))),
    )


def _plain(critic, image, text):
    """`(B, N, C)` scores of pairs that all stand in one array."""
    if not isinstance(critic, critics.ConcatCritic):
        return critic(image, text)
    B, N, C = *image.shape[:2], len(text)
    x = tf.concat(
        [
            tf.broadcast_to(image[:, :, None], (B, N, C, D_IMAGE)),
            tf.broadcast_to(text, (B, N, C, D_TEXT)),
        ],
        axis=-1,
    )
    projections = critic.image_projection, critic.text_projection
    kernel = tf.concat([layer.kernel.value for layer in projections], axis=0)
    x = tf.nn.relu(x @ kernel + critic.image_projection.bias)
    for layer in critic.hidden:
        x = tf.nn.relu(x @ layer.kernel.value + layer.bias)
    x = x @ critic.score.kernel.value + critic.score.bias
    return x[..., 0]


def _in_blocks(critic, image, text, rule, temperature, floats):
    projections = critic.project(image, text)
    weights = critic.head_weights()
    return pair_scores.reduced_scores(
        critic, *projections, weights, rule, temperature, floats
    )


def _differentiated(critic, image, text, scores_of, loss_of):
    variables = [v.value for v in critic.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([image, text])
        scores = scores_of(image, text)
        loss = loss_of(scores)
    return scores, loss, tape.gradient(loss, [image, text, *variables])


def _assert_same(critic, features, rule, floats, loss_of, graph=False):
    def by_blocks(image, text):
        return _in_blocks(critic, image, text, rule, 0.7, floats)

    def plainly(image, text):
        scores = _plain(critic, image, text)
        return regions.reduce_regions(scores, rule, 0.7)

    expected = _differentiated(critic, *features, plainly, loss_of)

    def differentiated():
        return _differentiated(critic, *features, by_blocks, loss_of)

    found = tf.function(differentiated)() if graph else differentiated()
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def _bound(name, images, texts):
    studies = np.arange(images) // 2 if images > 2 else np.arange(images)
    pairs = label_pairs(studies, texts // images)
    loss = losses.get(name)
    if name == "mine":
        loss.log_average.assign(0.3)
    return lambda scores: tf.cast(loss(pairs, scores), "float64")


@pytest.mark.parametrize("number", [1, 16])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", ["mine", "cpc"])
def test_a_bound_and_its_gradients_are_those_of_the_plain_form(
    loss, rule, number
):
    features, loss_of = _features(6, number, 12), _bound(loss, 6, 12)
    _assert_same(_concat(), features, rule, 700, loss_of)


@pytest.mark.parametrize("floats", BLOCKS)
@pytest.mark.parametrize("rule", ["max", "logsumexp"])
def test_no_size_of_the_blocks_changes_anything(rule, floats):
    features, loss_of = _features(5, 4, 5), _bound("cpc", 5, 5)
    _assert_same(_concat(), features, rule, floats, loss_of, graph=True)


def _weighed(scores):
    """A different gradient for every pair."""
    weights = np.arange(1, 1 + scores.shape[0] * scores.shape[1])
    weights = tf.constant(weights.reshape(scores.shape), scores.dtype)
    return tf.reduce_sum(tf.sin(weights) * scores)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "critic",
    [
        _concat((9,)),
        _concat((9, 8, 7)),
        _separable("inner"),
        _separable("cosine"),
    ],
    ids=["one layer", "three layers", "inner", "cosine"],
)
def test_every_critic_is_scored_in_blocks(critic, rule):
    _assert_same(critic, _features(5, 3, 7), rule, 60, _weighed)


@pytest.mark.parametrize("tied", [2, 3, 11])
def test_exact_ties_share_the_gradient_as_in_reduce_max(tied):
    # in eighths, so that no sum is rounded, whatever its order
    critic = _concat()
    for weight in critic.trainable_variables:
        weight.assign(np.round(8 * np.array(weight)) / 8)
    image, text = (tf.round(8 * x) / 8 for x in _features(4, 11, 5))
    # copies of one region tie wherever it wins
    copies = tf.repeat(image[:, :1] * 3.0, tied, axis=1)
    image = tf.concat([image[:, tied:], copies], axis=1)
    scores = np.array(_plain(critic, image, text))
    best = scores == scores.max(axis=1, keepdims=True)
    winners = best.sum(axis=1)
    assert set(winners.ravel()) - {1} == {tied}
    assert tied == 11 or 1 in winners
    _assert_same(critic, (image, text), "max", 200, _weighed)
    # each copy has the same share
    found = _differentiated(
        critic,
        image,
        text,
        lambda i, t: _in_blocks(critic, i, t, "max", 1.0, 200),
        _weighed,
    )
    of_copies = np.array(found[2][0])[:, -tied:]
    np.testing.assert_allclose(of_copies, of_copies[:, :1].repeat(tied, 1))


def test_a_critic_without_an_opinion_ties_everywhere():
    critic = _concat()
    critic.score.kernel.assign(np.zeros((7, 1)))
    _assert_same(critic, _features(3, 9, 4), "max", 100, _weighed)


@pytest.mark.parametrize("rule", RULES)
def test_the_size_of_a_batch_may_be_unknown(rule):
    critic, (image, text) = _concat(), _features(5, 4, 6)
    signature = [
        tf.TensorSpec((None, 4, D_IMAGE), "float64"),
        tf.TensorSpec((None, D_TEXT), "float64"),
    ]

    @tf.function(input_signature=signature)
    def unknown(image, text):
        with tf.GradientTape() as tape:
            tape.watch([image, text])
            scores = _in_blocks(critic, image, text, rule, 0.7, 100)
            total = tf.reduce_sum(scores**2)
        return scores, tape.gradient(total, [image, text])

    scores, gradients = unknown(image, text)
    with tf.GradientTape() as tape:
        tape.watch([image, text])
        plain = regions.reduce_regions(_plain(critic, image, text), rule, 0.7)
        total = tf.reduce_sum(plain**2)
    np.testing.assert_allclose(scores, plain, rtol=1e-12)
    expected = tape.gradient(total, [image, text])
    for a, b in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("floats", [None, 60])
def test_matched_is_the_region_that_the_images_own_text_chose(floats):
    critic, B, K = _concat(), 4, 3
    features = _features(B, 5, B * K)

    def scores_of(image, text):
        image, text = critic.project(image, text)
        text = tf.reshape(text, (B, K, -1))
        weights = critic.head_weights()
        own = critic.row_scores(image[:, :, None], text[:, None], weights)
        chosen = regions.region_weights(own, "max")
        return pair_scores.matched_scores(
            critic, image, text, weights, chosen, floats
        )

    def plainly(image, text):
        scores = _plain(critic, image, text)
        return regions.reduce_regions(scores, "matched", texts_per_image=K)

    found = _differentiated(critic, *features, scores_of, _weighed)
    expected = _differentiated(critic, *features, plainly, _weighed)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    for a, b in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("rule", RULES)
def test_scores_and_the_sums_of_gradients_are_float32(rule, policy):
    critic = critics.ConcatCritic((9, 7), dtype=policy)
    critic.build((None, None, D_IMAGE), (None, D_TEXT))
    image, text = (tf.cast(x, "float32") for x in _features(5, 4, 6))
    scores, _, gradients = _differentiated(
        critic,
        image,
        text,
        lambda i, t: _in_blocks(critic, i, t, rule, 0.7, 100),
        _weighed,
    )
    _, _, expected = _differentiated(
        critic,
        image,
        text,
        lambda i, t: _in_blocks(critic, i, t, rule, 0.7, None),
        _weighed,
    )
    assert scores.dtype == "float32"
    for a, b in zip(gradients, expected, strict=True):
        assert a.dtype == "float32"
        scale = np.abs(b).max()
        np.testing.assert_allclose(a, b, atol=2e-2 * scale, rtol=0)


def test_a_score_that_is_no_number_is_not_hidden():
    critic, (image, text) = _concat(), _features(3, 4, 5)
    image = tf.tensor_scatter_nd_update(image, [[1, 2, 0]], [np.nan])
    _, _, gradients = _differentiated(
        critic,
        image,
        text,
        lambda i, t: _in_blocks(critic, i, t, "max", 1.0, 100),
        lambda scores: tf.reduce_sum(scores**2),
    )
    assert np.isnan(gradients[2]).any()


def test_matched_is_no_rule_of_a_pair():
    critic, features = _concat(), _features(3, 4, 3)
    with pytest.raises(ValueError, match="'matched'"):
        _in_blocks(critic, *features, "matched", 1.0, None)
