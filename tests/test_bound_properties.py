"""Laws of the bounds, against a plain reference in loops, on random scores."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds, pairs

rng = np.random.default_rng(0)


# --- the second opinion: float64, one pair at a time --------------------------
def _logsumexp(values):
    largest = max(values)
    return largest + math.log(sum(math.exp(v - largest) for v in values))


def _where(labels, label):
    return [
        (i, c)
        for i in range(len(labels))
        for c in range(len(labels[0]))
        if labels[i][c] == label
    ]


def _mean(values):
    return sum(values) / len(values)


def _softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def reference_dv(f, labels, transform=lambda x: x):
    negatives = [transform(f[p]) for p in _where(labels, 0)]
    log_mean = _logsumexp(negatives) - math.log(len(negatives))
    return _mean([f[p] for p in _where(labels, 1)]) - log_mean


def reference_nwj(f, labels):
    joint = _mean([f[p] for p in _where(labels, 1)])
    return joint - _mean([math.exp(f[p] - 1) for p in _where(labels, 0)])


def reference_js(f, labels):
    joint = _mean([_softplus(-f[p]) for p in _where(labels, 1)])
    return -joint - _mean([_softplus(f[p]) for p in _where(labels, 0)])


def reference_smile(f, labels, clip=5.0):
    return reference_dv(f, labels, lambda x: min(max(x, -clip), clip))


def reference_infonce(f, labels, axis=1):
    terms = []
    for pair in _where(labels, 1):
        rivals = [
            f[q] for q in _where(labels, 0) if q[1 - axis] == pair[1 - axis]
        ]
        if rivals:
            log_sum = _logsumexp([f[pair], *rivals])
            terms.append(f[pair] - log_sum + math.log(1 + len(rivals)))
    return _mean(terms)


def reference_infonce_symmetric(f, labels):
    rows = reference_infonce(f, labels)
    return (rows + reference_infonce(f, labels, axis=0)) / 2


def reference_infonce_pooled(f, labels):
    negatives = [f[p] for p in _where(labels, 0)]
    return _mean([f[p] for p in _where(labels, 1)]) - _logsumexp(negatives)


REFERENCES = {
    bounds.donsker_varadhan: reference_dv,
    bounds.nwj: reference_nwj,
    bounds.jensen_shannon: reference_js,
    bounds.smile: reference_smile,
    bounds.infonce: reference_infonce,
    bounds.infonce_text_to_image: lambda f, labels: reference_infonce(
        f, labels, axis=0
    ),
    bounds.infonce_symmetric: reference_infonce_symmetric,
    bounds.infonce_pooled: reference_infonce_pooled,
}
BOUNDS = tuple(REFERENCES)
SHIFT_INVARIANT = (
    bounds.donsker_varadhan,
    bounds.infonce,
    bounds.infonce_text_to_image,
    bounds.infonce_symmetric,
    bounds.infonce_pooled,
)
INFONCE = SHIFT_INVARIANT[1:4]
named = {"ids": lambda value: getattr(value, "__name__", str(value))}


# --- random cases -------------------------------------------------------------
def _cases(number=40, texts_per_image=1, seed=1):
    """Scores of many scales, labels with repeated studies."""
    local = np.random.default_rng(seed)
    for n in range(number):
        B = int(local.integers(3, 9))
        studies = local.integers(0, 100, B)
        studies[:2] = 7, 8  # at least two studies
        if B > 4:
            studies[3] = 7  # and one of them twice
        scale = (0.1, 1.0, 5.0, 30.0, 100.0)[n % 5]
        shape = (B, B * texts_per_image)
        scores = (scale * local.standard_normal(shape)).astype("float32")
        yield scores, np.asarray(pairs.label_pairs(studies, texts_per_image))


def _value(bound, scores, labels):
    return float(bound(scores, labels == 1, labels == 0))


def _gradient(bound, scores, labels):
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = bound(scores, labels == 1, labels == 0)
    return tape.gradient(value, scores).numpy()


def _assert_close(value, expected, scores):
    # 1e-5 of the value, or of the scores where the value is near zero.
    tolerance = 1e-7 * max(1.0, float(np.abs(scores).max()))
    assert value == pytest.approx(expected, rel=1e-5, abs=tolerance)


# --- the laws -----------------------------------------------------------------
@pytest.mark.parametrize("texts_per_image", [1, 3])
@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_bound_agrees_with_the_reference_in_loops(bound, texts_per_image):
    for scores, labels in _cases(40, texts_per_image):
        if bound is bounds.nwj and np.abs(scores).max() > 80:
            continue  # beyond float32's end, tested below
        expected = REFERENCES[bound](scores.astype("float64"), labels)
        _assert_close(_value(bound, scores, labels), expected, scores)


def test_1_constant_critic_carries_no_information():
    for scores, labels in _cases(10, texts_per_image=2):
        for constant in (0.0, 3.0):
            flat = np.full_like(scores, constant)
            for bound in (bounds.donsker_varadhan, *INFONCE):
                assert _value(bound, flat, labels) == pytest.approx(0, abs=1e-6)
            assert _value(bounds.smile, flat, labels) == pytest.approx(0)
        ones, zeros = np.ones_like(scores), np.zeros_like(scores)
        assert _value(bounds.nwj, ones, labels) == pytest.approx(0, abs=1e-6)
        js = _value(bounds.jensen_shannon, zeros, labels)
        assert js == pytest.approx(-2 * math.log(2))


@pytest.mark.parametrize("bound", SHIFT_INVARIANT, **named)
def test_2_adding_a_constant_changes_nothing(bound):
    for scores, labels in _cases(20):
        value = _value(bound, scores, labels)
        shifted = _value(bound, scores.astype("float64") + 3, labels)
        assert shifted == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_2_infonce_ignores_what_depends_on_its_anchor_alone():
    for scores, labels in _cases(20):
        wide = scores.astype("float64")
        image = rng.standard_normal((len(scores), 1))
        rows, columns = bounds.infonce, bounds.infonce_text_to_image
        assert _value(rows, wide + image, labels) == pytest.approx(
            _value(rows, wide, labels), rel=1e-5, abs=1e-6
        )
        assert _value(columns, wide + image.T, labels) == pytest.approx(
            _value(columns, wide, labels), rel=1e-5, abs=1e-6
        )
        assert (
            abs(
                _value(rows, wide + 9 * image.T, labels)
                - _value(rows, wide, labels)
            )
            > 1e-3
        )


@pytest.mark.parametrize(
    "bound", [bounds.nwj, bounds.jensen_shannon, bounds.smile], **named
)
def test_2_bounds_with_a_gauge_notice_a_constant(bound):
    for scores, labels in _cases(20):
        scores = scores.clip(-50, 50)
        changed = _value(bound, scores + 20, labels)
        assert abs(changed - _value(bound, scores, labels)) > 1e-2


@pytest.mark.parametrize(
    ("bound", "direction"),
    list(zip(INFONCE, bounds.DIRECTIONS, strict=True)),
    ids=bounds.DIRECTIONS,
)
def test_3_infonce_is_at_most_the_log_of_its_candidates(bound, direction):
    for scores, labels in _cases(30, texts_per_image=2):
        ceiling = float(
            bounds.infonce_ceiling(labels == 1, labels == 0, direction)
        )
        assert _value(bound, scores, labels) <= ceiling * (1 + 1e-6)
        assert ceiling <= math.log(labels.shape[1]) + 1e-6
        perfect = np.where(labels == 1, 1e4, 0.0)
        assert _value(bound, perfect, labels) == pytest.approx(ceiling)


def test_3_donsker_varadhan_has_no_ceiling():
    labels = np.asarray(pairs.label_pairs(np.arange(6)))
    scores = 50.0 * np.eye(6)
    dv = _value(bounds.donsker_varadhan, scores, labels)
    assert dv == pytest.approx(50.0)


def test_4_nwj_is_at_most_donsker_varadhan_and_meets_it_in_its_gauge():
    for scores, labels in _cases(30):
        scores = scores.clip(-60, 60).astype("float64")
        dv = _value(bounds.donsker_varadhan, scores, labels)
        assert _value(bounds.nwj, scores, labels) <= dv + 1e-5
        log_mean = _mean(scores[labels == 1].tolist()) - dv
        in_gauge = _value(bounds.nwj, scores + 1 - log_mean, labels)
        assert in_gauge == pytest.approx(dv, rel=1e-4, abs=1e-4)


def test_5_infonce_is_at_least_its_pooled_form_by_jensen():
    for scores, _ in _cases(30):
        distinct = np.where(np.eye(len(scores)), 1, 0)
        f = scores.astype("float64")
        candidates = _logsumexp(f.ravel().tolist()) - math.log(f.size)
        pooled = f.diagonal().mean() - candidates
        assert _value(bounds.infonce, scores, distinct) >= pooled - 1e-5


def test_5_infonce_saturates_in_the_margin_over_its_rivals():
    f = 3 * rng.standard_normal((1, 6))
    labels = np.array([[1, 0, 0, 0, 0, 0]])
    rivals = f[0, 1:].tolist()
    margin = f[0, 0] - (_logsumexp(rivals) - math.log(5))
    expected = -math.log(1 / 6 + 5 / 6 * math.exp(-margin))
    assert _value(bounds.infonce, f, labels) == pytest.approx(expected)


def _smile(scores, labels, clip):
    return float(bounds.smile(scores, labels == 1, labels == 0, clip=clip))


def test_6_smile_with_a_wide_clip_has_the_value_of_donsker_varadhan():
    for scores, labels in _cases(20):
        dv = _value(bounds.donsker_varadhan, scores, labels)
        widest = float(np.abs(scores).max()) * 1.01
        for clip in (widest, 2 * widest):
            _assert_close(_smile(scores, labels, clip), dv, scores)
        for clip in (0.5, 2.0):
            expected = reference_smile(scores.astype("float64"), labels, clip)
            _assert_close(_smile(scores, labels, clip), expected, scores)


@pytest.mark.parametrize("sign", [-1, 1])
def test_6_smile_goes_from_the_mean_score_to_donsker_varadhan_one_way(sign):
    for scores, labels in _cases(20):
        scores = sign * np.abs(scores)  # of one sign: the clip moves one way
        clips = np.geomspace(1e-4, 1.0, 9) * np.abs(scores).max()
        values = [_smile(scores, labels, float(clip)) for clip in clips]
        slack = 1e-6 * np.abs(scores).max()
        assert (-sign * np.diff(values) >= -slack).all()
        mean = scores[labels == 1].mean()
        assert abs(values[0] - mean) <= clips[0] + slack
        dv = _value(bounds.donsker_varadhan, scores, labels)
        _assert_close(values[-1], dv, scores)


def test_6_smile_has_the_gradient_of_jensen_shannon():
    for scores, labels in _cases(10, texts_per_image=2):
        np.testing.assert_allclose(
            _gradient(bounds.smile, scores, labels),
            _gradient(bounds.jensen_shannon, scores, labels),
            rtol=1e-6,
        )


@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_7_the_order_of_the_batch_does_not_matter(bound):
    for scores, labels in _cases(15):
        scores = scores.clip(-60, 60)
        order = rng.permutation(len(scores))
        shuffled = _value(
            bound, scores[order][:, order], labels[order][:, order]
        )
        _assert_close(shuffled, _value(bound, scores, labels), scores)


def test_7_transposing_swaps_the_directions_of_infonce():
    for scores, labels in _cases(15):
        rows = _value(bounds.infonce, scores.T, labels.T)
        columns = _value(bounds.infonce_text_to_image, scores, labels)
        _assert_close(rows, columns, scores)
        both = _value(bounds.infonce_symmetric, scores.T, labels.T)
        _assert_close(
            both, _value(bounds.infonce_symmetric, scores, labels), scores
        )


@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_8_ignored_pairs_influence_neither_value_nor_gradient(bound):
    with_ignored = [case for case in _cases(10) if (case[1] == -1).any()]
    assert len(with_ignored) > 3
    for scores, labels in with_ignored:
        scores = scores.clip(-60, 60)
        value = _value(bound, scores, labels)
        gradient = _gradient(bound, scores, labels)
        for poison in (1e4, -1e4, np.inf, np.nan):
            poisoned = np.where(labels == -1, np.float32(poison), scores)
            assert _value(bound, poisoned, labels) == value
            after = _gradient(bound, poisoned, labels)
            np.testing.assert_array_equal(after, gradient)
        assert (gradient[labels == -1] == 0).all()


def test_8_ignoring_a_row_and_column_equals_removing_them():
    scores, labels = next(_cases(1))
    masked = labels.copy()
    masked[-1, :] = masked[:, -1] = -1
    removed = scores[:-1, :-1], labels[:-1, :-1]
    for bound in BOUNDS:
        _assert_close(
            _value(bound, scores, masked), _value(bound, *removed), scores
        )


def test_8_ignored_candidates_lower_the_ceiling():
    labels = np.asarray(pairs.label_pairs(np.array([1, 1, 2, 3, 4])))
    ceiling = float(bounds.infonce_ceiling(labels == 1, labels == 0))
    # two images have 3 negatives (4 candidates), three have 4 (5 candidates)
    expected = (2 * math.log(4) + 3 * math.log(5)) / 5
    assert ceiling == pytest.approx(expected)


def test_9_an_anchor_without_negatives_is_left_out_and_counted():
    scores = rng.standard_normal((3, 3)).astype("float32")
    labels = np.array([[1, -1, -1], [0, 1, -1], [-1, 0, 1]])
    masks = labels == 1, labels == 0
    # by rows the first image has none; by columns the last text
    counted = {"image_to_text": 1, "text_to_image": 1, "symmetric": 2}
    for direction, expected in counted.items():
        found = bounds.anchors_without_negatives(*masks, direction)
        assert int(found) == expected
    columns = _value(bounds.infonce_text_to_image, scores[:, :2], labels[:, :2])
    whole = _value(bounds.infonce_text_to_image, scores, labels)
    assert whole == pytest.approx(columns)
    rest = _value(bounds.infonce, scores[1:], labels[1:])
    assert _value(bounds.infonce, scores, labels) == pytest.approx(rest)
    gradient = _gradient(bounds.infonce, scores, labels)
    assert np.isfinite(gradient).all()
    assert (gradient[0] == 0).all()


@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_9_a_batch_without_negatives_is_nan_and_never_zero(bound):
    labels = np.array([[1, -1], [-1, 1]])
    assert math.isnan(_value(bound, np.ones((2, 2), "float32"), labels))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bound", BOUNDS, **named)
def test_10_large_scores_are_finite_float32_in_any_precision(bound, dtype):
    labels = np.asarray(pairs.label_pairs(np.arange(6)))
    signs = rng.choice([-1.0, 1.0], size=(6, 6))
    scores = tf.cast(1e4 * signs, dtype)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = bound(scores, labels == 1, labels == 0)
    assert value.dtype == "float32"
    assert np.isfinite(value.numpy())
    if dtype not in ("float16",):  # 1e38 is not a float16
        gradient = tape.gradient(value, scores)
        assert np.isfinite(tf.cast(gradient, "float32").numpy()).all()


def test_11_pooled_infonce_is_donsker_varadhan_less_a_constant():
    for scores, labels in _cases(20, texts_per_image=2):
        pooled = _value(bounds.infonce_pooled, scores, labels)
        dv = _value(bounds.donsker_varadhan, scores, labels)
        difference = math.log((labels == 0).sum())
        _assert_close(dv - pooled, difference, scores)
        np.testing.assert_allclose(
            _gradient(bounds.infonce_pooled, scores, labels),
            _gradient(bounds.donsker_varadhan, scores, labels),
            rtol=1e-6,
            atol=1e-9,
        )
