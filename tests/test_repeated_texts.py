"""Scoring each distinct text once changes neither the scores nor a gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import critics, pair_scores, repeated_texts

IMAGES, REGIONS, D_IMAGE, D_TEXT = 4, 5, 6, 7
RULES = ["max", "logsumexp", "mean"]
TEXTS = {
    "some alike": [0, 1, 0, 2, 3, 3, 0, 4],
    "all alike": [0] * 8,
    "none alike": list(range(8)),
}


def _setting(which):
    """A critic, and features in which texts are alike as `which` says."""
    keras.utils.set_random_seed(0)
    critic = critics.ConcatCritic((9, 7), dtype="float64")
    critic.build((None, None, D_IMAGE), (None, D_TEXT))
    rng = np.random.default_rng(0)
    for weight in critic.trainable_variables:
        weight.assign(np.array(weight) + 0.3 * rng.normal(size=weight.shape))
    image = tf.constant(rng.normal(size=(IMAGES, REGIONS, D_IMAGE)))
    distinct = tf.constant(rng.normal(size=(1 + max(which), D_TEXT)))
    return critic, image, distinct


def _differentiated(module, which, rule):
    """Scores, and gradients of regions, of distinct texts and of weights."""
    critic, image, distinct = _setting(which)
    # its statistics are those of all texts, the repeated ones too
    norm = keras.layers.BatchNormalization(dtype="float64")
    norm.build((None, D_TEXT))
    signs = np.sin(np.arange(IMAGES * len(which)).reshape(IMAGES, -1))

    def differentiated(image, distinct):
        variables = [*critic.trainable_variables, *norm.trainable_variables]
        variables = [v.value for v in variables]
        with tf.GradientTape() as tape:
            tape.watch([image, distinct])
            texts = norm(tf.gather(distinct, which), training=True)
            projections = critic.project(image, texts)
            scores = module.reduced_scores(
                critic, *projections, critic.head_weights(), rule, 0.7
            )
            loss = tf.reduce_sum(signs * scores**2)
        return scores, tape.gradient(loss, [image, distinct, *variables])

    scores, gradients = tf.function(differentiated)(image, distinct)
    return scores, [tf.convert_to_tensor(each) for each in gradients]


@pytest.mark.parametrize(
    ("texts", "rule", "kept"),
    [
        *(("some alike", rule, True) for rule in RULES),
        *(("some alike", rule, False) for rule in RULES),
        ("all alike", "logsumexp", True),
        ("all alike", "max", False),
        ("none alike", "logsumexp", True),
    ],
)
def test_scores_and_gradients_are_those_of_all_texts(
    texts, rule, kept, monkeypatch
):
    monkeypatch.setattr(
        pair_scores, "KEPT_FLOATS", dict.fromkeys(RULES, 2**20 if kept else 0)
    )
    monkeypatch.setattr(pair_scores, "BLOCK_FLOATS", 150)
    which = TEXTS[texts]
    found = _differentiated(repeated_texts, which, rule)
    expected = _differentiated(pair_scores, which, rule)
    assert found[0].shape == (IMAGES, len(which))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("texts", "scored"),
    [
        # the first once more fills up
        ([1.0, 2.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 1.0]),
        # but never are more scored than there are
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([1.0, 1.0], [1.0, 1.0]),
    ],
)
def test_each_distinct_text_is_scored_once(texts, scored):
    found = []

    class Head:
        def region_scores(self, image, text, weights):
            found.append(text)
            return tf.zeros((*image.shape[:2], text.shape[0]), "float64")

    text = tf.constant(texts, "float64")[:, None]
    image = tf.zeros((2, 3, 1), "float64")
    scores = repeated_texts.reduced_scores(Head(), image, text, [], "logsumexp")
    assert scores.shape == (2, len(texts))
    np.testing.assert_array_equal(found, np.array([scored])[..., None])


def test_where_xla_compiles_they_are_not_looked_for():
    found = []

    def look():
        found.append(repeated_texts.pays())
        return tf.zeros(())

    tf.function(look, jit_compile=True)()
    look()
    assert found == [False, True]
