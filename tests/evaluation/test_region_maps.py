"""Maps of regions lie where the network looked, in the stored image."""

import numpy as np
import pytest

from kerasmi.evaluation import drawing, region_maps
from kerasmi.evaluation.region_examples import RegionExamples


@pytest.mark.parametrize(
    "shape",
    [(64, 64), (128, 128), (64, 96), (200, 64), (150, 101), (97, 131)],
)
def test_the_square_is_what_resizing_and_cropping_keep(shape):
    from kerasmi.data import images

    # Each pixel holds its own place: what the network gets tells whence.
    down, across = np.indices(shape).astype(np.float32) + 0.5
    height, width = shape
    seen = []
    for ramp, length in ((across, width), (down, height)):
        image = images.resize((ramp / length)[..., None], 64)
        seen.append(images.centre_crop(image, 64).numpy()[..., 0] * length)
    left, top, right, bottom = region_maps.seen_square(height, width, 64)
    at = (np.arange(64) + 0.5) / 64
    # Not at the border, where resizing has fewer pixels to blend.
    inner = slice(4, 60)
    expected = left + at * (right - left)
    np.testing.assert_allclose(seen[0][32, inner], expected[inner], atol=0.1)
    expected = top + at * (bottom - top)
    np.testing.assert_allclose(seen[1][inner, 32], expected[inner], atol=0.1)


def test_a_wide_image_has_its_map_in_the_middle_and_all_its_pixels():
    image, scores = np.zeros((100, 200)), np.eye(4)
    truth = np.zeros(16)
    truth[0] = 1
    figure = region_maps.region_map(image, scores, 1.0, truth, 50)
    axes = figure.axes[0]
    assert axes.get_xlim() == (-0.5, 199.5)
    assert axes.get_ylim() == (99.5, -0.5)
    under, over = axes.images
    assert under.get_extent() == [-0.5, 199.5, 99.5, -0.5]
    assert tuple(over.get_extent()) == (49.5, 149.5, 99.5, -0.5)
    (square,) = axes.patches
    assert square.get_bbox().bounds == (49.5, -0.5, 100, 100)
    # The truth is of the whole image: its first cell is 50 wide, 25 high.
    corners = np.concatenate(axes.collections[0].get_segments())
    assert corners.min(axis=0).tolist() == [-0.5, -0.5]
    assert corners.max(axis=0).tolist() == [49.5, 24.5]


def test_a_square_image_has_its_map_all_over_it():
    figure = region_maps.region_map(
        np.zeros((64, 64)), np.eye(4), 1.0, None, 32
    )
    axes = figure.axes[0]
    assert tuple(axes.images[1].get_extent()) == (-0.5, 63.5, 63.5, -0.5)
    assert not axes.patches


def test_a_finer_map_than_the_true_cells_is_drawn():
    truth = np.eye(4).ravel()
    figure = region_maps.region_map(
        np.zeros((56, 56)), np.zeros((7, 7)), 1.0, truth, 56
    )
    assert figure.axes[0].collections


def test_the_scale_is_shared_and_never_zero():
    assert region_maps.scale_of(np.zeros((2, 4, 4))) > 0
    maps = np.zeros((1, 2, 2))
    maps[0, 0, 0] = 4.0
    assert region_maps.scale_of(maps) == pytest.approx(3.0)


def test_examples_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    sizes = ((8, 9), (10, 8))
    made = RegionExamples(
        [rng.integers(0, 255, size).astype(np.uint8) for size in sizes],
        ["Größe?", ""],
        rng.normal(size=(2, 4, 4)).astype(np.float32),
        [np.arange(16, dtype=np.uint8) % 2, None],
        8,
    )
    made.save(tmp_path / "examples.npz")
    read = RegionExamples.load(tmp_path / "examples.npz")
    assert read.sentences == made.sentences
    assert read.size == 8
    np.testing.assert_array_equal(read.maps, made.maps)
    np.testing.assert_array_equal(read.truth[0], made.truth[0])
    assert read.truth[1] is None
    for one, other in zip(read.images, made.images, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(read.draw().axes) == 3


def test_another_file_is_no_examples(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not the maps of a run"):
        RegionExamples.load(tmp_path / "other.npz")


def test_a_figure_drawn_again_is_that_of_its_new_maps():
    generator = np.random.default_rng(0)
    images = [generator.random((64, 64)) for _ in range(3)]
    sentences = ["One.", "Two sentences that are longer.", "Three."]
    maps, others = generator.normal(size=(2, 3, 4, 4))
    figure = region_maps.region_maps(images, sentences, maps)
    for shown in (others, maps, others):
        region_maps.redraw(figure, shown)
    drawn = drawing.to_array(figure)
    old, new = (
        drawing.to_array(region_maps.region_maps(images, sentences, shown))
        for shown in (maps, others)
    )
    np.testing.assert_array_equal(drawn, new)
    assert (old != new).any()
