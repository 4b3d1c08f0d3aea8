"""What the first look at an image file tells, before a pixel is decoded."""

from dataclasses import dataclass

from kerasmi.errors import DataError

MAX_PIXELS = 2**26  # 67 megapixels; the largest radiographs have about 25
MAX_ASPECT = 8  # longer side over shorter: resizing multiplies both


class ImageRefused(DataError):  # noqa: N818 - what happens to the image
    """An image that is not taken in; the message is the whole reason."""


@dataclass(frozen=True)
class Window:
    """A DICOM window, in values after Rescale Slope and Intercept.

    Attributes:
        centre: Window Center.
        width: Window Width.
        function: VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True)
class Probe:
    """What an image file says of itself, checked against its length.

    Attributes:
        kind: `"png"`, `"jpeg"` or `"dicom"`.
        height: Pixels.
        width: Pixels.
        bits: Bits of a value: the depth, or DICOM's Bits Stored.
        samples: Values of a pixel: 1 gray, 2 gray and alpha, 3 colour, 4
            colour and alpha.
        transfer_syntax: DICOM's UID of the coding.
        photometric: DICOM's MONOCHROME1 (small is bright) or MONOCHROME2.
        signed: Whether DICOM's values are signed.
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        window: The file's own window, the first one; None where it has none.
        value_table: Whether a Modality LUT Sequence stands in for the slope.
        padding: The first and the last of DICOM's padding values, as decoded
            (`dicom_padding.padding_range`); None where it has none.
        overlays: Number of overlay planes: drawings beside the pixels.
        lossy: Whether the file was, or says it once was, coded with loss.
        orientation: EXIF's, 1 to 8: how the pixels are turned to be upright.
    """

    kind: str
    height: int
    width: int
    bits: int
    samples: int = 1
    transfer_syntax: str = ""
    photometric: str = ""
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    window: Window | None = None
    value_table: bool = False
    padding: tuple[int, int] | None = None
    overlays: int = 0
    lossy: bool = False
    orientation: int = 1


def check_size(height: int, width: int, max_pixels: int) -> None:
    """Raises `ImageRefused` where a size is empty, huge or a thin strip."""
    shorter, longer = sorted((height, width))
    if shorter < 1:
        raise ImageRefused(f"its header says {width} x {height} pixels")
    if height * width > max_pixels:
        raise ImageRefused(
            f"its header says {width} x {height} pixels, more than the limit "
            f"of {max_pixels}"
        )
    if longer > MAX_ASPECT * shorter:
        raise ImageRefused(
            f"it is a strip: {width} x {height} pixels, one side more than "
            f"{MAX_ASPECT} times the other"
        )
