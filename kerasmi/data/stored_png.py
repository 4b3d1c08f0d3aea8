"""Gray PNGs whose pixels can be read where they lie.

Any program reads them: each row is a stored block of the compressed stream,
with no filter. The pixels of a row follow each other in the file, and the next
row begins a fixed number of bytes later, on a whole pixel, so that the file
itself is an array for those who know (`Rows`). A comment says that it is one.

Sources: RFC 2083 (PNG), RFC 1950 and 1951 (its compressed stream).
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerasmi.types import Tensor

# What comes before each row: a stored block's header, and "no filter".
_BEFORE_ROW = 6
_LONGEST_ROW = 2**16 - 1  # in bytes, of a stored block
# Rows in a batch take a multiple of this many pixels, so that few shapes are
# compiled.
_ROUND = 2**14


class Rows(NamedTuple):
    """Images as the rows of their files.

    Attributes:
        pixels: `(B, N)` uint16, each image's file, then zeros.
        places: `(B, 4)` int32: the first pixel among the N, from one row to
            the next, height, width.
    """

    pixels: Tensor
    places: Tensor


def encode(pixels: np.ndarray) -> bytes:
    """Returns a PNG of its size in bytes and about a hundredth more.

    Args:
        pixels: `(H, W)` uint8 or uint16.
    """
    height, width = pixels.shape
    depth = 8 * pixels.itemsize
    size = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    rows = np.zeros((height, 1 + width * pixels.itemsize), np.uint8)
    big = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    rows[:, 1:] = big.view(np.uint8).reshape(height, -1)
    length = rows.shape[1]
    if length > _LONGEST_ROW:  # an ordinary one
        stream, comment = zlib.compress(rows.tobytes(), 0), b""
    else:
        blocks = np.zeros((height, _BEFORE_ROW - 1 + length), np.uint8)
        blocks[-1, 0] = 1
        header = struct.pack("<HH", length, length ^ 0xFFFF)
        blocks[:, 1:5] = np.frombuffer(header, np.uint8)
        blocks[:, 5:] = rows
        end = struct.pack(">I", zlib.adler32(rows.tobytes()))
        stream, comment = b"\x78\x01" + blocks.tobytes() + end, _COMMENT
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", size),
            comment,
            _chunk(b"IDAT", stream),
            _chunk(b"IEND", b""),
        ]
    )


def sizes(pngs: Tensor, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tells the PNGs of one depth that `encode` made from any others.

    Args:
        pngs: `(B,)` strings.
        depth: 8 or 16.

    Returns:
        `(B,)` bool, whether each is one; then height and width, int32, which
        mean nothing where it is not.
    """
    head = tf.io.decode_raw(pngs, tf.uint8, fixed_length=_FIRST)
    expected, says_so = _head(depth)
    said = tf.reduce_all((head == expected) | ~says_so, axis=1)
    four = tf.reshape(tf.gather(head, _NUMBERS, axis=1), (-1, 3, 4))
    powers = tf.constant([2**24, 2**16, 2**8, 1])
    numbers = tf.reduce_sum(tf.cast(four, tf.int32) * powers, axis=2)
    width, height, stream = tf.unstack(numbers, axis=1)
    whole = stream == 2 + height * (width * (depth // 8) + _BEFORE_ROW) + 4
    ends = tf.strings.length(pngs) == _STREAM + 8 + stream + 4 + 12
    return said & whole & ends, height, width


def rows(pngs: Tensor, depth: int, height: Tensor, width: Tensor) -> Rows:
    """Reads a batch of which each image is known to `sizes`.

    Args:
        pngs: `(B,)` strings.
        depth: 8 or 16.
        height: `(B,)` int32.
        width: `(B,)` int32.
    """
    each = depth // 8
    length = tf.reduce_max(tf.strings.length(pngs)) // each
    length = (length // _ROUND + 1) * _ROUND
    kind = tf.uint16 if depth == 16 else tf.uint8
    pixels = tf.io.decode_raw(
        pngs, kind, little_endian=False, fixed_length=length * each
    )
    if depth == 8:
        # as TensorFlow widens them
        pixels = tf.cast(pixels, tf.uint16) * tf.constant(257, tf.uint16)
    first = tf.fill(tf.shape(width), _FIRST // each)
    stride = width + _BEFORE_ROW // each
    return Rows(pixels, tf.stack([first, stride, height, width], axis=1))


def of_squares(squares: Tensor) -> Rows:
    """Returns `(B, S, S)` images as rows without anything between."""
    batch, side = tf.shape(squares)[0], squares.shape[1]
    places = tf.tile(tf.constant([[0, side, side, side]]), (batch, 1))
    places = tf.ensure_shape(places, (squares.shape[0], 4))
    return Rows(tf.reshape(squares, (batch, side**2)), places)


def _head(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The bytes that files of a depth begin with, and which of them count."""
    expected = np.zeros(_FIRST, np.uint8)
    counts = np.zeros(_FIRST, bool)
    size = _SIGNATURE + b"\0\0\0\rIHDR"
    for start, part in (
        (0, size),
        (24, bytes([depth, 0, 0, 0, 0])),
        (33, _COMMENT),
    ):
        expected[start : start + len(part)] = np.frombuffer(part, np.uint8)
        counts[start : start + len(part)] = True
    return expected, counts


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return b"".join(
        [struct.pack(">I", len(content)), kind, content, check.to_bytes(4)]
    )


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of odd length, which brings the first row to a whole pixel of two bytes.
_COMMENT = _chunk(b"tEXt", b"Comment\0rows stored")
# Signature, size, comment: where the stream's own chunk begins.
_STREAM = 8 + 25 + len(_COMMENT)
# Behind that chunk's header, the stream's two bytes and the row's.
_FIRST = _STREAM + 8 + 2 + _BEFORE_ROW
# Where width, height and the length of the stream stand, of four bytes each.
_NUMBERS = [*range(16, 24), *range(_STREAM, _STREAM + 4)]
