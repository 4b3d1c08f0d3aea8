"""`kerasmi selftest`: what it says of a sound recipe, and of each fault."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import small_models
import tensorflow as tf
from click.testing import CliRunner

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


def test_collapsed_texts_are_told():
    model = small_models.model()
    batch = small_models.batch(4)
    assert selftest._features(model, batch).passed
    for name in ("token_ids", "padding_mask"):
        batch[name] = np.repeat(batch[name][:1], 4, 0)
    assert (
        "text features have collapsed" in selftest._features(model, batch).text
    )
