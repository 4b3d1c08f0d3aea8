import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf

from kerasmi import callbacks


def test_the_region_rule_anneals_from_the_models_temperature_to_the_final():
    made = small_models.model(region="logsumexp", temperature=2.0)
    made.compile(keras.optimizers.SGD(0.0), loss="cpc", run_eagerly=True)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.region_temperature))

    inputs = small_models.batch(8)
    data = tf.data.Dataset.from_tensor_slices(inputs).batch(4, True)
    made.fit(
        data,
        epochs=2,
        verbose=0,
        shuffle=False,
        callbacks=[callbacks.AnnealTemperature(0.25, total_steps=4), Watch()],
    )
    np.testing.assert_allclose(seen, [2.0, 1.0, 0.5, 0.25], rtol=1e-6)


def test_an_annealed_model_scores_by_its_last_temperature_once_loaded(tmp_path):
    made = small_models.model(region="logsumexp", temperature=2.0)
    inputs = small_models.batch(4)
    warm = np.array(made(inputs))
    made.region_temperature.assign(1e-3)
    scores = np.array(made(inputs))
    assert np.abs(scores - warm).max() > 0.1
    image, text = made.encode(inputs)
    hard = np.max(made.region_scores(image, text), axis=1)
    np.testing.assert_allclose(scores, hard, atol=2e-2)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.array(loaded(inputs)), scores, atol=1e-6)


@pytest.mark.parametrize("epochs", [1, 3, 8, 9, 16, 50])
def test_pictures_are_of_every_epoch_or_of_eight_with_the_last(epochs):
    drawn = callbacks.pictured(epochs)
    assert len(drawn) == min(epochs, 8)
    assert max(drawn) == epochs - 1
    assert min(drawn) >= 0
    assert np.ptp(np.diff(sorted(drawn))) <= 1 if epochs > 1 else drawn == {0}


def test_pictures_are_of_the_whole_training_where_a_fit_knows_a_part(tmp_path):
    drawn = []

    def draw():
        drawn.append(epoch)
        return np.zeros((4, 4, 3), np.uint8)

    pictures = callbacks.Pictures(tmp_path, "sentences", draw, epochs=16)
    # as Keras tells it where a training goes on within the third epoch
    pictures.set_params({"epochs": 3})
    pictures.on_train_begin()
    for epoch in range(2, 6):
        pictures.on_epoch_end(epoch)
    pictures.on_train_end()
    assert drawn == [3, 5]


@pytest.mark.parametrize("final", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_to_anneal_to_is_above_zero(final):
    with pytest.raises(ValueError, match=rf"`final`.*{final}"):
        callbacks.AnnealTemperature(final, total_steps=4)


def test_steps_to_anneal_over_are_counted_from_one():
    with pytest.raises(ValueError, match=r"`total_steps`.*Received: 0"):
        callbacks.AnnealTemperature(0.5, total_steps=0)


@pytest.mark.parametrize("region", ["max", "mean", "matched"])
def test_a_rule_without_a_temperature_is_not_annealed(region):
    made = small_models.model(region=region)
    made.compile("sgd")
    anneal = callbacks.AnnealTemperature(0.5, total_steps=4)
    with pytest.raises(ValueError, match=rf"Anneal.*'logsumexp'.*{region!r}"):
        made.fit(small_models.batch(4), verbose=0, callbacks=[anneal])


def test_steps_in_one_execution_are_not_annealed():
    made = small_models.model(region="logsumexp")
    made.compile("sgd", loss="cpc", steps_per_execution=2)
    anneal = callbacks.AnnealTemperature(0.5, total_steps=4)
    with pytest.raises(ValueError, match=r"Anneal.*steps_per_execution=2"):
        made.fit(small_models.batch(4), verbose=0, callbacks=[anneal])


def test_a_temperature_to_anneal_to_is_a_number():
    with pytest.raises(TypeError, match=r"`final`.*'0.5' \(str\)"):
        callbacks.AnnealTemperature("0.5", total_steps=4)
