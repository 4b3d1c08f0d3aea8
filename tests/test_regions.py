"""Region rules."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds, pairs, regions

rng = np.random.default_rng(0)
B, N, K = 4, 5, 3
SCORES = rng.standard_normal((B, N, B * K)).astype("float32")


def _reduce(scores, rule, **kwargs):
    return np.asarray(regions.reduce_regions(scores, rule=rule, **kwargs))


def test_rules_are_sums_in_the_open():
    scores = np.array([[[1.0], [3.0], [2.0]]])
    e = math.exp
    assert _reduce(scores, "max").item() == 3
    assert _reduce(scores, "mean").item() == 2
    soft = _reduce(scores, "logsumexp", temperature=0.5).item()
    assert soft == pytest.approx(0.5 * math.log(e(2) + e(6) + e(4)))


def test_matched_reuses_the_region_of_the_own_text_of_the_same_slot():
    expected = np.empty((B, B * K))
    for i in range(B):
        for j in range(B):
            for k in range(K):
                best = SCORES[i, :, i * K + k].argmax()
                expected[i, j * K + k] = SCORES[i, best, j * K + k]
    reduced = _reduce(SCORES, "matched", texts_per_image=K)
    np.testing.assert_array_equal(reduced, expected.astype("float32"))


def test_matched_equals_max_on_matched_pairs_and_is_below_it_elsewhere():
    matched = _reduce(SCORES, "matched", texts_per_image=K)
    largest = _reduce(SCORES, "max")
    own = np.asarray(pairs.label_pairs(np.arange(B), K)) == 1
    np.testing.assert_array_equal(matched[own], largest[own])
    assert (matched <= largest).all()
    assert (matched < largest).any()


def test_matched_of_one_text_is_the_simple_form():
    scores = SCORES[:, :, ::K]
    best = np.einsum("inc->nic", scores).diagonal(axis1=1, axis2=2).argmax(0)
    expected = np.stack([scores[i, best[i]] for i in range(B)])
    np.testing.assert_array_equal(_reduce(scores, "matched"), expected)


@pytest.mark.parametrize("rule", regions.REGION_RULES)
def test_one_region_is_the_global_scope_under_every_rule(rule):
    scores = rng.standard_normal((B, 1, B)).astype("float32")
    reduced = _reduce(scores, rule, temperature=0.7)
    np.testing.assert_allclose(reduced, scores[:, 0], rtol=1e-5, atol=1e-6)


def test_logsumexp_becomes_the_maximum_as_its_temperature_falls():
    largest = _reduce(SCORES, "max")
    for temperature in (1.0, 0.1, 1e-3):
        soft = _reduce(SCORES, "logsumexp", temperature=temperature)
        assert (soft >= largest - 1e-6).all()
        gap = temperature * math.log(N) + 1e-6
        assert (soft - largest).max() <= gap


def _region_scores_of_independent_data():
    """A critic that says which region a text names; images say nothing."""
    texts = rng.integers(0, 4, 400)  # each names one of four regions
    by_region = 10.0 * (np.arange(4)[:, None] == texts[None, :])
    return np.broadcast_to(by_region, (400, 4, 400)).astype("float32")


def test_matched_reports_information_that_independent_data_do_not_have():
    scores = _region_scores_of_independent_data()
    labels = pairs.label_pairs(np.arange(400))
    masks = pairs.positives(labels), pairs.negatives(labels)
    values = {
        rule: float(bounds.donsker_varadhan(_reduce(scores, rule), *masks))
        for rule in regions.REGION_RULES
    }
    # The truth is 0; the leak of the choice is log 4 = 1.386.
    assert values["matched"] == pytest.approx(math.log(4), abs=0.05)
    for rule in ("max", "logsumexp", "mean"):
        assert values[rule] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("rule", regions.REGION_RULES)
def test_weights_sum_to_one_over_the_regions(rule):
    weights = np.asarray(
        regions.region_weights(SCORES, rule, texts_per_image=K)
    )
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert weights.shape == SCORES.shape


@pytest.mark.parametrize("rule", regions.REGION_RULES)
def test_weights_are_the_gradient_of_the_rule(rule):
    scores = tf.constant(SCORES)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        total = tf.reduce_sum(
            regions.reduce_regions(scores, rule, 0.7, texts_per_image=K)
        )
    weights = regions.region_weights(SCORES, rule, 0.7, texts_per_image=K)
    gradient = tape.gradient(total, scores)
    np.testing.assert_allclose(gradient, weights, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", regions.REGION_RULES)
def test_half_precision_and_large_scores_give_finite_float32(rule):
    scores = tf.cast(1e4 * np.sign(SCORES), "float16")
    reduced = regions.reduce_regions(scores, rule, 0.1, texts_per_image=K)
    assert reduced.dtype == "float32"
    assert np.isfinite(reduced.numpy()).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rule", regions.REGION_RULES)
def test_a_graph_of_unknown_batch_gives_the_eager_scores(rule, jit_compile):
    @tf.function(
        input_signature=[tf.TensorSpec((None, N, None), "float32")],
        jit_compile=jit_compile,
    )
    def reduce(scores):
        return regions.reduce_regions(scores, rule, texts_per_image=K)

    expected = _reduce(SCORES, rule, texts_per_image=K)
    np.testing.assert_allclose(reduce(SCORES), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("scores", "kwargs", "message"),
    [
        (SCORES, {"rule": "best"}, "Received: rule='best'"),
        (SCORES, {"temperature": 0.0}, "`temperature`.*Received: 0.0"),
        (SCORES, {"temperature": math.nan}, "`temperature`.*Received: nan"),
        (SCORES, {"temperature": np.float32(-1)}, "`temperature`.*-1.0"),
        (SCORES[:, 0], {}, "One region is an axis of length 1"),
    ],
)
def test_wrong_arguments_are_refused(scores, kwargs, message):
    with pytest.raises(ValueError, match=message):
        regions.reduce_regions(scores, **kwargs)


def test_a_temperature_that_is_no_number_is_named():
    with pytest.raises(TypeError, match=r"`temperature`.*'1' \(str\)"):
        regions.region_weights(SCORES, "logsumexp", temperature="1")
    for scalar in (tf.constant(0.5), tf.Variable(0.5), np.array(0.5)):
        np.testing.assert_array_equal(
            _reduce(SCORES, "logsumexp", temperature=scalar),
            _reduce(SCORES, "logsumexp", temperature=0.5),
        )
