"""Image files broken at random: refused, or an image as the header says.

    python fuzz_images.py COUNT

decodes DICOM, in a process of its own: a decoder that crashes takes it along.
"""

import io
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import image_files
import numpy as np
from fuzz_packings import in_gzip, in_png, in_png_pixels
from fuzz_reader import Case, Reader, fuzz
from PIL import Image
from pydicom.data import get_testdata_file

from kerasmi.data import formats, images

SIZE = 32
LARGEST = 2**18  # pixels; the largest of these files has as many
SYNTAXES = (*image_files.NATIVE, *image_files.CODED)


def decoded(content):
    """The header of a file, and the PNG that an import makes of it."""
    known = formats.probe(content, LARGEST)
    result = formats.png_of(content, known, size=SIZE, max_pixels=LARGEST)
    return known, result


def check_decoded(found, _content):
    known, result = found
    width, height = images.png_size(result)
    pixels = np.asarray(Image.open(io.BytesIO(result)))
    assert pixels.shape == (height, width)
    assert min(pixels.shape) == SIZE
    shorter, longer = sorted((known.height, known.width))
    assert abs(max(pixels.shape) - SIZE * longer / shorter) <= 0.5
    assert (height > width) <= (known.height > known.width)
    assert result[24] == (8 if known.bits <= 8 else 16)
    assert pixels.min() < pixels.max()


def probed(content):
    """The header, and what goes to the decoder."""
    known = formats.probe(content, LARGEST)
    return known, formats.prepare(content, known, max_pixels=LARGEST)


def check_probed(found, _content):
    known, image = found
    assert 1 <= known.height * known.width <= LARGEST
    assert 2 <= known.bits <= 16
    assert np.isfinite([known.slope, known.intercept]).all()
    # what the decoder is given says the same
    again = formats.probe(image["content"], LARGEST)
    assert (again.height, again.width) == image["shape"]
    assert image["shape"] == (known.height, known.width)
    assert (again.bits, again.signed) == (known.bits, known.signed)
    assert again.photometric == "MONOCHROME2"
    assert known.photometric in ("MONOCHROME1", "MONOCHROME2")


def image(name, content, packings=(), read=decoded, check=check_decoded):
    return Reader(name, lambda _: Case(content(), read, check), packings)


def png(colour, bits):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]

    def content():
        pixels = image_files.thorax(min(bits, 8) if colour == 3 else bits)
        extra = []
        if colour == 3:
            shades = np.repeat(np.arange(2**bits)[:, None], 3, axis=1)
            shades = shades * 255 // (2**bits - 1)
            extra = [(b"PLTE", shades.astype(np.uint8).tobytes())]
        if channels > 1:
            pixels = np.stack([pixels] * channels, axis=-1)
        return image_files.png(pixels, colour, bits, extra)

    return image(f"PNG {colour}/{bits}", content, (in_png, in_png_pixels))


def jpeg(mode, **options):
    def content():
        buffer = io.BytesIO()
        picture = Image.fromarray(image_files.thorax(8)).convert(mode)
        picture.save(buffer, "JPEG", **options)
        return buffer.getvalue()

    return image(f"JPEG {mode} {options or ''}", content)


def dicom(syntax, read, check):
    bits = 8 if syntax in ("jpeg baseline", "jpeg extended") else 12

    def content():
        pixels = image_files.thorax(bits)
        with tempfile.TemporaryDirectory() as folder:
            return image_files.dicom(pixels, syntax, folder, bits=bits)

    return image(f"DICOM {syntax}", content, (), read, check)


def gzipped():
    import gzip

    return gzip.compress(image_files.dicom(image_files.thorax(12)))


def _of_pydicom():
    return Path(get_testdata_file("JPGExtended.dcm")).read_bytes()


HEADERS = (
    *(dicom(syntax, probed, check_probed) for syntax in SYNTAXES),
    image("DICOM .gz", gzipped, (in_gzip,), probed, check_probed),
)
PICTURES = (
    *(png(*kind) for kind in ((0, 8), (0, 16), (2, 8), (3, 8), (6, 8))),
    jpeg("L"),
    jpeg("RGB", progressive=True),
)
DECODED = (
    *(dicom(syntax, decoded, check_decoded) for syntax in SYNTAXES),
    image("DICOM jpeg extended, 12 bits", _of_pydicom),
)
READERS = (*PICTURES, *HEADERS)


def main(count):
    for reader in DECODED:
        with tempfile.TemporaryDirectory() as folder:
            fates = fuzz(reader, Path(folder), count)
        assert fates["accepted"], fates
        assert fates["refused"], fates
        print(reader.name, dict(fates), flush=True)
    print(f"{len(DECODED)} kinds of {count} files each")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
