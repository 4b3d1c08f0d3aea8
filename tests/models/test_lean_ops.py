"""With dropout on, the parts are their plain forms under the same mask."""

import numpy as np
import pytest
import tensorflow as tf

from kerasmi.models import lean_ops

EPSILON = 1e-3


def drawn(*shape, seed=0):
    return tf.random.stateless_normal(shape, (seed, 1), dtype="float64")


def mask_of(rate, *shape):
    mask = lean_ops.dropout_mask(tf.constant(shape), rate, (3, 4), "float64")
    if mask is not None:
        # some are dropped, the others scaled
        assert len(np.unique(mask)) == 2
        assert np.min(mask) == 0.0 < 1.0 < np.max(mask)
    return mask


def plain_norm(x, update, gamma, beta, mask):
    x = x + (update if mask is None else update * mask)
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta


def plain_attention(query, key, value, kept, mask):
    scores = tf.einsum("nhqd,nhld->nhql", query, key)
    weights = tf.where(kept[:, None, None], tf.exp(scores), 0.0)
    shares = weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
    shares = shares if mask is None else shares * mask
    return tf.einsum("nhql,nhld->nhqd", shares, value)


def assert_alike(ours, plain, *sources):
    """Values, and gradients with regard to all sources."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        found, wanted = ours(*sources), plain(*sources)
        # another upstream gradient for each entry
        slopes = drawn(*wanted.shape, seed=9)
        totals = [tf.reduce_sum(slopes * each) for each in (found, wanted)]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    mine, theirs = (tape.gradient(total, sources) for total in totals)
    for a, b in zip(mine, theirs, strict=True):
        assert np.abs(b).max() > 1e-3
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_residual_normalisation_is_its_plain_form(rate):
    mask = mask_of(rate, 5, 8)
    x, update = drawn(5, 8), drawn(5, 8, seed=1)
    gamma, beta = drawn(8, seed=2), drawn(8, seed=3)

    def ours(x, update, gamma, beta):
        return lean_ops.add_norm(x, update, mask, gamma, beta, EPSILON)

    def plain(*sources):
        return plain_norm(*sources, mask)

    assert_alike(ours, plain, x, update, gamma, beta)


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("asking", [1, 6])  # [CLS] alone, and all tokens
def test_attention_is_its_plain_form(rate, asking):
    mask = mask_of(rate, 3, 2, asking, 6)
    kept = np.arange(6) < np.array([[6], [2], [1]])
    query = drawn(3, 2, asking, 4)
    key, value = drawn(3, 2, 6, 4, seed=1), drawn(3, 2, 6, 4, seed=2)

    def ours(query, key, value):
        return lean_ops.attention(query, key, value, tf.constant(kept), mask)

    def plain(*sources):
        return plain_attention(*sources, kept, mask)

    assert_alike(ours, plain, query, key, value)
