"""Augmentation: one random affine map, applied with one interpolation.

There is no flip: a mirrored radiograph has its heart on the right, and its
report's "left" and "right" become false.
"""

import math
from dataclasses import dataclass

import tensorflow as tf

from kerasmi.data import images
from kerasmi.types import Tensor


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


def warp(image: Tensor, motion: Tensor, size: int) -> Tensor:
    """Rotates, scales and shifts an image about its centre, then crops it.

    An output pixel p is read at c + R(p - c' - t) / s, with c' the centre of
    the output, c the same point of the input, R the rotation, t the shift and
    s the scale. Bilinear; black (0) outside of the image.

    Args:
        image: `(H, W, 1)`, neither side below `size`.
        motion: `(4,)`: angle, scale, shift down, shift right, see `draw`.
        size: Side of the result, in pixels.

    Returns:
        `(size, size, 1)` float32; the central square, exactly, where nothing
        moves.
    """
    top, left = images.crop_offset(image, size)
    angle, scale, down, right = tf.unstack(motion)
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    centre = (size - 1) / 2
    x = centre + right * size
    y = centre + down * size
    matrix = tf.stack(
        [
            cosine,
            -sine,
            centre - (cosine * x - sine * y) + tf.cast(left, tf.float32),
            sine,
            cosine,
            centre - (sine * x + cosine * y) + tf.cast(top, tf.float32),
            0.0,
            0.0,
        ]
    )
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=matrix[tf.newaxis],
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(warped[0], (size, size, 1))


def load(pngs: Tensor, size: int, motions: Tensor | None = None) -> Tensor:
    """Decodes a batch of images, resizes them, then crops or warps them.

    Args:
        pngs: `(B,)` strings.
        size: Side of the result, in pixels.
        motions: `(B, 4)`, see `draw`; None takes the central square.

    Returns:
        `(B, size, size, 1)` float32 in [0, 1].
    """

    def crop(png: Tensor) -> Tensor:
        image = images.resize(images.decode(png), size)
        return images.centre_crop(image, size)

    def move(png: Tensor, motion: Tensor) -> Tensor:
        image = images.resize(images.decode(png), size)
        return warp(image, motion, size)

    # One image at a time: a warp of the whole batch is not faster (measured),
    # and images of any shape keep what lies beside their central square.
    result = tf.TensorSpec((size, size, 1), tf.float32)
    if motions is None:
        return tf.map_fn(crop, pngs, fn_output_signature=result)
    return tf.map_fn(
        lambda args: move(*args), (pngs, motions), fn_output_signature=result
    )
