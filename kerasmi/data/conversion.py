"""In the graph: an image file of any kind to gray pixels of one size."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial

import numpy as np
import tensorflow as tf

from kerasmi.data import dicom, images, stored_png
from kerasmi.types import Tensor

TAIL = 0.005  # share of the pixels beyond each percentile

# What `formats.prepare` returns, for tf.data.Dataset.from_generator.
SIGNATURE = {
    "content": tf.TensorSpec((), tf.string),
    "decoder": tf.TensorSpec((), tf.int32),
    "shape": tf.TensorSpec((2,), tf.int32),
    "range": tf.TensorSpec((2,), tf.float32),
    "padding": tf.TensorSpec((2,), tf.float32),  # first above last: none
    "sigmoid": tf.TensorSpec((), tf.bool),
    "inverted": tf.TensorSpec((), tf.bool),
    "deep": tf.TensorSpec((), tf.bool),
    "orientation": tf.TensorSpec((), tf.int32),
}

_LEVELS = 2**16
_LUMINANCE = (0.299, 0.587, 0.114)


class Decoder(IntEnum):
    """Which operation reads an image."""

    GRAY_PNG = 0
    COLOUR_PNG = 1
    ALPHA_PNG = 2
    JPEG = 3
    DICOM = 4


def to_pixels(
    image: dict[str, Tensor], size: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Decodes one image, maps its grey levels, scales it.

    Args:
        image: What `formats.prepare` returned, as tensors.
        size: The shorter side of the result, in pixels.

    Returns:
        `(H, W)` uint16, and whether they are of 16 bits; else they are of 8.

    Raises:
        tf.errors.InvalidArgumentError: It cannot be decoded, is of another
            size than its header says, or blank; `formats.refusal` says which
            in words.
    """
    pixels = tf.switch_case(image["decoder"], _decoders(image["content"]))
    found = tf.debugging.assert_equal(
        tf.shape(pixels)[:2], image["shape"], "not of the size announced"
    )
    padded = image["padding"][0] <= image["padding"][1]
    is_padding = partial(_is_padding, pixels, image["padding"])
    with tf.control_dependencies([found]):
        values = tf.cond(
            padded,
            lambda: pixels[~is_padding()],
            lambda: tf.reshape(pixels, [-1]),
        )
        low, high = _limits(values, image["range"])
    scaled = (pixels - low) / (high - low)
    scaled = tf.cond(
        image["sigmoid"],
        lambda: tf.sigmoid(4.0 * scaled - 2.0),
        lambda: tf.clip_by_value(scaled, 0.0, 1.0),
    )
    scaled = tf.where(image["inverted"], 1.0 - scaled, scaled)
    scaled = tf.cond(
        padded, lambda: tf.where(is_padding(), 0.0, scaled), lambda: scaled
    )
    limit = tf.where(image["deep"], 65535.0, 255.0)
    levels = tf.round(images.resize(scaled, size)[..., 0] * limit)
    turned = _upright(tf.cast(levels, tf.uint16), image["orientation"])
    return turned, image["deep"]


def _upright(pixels: Tensor, orientation: Tensor) -> Tensor:
    """Turns `(H, W)` pixels as EXIF's orientation, 1 to 8, says."""
    for orientations, turn in (
        ((5, 6, 7, 8), tf.transpose),
        ((2, 3, 6, 7), lambda x: x[:, ::-1]),
        ((3, 4, 7, 8), lambda x: x[::-1]),
    ):
        turns = tf.reduce_any(tf.equal(orientation, orientations))
        pixels = tf.cond(
            turns, partial(turn, pixels), partial(tf.identity, pixels)
        )
    return pixels


def _decoders(content: Tensor) -> dict[Decoder, Callable[[], Tensor]]:
    """Each gives `(H, W, 1)` float32 values."""
    decoders = {
        Decoder.GRAY_PNG: lambda: _png(content, 1),
        Decoder.COLOUR_PNG: lambda: _luminance(_png(content, 3)),
        Decoder.ALPHA_PNG: lambda: _over_black(_png(content, 4)),
        # TensorFlow's faster default is half a level too dark.
        Decoder.JPEG: lambda: (
            257.0
            * tf.cast(
                tf.io.decode_jpeg(
                    content, channels=1, dct_method="INTEGER_ACCURATE"
                ),
                tf.float32,
            )
        ),
        Decoder.DICOM: lambda: tf.cast(dicom.decode(content), tf.float32),
    }
    if not dicom.available():  # `prepare` has refused every such file
        del decoders[Decoder.DICOM]
    return decoders


def _png(content: Tensor, channels: int) -> Tensor:
    # An alpha that the file has not comes out wrong below 8 bits: ask for
    # four channels only where there are four.
    pixels = tf.io.decode_png(content, channels=channels, dtype=tf.uint16)
    return tf.cast(pixels, tf.float32)


def _luminance(pixels: Tensor) -> Tensor:
    gray = tf.tensordot(pixels, tf.constant(_LUMINANCE), 1)
    return tf.round(gray)[..., tf.newaxis]


def _over_black(pixels: Tensor) -> Tensor:
    return _luminance(pixels[..., :3] * pixels[..., 3:] / 65535.0)


def _is_padding(pixels: Tensor, padding: Tensor) -> Tensor:
    """Which values pad the picture: those from the first to the last."""
    return (pixels >= padding[0]) & (pixels <= padding[1])


def _limits(values: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The values that become 0 and 1; an image of one value is an error."""
    lowest, highest = tf.reduce_min(values), tf.reduce_max(values)
    blank = tf.debugging.assert_less(lowest, highest, "blank")
    with tf.control_dependencies([blank]):
        limits = tf.cond(
            tf.math.is_nan(wanted[0]),
            lambda: _percentiles(values, lowest, highest),
            lambda: wanted,
        )
    return limits[0], limits[1]


def _percentiles(values: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Cuts `TAIL` of the pixels at each end; the same from both ends.

    So an image and its negative are cut alike.
    """
    levels = tf.cast(values, tf.int32)
    counts = tf.math.bincount(levels, minlength=_LEVELS, maxlength=_LEVELS)
    share = tf.cast(TAIL * tf.cast(tf.size(levels), tf.float64), tf.int32)
    limits = tf.stack(
        [
            tf.cast(_first_above(counts, share), tf.float32),
            _LEVELS
            - 1.0
            - tf.cast(_first_above(counts[::-1], share), tf.float32),
        ]
    )
    return tf.where(limits[0] < limits[1], limits, tf.stack([lowest, highest]))


def _first_above(counts: Tensor, share: Tensor) -> Tensor:
    """The first level at which more than `share` pixels are counted."""
    found = tf.searchsorted(tf.cumsum(counts), share[tf.newaxis], "right")
    return found[0]


def encode(pixels: np.ndarray, deep: bool) -> bytes:
    """Returns what `to_pixels` gives as a PNG of 16 or, not deep, 8 bits."""
    return stored_png.encode(pixels if deep else pixels.astype(np.uint8))
