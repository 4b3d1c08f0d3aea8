"""DICOM's transfer syntaxes: their names, and those that can be decoded."""

from kerasmi.data.dicom_elements import BIG_ENDIAN, DEFLATED, IMPLICIT

EXPLICIT = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
NATIVE = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN})

_JPEG = "1.2.840.10008.1.2.4."
BASELINE, EXTENDED = _JPEG + "50", _JPEG + "51"
NEAR_LOSSLESS, JPEG_2000_LOSSY = _JPEG + "81", _JPEG + "91"
JPEGS = frozenset(_JPEG + end for end in ("50", "51", "57", "70", "80", "81"))
JPEG_2000 = frozenset({_JPEG + "90", _JPEG + "91"})
LOSSY = frozenset({BASELINE, EXTENDED, NEAR_LOSSLESS, JPEG_2000_LOSSY})
DECODED = NATIVE | JPEGS | JPEG_2000 | {RLE}

_NAMES = {
    IMPLICIT: "Implicit VR Little Endian",
    EXPLICIT: "Explicit VR Little Endian",
    DEFLATED: "Deflated Explicit VR Little Endian",
    BIG_ENDIAN: "Explicit VR Big Endian",
    RLE: "RLE Lossless",
    BASELINE: "JPEG Baseline",
    EXTENDED: "JPEG Extended",
    _JPEG + "57": "JPEG Lossless",
    _JPEG + "70": "JPEG Lossless SV1",
    _JPEG + "80": "JPEG-LS Lossless",
    NEAR_LOSSLESS: "JPEG-LS Near-Lossless",
    _JPEG + "90": "JPEG 2000 Lossless",
    JPEG_2000_LOSSY: "JPEG 2000",
    # below: named in a refusal, not decoded
    "1.2.840.10008.1.2.1.98": "Encapsulated Uncompressed",
    _JPEG + "92": "JPEG 2000 Part 2 Lossless",
    _JPEG + "93": "JPEG 2000 Part 2",
    _JPEG + "94": "JPIP Referenced",
    _JPEG + "95": "JPIP Referenced Deflate",
    _JPEG + "100": "MPEG2 Main Profile",
    _JPEG + "102": "MPEG-4 AVC/H.264",
    _JPEG + "107": "HEVC/H.265 Main Profile",
    _JPEG + "110": "JPEG XL Lossless",
    _JPEG + "111": "JPEG XL JPEG Recompression",
    _JPEG + "112": "JPEG XL",
    _JPEG + "201": "High-Throughput JPEG 2000 Lossless",
    _JPEG + "202": "High-Throughput JPEG 2000 RPCL Lossless",
    _JPEG + "203": "High-Throughput JPEG 2000",
}


def name(uid: str) -> str:
    """Returns a transfer syntax's name and UID, for messages."""
    printable = "".join(
        c if c.isascii() and c.isprintable() else "?" for c in uid
    )
    return f"{_NAMES.get(uid, 'unknown')} ({printable[:64]})"
