"""Image files of every kind to the one kind kept in records: gray PNG.

Two steps. `probe` looks at the bytes, decodes nothing, and refuses by name
what is damaged, cut off, too large or of a kind that cannot be decoded. Then
`prepare`, in the graph `to_pixels`, and `encode`:

    dataset = tf.data.Dataset.from_generator(...)   # of `prepare(...)`
    dataset = dataset.map(lambda image: to_pixels(image, 256))
    pngs = (encode(*made) for made in dataset.as_numpy_iterator())

`png_of` is both steps for one image.

What becomes of a picture: colour becomes its luminance (0.299 R + 0.587 G +
0.114 B); what is transparent is laid over black; a DICOM's overlays are left
out. Dark is always air: MONOCHROME1 is inverted, once. What pads a DICOM
(Pixel Padding Value and Range Limit) is black and does not count in its
percentiles. A picture is turned as its EXIF says, as viewers show it. Grey
levels are mapped as `INTENSITIES` says, the shorter side is scaled to the size
asked for, and the result has 8 bits where the file has at most 8, else 16.
"""

import math
from functools import cache
from typing import Any

import tensorflow as tf

from kerasmi.data import dicom, dicom_elements
from kerasmi.data.conversion import SIGNATURE, Decoder, encode, to_pixels
from kerasmi.data.dicom_header import plain, probe_dicom
from kerasmi.data.dicom_syntaxes import name as syntax_name
from kerasmi.data.png_jpeg import JPEG, PNG, probe_jpeg, probe_png
from kerasmi.data.probes import MAX_PIXELS, ImageRefused, Probe

__all__ = [
    "INTENSITIES",
    "MAX_PIXELS",
    "SIGNATURE",
    "ImageRefused",
    "Probe",
    "encode",
    "png_of",
    "prepare",
    "probe",
    "refusal",
    "to_pixels",
    "traced",
]

# auto: percentile for DICOM, full for PNG and JPEG.
# full: from 0 to the largest value that the file's bits can hold.
# percentile: from the 0.5th to the 99.5th percentile of the image itself.
# window: the file's own window; refused where it has none.
INTENSITIES = ("auto", "full", "percentile", "window")

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"%PDF": "PDF",
    b"<": "HTML or XML",
}


def probe(content: bytes, max_pixels: int = MAX_PIXELS) -> Probe:
    """Identifies an image by its bytes and checks what its header says.

    Args:
        content: The bytes of a PNG, JPEG or DICOM file, or of one packed
            with gzip.
        max_pixels: The most pixels allowed.

    Raises:
        ImageRefused: Nothing that can be decoded; the message says why.
    """
    content = _unpacked(content, max_pixels)
    if content.startswith(PNG):
        return probe_png(content, max_pixels)
    if content.startswith(JPEG):
        return probe_jpeg(content, max_pixels)
    if dicom_elements.is_dicom(content):
        return probe_dicom(content, max_pixels)
    if not content.strip(b"\0"):
        raise ImageRefused(f"an empty file ({len(content)} bytes)")
    if dicom_elements.is_without_mark(content):
        raise ImageRefused(
            "DICOM without its 128 free bytes and the mark DICM; write it anew "
            "with them, as pydicom's `dcmwrite(..., enforce_file_format=True)`"
        )
    kinds = [k for start, k in _OTHERS.items() if content.startswith(start)]
    raise ImageRefused(
        f"expected PNG, JPEG or DICOM, received {(kinds or ['other data'])[0]}"
    )


def prepare(
    content: bytes,
    known: Probe,
    intensity: str = "auto",
    max_pixels: int = MAX_PIXELS,
) -> dict[str, Any]:
    """Returns what `to_pixels` needs of one image: plain values, no tensors.

    Args:
        content: The bytes of the file.
        known: What `probe` said of it.
        intensity: One of `INTENSITIES`.
        max_pixels: As given to `probe`.

    Returns:
        A value for each name of `SIGNATURE`.

    Raises:
        ImageRefused: It has no window, and the intensity is `window`.
        DataError: It is a DICOM file, and tensorflow-io is not there.
    """
    if intensity not in INTENSITIES:
        raise ValueError(
            f"intensity is {intensity!r}, expected one of {INTENSITIES}"
        )
    content = _unpacked(content, max_pixels)
    if known.kind == "dicom":
        dicom.require()
        content = plain(content, max_pixels)
    window = known.window if intensity == "window" else None
    falling = known.slope < 0
    return {
        "content": content,
        "decoder": int(_decoder(known)),
        "shape": (known.height, known.width),
        "range": _range(known, intensity),
        "sigmoid": window is not None and window.function == "SIGMOID",
        "padding": (1.0, 0.0) if known.padding is None else known.padding,
        "inverted": (known.photometric == "MONOCHROME1") != falling,
        "deep": known.bits > 8,
        "orientation": known.orientation,
    }


def png_of(
    content: bytes,
    known: Probe,
    *,
    size: int,
    intensity: str = "auto",
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Turns the bytes of one image file into a gray PNG.

    Args:
        content: The bytes of the file.
        known: What `probe` said of it.
        size: The shorter side of the result, in pixels.
        intensity: One of `INTENSITIES`.
        max_pixels: As given to `probe`.

    Returns:
        The bytes of a gray PNG of 8 or 16 bits.

    Raises:
        ImageRefused: It cannot be decoded, is blank, or has no window.
        DataError: It is a DICOM file, and tensorflow-io is not there.
    """
    image = prepare(content, known, intensity, max_pixels)
    tensors = {
        key: tf.constant(image[key], spec.dtype)
        for key, spec in SIGNATURE.items()
    }
    try:
        pixels, deep = traced()(tensors, size)
    except tf.errors.OpError as error:
        raise refusal(error, known) from None
    return encode(pixels.numpy(), deep.numpy())


def refusal(error: BaseException, known: Probe) -> ImageRefused:
    """Says in words why `to_pixels` failed.

    Args:
        error: What it raised.
        known: What `probe` said of the image.
    """
    what = known.kind.upper()
    if known.kind == "dicom":
        what += f", {syntax_name(known.transfer_syntax)}"
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return ImageRefused(f"{what}: not enough memory to decode it")
    for sign, words in (
        ("blank", "every pixel has the same value"),
        ("announced", "its pixels are not of the size that the header says"),
    ):
        if sign in str(error):
            return ImageRefused(f"{what}: {words}")
    return ImageRefused(f"{what}: the decoder cannot read its pixel data")


@cache
def traced() -> Any:
    """Returns `to_pixels`, traced once for all images and sizes."""
    size = tf.TensorSpec((), tf.int32)
    signature = [SIGNATURE, size]
    return tf.function(to_pixels, signature, autograph=False)


def _unpacked(content: bytes, max_pixels: int) -> bytes:
    if not content.startswith(_GZIP):
        return content
    room = 2 * max_pixels + dicom_elements.HEADER_ROOM
    return dicom_elements.inflate(content, 31, room)


def _decoder(known: Probe) -> Decoder:
    if known.kind == "png":
        alpha = known.samples in (2, 4)
        kinds = Decoder.COLOUR_PNG, Decoder.ALPHA_PNG
        return Decoder.GRAY_PNG if known.samples == 1 else kinds[alpha]
    return Decoder.JPEG if known.kind == "jpeg" else Decoder.DICOM


def _range(known: Probe, intensity: str) -> tuple[float, float]:
    """The values that become 0 and 1; NaN for the image's percentiles."""
    if intensity == "window":
        return _window_range(known)
    wanted = {"percentile"} | ({"auto"} if known.kind == "dicom" else set())
    if intensity in wanted:
        return math.nan, math.nan
    return 0.0, float(2**known.bits - 1 if known.kind == "dicom" else 65535)


def _window_range(known: Probe) -> tuple[float, float]:
    """PS3.3 C.11.2.1.2-3, solved for the values that the decoder gives."""
    window = known.window
    if window is None or known.value_table:
        raise ImageRefused(
            "it has no window of its own (Window Center and Width after a "
            "Rescale Slope); choose intensity percentile or full"
        )
    centre, width = window.centre, window.width
    if window.function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    elif window.function not in ("LINEAR_EXACT", "SIGMOID"):
        raise ImageRefused(f"unknown VOI LUT function {window.function!r}")
    if width <= 0 or known.slope == 0:
        raise ImageRefused(
            f"a window of width {window.width:g}, a slope of {known.slope:g}"
        )
    shift = 2 ** (known.bits - 1) if known.signed else 0
    middle = (centre - known.intercept) / known.slope + shift
    half = abs(width / known.slope) / 2
    return middle - half, middle + half
