"""DICOM files before decoding: what they say, checked; a plain header.

The decoder (DCMTK inside tensorflow-io) does more than decode: it inverts
MONOCHROME1 with a rounding error, applies Rescale Slope and Intercept and
rounds again, draws the overlays into the pixels, applies lookup tables, and
fills up pixel data that are cut off without a word. So it never sees the
file's own header: `plain` writes the same coded pixels behind a new header
that holds nothing but their layout. What comes back are the stored values.
"""

import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

from kerasmi.data import dicom_elements as coding
from kerasmi.data import dicom_syntaxes as syntaxes
from kerasmi.data.dicom_elements import Element
from kerasmi.data.dicom_padding import padding_range
from kerasmi.data.dicom_streams import check_stream
from kerasmi.data.probes import ImageRefused, Probe, Window, check_size
from kerasmi.reporter import counted

_SAMPLES, _PHOTOMETRIC = 0x00280002, 0x00280004
_FRAMES, _ROWS, _COLUMNS = 0x00280008, 0x00280010, 0x00280011
_ALLOCATED, _STORED = 0x00280100, 0x00280101
_HIGH_BIT, _SIGNED = 0x00280102, 0x00280103
_PADDING, _PADDING_LIMIT = 0x00280120, 0x00280121
_CENTRE, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_LOSSY, _VALUE_TABLE = 0x00282110, 0x00283000
_OVERLAY_ROWS = {0x60000010 + (group << 16) for group in range(0, 0x20, 2)}
_MEANT = {
    _ROWS: "Rows",
    _COLUMNS: "Columns",
    _ALLOCATED: "Bits Allocated",
    _STORED: "Bits Stored",
}


class DataSet:
    """A DICOM file's elements, and their values by tag."""

    def __init__(self, content: bytes, max_pixels: int):
        self._room = 2 * max_pixels + coding.HEADER_ROOM
        self.syntax, start = coding.transfer_syntax(content)
        self.body = content[start:]
        self._elements: dict[int, Element] = {}

    def read(self) -> None:
        """Finds the elements, once; unpacks them where they are deflated."""
        if self.syntax == coding.DEFLATED:
            wbits = -zlib.MAX_WBITS
            self.body = coding.inflate(self.body, wbits, self._room)
        found = coding.elements(self.body, self.syntax)
        self._elements = {element.tag: element for element in found}

    def __contains__(self, tag: int) -> bool:
        """Whether the file has an element."""
        return tag in self._elements

    def whole(self, tag: int, default: int | None = None) -> int:
        """Returns a binary whole number.

        Raises:
            ImageRefused: The element is missing and has no default.
        """
        value = self.some(tag)
        if value is not None:
            return value
        if default is None:
            raise ImageRefused(f"no {_MEANT[tag]} in its header")
        return default

    def some(self, tag: int) -> int | None:
        """Returns a binary whole number; None where there is none."""
        value = self._value(
            tag, lambda body, e: coding.number(body, e, self.syntax)
        )
        return None if value is None else int(value)

    def text(self, tag: int) -> str:
        """Returns a text; empty where the element is missing."""
        return str(self._value(tag, coding.text) or "")

    def decimal(self, tag: int) -> float | None:
        """Returns a number written as text; None where there is none.

        Raises:
            ImageRefused: It is not a number.
        """
        written = self.text(tag)
        try:
            value = float(written) if written else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise ImageRefused(f"element {tag:08X} is not a number")
        return value

    def pixels(self) -> Element:
        """Returns the element of the pixel data.

        Raises:
            ImageRefused: There is none.
        """
        if coding.PIXEL_DATA not in self:
            raise ImageRefused("no pixel data")
        return self._elements[coding.PIXEL_DATA]

    def _value(self, tag: int, read: Callable[[bytes, Element], Any]) -> Any:
        element = self._elements.get(tag)
        return None if element is None else read(self.body, element)


def probe_dicom(content: bytes, max_pixels: int) -> Probe:
    """Reads a DICOM file's header and checks its pixel data against it.

    Args:
        content: The bytes of the file.
        max_pixels: The most pixels allowed.

    Raises:
        ImageRefused: A transfer syntax that is not decoded, several frames,
            colour, a depth other than 8 to 16 bits, pixel data cut off.
    """
    try:
        data = DataSet(content, max_pixels)
    except ImageRefused as refused:
        raise ImageRefused(f"DICOM: {refused}") from None
    try:
        return _probe(data, max_pixels)
    except ImageRefused as refused:
        syntax = syntaxes.name(data.syntax)
        raise ImageRefused(f"DICOM, {syntax}: {refused}") from None


def plain(content: bytes, max_pixels: int) -> bytes:
    """Writes a file's coded pixels behind a header that holds their layout.

    Always MONOCHROME2, without slope, window, lookup table, overlay or any
    text of the file; explicit little endian where it was implicit or
    deflated.

    Args:
        content: The bytes of a DICOM file that `probe_dicom` accepts.
        max_pixels: The most pixels allowed.

    Returns:
        The bytes of a DICOM file.
    """
    data = DataSet(content, max_pixels)
    probe = _probe(data, max_pixels)
    order = ">" if data.syntax == coding.BIG_ENDIAN else "<"
    kept = {coding.BIG_ENDIAN, *(syntaxes.DECODED - syntaxes.NATIVE)}
    syntax = data.syntax if data.syntax in kept else syntaxes.EXPLICIT
    numbers = {
        _SAMPLES: 1,
        _ROWS: probe.height,
        _COLUMNS: probe.width,
        _ALLOCATED: data.whole(_ALLOCATED),
        _STORED: probe.bits,
        _HIGH_BIT: probe.bits - 1,
        _SIGNED: int(probe.signed),
    }
    parts = {
        tag: _element(order, tag, b"US", struct.pack(order + "H", value))
        for tag, value in numbers.items()
    }
    parts[_PHOTOMETRIC] = _element(order, _PHOTOMETRIC, b"CS", b"MONOCHROME2 ")
    header = b"".join(part for _, part in sorted(parts.items()))
    return _file_header(syntax) + header + _pixel_element(data, probe, order)


def _probe(data: DataSet, max_pixels: int) -> Probe:
    if data.syntax not in syntaxes.DECODED:
        raise ImageRefused("this transfer syntax cannot be decoded")
    data.read()
    data.pixels()
    _check_one_gray_frame(data)
    height, width = data.whole(_ROWS), data.whole(_COLUMNS)
    check_size(height, width, max_pixels)
    slope = data.decimal(_SLOPE)
    bits, signed = _bits(data), bool(data.whole(_SIGNED, 0))
    probe = Probe(
        kind="dicom",
        height=height,
        width=width,
        bits=bits,
        transfer_syntax=data.syntax,
        photometric=data.text(_PHOTOMETRIC),
        signed=signed,
        slope=1.0 if slope is None else slope,
        intercept=data.decimal(_INTERCEPT) or 0.0,
        window=_window(data),
        value_table=_VALUE_TABLE in data,
        padding=padding_range(
            data.some(_PADDING), data.some(_PADDING_LIMIT), bits, signed
        ),
        overlays=sum(tag in data for tag in _OVERLAY_ROWS),
        lossy=data.syntax in syntaxes.LOSSY or data.text(_LOSSY) == "01",
    )
    _coded_pixels(data, probe)
    return probe


def _check_one_gray_frame(data: DataSet) -> None:
    frames = data.decimal(_FRAMES)
    if frames is not None and frames != 1:
        raise ImageRefused(f"{frames:g} frames; one picture is expected")
    photometric = data.text(_PHOTOMETRIC)
    samples = data.whole(_SAMPLES, 1)
    if not photometric:
        raise ImageRefused(
            "no Photometric Interpretation in its header, which tells bright "
            "from dark; write MONOCHROME2 there, or MONOCHROME1 where small "
            "values are bright"
        )
    gray = photometric in ("MONOCHROME1", "MONOCHROME2")
    if not gray or samples != 1:
        raise ImageRefused(
            f"photometric interpretation {photometric[:16]!r} with "
            f"{counted(samples, 'value')} a pixel; expected MONOCHROME1 or "
            "MONOCHROME2 with one"
        )


def _bits(data: DataSet) -> int:
    allocated, stored = data.whole(_ALLOCATED), data.whole(_STORED)
    highest = data.whole(_HIGH_BIT, stored - 1)
    if allocated not in (8, 16) or not 2 <= stored <= allocated:
        raise ImageRefused(
            f"{counted(stored, 'bit')} stored in {allocated}; expected at most "
            "8 in 8 or at most 16 in 16"
        )
    if highest != stored - 1:
        raise ImageRefused(
            f"{stored} bits stored up to bit {highest}; expected {stored - 1}"
        )
    return stored


def _window(data: DataSet) -> Window | None:
    centre, width = data.decimal(_CENTRE), data.decimal(_WIDTH)
    if centre is None or width is None:
        return None
    return Window(centre, width, data.text(_FUNCTION) or "LINEAR")


def _coded_pixels(data: DataSet, probe: Probe) -> bytes:
    """Returns the pixels as coded, checked to be all there."""
    element = data.pixels()
    encapsulated = element.length == coding.UNDEFINED
    if encapsulated == (data.syntax in syntaxes.NATIVE):
        raise ImageRefused(
            "its pixel data are not coded in this transfer syntax"
        )
    if encapsulated:
        stream = b"".join(coding.fragments(data.body, element))
        check_stream(stream, probe)
        return stream
    expected = probe.height * probe.width * data.whole(_ALLOCATED) // 8
    there = min(element.length, len(data.body) - element.at)
    if there < expected:
        raise ImageRefused(
            f"pixel data are cut off: {there} bytes where the header asks "
            f"for {expected}"
        )
    # Even, as DICOM wants it: an odd image of bytes has one more.
    end = element.at + expected + expected % 2
    return data.body[element.at : end].ljust(expected + expected % 2, b"\0")


def _pixel_element(data: DataSet, probe: Probe, order: str) -> bytes:
    stream, tag = _coded_pixels(data, probe), coding.PIXEL_DATA
    if data.syntax in syntaxes.NATIVE:
        # Bytes in words (OW) are swapped in big endian, so the type matters.
        wide = data.whole(_ALLOCATED) == 16 or (
            order == ">" and data.pixels().vr == b"OW"
        )
        return _element(order, tag, b"OW" if wide else b"OB", stream)
    stream += b"\0" * (len(stream) % 2)
    pieces = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    pieces += struct.pack("<HHI", 0xFFFE, 0xE000, len(stream)) + stream
    pieces += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"OB", 0, 2**32 - 1)
    return head + pieces


def _file_header(syntax: str) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = _element("<", 0x00020010, b"UI", uid)
    length = struct.pack("<I", len(meta))
    group = _element("<", 0x00020000, b"UL", length)
    return bytes(128) + b"DICM" + group + meta


def _element(order: str, tag: int, vr: bytes, value: bytes) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if vr in (b"OB", b"OW"):
        head = struct.pack(order + "HH2sHI", group, number, vr, 0, len(value))
    else:
        head = struct.pack(order + "HH2sH", group, number, vr, len(value))
    return head + value
