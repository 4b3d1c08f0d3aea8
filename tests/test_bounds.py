"""Sums in the open, gradients and graphs; laws are in test_bound_properties."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds, masked, pairs

rng = np.random.default_rng(0)
# Of studies 5, 6, 5, 7, 8; numpy, as TensorFlow must not start on import.
LABELS = np.array(
    [
        [1, 0, -1, 0, 0],
        [0, 1, 0, 0, 0],
        [-1, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
)
MASKS = LABELS == 1, LABELS == 0
SCORES = (2 * rng.standard_normal(LABELS.shape)).astype("float32")
BOUNDS = (
    bounds.donsker_varadhan,
    bounds.infonce,
    bounds.infonce_text_to_image,
    bounds.infonce_symmetric,
    bounds.nwj,
    bounds.jensen_shannon,
    bounds.smile,
    bounds.infonce_pooled,
)
named = {"ids": lambda value: getattr(value, "__name__", str(value))}


def _gradient(function, scores=SCORES):
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = function(scores)
    return tape.gradient(value, scores).numpy()


def test_two_pairs_in_the_open():
    scores = np.array([[2.0, 1.0], [0.0, 4.0]])
    masks = np.eye(2) == 1, np.eye(2) == 0
    e = math.exp
    dv = 3 - math.log((e(1) + e(0)) / 2)
    assert float(bounds.donsker_varadhan(scores, *masks)) == pytest.approx(dv)
    rows = (2 - math.log(e(2) + e(1)) + 4 - math.log(e(0) + e(4))) / 2
    infonce = rows + math.log(2)
    assert float(bounds.infonce(scores, *masks)) == pytest.approx(infonce)
    nwj = 3 - (e(0) + e(-1)) / 2
    assert float(bounds.nwj(scores, *masks)) == pytest.approx(nwj)


def test_mine_and_cpc_have_different_gradients():
    dv = _gradient(lambda s: bounds.donsker_varadhan(s, *MASKS))
    cpc = _gradient(lambda s: bounds.infonce(s, *MASKS))
    assert np.abs(dv - cpc).max() > 1e-2


def test_the_released_infonce_has_the_gradient_of_donsker_varadhan():
    dv = _gradient(lambda s: bounds.donsker_varadhan(s, *MASKS))
    pooled = _gradient(lambda s: bounds.infonce_pooled(s, *MASKS))
    np.testing.assert_allclose(pooled, dv, rtol=1e-6)


def test_a_constant_critic_learns_from_every_negative_alike():
    scores = np.zeros((2, 2), "float32")
    masks = np.eye(2) == 1, np.eye(2) == 0
    gradient = _gradient(lambda s: bounds.infonce(s, *masks), scores)
    np.testing.assert_allclose(gradient, [[0.25, -0.25], [-0.25, 0.25]])


def _mine(scores, log_average, momentum=0.99):
    return bounds.mine(scores, *MASKS, log_average, momentum=momentum)


def _dv_gradient():
    return _gradient(lambda s: bounds.donsker_varadhan(s, *MASKS))


@pytest.mark.parametrize("log_average", [-math.inf, -40.0, 0.0, 3.0, 500.0])
def test_mine_always_has_the_value_of_donsker_varadhan(log_average):
    value, _, _ = _mine(SCORES, log_average)
    expected = bounds.donsker_varadhan(SCORES, *MASKS)
    assert float(value) == float(expected)


def test_first_step_of_mine_has_the_gradient_of_donsker_varadhan():
    gradient = _gradient(lambda s: _mine(s, -math.inf)[1])
    np.testing.assert_allclose(gradient, _dv_gradient(), rtol=1e-6)


def test_mine_without_momentum_has_the_gradient_of_donsker_varadhan():
    gradient = _gradient(lambda s: _mine(s, 3.0, momentum=0.0)[1])
    np.testing.assert_allclose(gradient, _dv_gradient(), rtol=1e-6)


def test_mine_divides_by_the_moving_average():
    batch = math.log(np.exp(SCORES[MASKS[1]].astype("float64")).mean())
    average = 0.9 * math.exp(2.0) + 0.1 * math.exp(batch)
    _, _, log_average = _mine(SCORES, 2.0, momentum=0.9)
    assert float(log_average) == pytest.approx(math.log(average))
    weight = math.exp(batch) / average
    dv = _dv_gradient()
    expected = np.where(MASKS[0], dv, weight * dv)
    gradient = _gradient(lambda s: _mine(s, 2.0, momentum=0.9)[1])
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_the_moving_average_is_kept_in_log_space():
    log_average = -math.inf
    for offset in (500.0, 1000.0, -1000.0):  # exp of these is not a float
        _, surrogate, log_average = _mine(SCORES + offset, log_average)
        assert np.isfinite(float(surrogate))
        assert np.isfinite(float(log_average))
    assert float(log_average) == pytest.approx(
        1000 + math.log(0.01 * 0.99), abs=5
    )


def test_the_moving_average_has_no_gradient():
    gradient = _gradient(lambda s: tf.reduce_sum(_mine(s, 2.0)[1]))
    moved = _gradient(lambda s: 0 * _mine(s, 2.0)[2] + _mine(s, 2.0)[1])
    np.testing.assert_array_equal(gradient, moved)


def test_nwj_stops_at_the_end_of_float32_and_keeps_its_direction():
    scores = np.where(LABELS == 0, 200.0, 0.0).astype("float32")
    value = float(bounds.nwj(scores, *MASKS))
    assert value < -1e38
    assert np.isfinite(value)
    gradient = _gradient(lambda s: bounds.nwj(s, *MASKS), scores)
    assert (gradient[LABELS == 0] < 0).all()


def test_texts_of_one_image_are_never_candidates_of_each_other():
    labels = np.asarray(pairs.label_pairs(np.arange(3), texts_per_image=2))
    scores = rng.standard_normal((3, 6)).astype("float32")
    masks = labels == 1, labels == 0
    terms = []
    for i in range(3):
        rivals = np.exp([scores[i, c] for c in range(6) if c // 2 != i])
        for c in (2 * i, 2 * i + 1):
            own = math.exp(scores[i, c])
            terms.append(math.log(own / (own + rivals.sum()) * 5))
    value = float(bounds.infonce(scores, *masks))
    assert value == pytest.approx(np.mean(terms), rel=1e-5)


def test_effective_negatives_count_those_that_carry_the_sum():
    labels = np.asarray(pairs.label_pairs(np.arange(5)))
    negatives = labels == 0
    flat = np.full((5, 5), 1e4)
    assert float(bounds.effective_negatives(flat, negatives)) == pytest.approx(
        20
    )
    flat[0, 1] += 100
    assert float(bounds.effective_negatives(flat, negatives)) == pytest.approx(
        1
    )
    weights = np.exp(SCORES[MASKS[1]].astype("float64"))
    expected = weights.sum() ** 2 / (weights**2).sum()
    value = float(bounds.effective_negatives(SCORES, MASKS[1]))
    assert value == pytest.approx(expected, rel=1e-5)
    assert math.isnan(float(bounds.effective_negatives(flat, flat < 0)))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_a_graph_of_unknown_shape_gives_the_eager_value(bound, jit_compile):
    spec = [tf.TensorSpec((None, None), dtype) for dtype in ("float32", "bool")]

    @tf.function(
        input_signature=[spec[0], spec[1], spec[1]], jit_compile=jit_compile
    )
    def value_and_gradient(scores, positives, negatives):
        value = bound(scores, positives, negatives)
        return value, tf.gradients(value, scores)[0]

    value, gradient = value_and_gradient(SCORES, *MASKS)
    expected = float(bound(SCORES, *MASKS))
    assert float(value) == pytest.approx(expected, rel=1e-6)
    eager = _gradient(lambda s: bound(s, *MASKS))
    np.testing.assert_allclose(gradient, eager, rtol=1e-5, atol=1e-7)


def test_a_graph_moves_the_average_of_mine_as_eagerly():
    graph = tf.function(_mine, jit_compile=True)
    compiled = graph(tf.constant(SCORES), tf.constant(2.0))
    for value, expected in zip(compiled, _mine(SCORES, 2.0), strict=True):
        assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="Received: direction='both'"):
        bounds.infonce_ceiling(*MASKS, direction="both")


def test_an_empty_mask_has_a_log_sum_of_minus_infinity_without_gradient():
    scores = np.ones((2, 3), "float32")
    mask = np.array([[True, False, True], [False, False, False]])
    values = masked.logsumexp(scores, mask, axis=1).numpy()
    np.testing.assert_allclose(values[:, 0], [1 + math.log(2), -math.inf])
    gradient = _gradient(
        lambda s: tf.reduce_sum(tf.exp(masked.logsumexp(s, mask, axis=1))),
        scores,
    )
    np.testing.assert_allclose(gradient[1], 0.0)
    assert np.isfinite(gradient).all()
