"""Image files for tests: DICOM in every transfer syntax, PNG of every kind.

Needs pydicom, gdcm and pylibjpeg (extra `test`); invented ids.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

NATIVE = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
}
CODED = {
    "rle": uid.RLELossless,
    "jpeg baseline": uid.JPEGBaseline8Bit,
    "jpeg extended": uid.JPEGExtended12Bit,
    "jpeg lossless": uid.JPEGLossless,
    "jpeg lossless sv1": uid.JPEGLosslessSV1,
    "jpeg-ls": uid.JPEGLSLossless,
    "jpeg-ls near": uid.JPEGLSNearLossless,
    "jpeg 2000 lossless": uid.JPEG2000Lossless,
    "jpeg 2000": uid.JPEG2000,
}
LOSSY = {"jpeg baseline", "jpeg extended", "jpeg-ls near", "jpeg 2000"}


def thorax(bits=12, signed=False, shape=(64, 48), seed=0):
    """A smooth picture with a dark field, a bright disc and some grain."""
    rows, columns = np.indices(shape)
    height, width = shape
    disc = np.hypot(rows - 0.5 * height, columns - 0.4 * width) < 0.2 * width
    values = 0.1 + 0.5 * rows / height + 0.35 * disc
    values += np.random.default_rng(seed).uniform(0, 0.04, shape)
    values = np.round(values * (2**bits - 1)).astype(np.int64)
    if signed:
        values -= 2 ** (bits - 1)
    size = 8 if bits <= 8 else 16
    return values.astype(f"{'int' if signed else 'uint'}{size}")


def data_set(pixels, bits=12, photometric="MONOCHROME2", **elements):
    """A digital radiograph of nobody, explicit little endian."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    made.SOPClassUID = uid.SecondaryCaptureImageStorage
    made.SOPInstanceUID = "1.2.3.4.5"
    made.PatientID = "nobody-7"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 * pixels.itemsize
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelRepresentation = int(
        np.issubdtype(pixels.dtype, np.signedinteger)
    )
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def written(made):
    """The bytes of the file, little endian as made."""
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom(pixels, syntax="explicit", folder=None, **options):
    """The bytes of a DICOM file in a transfer syntax of `NATIVE` or `CODED`.

    JPEG lossless and JPEG-LS are coded by gdcm, which works on files, in
    `folder`; JPEG baseline and extended, 8 bits, by Pillow.
    """
    made = data_set(pixels, **options)
    if syntax == "explicit":
        return written(made)
    if syntax in ("rle", "jpeg 2000 lossless", "jpeg 2000"):
        # gdcm's RLE encoder aborts the process on odd sizes
        coder = "pydicom" if syntax == "rle" else "pylibjpeg"
        options = {"j2k_cr": [8]} if syntax == "jpeg 2000" else {}
        made.compress(
            CODED[syntax],
            encoding_plugin=coder,
            generate_instance_uid=False,
            **options,
        )
        return written(made)
    if syntax in ("jpeg baseline", "jpeg extended"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        return encapsulated(made, CODED[syntax], buffer.getvalue())
    if syntax in CODED:
        return _by_gdcm(written(made), CODED[syntax], Path(folder))
    return recoded(made, syntax)


def encapsulated(made, syntax, stream):
    """The bytes of a DICOM file around a code stream."""
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = pydicom.encaps.encapsulate([stream])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return written(made)


def recoded(made, syntax):
    """The bytes of the file in one of `NATIVE`."""
    made.file_meta.TransferSyntaxUID = NATIVE[syntax]
    order = "big" if syntax == "big endian" else "little"
    if order == "big":
        width = 2 if made["PixelData"].VR == "OW" else 1
        values = np.frombuffer(made.PixelData, f"<u{width}")
        made.PixelData = values.astype(f">u{width}").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer,
        made,
        implicit_vr=syntax == "implicit",
        little_endian=order == "little",
        enforce_file_format=True,
    )
    return buffer.getvalue()


def _by_gdcm(content, syntax, folder):
    import gdcm

    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(content)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    kind = gdcm.TransferSyntax.GetTSType(str(syntax))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kind))
    change.SetInput(reader.GetImage())
    codec = gdcm.JPEGLSCodec()
    if syntax == uid.JPEGLSNearLossless:
        codec.SetLossless(False)
        codec.SetLossyError(2)
        change.SetUserCodec(codec)
    assert change.Change(), f"gdcm cannot encode {syntax.name}"
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target.read_bytes()


def png(pixels, colour, bits, extra=()):
    """The bytes of a PNG: colour type 0 gray, 2 RGB, 3 palette, 4, 6 alpha.

    Args:
        pixels: `(H, W)` or `(H, W, C)` values.
        colour: PNG's colour type.
        bits: PNG's bit depth.
        extra: Name and data of chunks before the pixels.
    """
    pixels = np.asarray(pixels)
    rows = pixels.reshape(len(pixels), -1)
    if bits == 16:
        lines = rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
    elif bits == 8:
        lines = rows.astype(np.uint8)
    else:
        spread = np.arange(bits - 1, -1, -1)
        binary = (rows[..., None] >> spread & 1).reshape(len(rows), -1)
        lines = np.packbits(binary.astype(np.uint8), axis=1)
    data = b"".join(b"\0" + line.tobytes() for line in lines)
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in [*chunks, (b"IEND", b"")]
    )


def chunk(name, data):
    """One chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum
