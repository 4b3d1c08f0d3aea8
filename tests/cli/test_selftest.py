"""`kerasmi selftest`: what it says of a sound recipe, and of each fault."""

import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from click.testing import CliRunner

from kerasmi import recipe as recipes
from kerasmi import selftest
from kerasmi.cli import main


@pytest.mark.slow
def test_a_sound_recipe_passes_every_check():
    small = ("critic.hidden_dims=[16, 8]", "pretrain.sentences=2")
    done = CliRunner().invoke(main, ["selftest", "local_mine", *small])
    assert done.exit_code == 0, done.output
    *lines, last = done.stdout.splitlines()
    assert last == "all is well"
    names = [line[6:31].strip() for line in lines]
    assert names == [
        "devices",
        "disk",
        "negatives",
        "gradient: image encoder",
        "gradient: text encoder",
        "gradient: critic",
        "features",
        "overfits",
    ]


def test_a_recipe_without_an_objective_is_refused():
    done = CliRunner().invoke(main, ["selftest", "image_only"])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "image_only: has no objective" in line


def test_a_gpu_that_tensorflow_does_not_see_is_told(monkeypatch):
    monkeypatch.setattr(selftest.launching, "visible_gpus", lambda *_: [])
    assert selftest._devices().passed
    monkeypatch.setattr(selftest.launching, "visible_gpus", lambda *_: ["0"])
    found = selftest._devices()
    assert not found.passed
    assert "This machine has 1 GPU, which TensorFlow cannot use" in found.text


def test_a_batch_of_one_study_has_no_negatives():
    batch = {
        name: tf.constant(value)
        for name, value in small_models.batch(4, studies=[7, 7, 7, 8]).items()
    }
    assert selftest._negatives(batch).passed
    batch["study_ids"] = tf.constant([7, 7, 7, 7], tf.int64)
    found = selftest._negatives(batch)
    assert not found.passed
    assert "4 images without a negative text" in found.text


def looked_at(model, batch, tmp_path, monkeypatch):
    """The checks of a small model on one batch, by name."""
    monkeypatch.setattr(selftest.build, "data", lambda *_: None)
    monkeypatch.setattr(
        selftest.build, "image_text_model", lambda *_, **__: model
    )
    monkeypatch.setattr(selftest, "_batch", lambda *_: batch)
    recipe = recipes.load("local_mine")
    found = selftest.checks(recipe, tmp_path, tmp_path)
    return {check.name: check for check in found}


def test_a_batch_without_any_negative_ends_the_checks(tmp_path, monkeypatch):
    model = small_models.model()
    model.compile("adam")
    batch = small_models.batch(4, studies=[7, 7, 7, 7])
    found = looked_at(model, batch, tmp_path, monkeypatch)
    assert [*found] == ["devices", "disk", "negatives"]
    assert not found["negatives"].passed


@pytest.mark.parametrize("accumulate", [1, 4])
def test_gradients_and_steps_are_taken_in_the_parts_of_the_run(
    tmp_path, monkeypatch, accumulate
):
    monkeypatch.setattr(selftest, "STEPS", 2)
    model = small_models.model()
    model.compile("adam", accumulate=accumulate)
    sizes, encode = [], model.encode

    def encoded(inputs, training=False):
        if training:
            sizes.append(inputs["images"].shape[0])
        return encode(inputs, training)

    model.encode = encoded
    batch = small_models.batch(8)
    found = looked_at(model, batch, tmp_path, monkeypatch)
    assert len(found) == 8
    assert set(sizes) == {8 // accumulate}
    # an eager step and a traced one, with two passes each where it is in parts
    assert len(sizes) == (2 if accumulate == 1 else 2 * accumulate + 2)


def test_the_gradient_in_parts_is_that_of_the_whole_batch():
    norms = []
    for accumulate in (1, 4):
        model = small_models.model()
        # the statistics of a part are not those of the batch
        for layer in model.image_encoder._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        model.compile("adam", accumulate=accumulate)
        found = selftest._gradients(model, small_models.batch(8))
        norms.append([check.text for check in found])
    assert norms[0] == norms[1]
    assert all(text.startswith("norm ") for text in norms[0])


def test_a_gradient_in_float16_is_that_of_the_loss_without_a_scale():
    norms = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = small_models.model()
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile("adam")
        found = selftest._gradients(model, small_models.batch(8))
        norms.append([float(check.text.split()[1][:-1]) for check in found])
    np.testing.assert_allclose(norms[1], norms[0], rtol=0.05)


def test_a_scale_that_overflows_is_halved_and_no_more(monkeypatch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small_models.model()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam")
    scale, seen = model.optimizer.dynamic_scale, []
    of_one = [tf.fill(v.shape, 1e-6) for v in model.trainable_variables]

    def differentiated(_):
        seen.append(float(scale))
        factor = np.inf if seen[-1] > 2.0**13 else seen[-1]
        return None, None, [factor * each for each in of_one]

    monkeypatch.setattr(model, "_differentiated", differentiated)
    found = selftest._differentiated(model, {})
    assert seen == [2.0**15, 2.0**14, 2.0**13]
    for one, each in zip(found, of_one, strict=True):
        np.testing.assert_allclose(one, each)


@pytest.mark.parametrize(
    ("gradients", "words"),
    [
        ([None], "does not depend on it"),
        ([tf.zeros(3), None], "it is 0"),
        ([tf.constant([np.nan])], "not a number"),
    ],
)
def test_a_tower_that_cannot_learn_is_named(gradients, words):
    found = selftest._gradient("critic", gradients)
    assert not found.passed
    assert words in found.text


def test_a_gradient_is_told_by_its_norm():
    found = selftest._gradient("critic", [tf.constant([3.0, 4.0]), None])
    assert found.passed
    assert found.text == "norm 5, in 1 of 2 weights"


def test_too_little_room_for_checkpoints_is_told(tmp_path, monkeypatch):
    model = small_models.model()
    model.compile("adam")
    assert selftest._disk(model, tmp_path).passed
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000)
    )
    found = selftest._disk(model, tmp_path)
    assert not found.passed
    assert "Make room" in found.text


def test_a_folder_that_is_not_there_yet_has_the_disk_of_the_one_above(
    tmp_path, monkeypatch
):
    looked = []

    def usage(folder):
        looked.append(folder)
        return SimpleNamespace(free=10**12)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    model = small_models.model()
    model.compile("adam")
    found = selftest._disk(model, tmp_path / "new" / "runs")
    assert found.passed
    assert f"free in {tmp_path / 'new' / 'runs'}" in found.text
    assert looked == [tmp_path]


def test_collapsed_texts_are_told():
    model = small_models.model()
    batch = small_models.batch(4)
    assert selftest._features(model, batch).passed
    for name in ("token_ids", "padding_mask"):
        batch[name] = np.repeat(batch[name][:1], 4, 0)
    assert (
        "text features have collapsed" in selftest._features(model, batch).text
    )
