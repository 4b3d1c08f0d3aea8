"""A DICOM file's elements, read one after another up to the pixel data."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from kerasmi.data.probes import ImageRefused

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
HEADER_ROOM = 2**24  # bytes that a header may have beside the pixels

_MARK = b"DICM"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX = 0x00020010
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"}
_LONG |= {b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_DEPTH = 64


class Element(NamedTuple):
    """One element of a data set.

    Attributes:
        tag: Group and element number, 32 bits.
        vr: Its type; `b"UN"` where the coding leaves it out.
        length: As stated; `UNDEFINED` where an end mark follows instead.
        at: Where its value begins.
    """

    tag: int
    vr: bytes
    length: int
    at: int


def is_dicom(content: bytes) -> bool:
    """Whether a file has DICOM's mark, behind 128 free bytes."""
    return content[128:132] == _MARK


def is_without_mark(content: bytes) -> bool:
    """Whether a file begins as a DICOM data set does, without the mark.

    Its first element is then of group 2 or 8, in little endian, its type
    named by two capitals or left out before a short length.
    """
    if content[:2] not in (b"\x02\0", b"\x08\0") or len(content) < 8:
        return False
    vr, length = content[4:6], int.from_bytes(content[4:8], "little")
    return (vr.isalpha() and vr.isupper()) or length < len(content)


def transfer_syntax(content: bytes) -> tuple[str, int]:
    """Reads a file's own header.

    Args:
        content: The bytes of the file.

    Returns:
        The transfer syntax's UID, and where the data set begins.

    Raises:
        ImageRefused: No transfer syntax, a damaged header.
    """
    syntax, at = "", 132
    # The file's own header, group 2, is explicit little endian always.
    while content[at : at + 2] == b"\x02\x00":
        element = _element(content, at, "<", True)
        end = _end(content, element)
        if element.tag == _SYNTAX:
            syntax = content[element.at : end].decode("ascii", "replace")
        at = end
    syntax = syntax.strip("\0 ")
    if not syntax:
        raise ImageRefused("its header names no transfer syntax")
    return syntax, at


def inflate(packed: bytes, wbits: int, max_bytes: int) -> bytes:
    """Unpacks deflated bytes, never beyond a limit.

    Args:
        packed: The packed bytes; more may follow them.
        wbits: The wrapping, as in `zlib.decompressobj`.
        max_bytes: The most bytes allowed.

    Raises:
        ImageRefused: Damaged, cut off, or beyond the limit.
    """
    unpacker = zlib.decompressobj(wbits)
    try:
        content = unpacker.decompress(packed, max_bytes)
    except zlib.error:
        raise ImageRefused("packed data that are damaged") from None
    if not unpacker.eof:
        packs_more = len(content) >= max_bytes
        raise ImageRefused(
            f"packed data that unpack to more than {max_bytes} bytes"
            if packs_more
            else "packed data that are cut off"
        )
    return content


def elements(body: bytes, syntax: str) -> Iterator[Element]:
    """Yields a data set's own elements, none of its sequences' items.

    Ends with the pixel data, or where the bytes end.

    Args:
        body: The data set.
        syntax: Its transfer syntax.

    Raises:
        ImageRefused: An element reaches beyond the end.
    """
    order = ">" if syntax == BIG_ENDIAN else "<"
    at, explicit = 0, syntax != IMPLICIT
    while at + 8 <= len(body):
        element = _element(body, at, order, explicit)
        yield element
        if element.tag == PIXEL_DATA:
            return
        at = _skip(body, element, order, explicit)


def number(body: bytes, element: Element, syntax: str) -> int | None:
    """Returns the first value of a binary whole number; None where empty."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    end = _end(body, element)
    for size, code in ((4, "I"), (2, "H")):
        # A list of 16-bit numbers may have four bytes; its type tells.
        if end - element.at >= size and (size == 2 or element.vr == b"UL"):
            return int(struct.unpack_from(order + code, body, element.at)[0])
    return None


def text(body: bytes, element: Element) -> str:
    """Returns the first value of an element of text, stripped."""
    value = body[element.at : _end(body, element)].decode("ascii", "replace")
    return value.split("\\")[0].strip("\0 ")


def fragments(body: bytes, element: Element) -> list[bytes]:
    """Returns the pieces of encapsulated pixel data, offset table left out.

    Args:
        body: The data set.
        element: Its pixel data.

    Raises:
        ImageRefused: The pieces end before their end mark.
    """
    at = element.at
    pieces: list[bytes] = []
    while at + 8 <= len(body):
        piece = _element(body, at, "<", False)
        if piece.tag == _SEQUENCE_END:
            return pieces[1:]
        if piece.tag != _ITEM:
            break
        at = _end(body, piece)
        pieces.append(body[piece.at : at])
    raise ImageRefused("its pixel data are cut off: no end mark")


def _element(body: bytes, at: int, order: str, explicit: bool) -> Element:
    try:
        group, number = struct.unpack_from(order + "HH", body, at)
        tag = group << 16 | number
        vr = body[at + 4 : at + 6] if explicit and group != 0xFFFE else b"UN"
        if not explicit or group == 0xFFFE:
            (length,) = struct.unpack_from(order + "I", body, at + 4)
            return Element(tag, vr, length, at + 8)
        if vr in _LONG:
            (length,) = struct.unpack_from(order + "I", body, at + 8)
            return Element(tag, vr, length, at + 12)
        (length,) = struct.unpack_from(order + "H", body, at + 6)
        return Element(tag, vr, length, at + 8)
    except struct.error:
        raise _damaged(at) from None


def _skip(body: bytes, element: Element, order: str, explicit: bool) -> int:
    """Returns where the next element of the same data set begins."""
    if element.length != UNDEFINED:
        return _end(body, element)
    # Whether each open sequence or item is explicit. What is of unknown type
    # and undefined length is an implicit little-endian sequence.
    unknown = explicit and element.vr == b"UN"
    open_ = [explicit and not unknown]
    order = "<" if unknown else order
    at = element.at
    while open_:
        inner = _element(body, at, order, open_[-1])
        at = inner.at
        if inner.tag in (_ITEM_END, _SEQUENCE_END):
            open_.pop()
        elif inner.length != UNDEFINED:
            at = _end(body, inner)
        elif len(open_) == _DEPTH:
            raise ImageRefused("sequences within sequences, too deep")
        else:
            implicit = inner.vr == b"UN" and inner.tag != _ITEM
            open_.append(open_[-1] and not implicit)
    return at


def _end(body: bytes, element: Element) -> int:
    end = element.at + element.length
    if end > len(body):
        raise _damaged(element.at)
    return end


def _damaged(at: int) -> ImageRefused:
    return ImageRefused(f"a header that is damaged or cut off (near byte {at})")
