import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf

from kerasmi import callbacks


def trained(path, scores, seconds=60.0):
    """A small model after epochs with given scores, and its kernels."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    kernels, given = [], iter(scores)

    class Score(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = next(given)
            kernels.append(np.array(model.layers[0].kernel))

    model.fit(
        np.ones((4, 2)),
        np.zeros((4, 1)),
        epochs=len(scores),
        verbose=0,
        callbacks=[Score(), callbacks.KeepBest(path, "score", seconds)],
    )
    return model, kernels


def test_the_best_epoch_is_kept_with_its_optimizer(tmp_path):
    path = tmp_path / "model.keras"
    model, kernels = trained(path, [0.1, 0.3, float("nan"), 0.3, 0.2])
    for kept in (model, keras.saving.load_model(path)):
        np.testing.assert_array_equal(kept.layers[0].kernel, kernels[1])
        assert int(kept.optimizer.iterations) == 2


def test_without_a_score_nothing_is_written(tmp_path):
    path = tmp_path / "model.keras"
    trained(path, [float("nan")] * 2)
    assert not path.exists()


@pytest.mark.parametrize(("seconds", "files"), [(-1.0, 4), (60.0, 1)])
def test_files_are_written_once_in_a_while(
    tmp_path, monkeypatch, seconds, files
):
    written = []
    save = keras.Sequential.save
    monkeypatch.setattr(
        keras.Sequential,
        "save",
        lambda model, path: (written.append(path), save(model, path)),
    )
    trained(tmp_path / "model.keras", [0.1, 0.2, 0.15, 0.4], seconds)
    assert len(written) == files


def test_the_region_rule_anneals_from_the_models_temperature_to_the_final():
    made = small_models.model(region="logsumexp", temperature=2.0)
    made.compile(keras.optimizers.SGD(0.0), loss="cpc")
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
