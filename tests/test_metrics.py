"""Metrics: pooled over batches, as one large matrix with ignored blocks."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds, losses, metrics, pairs, regions

rng = np.random.default_rng(0)

SETTINGS = [
    {"bound": "mine"},
    {"bound": "nwj"},
    {"bound": "jensen_shannon"},
    {"bound": "smile"},
    {"bound": "smile", "clip": 1.0},
    {"bound": "cpc_pooled"},
    {"bound": "cpc"},
    {"bound": "cpc", "direction": "text_to_image"},
    {"bound": "cpc", "direction": "symmetric"},
]


def _batch(images, scale):
    """Labels and scores with two texts per image, and one study twice."""
    labels = np.eye(images, dtype="int32")
    labels[0, -1] = labels[-1, 0] = pairs.IGNORED
    scores = scale * rng.standard_normal((images, 2 * images))
    return np.repeat(labels, 2, axis=1), scores.astype("float32")


BATCHES = [_batch(4, 1.0), _batch(7, 3.0), _batch(3, 0.1)]


def _loss(bound, **settings):
    return losses.LOSSES[bound](**settings)


def _one_matrix(batches):
    """The batches on the diagonal of one matrix, ignored across."""
    shape = np.sum([labels.shape for labels, _ in batches], axis=0)
    all_labels = np.full(shape, pairs.IGNORED)
    all_scores = np.zeros(shape, "float32")
    row, column = 0, 0
    for labels, scores in batches:
        block = np.s_[
            row : row + labels.shape[0], column : column + labels.shape[1]
        ]
        all_labels[block], all_scores[block] = labels, scores
        row, column = row + labels.shape[0], column + labels.shape[1]
    return all_labels, all_scores


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_one_batch_has_the_value_of_the_loss(settings):
    metric = metrics.MutualInformation(**settings)
    metric.update_state(*BATCHES[0])
    expected = float(_loss(**settings).bound(*BATCHES[0]))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_batches_have_the_value_of_one_matrix_with_ignored_blocks(settings):
    metric = metrics.MutualInformation(**settings)
    update = tf.function(metric.update_state)
    for labels, scores in BATCHES:
        update(labels, scores)
    expected = float(_loss(**settings).bound(*_one_matrix(BATCHES)))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    assert metric.result().dtype == "float32"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_reset_metric_forgets(settings):
    metric = metrics.MutualInformation(**settings)
    metric.update_state(*BATCHES[1])
    metric.reset_state()
    assert math.isnan(float(metric.result()))
    metric.update_state(*BATCHES[0])
    expected = float(_loss(**settings).bound(*BATCHES[0]))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_donsker_varadhan_is_not_the_mean_of_batch_values():
    metric = metrics.MutualInformation("mine")
    values = []
    for labels, scores in BATCHES:
        metric.update_state(labels, scores)
        values.append(float(losses.MINE().bound(labels, scores)))
    assert abs(float(metric.result()) - np.mean(values)) > 0.1


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("image_to_text", 2 * math.log(5) + 2 * math.log(7)),
        ("text_to_image", 2 * math.log(3) + 2 * math.log(4)),
    ],
)
def test_ceiling_is_the_mean_log_of_the_candidates(direction, expected):
    # Four images with two texts each; the first and last are of one study.
    metric = metrics.Ceiling(direction)
    metric.update_state(*BATCHES[0])
    assert float(metric.result()) == pytest.approx(expected / 4)


def test_ceiling_of_both_directions_is_the_mean_of_theirs():
    # the third image has no text: no text of it, but it for the others
    labels = np.array([[1, 0, -1], [0, 1, -1], [0, 0, -1], [-1, -1, 1]])
    found = metrics.Ceiling("symmetric")
    found.update_state(labels)
    one, other = (
        float(bounds.infonce_ceiling(labels == 1, labels == 0, direction))
        for direction in ("image_to_text", "text_to_image")
    )
    assert one != pytest.approx(other)
    assert float(found.result()) == pytest.approx((one + other) / 2)


def test_effective_negatives_are_a_mean_over_batches():
    metric = metrics.EffectiveNegatives()
    values = []
    for labels, scores in BATCHES:
        metric.update_state(labels, scores)
        values.append(float(bounds.effective_negatives(scores, labels == 0)))
    assert float(metric.result()) == pytest.approx(np.mean(values), rel=1e-5)
    metric.update_state(np.array([[1]]), np.array([[5.0]]))  # no negative
    assert float(metric.result()) == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize(
    ("which", "label"), [("positives", 1), ("negatives", 0)]
)
def test_score_mean_is_over_all_pairs_seen(which, label):
    metric = metrics.ScoreMean(which)
    for labels, scores in BATCHES:
        metric.update_state(labels, scores)
    seen = np.concatenate([f[labels == label] for labels, f in BATCHES])
    assert float(metric.result()) == pytest.approx(seen.mean(), rel=1e-4)
    assert metric.name == f"mean_score_{which}"


def test_region_entropy_runs_from_one_region_to_all():
    labels = np.asarray(pairs.label_pairs(np.arange(3)))
    scores = rng.standard_normal((3, 4, 3))
    for rule, expected in (("max", 0.0), ("mean", math.log(4))):
        metric = metrics.RegionEntropy()
        metric.update_state(labels, regions.region_weights(scores, rule))
        assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (
            metrics.MutualInformation,
            {"bound": "cpc", "direction": "symmetric", "name": "mi"},
        ),
        (metrics.MutualInformation, {"bound": "smile", "clip": 2.0}),
        (metrics.Ceiling, {"direction": "text_to_image", "name": "top"}),
        (metrics.EffectiveNegatives, {}),
        (metrics.ScoreMean, {"pairs": "negatives"}),
        (metrics.RegionEntropy, {}),
    ],
)
def test_a_metric_round_trips_through_its_config(kind, settings):
    metric = kind(**settings)
    assert settings.items() <= metric.get_config().items()
    config = keras.saving.serialize_keras_object(metric)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_half_precision_scores_are_pooled_in_float32():
    labels, scores = BATCHES[1]
    exact, half = metrics.MutualInformation(), metrics.MutualInformation()
    rounded = scores.astype("float16")
    exact.update_state(labels, rounded.astype("float32"))
    half.update_state(labels, rounded)
    assert float(half.result()) == float(exact.result())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: metrics.MutualInformation("kl"), "Received: bound='kl'"),
        (
            lambda: metrics.MutualInformation("mine", direction="symmetric"),
            "Leave `direction` out",
        ),
        (lambda: metrics.MutualInformation("cpc", clip=1.0), "Leave `clip`"),
        (lambda: metrics.Ceiling("both"), "Received: direction='both'"),
        (lambda: metrics.ScoreMean("all"), "Received: pairs='all'"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("image_to_text", 2), ("text_to_image", 2), ("symmetric", 4)],
)
def test_anchors_without_negatives_are_counted_over_all_batches(
    direction, expected
):
    # images 0 and 1 of one study and nothing else: no negative for either
    alone = np.array([[1, pairs.IGNORED], [pairs.IGNORED, 1]])
    metric = metrics.AnchorsWithoutNegatives(direction)
    metric.update_state(alone)
    metric.update_state(BATCHES[0][0])
    assert float(metric.result()) == expected
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_model_of_plain_keras_is_compiled_with_bounds_and_metrics():
    features = keras.Input((4,))
    model = keras.Model(features, keras.layers.Dense(4)(features))
    model.compile(
        "sgd",
        loss=losses.CPC(),
        metrics=[
            metrics.MutualInformation("cpc"),
            metrics.Ceiling(),
            metrics.AnchorsWithoutNegatives(),
            metrics.EffectiveNegatives(),
            metrics.ScoreMean("negatives"),
        ],
    )
    pairs = np.eye(4, dtype="int32")
    x = np.random.default_rng(0).random((4, 4))
    logs = model.evaluate(x, pairs, verbose=0, return_dict=True)
    assert logs["mutual_information"] == pytest.approx(-logs["loss"], abs=1e-5)
    assert logs["ceiling"] == pytest.approx(np.log(4))
    with pytest.raises(ValueError, match="MutualInformation takes no"):
        metrics.MutualInformation().update_state(pairs, x, np.ones(4))
