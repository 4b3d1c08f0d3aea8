"""PNG and JPEG files, read up to their pixels: size, depth, completeness."""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from kerasmi.data import exif
from kerasmi.data.probes import ImageRefused, Probe, check_size

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # of PNG's colour types
_PALETTE = 3
_DEPTHS = {0: (1, 2, 4, 8, 16), 3: (1, 2, 4, 8)}
_SOFS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_CODINGS = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical lossless",
    **dict.fromkeys(range(0xC9, 0xD0), "arithmetically coded"),
}
_EXIF = b"eXIf"
_EXIF_OF_JPEG = b"Exif\0\0"
_MAX_SCANS = 256  # a progressive JPEG has about ten
# Not RST, which stands among coded pixels; JPEG-LS has FF before 00..7F there.
_NEXT_MARKER = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")


class Frame(NamedTuple):
    """What a coded picture says of itself: JPEG's SOF segment.

    Attributes:
        marker: The SOF marker's second byte, which names the coding.
        bits: Bits of a value.
        height: Pixels.
        width: Pixels.
        samples: Values of a pixel.
    """

    marker: int
    bits: int
    height: int
    width: int
    samples: int


def probe_png(content: bytes, max_pixels: int) -> Probe:
    """Reads a PNG's header and checks every chunk to the last.

    Args:
        content: The bytes of the file.
        max_pixels: The most pixels allowed.

    Raises:
        ImageRefused: Cut off, damaged, too large.
    """
    chunks = list(_chunks(content))
    names = {name for name, _ in chunks}
    name, header = chunks[0]
    if name != b"IHDR" or len(header) != 13:
        raise ImageRefused("a PNG without a header")
    width, height, bits, colour = struct.unpack(">IIBB", header[:10])
    if bits not in _DEPTHS.get(colour, (8, 16)) or colour not in _SAMPLES:
        raise ImageRefused(
            f"a PNG of unknown colour type {colour} with {bits} bits"
        )
    check_size(height, width, max_pixels)
    if b"IDAT" not in names or (colour == _PALETTE and b"PLTE" not in names):
        raise ImageRefused("a PNG without pixel data")
    block = next((data for name, data in chunks if name == _EXIF), b"")
    alpha = b"tRNS" in names and colour in (0, 2, _PALETTE)
    return Probe(
        kind="png",
        height=height,
        width=width,
        bits=16 if bits == 16 else 8,
        samples=_SAMPLES[colour] + alpha,
        orientation=exif.orientation(block),
    )


def probe_jpeg(content: bytes, max_pixels: int) -> Probe:
    """Reads a JPEG's frame header and follows its segments to the end.

    Args:
        content: The bytes of the file.
        max_pixels: The most pixels allowed.

    Raises:
        ImageRefused: Cut off, too large, CMYK, or a coding that the JPEG
            decoder does not know: more than 8 bits, lossless, arithmetic.
    """
    frame = jpeg_frame(content)
    check_size(frame.height, frame.width, max_pixels)
    if frame.marker in _CODINGS:
        raise ImageRefused(f"a {_CODINGS[frame.marker]} JPEG")
    if frame.bits != 8:
        raise ImageRefused(f"a JPEG of {frame.bits} bits; 8 can be decoded")
    if frame.samples not in (1, 3):
        raise ImageRefused(f"a JPEG of {frame.samples} channels (CMYK?)")
    return Probe(
        kind="jpeg",
        height=frame.height,
        width=frame.width,
        bits=8,
        samples=frame.samples,
        lossy=True,
        orientation=_orientation(content),
    )


def jpeg_frame(stream: bytes) -> Frame:
    """Returns what a complete JPEG or JPEG-LS stream says of itself.

    Args:
        stream: From its first marker to its last, or beyond.

    Raises:
        ImageRefused: Not a JPEG, or cut off.
    """
    frame, scans = None, 0
    for marker, segment in _segments(stream):
        if marker in _SOFS or marker == 0xF7:
            if frame is not None or len(segment) < 6:
                raise ImageRefused("a damaged JPEG: its frame header is wrong")
            frame = Frame(marker, *struct.unpack(">BHHB", segment[:6]))
        scans += marker == 0xDA
    if frame is None or not scans:
        raise ImageRefused("a JPEG without pixel data")
    if scans > _MAX_SCANS:
        raise ImageRefused(f"a JPEG of {scans} scans, each a whole pass")
    return frame


def _orientation(stream: bytes) -> int:
    """EXIF's, of the segments before the first coded pixel."""
    for marker, segment in _segments(stream):
        if marker == 0xDA:
            break
        if marker == 0xE1 and segment.startswith(_EXIF_OF_JPEG):
            return exif.orientation(segment[len(_EXIF_OF_JPEG) :])
    return exif.UPRIGHT


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields a PNG's chunks up to IEND; of data the first bytes, or EXIF's."""
    at = len(PNG)
    while at + 12 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length
        if end > len(content):
            break
        (stored,) = struct.unpack(">I", content[end - 4 : end])
        if zlib.crc32(memoryview(content)[at + 4 : end - 4]) != stored:
            raise ImageRefused("a damaged PNG: a checksum does not agree")
        until = end - 4 if name == _EXIF else min(end - 4, at + 40)
        yield name, content[at + 8 : until]
        if name == b"IEND":
            return
        at = end
    raise ImageRefused("a PNG that is cut off")


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields marker and data of a JPEG's segments, up to its end marker."""
    at = 2
    while True:
        found = _NEXT_MARKER.search(stream, at)
        if found is None:
            raise ImageRefused("a JPEG that is cut off")
        marker, at = stream[found.end() - 1], found.end()
        if marker == 0xD9:
            return
        length = int.from_bytes(stream[at : at + 2], "big")
        if length < 2 or at + length > len(stream):
            raise ImageRefused("a JPEG that is cut off")
        yield marker, stream[at + 2 : at + length]
        at += length
