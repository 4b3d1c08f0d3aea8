"""Compressed pixels inside DICOM: complete, and of the size announced."""

import struct
from itertools import pairwise

from kerasmi.data import dicom_syntaxes as syntaxes
from kerasmi.data.png_jpeg import Frame, jpeg_frame
from kerasmi.data.probes import ImageRefused, Probe

_JPEG_2000 = b"\xff\x4f\xff\x51"  # start of code stream, then its size
_END = b"\xff\xd9"
_PADDING = 16  # bytes that may follow the end mark


def check_stream(stream: bytes, probe: Probe) -> None:
    """Checks compressed pixels against the header that announces them.

    The decoder trusts neither: a stream of another size than the header's is
    an error or a memory bomb, and one that is cut off gives a picture.

    Args:
        stream: The code stream, its fragments joined.
        probe: What the header says.

    Raises:
        ImageRefused: Cut off, of another size or of several channels.
    """
    if probe.transfer_syntax == syntaxes.RLE:
        _check_rle(stream, probe)
        return
    if probe.transfer_syntax in syntaxes.JPEG_2000:
        frame = _jpeg_2000_frame(stream)
    else:
        if not stream.startswith(b"\xff\xd8"):
            raise ImageRefused("its pixel data are not the JPEG announced")
        frame = jpeg_frame(stream)
    size = (frame.height, frame.width, frame.samples)
    if size != (probe.height, probe.width, 1) or not 2 <= frame.bits <= 16:
        raise ImageRefused(
            f"the coded picture has {frame.width} x {frame.height} pixels of "
            f"{frame.samples} x {frame.bits} bits, the header says "
            f"{probe.width} x {probe.height} of {probe.bits} bits"
        )


def _jpeg_2000_frame(stream: bytes) -> Frame:
    if not stream.startswith(_JPEG_2000) or len(stream) < 43:
        raise ImageRefused("its pixel data are not the JPEG 2000 announced")
    if _END not in stream[-_PADDING:]:
        raise ImageRefused("a JPEG 2000 stream that is cut off: no end mark")
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    tile = struct.unpack_from(">4I", stream, 24)
    samples, depth = struct.unpack_from(">HB", stream, 40)
    if 0 in tile[:2]:
        raise ImageRefused("a damaged JPEG 2000 stream: a tile without size")
    bits = (depth & 0x7F) + 1
    return Frame(0x51, bits, bottom - top, right - left, samples)


def _check_rle(stream: bytes, probe: Probe) -> None:
    """Unpacks the run lengths' counts: each byte plane must be complete."""
    planes = 1 if probe.bits <= 8 else 2
    if len(stream) < 64:
        raise ImageRefused("RLE pixel data that are cut off")
    number, *offsets = struct.unpack_from("<16I", stream)
    offsets = [*offsets[:number], len(stream)]
    if not 1 <= number <= 2 or number < planes or offsets != sorted(offsets):
        raise ImageRefused("RLE pixel data with a damaged header")
    for start, end in pairwise(offsets):
        pixels = _rle_length(memoryview(stream)[start:end])
        if pixels < probe.height * probe.width:
            raise ImageRefused(
                f"RLE pixel data that are cut off: {pixels} of "
                f"{probe.height * probe.width} pixels"
            )


def _rle_length(plane: memoryview) -> int:
    """Returns the number of bytes that PackBits runs stand for."""
    at, total = 0, 0
    while at < len(plane):
        control = plane[at]
        if control < 128:
            total += min(control + 1, len(plane) - at - 1)
            at += control + 2
        elif control > 128:
            total += 257 - control if at + 1 < len(plane) else 0
            at += 2
        else:
            at += 1
    return total
