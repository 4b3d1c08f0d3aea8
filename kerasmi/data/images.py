"""Pixels: PNG bytes to a square of the size asked for."""

import struct

import tensorflow as tf

from kerasmi.types import Tensor

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"


def png_size(png: bytes) -> tuple[int, int]:
    """Reads the size of a grayscale PNG, and checks what is cheap to check.

    Args:
        png: The bytes of a PNG file.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: Not a PNG, not grayscale of 8 or 16 bits, or cut off.
    """
    if not png.startswith(_SIGNATURE) or len(png) < 26:
        raise ValueError("expected the bytes of a PNG image")
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    if colour != 0 or depth not in (8, 16):
        raise ValueError(
            "expected a grayscale PNG of 8 or 16 bits, received colour type "
            f"{colour} of {depth} bits"
        )
    if not png.endswith(_END):
        raise ValueError("the PNG is cut off: it does not end with IEND")
    return width, height


def decode(png: Tensor) -> Tensor:
    """Decodes one grayscale PNG.

    Args:
        png: Scalar string.

    Returns:
        `(H, W, 1)` float32 in [0, 1].
    """
    return to_float(decode_16(png))


def decode_16(png: Tensor) -> Tensor:
    """Decodes one grayscale PNG of either depth to 16 bits.

    16-bit values span 0..65535 and wrap to negative numbers as int16, while
    TensorFlow multiplies 8-bit values by 257, so that one division, that of
    `to_float`, is right for both depths.

    Args:
        png: Scalar string.

    Returns:
        `(H, W, 1)` uint16.
    """
    return tf.io.decode_png(png, channels=1, dtype=tf.uint16)


def to_float(pixels: Tensor) -> Tensor:
    """Returns uint16 pixels, of any shape, as float32 in [0, 1]."""
    return tf.cast(pixels, tf.float32) / 65535.0


def resize(image: Tensor, size: int) -> Tensor:
    """Scales the shorter side to `size`, keeping the proportions.

    Antialiased: without it a large reduction aliases fine lines.

    Args:
        image: `(H, W, 1)`.
        size: Shorter side of the result, in pixels.

    Returns:
        `(H', W', 1)` float32; the same values where the size is right.
    """
    shape = tf.shape(image)[:2]
    shorter = tf.reduce_min(shape)
    # Rounded in integers: (2 n size + shorter) // (2 shorter).
    target = (2 * shape * size + shorter) // (2 * shorter)
    return tf.cond(
        shorter == size,
        lambda: image,
        lambda: tf.clip_by_value(
            tf.image.resize(image, target, antialias=True), 0.0, 1.0
        ),
    )


def centre_crop(image: Tensor, size: int, margin: int = 0) -> Tensor:
    """Cuts the central square, with what lies around it.

    Args:
        image: `(H, W, 1)`, neither side below `size`.
        size: Side of the square, in pixels.
        margin: Pixels kept on each side of it; black (0) outside of the image.

    Returns:
        `(S, S, 1)`, `S = size + 2 * margin`, of the image's type.
    """
    side = size + 2 * margin
    offset = tf.stack(crop_offset(image, size)) - margin
    start = tf.maximum(offset, 0)
    end = tf.minimum(offset + side, tf.shape(image)[:2])
    square = image[start[0] : end[0], start[1] : end[1]]
    if margin:
        before = start - offset
        after = side - before - (end - start)
        padding = tf.stack([before, after], axis=1)
        square = tf.pad(square, tf.pad(padding, [[0, 1], [0, 0]]))
    return tf.ensure_shape(square, (side, side, 1))


def crop_offset(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns the top and left pixel of the central square."""
    shape = tf.shape(image)
    return (shape[0] - size) // 2, (shape[1] - size) // 2
