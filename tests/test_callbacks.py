import keras
import numpy as np
import pytest

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
