"""Augmentation: one random affine map, applied with one interpolation.

There is no flip: a mirrored radiograph has its heart on the right, and its
report's "left" and "right" become false.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from kerasmi.data import images, stored_png
from kerasmi.data.stored_png import Rows
from kerasmi.types import Tensor

_HIGH = 1.5 * 2**23
_HIGH_BITS = 0x4B400000


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random affine map; all zero is the central square.

    Attributes:
        rotation: Largest rotation either way, in degrees.
        scale: Largest relative change of size: factors lie in
            `[1 - scale, 1 + scale]`.
        translation: Largest shift along each axis, as a share of the side.
    """

    rotation: float = 8.0
    scale: float = 0.1
    translation: float = 0.06

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "scale": 0.9, "translation": 1.0}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise ValueError(
                    f"{name} must lie between 0 and {limit:g}, received "
                    f"{value!r}."
                )


def draw(augmentation: Augmentation, seed: Tensor, batch: Tensor) -> Tensor:
    """Draws one affine map for each image of a batch.

    Args:
        augmentation: The ranges.
        seed: `(2,)` integers; the same seed draws the same maps.
        batch: Number of images.

    Returns:
        `(batch, 4)` float32: angle in radians (counter-clockwise as seen),
        scale factor, shift down and shift right as shares of the side.
    """
    uniform = tf.random.stateless_uniform((batch, 4), seed, -1.0, 1.0)
    ranges = (
        math.radians(augmentation.rotation),
        augmentation.scale,
        augmentation.translation,
        augmentation.translation,
    )
    return uniform * tf.constant(ranges) + tf.constant([0.0, 1.0, 0.0, 0.0])


def margin(augmentation: Augmentation | None, size: int) -> int:
    """Returns how far beside the central square a map may read, in pixels."""
    if augmentation is None:
        return 0
    turn = math.radians(min(augmentation.rotation, 45.0))
    half = (size - 1) / 2
    farthest = half + augmentation.translation * size
    farthest *= (math.cos(turn) + math.sin(turn)) / (1 - augmentation.scale)
    return max(0, math.ceil(farthest - half)) + 1


def warp(rows: Rows, motions: Tensor, size: int) -> Tensor:
    """Rotates, scales and shifts images about their centre, then crops them.

    An output pixel p is read at c + R(p - c - t) / s, with c the centre, R
    the rotation, t the shift and s the scale. Bilinear; black (0) outside.

    Args:
        rows: B images, uint16 or float32 in [0, 1].
        motions: `(B, 4)`: angle, scale, down, right, see `draw`.
        size: Side of the results, in pixels.

    Returns:
        `(B, size, size, 1)` float32; the central square, exactly, where
        nothing moves.
    """
    pixels = tf.reshape(rows.pixels, (-1,))
    at = tf.range(size, dtype=tf.float32)
    made: Tensor = _warp(pixels, rows.places, motions, at)
    return made


@tf.function(jit_compile=True, autograph=False)
def _warp(
    pixels: Tensor, places: Tensor, motions: Tensor, at: Tensor
) -> Tensor:
    """One kernel for the batch, compiled by XLA for each of its shapes.

    Pixels come in one dimension: of more, XLA divides every place apart.
    `at` is 0, 1, ... as an array: made here, XLA makes it for every pixel anew,
    which takes half as long again.
    """
    size = at.shape[0]
    batch = tf.shape(motions)[0]
    angle, scale, down, right = (
        part[:, None, None] for part in tf.unstack(motions, axis=1)
    )
    first, stride, height, width = (
        part[:, None, None] for part in tf.unstack(places, axis=1)
    )
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle = (size - 1) / 2
    column, row = at[None, None, :], at[None, :, None]
    x, y = middle + right * size, middle + down * size
    source_x = cosine * column - sine * row + (middle - (cosine * x - sine * y))
    source_y = sine * column + cosine * row + (middle - (sine * x + cosine * y))
    left, top = tf.floor(source_x), tf.floor(source_y)
    # Added to whole numbers: what lies beside the square changes no weight.
    i = _whole(left) + (width - size) // 2
    j = _whole(top) + (height - size) // 2
    begin = tf.range(batch)[:, None, None] * (tf.size(pixels) // batch) + first
    place = j * stride + i + begin
    inside_x, inside_y = (
        [(k >= 0) & (k < side), (k >= -1) & (k < side - 1)]
        for k, side in ((i, width), (j, height))
    )

    def read_at(down: int, right: int) -> Tensor:
        # XLA holds what lies outside of all pixels inside.
        value = tf.gather(pixels, place + (down * stride + right))
        inside = inside_x[right] & inside_y[down]
        return tf.where(inside, as_float(value), 0.0)

    across, along = source_x - left, source_y - top
    above = read_at(0, 0) * (1 - across) + read_at(0, 1) * across
    below = read_at(1, 0) * (1 - across) + read_at(1, 1) * across
    return (above * (1 - along) + below * along)[..., None]


def _whole(numbers: Tensor) -> Tensor:
    """Whole float32 numbers below 2**22 as int32.

    Added to 1.5 * 2**23 they stand in the last bits as they are; a cast asks of
    each whether int32 holds it.
    """
    return tf.bitcast(numbers + _HIGH, tf.int32) - _HIGH_BITS


def read_rows(pngs: Tensor, size: int, margin: int) -> Rows:
    """Reads a batch of images of which the shorter side is `size`.

    Args:
        pngs: `(B,)` strings.
        size: Side of the central square, in pixels.
        margin: Pixels around it that `warp` may reach.

    Returns:
        The images, as they lie in their files where all are stored alike
        (`kerasmi.data.stored_png`), else decoded and cut to what is reached.
    """

    def decoded() -> Rows:
        return stored_png.of_squares(read(pngs, size, margin, resize=False))

    def stored(depth: int, otherwise: Callable[[], Rows]) -> Rows:
        known, height, width = stored_png.sizes(pngs, depth)
        made: Rows = tf.cond(
            tf.reduce_all(known),
            lambda: stored_png.rows(pngs, depth, height, width),
            otherwise,
        )
        return made

    return stored(16, lambda: stored(8, decoded))


def read(
    pngs: Tensor, size: int, margin: int = 0, resize: bool = True
) -> Tensor:
    """Decodes a batch of images and cuts their central squares.

    Args:
        pngs: `(B,)` strings.
        size: Side of the central square, in pixels.
        margin: Pixels around it that are kept for `warp`.
        resize: Scale the shorter side to `size`; False where all have it.

    Returns:
        `(B, size + 2 * margin, size + 2 * margin)`: float32 in [0, 1] if
        resized, else uint16 as stored.
    """

    def one(png: Tensor) -> Tensor:
        if resize:
            image = images.resize(images.decode(png), size)
        else:
            image = images.decode_16(png)
        return images.centre_crop(image, size, margin)[..., 0]

    side = size + 2 * margin
    kind = tf.float32 if resize else tf.uint16
    # One image at a time: they may have any shape.
    return tf.map_fn(
        one, pngs, fn_output_signature=tf.TensorSpec((side, side), kind)
    )


def as_float(pixels: Tensor) -> Tensor:
    """Returns float32 in [0, 1] of what `read` gives, of any shape."""
    return pixels if pixels.dtype == tf.float32 else images.to_float(pixels)


def load(pngs: Tensor, size: int) -> Tensor:
    """Decodes a batch of images, resizes them and cuts the central square.

    Args:
        pngs: `(B,)` strings.
        size: Side of the result, in pixels.

    Returns:
        `(B, size, size, 1)` float32 in [0, 1].
    """
    return read(pngs, size)[..., None]
