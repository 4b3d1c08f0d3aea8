"""Held-out images and frozen features are worked out once, and are the same."""

import numpy as np
import pytest

from kerasmi import build
from kerasmi import recipe as recipes
from kerasmi.data import kept, pipeline
from kerasmi.held_out_images import HeldOutImages
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.reporter import Reporter

SMALL = (
    "data.images={train: 16, validation: 70, test: 16}",
    "retrain.labels=8",
)


@pytest.fixture(scope="module")
def recipe():
    return recipes.load("local_mine", SMALL)


@pytest.fixture(scope="module")
def dataset(recipe, tmp_path_factory):
    return build.data(recipe, tmp_path_factory.mktemp("data"), Reporter())


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder.from_preset("resnet_phantom")


@pytest.fixture
def read(monkeypatch):
    """The splits that are read, once for each time."""
    splits, images = [], pipeline.images

    def watched(dataset, split, **options):
        splits.append(split)
        return images(dataset, split, **options)

    monkeypatch.setattr(pipeline, "images", watched)
    return splits


def joined(blocks):
    return np.concatenate([np.asarray(block) for block in blocks])


def test_features_are_those_of_the_images_in_their_order(
    recipe, dataset, encoder
):
    held_out = HeldOutImages(recipe, dataset)
    batches, rows = pipeline.images(
        dataset, "validation", batch_size=7, image_size=64
    )
    images = joined(batches)
    assert len(images) == len(rows) == 70
    np.testing.assert_array_equal(joined(held_out.images("validation")), images)
    np.testing.assert_allclose(
        joined(held_out.features("validation", encoder)),
        encoder.lower(images, training=False),
        atol=1e-5,
    )


def test_a_split_is_read_once_for_all_tasks_and_epochs(
    recipe, dataset, encoder, read
):
    held_out = HeldOutImages(recipe, dataset)
    for _ in range(2):
        first = held_out.features("validation", encoder)
        assert first is held_out.features("validation", encoder)
        held_out.images("validation")
    assert read == ["validation"]


def test_features_of_another_encoder_are_worked_out_anew(
    recipe, dataset, encoder
):
    held_out = HeldOutImages(recipe, dataset)
    one = joined(held_out.features("test", encoder))
    other = ImageEncoder.from_preset("resnet_phantom")
    assert (joined(held_out.features("test", other)) != one).any()


def test_what_does_not_fit_in_memory_is_read_again_and_is_the_same(
    recipe, dataset, encoder, read, monkeypatch
):
    whole = joined(HeldOutImages(recipe, dataset).features("test", encoder))
    monkeypatch.setattr(kept, "KEPT_BYTES", 1)
    held_out = HeldOutImages(recipe, dataset)
    for _ in range(2):
        np.testing.assert_array_equal(
            joined(held_out.features("test", encoder)), whole
        )
    assert read == ["test"] * 3
