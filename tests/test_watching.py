import json

import keras
import numpy as np
import pytest
import small_models

from kerasmi import watching
from kerasmi.checkpoint_files import Position
from kerasmi.errors import TrainingError
from kerasmi.reporter import Reporter

ROWS = [f"image{k}" for k in range(6)]


BEGINNING = Position()


def fit(folder, values, begun=BEGINNING):
    """A training on given values, two a step, from some step on."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    watch = watching.FiniteLoss(
        folder,
        begun,
        lambda epoch, step: ROWS[2 * step : 2 * step + 2],
        "Try something.",
    )
    model.fit(
        np.ones((len(values), 1)),
        np.array(values)[:, None],
        batch_size=2,
        epochs=begun.epoch + 1,
        initial_epoch=begun.epoch,
        shuffle=False,
        verbose=0,
        callbacks=[watch],
    )


def test_a_finite_loss_is_left_alone(tmp_path):
    fit(tmp_path, [1.0] * 6)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite")]
)
def test_the_first_bad_batch_is_named_in_a_file(tmp_path, bad, word):
    with pytest.raises(TrainingError, match=rf"{word} in epoch 1, step 2"):
        fit(tmp_path, [1.0, 1.0, 1.0, bad, 1.0, 1.0])
    found = json.loads((tmp_path / watching.FILE).read_text())
    assert found["image_ids"] == ["image2", "image3"]
    assert (found["epoch"], found["step"]) == (0, 1)


def test_the_step_before_is_named_where_no_gradient_is_watched(tmp_path):
    with pytest.raises(TrainingError):
        fit(tmp_path, [1.0, 1.0, np.nan, 1.0])
    found = json.loads((tmp_path / watching.FILE).read_text())
    assert found["image_ids"] == ["image2", "image3"]
    assert found["image_ids_of_step_before"] == ["image0", "image1"]


def test_the_last_step_of_the_epoch_before_is_named(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    asked = []
    watch = watching.FiniteLoss(
        tmp_path, BEGINNING, lambda *at: asked.append(at) or [], "Try."
    )
    watch.set_model(model)
    watch.on_epoch_begin(0)
    for step in range(3):
        watch.on_train_batch_end(step, {"loss": 1.0})
    watch.on_epoch_begin(1)
    with pytest.raises(TrainingError):
        watch.on_train_batch_end(0, {"loss": np.inf})
    assert asked == [(1, 0), (0, 2)]


def test_the_message_names_the_file_and_no_image(tmp_path):
    with pytest.raises(TrainingError) as told:
        fit(tmp_path, [np.nan, 1.0])
    assert str(tmp_path / watching.FILE) in str(told.value)
    assert "image0" not in str(told.value)


def test_the_steps_of_an_epoch_begun_are_counted(tmp_path):
    with pytest.raises(TrainingError, match="epoch 3, step 2"):
        fit(tmp_path, [np.nan, 1.0], Position(2, 1))


@pytest.mark.parametrize("scaled", [False, True])
def test_a_gradient_that_overflows_stops_unless_losses_are_scaled(
    tmp_path, scaled
):
    optimizer = keras.optimizers.SGD()
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    watch = watching.FiniteLoss(tmp_path, BEGINNING, lambda *_: [], "Try.")
    watch.set_model(model)
    watch.on_epoch_begin(0)
    logs = {"loss": 1.0, "gradient_norm": np.inf}
    if scaled:
        watch.on_train_batch_end(0, logs)
        return
    with pytest.raises(TrainingError, match="the gradient became infinite"):
        watch.on_train_batch_end(0, logs)
    found = json.loads((tmp_path / watching.FILE).read_text())
    assert "image_ids_of_step_before" not in found


class Heard(Reporter):
    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


def test_collapsed_texts_are_warned_of_once():
    model = small_models.model()
    batch = small_models.batch(4, texts=2)
    same = {k: np.repeat(batch[k][:1, :1], 4, 0) for k in
            ("token_ids", "padding_mask")}  # fmt: skip
    heard = Heard()
    watch = watching.Troubles({**batch, **same}, heard, ceiling=True)
    watch.set_model(model)
    for epoch in (0, 1):
        watch.on_epoch_end(epoch, {"mutual_information": 2.0, "ceiling": 2.01})
    assert [text.partition(":")[0] for text in heard.warnings] == [
        "epoch 1"
    ] * 2
    assert "text features have collapsed" in heard.warnings[0]
    assert "saturated" in heard.warnings[1]


def test_images_without_negatives_are_warned_of():
    heard = Heard()
    batch = small_models.batch(4, texts=2)
    watch = watching.Troubles(batch, heard, ceiling=False)
    watch.set_model(small_models.model())
    watch.on_epoch_end(0, {"anchors_without_negatives": 0.0})
    assert heard.warnings == []
    watch.on_epoch_end(1, {"anchors_without_negatives": 2.0})
    (text,) = heard.warnings
    assert text.startswith("epoch 2: images without a negative")
