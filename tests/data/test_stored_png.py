import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import augment, images, stored_png
from kerasmi.data.augment import Augmentation

SIZE = 8
KINDS = (np.uint8, np.uint16)


def picture(height, width, kind, seed=0):
    return np.random.default_rng(seed).integers(
        0, np.iinfo(kind).max, (height, width), kind, endpoint=True
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (8, 13), (13, 9)])
def test_any_decoder_reads_it(kind, shape):
    pixels = picture(*shape, kind)
    png = stored_png.encode(pixels)
    assert images.png_size(png) == shape[::-1]
    read = tf.io.decode_png(png, dtype=kind)[..., 0]
    np.testing.assert_array_equal(read, pixels)


def test_rows_too_long_for_a_block_make_an_ordinary_png():
    pixels = picture(2, 40_000, np.uint16)
    png = stored_png.encode(pixels)
    assert not known([png], 16).any()
    read = tf.io.decode_png(png, dtype=tf.uint16)[..., 0]
    np.testing.assert_array_equal(read, pixels)


def known(pngs, depth):
    return stored_png.sizes(tf.constant(pngs), depth)[0].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_from_any_other(kind):
    own = stored_png.encode(picture(8, 11, kind))
    pixels = picture(8, 11, kind)[..., None]
    others = [
        tf.io.encode_png(pixels).numpy(),
        tf.io.encode_png(pixels, compression=0).numpy(),
        own[:-1],
        own + b"\0",
        own.replace(b"rows stored", b"rows packed"),
        own[:19] + b"\x0c" + own[20:],  # wider than it is
        b"",
    ]
    depth = 8 * np.dtype(kind).itemsize
    assert known([own, *others], depth).tolist() == [True] + [False] * 7
    assert not known([own], 24 - depth).any()


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_read_where_they_lie(kind):
    made = [picture(*shape, kind) for shape in ((8, 8), (9, 13), (200, 300))]
    pngs = tf.constant([stored_png.encode(pixels) for pixels in made])
    depth = 8 * np.dtype(kind).itemsize
    _, height, width = stored_png.sizes(pngs, depth)
    rows = stored_png.rows(pngs, depth, height, width)
    for pixels, read, place in zip(made, rows.pixels, rows.places, strict=True):
        first, stride, *shape = place.numpy()
        assert tuple(shape) == pixels.shape
        at = first + stride * np.arange(shape[0])[:, None] + range(shape[1])
        wide = pixels.astype(np.uint16) * (257 if depth == 8 else 1)
        np.testing.assert_array_equal(read.numpy()[at], wide)


@pytest.mark.parametrize("ranges", [(8, 0.1, 0.06), (90, 0.3, 0.5), (0, 0, 0)])
@pytest.mark.parametrize("kind", [*KINDS, None])
def test_a_map_of_what_lies_in_files_is_that_of_what_was_decoded(ranges, kind):
    # None: both depths in one batch, which is decoded
    augmentation = Augmentation(*ranges)
    shapes = [(8, 8), (8, 13), (12, 8), (8, 30)]
    kinds = [kind] * 4 if kind else [*KINDS] * 2
    made = [
        picture(*shape, own, seed)
        for seed, (shape, own) in enumerate(zip(shapes, kinds, strict=True))
    ]
    stored = tf.constant([stored_png.encode(pixels) for pixels in made])
    others = tf.constant(
        [tf.io.encode_png(pixels[..., None]).numpy() for pixels in made]
    )
    margin = augment.margin(augmentation, SIZE)
    motions = augment.draw(augmentation, tf.constant([1, 2]), 4)
    in_place, decoded = (
        augment.read_rows(pngs, SIZE, margin) for pngs in (stored, others)
    )
    lie_in_files = in_place.pixels.shape[1] > decoded.pixels.shape[1]
    assert lie_in_files == (kind is not None)
    np.testing.assert_array_equal(
        augment.warp(in_place, motions, SIZE),
        augment.warp(decoded, motions, SIZE),
    )
