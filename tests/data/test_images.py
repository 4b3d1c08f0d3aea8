import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import augment, images


def both_ways(function, *inputs):
    """Eagerly and in `Dataset.map`: the two have differed in the past."""
    eager = function(*(tf.constant(x) for x in inputs)).numpy()
    slices = tuple(tf.constant(x)[tf.newaxis] for x in inputs)
    mapped = tf.data.Dataset.from_tensor_slices(slices).map(function)
    (graph,) = mapped.as_numpy_iterator()
    np.testing.assert_array_equal(eager, graph)
    return eager


def test_16_bits_do_not_wrap_to_negative_numbers(make):
    values = np.array([[0, 1, 32767], [32768, 40000, 65535]], np.uint16)
    decoded = both_ways(images.decode, make.png(values))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded[..., 0], values / np.float32(65535))


def test_8_bits_span_the_same_range(make):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    decoded = both_ways(images.decode, make.png(values))
    np.testing.assert_allclose(decoded[..., 0], values / 255, atol=1e-7)
    assert decoded.max() == 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((16, 32), (8, 16)),
        ((30, 20), (12, 8)),
        ((4, 5), (8, 10)),
        ((8, 9), (8, 9)),
    ],
)
def test_the_shorter_side_is_as_asked(shape, expected):
    image = np.zeros((*shape, 1), np.float32)
    assert images.resize(tf.constant(image), 8).shape[:2] == expected


def test_a_right_size_is_left_untouched():
    image = np.random.default_rng(0).random((8, 11, 1), np.float32)
    resized = both_ways(lambda x: images.resize(x, 8), image)
    np.testing.assert_array_equal(resized, image)


def test_fine_lines_average_out_instead_of_aliasing():
    lines = np.zeros((64, 64, 1), np.float32)
    lines[:, ::2] = 1
    resized = images.resize(tf.constant(lines), 8).numpy()
    np.testing.assert_allclose(resized[1:-1, 1:-1], 0.5, atol=0.02)


def test_reducing_keeps_a_ramp():
    # Pixel centres of the small image lie at 0.5, 2.5, ... of the large one.
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    resized = images.resize(tf.constant(ramp[..., None]), 8).numpy()
    expected = (ramp[0, ::2] + ramp[0, 1::2]) / 2
    np.testing.assert_allclose(resized[3, 1:-1, 0], expected[1:-1], atol=1e-5)


@pytest.mark.parametrize("width", [8, 9, 10, 13])
def test_the_crop_is_the_middle(width):
    image = np.arange(8 * width, dtype=np.float32).reshape(8, width, 1)
    left = (width - 8) // 2
    for pixels, middle in (
        (image, image[:, left : left + 8]),
        (image.transpose(1, 0, 2), image.transpose(1, 0, 2)[left : left + 8]),
    ):
        cropped = both_ways(lambda x: images.centre_crop(x, 8), pixels)
        np.testing.assert_array_equal(cropped, middle)


def test_a_batch_may_hold_images_of_any_shape(make):
    rng = np.random.default_rng(0)
    shapes = [(8, 8), (8, 12), (20, 16)]
    pngs = [make.png(rng.integers(0, 256, s, np.uint8)) for s in shapes]
    batch = augment.load(tf.constant(pngs), 8)
    assert batch.shape == (3, 8, 8, 1)
    alone = images.centre_crop(images.resize(images.decode(pngs[2]), 8), 8)
    np.testing.assert_array_equal(batch[2], alone)


def test_a_png_tells_its_size(make):
    assert images.png_size(make.png(np.zeros((3, 5), np.uint16))) == (5, 3)


def test_other_images_are_refused(make):
    whole = make.png(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="cut off"):
        images.png_size(whole[:-7])
    with pytest.raises(ValueError, match="expected the bytes of a PNG"):
        images.png_size(b"\xff\xd8\xff" + whole)
    with pytest.raises(ValueError, match="colour type 2 of 8 bits"):
        images.png_size(make.png(np.zeros((8, 8, 3), np.uint8)))
