"""Losses: minus a bound, with the state of MINE saved and shared."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds, losses, metrics

rng = np.random.default_rng(0)
# Of studies 5, 6, 5, 7, 8; numpy, as TensorFlow must not start on import.
LABELS = np.repeat(
    [
        [1, 0, -1, 0, 0],
        [0, 1, 0, 0, 0],
        [-1, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ],
    2,  # texts per image
    axis=1,
)
SCORES = (2 * rng.standard_normal(LABELS.shape)).astype("float32")
MASKS = LABELS == 1, LABELS == 0
BOUNDS = {
    "mine": bounds.donsker_varadhan,
    "cpc": bounds.infonce,
    "nwj": bounds.nwj,
    "jensen_shannon": bounds.jensen_shannon,
    "smile": bounds.smile,
    "cpc_pooled": bounds.infonce_pooled,
}


def _gradient(function, scores=SCORES):
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = function(scores)
    return tape.gradient(value, scores).numpy()


def test_every_bound_has_its_loss():
    assert set(losses.LOSSES) == set(BOUNDS)


@pytest.mark.parametrize("name", BOUNDS)
def test_loss_is_minus_its_bound_and_one_number(name):
    loss = losses.get(name)
    value = loss(LABELS, SCORES)
    assert value.shape == ()
    expected = float(BOUNDS[name](SCORES, *MASKS))
    assert float(value) == pytest.approx(-expected)
    assert float(loss.bound(LABELS, SCORES)) == pytest.approx(expected)


@pytest.mark.parametrize("name", BOUNDS)
def test_loss_has_minus_the_gradient_of_its_bound(name):
    loss = losses.get(name)
    np.testing.assert_allclose(
        _gradient(lambda s: loss(LABELS, s)),
        -_gradient(lambda s: BOUNDS[name](s, *MASKS)),
        rtol=1e-5,
        atol=1e-8,
    )


def test_mine_and_cpc_have_different_gradients():
    mine = _gradient(lambda s: losses.MINE()(LABELS, s))
    cpc = _gradient(lambda s: losses.CPC()(LABELS, s))
    assert np.abs(mine - cpc).max() > 1e-2


@pytest.mark.parametrize(
    ("direction", "bound"),
    [
        ("image_to_text", bounds.infonce),
        ("text_to_image", bounds.infonce_text_to_image),
        ("symmetric", bounds.infonce_symmetric),
    ],
)
def test_cpc_runs_in_the_direction_it_is_given(direction, bound):
    value = losses.CPC(direction).bound(LABELS, SCORES)
    assert float(value) == float(bound(SCORES, *MASKS))


@pytest.mark.parametrize("name", BOUNDS)
def test_half_precision_scores_give_a_float32_loss(name):
    half = SCORES.astype("float16")
    value = losses.get(name)(LABELS, half)
    assert value.dtype == "float32"
    expected = losses.get(name)(LABELS, half.astype("float32"))
    assert float(value) == float(expected)


def test_validation_leaves_the_average_of_mine_alone():
    loss = losses.MINE()
    loss(LABELS, SCORES)
    loss.bound(LABELS, SCORES)
    assert float(loss.log_average.value) == -np.inf


def test_update_moves_the_average_of_mine_as_the_bound_says():
    loss, log_average = losses.MINE(momentum=0.9), -np.inf
    for scale in (1.0, 2.0, 0.5):
        loss.update(LABELS, scale * SCORES)
        _, _, log_average = bounds.mine(
            scale * SCORES, *MASKS, log_average, momentum=0.9
        )
    assert float(loss.log_average.value) == pytest.approx(float(log_average))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("batches", [0, 1])
def test_scores_that_are_not_finite_leave_the_average_of_mine(batches, broken):
    loss = losses.MINE()
    for _ in range(batches):
        loss.update(LABELS, SCORES)
    before = float(loss.log_average.value)
    scores = SCORES.copy()
    scores[0, 2] = broken  # of a negative pair
    loss.update(LABELS, scores)
    assert float(loss.log_average.value) == before
    assert not np.isfinite(float(loss(LABELS, scores)))


def test_after_updates_mine_keeps_its_value_and_changes_its_gradient():
    loss = losses.MINE()
    loss.update(LABELS, SCORES + 2)
    dv = bounds.donsker_varadhan(SCORES, *MASKS)
    assert float(loss(LABELS, SCORES)) == -float(dv)
    _, _, log_average = bounds.mine(SCORES + 2, *MASKS, -np.inf)
    np.testing.assert_allclose(
        _gradient(lambda s: loss(LABELS, s)),
        -_gradient(lambda s: bounds.mine(s, *MASKS, log_average)[1]),
        rtol=1e-5,
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_mine_trains_in_a_graph_as_eagerly(jit_compile):
    graph_loss, eager_loss = losses.MINE(), losses.MINE()

    @tf.function(jit_compile=jit_compile)
    def step(scores):
        value = graph_loss(LABELS, scores)
        graph_loss.update(LABELS, scores)
        return value, tf.gradients(value, scores)[0]

    for scale in (1.0, 1.5):
        scores = tf.constant(scale * SCORES)
        value, gradient = step(scores)
        eager = _gradient(lambda s: eager_loss(LABELS, s), scores)
        assert float(value) == pytest.approx(float(eager_loss(LABELS, scores)))
        np.testing.assert_allclose(gradient, eager, rtol=1e-5, atol=1e-8)
        eager_loss.update(LABELS, scores)
    assert float(graph_loss.log_average.value) == pytest.approx(
        float(eager_loss.log_average.value)
    )


@keras.saving.register_keras_serializable(package="kerasmi_tests")
class _Model(keras.Model):
    """Keeps a loss as an attribute, as ImageTextModel does."""

    def __init__(self, objective=None, **kwargs):
        inputs = keras.Input((3,))
        super().__init__(inputs, keras.layers.Dense(2)(inputs), **kwargs)
        self.objective = objective or losses.MINE()

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {"name": self.name, "objective": serialize(self.objective)}

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        objective = deserialize(config["objective"])
        return cls(objective, name=config["name"])


def test_a_saved_model_remembers_the_average_of_its_loss(tmp_path):
    model = _Model(losses.MINE(momentum=0.5))
    model.objective.update(LABELS, SCORES)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.objective.momentum == 0.5
    assert float(again.objective.log_average.value) == pytest.approx(
        float(model.objective.log_average.value)
    )


def test_saved_weights_hold_the_average_of_the_loss(tmp_path):
    model, other = _Model(), _Model()
    model.objective.update(LABELS, SCORES)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    expected = float(model.objective.log_average.value)
    assert float(other.objective.log_average.value) == expected


def _saved_average(loss):
    store = {}
    loss.save_own_variables(store)
    return float(store["log_average"])


def test_replicas_share_one_average_and_one_metric(two_devices):
    with two_devices.scope():
        loss = losses.MINE()
        metric = metrics.MutualInformation("mine")

    @tf.function
    def step():
        value = loss(LABELS, SCORES)
        loss.update(LABELS, SCORES)
        metric.update_state(LABELS, SCORES)
        return value

    alone, alone_metric = losses.MINE(), metrics.MutualInformation("mine")
    for _ in range(2):
        values = two_devices.experimental_local_results(two_devices.run(step))
        expected = float(alone(LABELS, SCORES))
        assert [float(v) for v in values] == pytest.approx([expected] * 2)
        alone.update(LABELS, SCORES)
        alone_metric.update_state(LABELS, SCORES)
    expected = float(alone.log_average.value)
    assert _saved_average(loss) == pytest.approx(expected)
    with two_devices.scope():
        again = losses.MINE()
        again.load_own_variables({"log_average": expected})
    assert _saved_average(again) == expected
    assert float(metric.result()) == pytest.approx(float(alone_metric.result()))
    metric.reset_state()
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mine", {"momentum": 0.9}),
        ("cpc", {"direction": "symmetric"}),
        ("nwj", {}),
        ("jensen_shannon", {}),
        ("smile", {"clip": 2.0}),
        ("cpc_pooled", {"name": "released"}),
    ],
)
def test_a_loss_round_trips_through_its_config(name, settings):
    loss = losses.LOSSES[name](**settings)
    assert settings.items() <= loss.get_config().items()
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_get_returns_a_loss_unchanged():
    loss = losses.SMILE(clip=1.0)
    assert losses.get(loss) is loss


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.get("infonce"), "Received: 'infonce'"),
        (lambda: losses.MINE(momentum=1.0), "Received: momentum=1.0"),
        (lambda: losses.CPC("rows"), "Received: direction='rows'"),
        (lambda: losses.SMILE(clip=0), "Received: clip=0"),
        (lambda: losses.SMILE(clip=np.nan), "Received: clip=nan"),
        (
            lambda: losses.CPC()(LABELS, SCORES, sample_weight=np.ones(5)),
            "takes no `sample_weight`",
        ),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
