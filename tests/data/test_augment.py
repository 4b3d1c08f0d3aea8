import itertools

import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import augment, images
from kerasmi.data.augment import Augmentation
from kerasmi.data.stored_png import of_squares

BESIDE = 24  # holds every picture of these tests


def picture(height=8, width=8, seed=0):
    return np.random.default_rng(seed).random((height, width, 1), np.float32)


def warp(image, angle=0.0, scale=1.0, down=0.0, right=0.0, size=8):
    motion = tf.constant([np.radians(angle), scale, down, right], tf.float32)
    square = images.centre_crop(tf.constant(image), size, margin=BESIDE)
    return augment.warp(of_squares(square[None, ..., 0]), motion[None], size)[
        0
    ].numpy()


def reference(image, angle, scale, down, right, size):
    """Pixel by pixel in float64: where does this pixel come from?"""
    height, width, _ = image.shape
    result = np.zeros((size, size, 1))
    middle = (size - 1) / 2
    turn = np.radians(angle)
    for row, column in itertools.product(range(size), repeat=2):
        # Undo the shift, then the scale, then the rotation; y points down,
        # so that turning the picture left turns this vector right.
        y = (row - middle - down * size) / scale
        x = (column - middle - right * size) / scale
        source_x = np.cos(turn) * x - np.sin(turn) * y
        source_y = np.sin(turn) * x + np.cos(turn) * y
        source_x += middle + (width - size) // 2
        source_y += middle + (height - size) // 2
        for j, i in itertools.product(
            (np.floor(source_y), np.floor(source_y) + 1),
            (np.floor(source_x), np.floor(source_x) + 1),
        ):
            weight = (1 - abs(source_y - j)) * (1 - abs(source_x - i))
            if 0 <= j < height and 0 <= i < width:
                result[row, column] += weight * image[int(j), int(i)]
    return result


@pytest.mark.parametrize("shape", [(8, 8), (8, 12), (13, 8)])
def test_nothing_moves_nothing_changes(shape):
    image = picture(*shape)
    top, left = (shape[0] - 8) // 2, (shape[1] - 8) // 2
    middle = image[top : top + 8, left : left + 8]
    np.testing.assert_array_equal(warp(image), middle)


def test_ranges_of_zero_move_nothing():
    still = augment.draw(Augmentation(0, 0, 0), tf.constant([1, 2]), 5)
    np.testing.assert_array_equal(still, [[0, 1, 0, 0]] * 5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_counter_clockwise(quarters):
    image = picture()
    turned = warp(image, angle=90 * quarters)
    np.testing.assert_allclose(turned, np.rot90(image, quarters), atol=2e-6)


def test_a_shift_moves_whole_pixels_and_leaves_black():
    image = picture()
    moved = warp(image, down=2 / 8, right=-1 / 8)
    expected = np.zeros_like(image)
    expected[2:, :-1] = image[:-2, 1:]
    np.testing.assert_array_equal(moved, expected)


def test_a_scale_above_one_enlarges():
    image = np.zeros((8, 8, 1), np.float32)
    image[3:5, 3:5] = 1
    assert warp(image, scale=2.0).sum() == pytest.approx(16, rel=0.15)
    assert warp(image, scale=0.5).sum() == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_any_motion_agrees_with_the_sum_in_float64(seed):
    rng = np.random.default_rng(seed)
    image = picture(*rng.integers(8, 14, 2), seed)
    motion = {
        "angle": rng.uniform(-180, 180),
        "scale": rng.uniform(0.7, 1.4),
        "down": rng.uniform(-0.3, 0.3),
        "right": rng.uniform(-0.3, 0.3),
    }
    expected = reference(image, **motion, size=8)
    np.testing.assert_allclose(warp(image, **motion), expected, atol=2e-5)


def test_what_lies_beside_the_square_is_moved_in():
    image = picture(8, 12)
    moved = warp(image, right=2 / 8)
    np.testing.assert_array_equal(moved, image[:, :8])


def test_draws_fill_their_ranges():
    ranges = Augmentation(rotation=20, scale=0.2, translation=0.1)
    drawn = augment.draw(ranges, tf.constant([3, 4]), 2000).numpy()
    angle, scale, down, right = drawn.T
    for values, limit in (
        (np.degrees(angle), 20),
        (scale - 1, 0.2),
        (down, 0.1),
        (right, 0.1),
    ):
        assert abs(values).max() <= limit * (1 + 1e-5)
        assert values.min() < -0.95 * limit
        assert values.max() > 0.95 * limit
        assert abs(values.mean()) < 0.06 * limit
    assert abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.1


def test_a_seed_decides_the_draw():
    def draw(seed):
        return augment.draw(Augmentation(), tf.constant(seed), 3).numpy()

    tf.random.set_seed(7)
    first = draw([1, 2])
    tf.random.set_seed(8)
    np.testing.assert_array_equal(first, draw([1, 2]))
    assert (first != draw([1, 3])).any()
    assert len(np.unique(first, axis=0)) == 3


def test_the_left_stays_left():
    # A flip would put the heart on the right.
    image = np.zeros((16, 16, 1), np.float32)
    image[:, :6] = 1
    motions = augment.draw(Augmentation(), tf.constant([0, 0]), 100)
    squares = tf.repeat(tf.constant(image)[None, ..., 0], 100, axis=0)
    for warped in augment.warp(of_squares(squares), motions, 16).numpy():
        assert warped[:, :8].sum() > 5 * warped[:, 8:].sum()


@pytest.mark.parametrize("ranges", [(8, 0.1, 0.06), (20, 0.1, 0.1), (90, 0, 0)])
def test_a_batch_in_one_kernel_agrees_with_tensorflows_own_warp(ranges):
    augmentation, size = Augmentation(*ranges), 16
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 2**16, (12, 16, 40, 1), np.uint16)
    motions = augment.draw(augmentation, tf.constant([1, 2]), 12)
    margin = augment.margin(augmentation, size)
    squares = tf.stack(
        [images.centre_crop(image, size, margin)[..., 0] for image in stored]
    )
    assert squares.dtype == tf.uint16
    for image, motion, made in zip(
        stored,
        motions,
        augment.warp(of_squares(squares), motions, size),
        strict=True,
    ):
        expected = projected(images.to_float(image), motion, size)
        np.testing.assert_allclose(made, expected, atol=5e-5)


def projected(image, motion, size):
    """One image by TensorFlow's projective transform."""
    angle, scale, down, right = motion.numpy().astype(float)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    middle, left = (size - 1) / 2, (image.shape[1] - size) // 2
    x, y = middle + right * size, middle + down * size
    rows = [cosine, -sine, middle - (cosine * x - sine * y) + left]
    rows += [sine, cosine, middle - (sine * x + cosine * y), 0, 0]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.constant([rows], tf.float32),
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]


@pytest.mark.parametrize(
    "ranges", [(8, 0.1, 0.06), (45, 0.3, 0.5), (180, 0, 0)]
)
def test_the_margin_holds_all_that_a_map_reads(ranges):
    augmentation, size = Augmentation(*ranges), 8
    margin = augment.margin(augmentation, size)
    image = picture(size, 80)[None, ..., 0]
    image = np.concatenate([image] * 10, axis=1)
    motions = augment.draw(augmentation, tf.constant([1, 2]), 200)
    narrow, wide = (
        tf.repeat(
            images.centre_crop(image[0, ..., None], size, beside)[None, ..., 0],
            200,
            axis=0,
        )
        for beside in (margin, margin + 9)
    )
    np.testing.assert_array_equal(
        augment.warp(of_squares(narrow), motions, size),
        augment.warp(of_squares(wide), motions, size),
    )


def test_parallel_calls_do_not_change_the_result(make):
    rng = np.random.default_rng(0)
    pngs = [make.png(rng.integers(0, 256, (8, 9), np.uint8)) for _ in range(24)]
    batches = tf.data.Dataset.from_tensor_slices(pngs).batch(3).enumerate()

    def prepare(step, batch):
        seed = tf.stack([5, step])
        motions = augment.draw(Augmentation(), seed, tf.shape(batch)[0])
        return augment.warp(
            of_squares(augment.read(batch, 8, margin=3)), motions, 8
        )

    one, four = (
        np.concatenate(list(batches.map(prepare, calls).as_numpy_iterator()))
        for calls in (1, 4)
    )
    np.testing.assert_array_equal(one, four)


@pytest.mark.parametrize(
    "ranges",
    [{"rotation": -1}, {"rotation": 181}, {"scale": 1.0}, {"translation": 2}],
)
def test_ranges_without_meaning_are_refused(ranges):
    with pytest.raises(ValueError, match=f"{next(iter(ranges))} must lie"):
        Augmentation(**ranges)
