import gzip
import io
import struct
import zlib
from importlib.util import find_spec

import numpy as np
import pydicom
import pytest
import tensorflow as tf
from image_files import (
    CODED,
    LOSSY,
    NATIVE,
    data_set,
    dicom,
    encapsulated,
    recoded,
    thorax,
    written,
)
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from kerasmi.data import dicom as decoder
from kerasmi.data import formats
from kerasmi.data.dicom_header import plain
from kerasmi.data.dicom_padding import padding_range
from kerasmi.data.formats import ImageRefused

SIDE = 48
EIGHT = ("jpeg baseline", "jpeg extended")  # written with 8 bits here

decodes = pytest.mark.skipif(
    find_spec("tensorflow_io") is None, reason="needs tensorflow-io"
)


def stored(content):
    """The stored values as decoded here, signed where the file's are."""
    known = formats.probe(content)
    values = decoder.decode(tf.constant(plain(content, known.height * 999)))
    shift = 2 ** (known.bits - 1) if known.signed else 0
    return values.numpy()[..., 0].astype(int) - shift


def as_pydicom(content):
    """The stored values as pydicom and its codecs decode them."""
    made = pydicom.dcmread(io.BytesIO(content))
    syntax = made.file_meta.TransferSyntaxUID
    if syntax in CODED.values() and syntax != uid.RLELossless:
        made.pixel_array_options(decoding_plugin="pylibjpeg")
    return made.pixel_array.astype(int)


def converted(content, intensity="auto", size=SIDE):
    known = formats.probe(content)
    result = formats.png_of(content, known, size=size, intensity=intensity)
    return np.asarray(Image.open(io.BytesIO(result))).astype(int)


def radiograph(syntax, folder, **options):
    bits = 8 if syntax in EIGHT else 12
    return dicom(thorax(bits), syntax, folder, bits=bits, **options)


@decodes
@pytest.mark.parametrize("syntax", [*NATIVE, *CODED])
def test_every_transfer_syntax_gives_pydicoms_pixels(syntax, tmp_path):
    content = radiograph(syntax, tmp_path)
    assert formats.probe(content).lossy == (syntax in LOSSY)
    values = stored(content)
    # decoders of JPEG may round the cosine transform differently
    off = 1 if syntax in EIGHT else 0
    np.testing.assert_allclose(values, as_pydicom(content), atol=off)
    if syntax not in LOSSY:
        bits = formats.probe(content).bits
        np.testing.assert_array_equal(values, thorax(bits))


@decodes
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 15, 16])
def test_every_depth_and_sign_gives_pydicoms_pixels(bits, signed, tmp_path):
    syntaxes = [*NATIVE, "rle", "jpeg lossless sv1", "jpeg-ls"]
    syntaxes += ["jpeg 2000 lossless"]
    pixels = thorax(bits, signed)
    for syntax in syntaxes:
        content = dicom(pixels, syntax, tmp_path, bits=bits)
        np.testing.assert_array_equal(stored(content), as_pydicom(content))
        np.testing.assert_array_equal(stored(content), pixels)


@decodes
@pytest.mark.parametrize("bits", [8, 12])
def test_odd_sizes_are_complete(bits, tmp_path):
    pixels = thorax(bits, shape=(65, 47))
    for syntax in (*NATIVE, "rle", "jpeg 2000 lossless"):
        content = dicom(pixels, syntax, tmp_path, bits=bits)
        np.testing.assert_array_equal(stored(content), pixels)


@decodes
def test_jpeg_extended_of_12_bits_agrees_to_one_level():
    with open(get_testdata_file("JPGExtended.dcm"), "rb") as file:
        content = file.read()
    assert formats.probe(content).bits == 12
    values = stored(content)
    assert values.max() > 255
    np.testing.assert_allclose(values, as_pydicom(content), atol=1)


@decodes
@pytest.mark.parametrize("syntax", ["explicit", "jpeg-ls", "jpeg 2000"])
@pytest.mark.parametrize("intensity", ["full", "percentile"])
def test_monochrome1_is_inverted_exactly_once(syntax, intensity, tmp_path):
    pixels = thorax(12)
    positive = dicom(pixels, syntax, tmp_path)
    negative = dicom(4095 - pixels, syntax, tmp_path, photometric="MONOCHROME1")
    out = converted(negative, intensity)
    loss = 1500 if syntax in LOSSY else 1
    np.testing.assert_allclose(out, converted(positive, intensity), atol=loss)
    assert out[:4].mean() < 0.2 * out.max()  # air, at the top, is dark


@decodes
def test_the_operation_inverts_rounds_and_draws_by_itself():
    # why it is given a header of our own; should it change, look again
    pixels = thorax(12)

    def raw(**elements):
        content = tf.constant(written(data_set(pixels, **elements)))
        return decoder.decode(content).numpy()[..., 0].astype(int)

    inverted = raw(photometric="MONOCHROME1")
    assert np.corrcoef(inverted.ravel(), pixels.ravel())[0, 1] < -0.999
    assert len(np.unique(inverted)) < len(np.unique(pixels))
    coarse = raw(RescaleSlope="0.1", RescaleIntercept="0")
    assert len(np.unique(coarse)) < len(np.unique(pixels)) / 4


@decodes
def test_slope_and_intercept_lose_no_level():
    pixels = thorax(12)
    expected = converted(dicom(pixels))
    for slope, intercept in (("0.1", "0"), ("2.5", "-1024"), ("1", "7")):
        content = dicom(pixels, RescaleSlope=slope, RescaleIntercept=intercept)
        np.testing.assert_array_equal(stored(content), pixels)
        np.testing.assert_array_equal(converted(content), expected)
    # a falling slope turns dark into bright
    falling = dicom(pixels, RescaleSlope="-1", RescaleIntercept="4095")
    np.testing.assert_array_equal(converted(falling), 65535 - expected)


def with_overlay(pixels):
    made = data_set(pixels)
    rows, columns = pixels.shape
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", b"\xf0" * (rows * columns // 8)),
    ):
        made.add_new(0x60000000 + element, vr, value)
    return written(made)


@decodes
def test_overlays_are_left_out_of_the_pixels():
    pixels = thorax(12)
    content = with_overlay(pixels)
    assert formats.probe(content).overlays == 1
    np.testing.assert_array_equal(stored(content), pixels)
    drawn = decoder.decode(tf.constant(content)).numpy()[..., 0]
    assert (drawn != pixels).mean() > 0.2  # the operation alone draws them in


@decodes
def test_pydicoms_overlay_example_is_undrawn():
    with open(get_testdata_file("examples_overlay.dcm"), "rb") as file:
        content = file.read()
    np.testing.assert_array_equal(stored(content), as_pydicom(content))


def linear(values, centre, width):
    """PS3.3 C.11.2.1.2.1, onto 0..1."""
    result = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.clip(result, 0, 1)


@decodes
@pytest.mark.parametrize("signed", [False, True])
def test_the_window_is_dicoms(signed):
    pixels = thorax(12, signed)
    values = 2.0 * pixels - 100
    centre, width = (4000, 3000) if not signed else (-50, 3000)
    elements = {
        "RescaleSlope": "2",
        "RescaleIntercept": "-100",
        "WindowCenter": [centre, 1],
        "WindowWidth": [width, 2],
    }
    out = converted(dicom(pixels, **elements), "window") / 65535
    expected = linear(values, centre, width)
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(out, expected, atol=1e-4)
    inverse = dicom(pixels, photometric="MONOCHROME1", **elements)
    out = converted(inverse, "window") / 65535
    np.testing.assert_allclose(out, 1 - expected, atol=1e-4)
    exact = dicom(pixels, VOILUTFunction="LINEAR_EXACT", **elements)
    expected = np.clip((values - centre) / width + 0.5, 0, 1)
    out = converted(exact, "window") / 65535
    np.testing.assert_allclose(out, expected, atol=1e-4)
    sigmoid = dicom(pixels, VOILUTFunction="SIGMOID", **elements)
    expected = 1 / (1 + np.exp(-4 * (values - centre) / width))
    out = converted(sigmoid, "window") / 65535
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_a_window_that_cannot_be_used_is_refused():
    window = {"WindowCenter": "100", "WindowWidth": "50"}
    table = {"ModalityLUTSequence": Sequence([Dataset()]), **window}
    for elements, words in (
        ({}, "no window"),
        ({"WindowCenter": "5"}, "no window"),
        (table, "no window"),
        ({**window, "WindowWidth": "1"}, "width 1"),
        ({**window, "RescaleSlope": "0"}, "slope of 0"),
        ({**window, "VOILUTFunction": "CUBIC"}, "'CUBIC'"),
    ):
        content = dicom(thorax(12), **elements)
        known = formats.probe(content)
        if not decoder.available():
            continue
        with pytest.raises(ImageRefused, match=words):
            formats.prepare(content, known, "window")


@decodes
def test_full_range_is_that_of_the_bits_stored():
    for bits, signed in ((8, False), (10, False), (12, True), (16, True)):
        pixels = thorax(bits, signed)
        shifted = pixels.astype(int) + (2 ** (bits - 1) if signed else 0)
        top = 255 if bits == 8 else 65535
        out = converted(dicom(pixels, bits=bits), "full")
        expected = shifted / (2**bits - 1) * top
        np.testing.assert_allclose(out, expected, atol=0.51)


def padded(pixels, value, side=12):
    """The picture in a frame of padding: the frame's mask, and all of it."""
    framed = np.pad(pixels, side, constant_values=value)
    return np.pad(np.zeros(pixels.shape, bool), side, constant_values=1), framed


@decodes
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("intensity", ["percentile", "full"])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_is_black_and_is_not_counted(signed, intensity, photometric):
    pixels = thorax(10, signed)
    options = {"bits": 12, "photometric": photometric}
    alone = converted(dicom(pixels, **options), intensity, size=48)
    for value in (2047, -2048) if signed else (4095, 0):
        frame, framed = padded(pixels, value)
        content = dicom(framed, **options, PixelPaddingValue=value)
        assert stored(content).max() == max(value, pixels.max())
        out = converted(content, intensity, size=72)
        assert (out[frame] == 0).all()
        picture = out[~frame].reshape(alone.shape)
        # the picture may itself have the value
        same = pixels != value
        np.testing.assert_allclose(picture[same], alone[same], atol=1)
        assert alone[same].max() > 0


@decodes
def test_a_limit_makes_padding_of_all_values_up_to_it():
    pixels = thorax(10) + 500
    alone = converted(dicom(pixels, bits=12), size=48)
    frame, framed = padded(pixels, 0)
    framed[:6] = 300
    for ends in ((0, 300), (300, 0)):
        value, limit = ends
        elements = {"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit}
        out = converted(dicom(framed, bits=12, **elements), size=72)
        assert (out[frame] == 0).all()
        picture = out[~frame].reshape(alone.shape)
        np.testing.assert_array_equal(picture, alone)
    only = converted(dicom(framed, bits=12, PixelPaddingValue=0), size=72)
    assert (only[~frame].reshape(alone.shape) != alone).any()


@decodes
def test_padding_in_a_window_is_black_and_all_of_it_is_blank():
    pixels = thorax(12)
    window = {"WindowCenter": "100", "WindowWidth": "50"}
    frame, framed = padded(pixels, 4095)
    content = dicom(framed, PixelPaddingValue=4095, **window)
    assert (converted(content, "window", size=72)[frame] == 0).all()
    nothing = dicom(np.where(pixels > np.median(pixels), 7, 9).astype("u2"))
    assert len(np.unique(converted(nothing))) == 2
    nothing = dicom(
        np.where(pixels > np.median(pixels), 7, 9).astype("u2"),
        PixelPaddingValue=7,
        PixelPaddingRangeLimit=9,
    )
    with pytest.raises(ImageRefused, match="every pixel has the same value"):
        converted(nothing)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, 12, False), None),
        ((None, 5, 12, False), None),
        ((0, None, 12, False), (0, 0)),
        ((4000, 5000, 12, False), (4000, 4095)),
        ((5000, None, 12, False), None),  # no stored value is that large
        ((0x10000 - 2000, None, 16, True), (30768, 30768)),
        ((0x10000 - 2000, 0x10000 - 1900, 12, True), (48, 148)),
        ((0x10000 - 2049, None, 12, True), None),
    ],
)
def test_the_values_that_pad_are_those_of_the_standard(given, expected):
    assert padding_range(*given) == expected


def test_padding_is_read_from_files_of_pydicom():
    for name, expected in (("CT_small.dcm", 30768), ("MR_small.dcm", None)):
        with open(get_testdata_file(name), "rb") as file:
            known = formats.probe(file.read())
        assert known.padding == (expected and (expected, expected)), name


@decodes
def test_percentiles_are_the_default_and_affine():
    pixels = thorax(10)
    out = converted(dicom(pixels, bits=10))
    assert (out.min(), out.max()) == (0, 65535)
    moved = dicom(3 * pixels + 500, bits=16)
    np.testing.assert_allclose(converted(moved), out, atol=1)


@pytest.mark.parametrize("syntax", [*NATIVE, *CODED])
def test_every_cut_is_refused_with_its_transfer_syntax(syntax, tmp_path):
    content = radiograph(syntax, tmp_path)
    formats.probe(content)
    uid_at = content.index((NATIVE | CODED)[syntax].encode())
    lengths = {*range(0, len(content), 41), *range(-12, 0)}
    for length in sorted(at % len(content) for at in lengths):
        with pytest.raises(ImageRefused) as error:
            formats.probe(content[:length])
        named = (NATIVE | CODED)[syntax] in str(error.value)
        # a deflated data set is unpacked before anything is known of it
        assert named or length < uid_at + 80 or syntax == "deflated"


def code_stream(made):
    frames = pydicom.encaps.generate_frames(made.PixelData, number_of_frames=1)
    return next(frames)


@pytest.mark.parametrize("syntax", CODED)
def test_a_code_stream_cut_inside_its_fragment_is_refused(syntax, tmp_path):
    made = pydicom.dcmread(io.BytesIO(radiograph(syntax, tmp_path)))
    stream = code_stream(made)
    for share in (0.2, 0.7, 0.95):
        cut = stream[: int(share * len(stream))]
        content = encapsulated(made, CODED[syntax], cut)
        with pytest.raises(ImageRefused):
            formats.probe(content)
    content = encapsulated(made, CODED[syntax], b"\0\0")
    with pytest.raises(ImageRefused):
        formats.probe(content)


def test_a_picture_in_several_fragments_is_joined(tmp_path):
    content = radiograph("jpeg 2000 lossless", tmp_path)
    made = pydicom.dcmread(io.BytesIO(content))
    stream = code_stream(made)
    made.PixelData = pydicom.encaps.encapsulate([stream], fragments_per_frame=3)
    made["PixelData"].is_undefined_length = True
    split = written(made)
    assert plain(split, 10**6) == plain(content, 10**6)


@pytest.mark.parametrize("syntax", ["explicit", "jpeg-ls", "jpeg 2000"])
def test_a_header_that_claims_too_much_is_refused(syntax, tmp_path):
    made = pydicom.dcmread(io.BytesIO(radiograph(syntax, tmp_path)))
    made.Rows = made.Columns = 60000
    with pytest.raises(ImageRefused, match=r"60000 x 60000 pixels.*limit"):
        formats.probe(written(made))


@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg 2000", "jpeg baseline"])
def test_a_code_stream_of_another_size_is_refused(syntax, tmp_path):
    made = pydicom.dcmread(io.BytesIO(radiograph(syntax, tmp_path)))
    made.Rows = 63
    with pytest.raises(ImageRefused, match=r"48 x 64 pixels.*says 48 x 63"):
        formats.probe(written(made))


def test_packed_bombs_stop_at_the_limit():
    content = dicom(thorax(12), "deflated")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(bytes(2**25)) + packer.flush()
    start = _end_of_file_header(content)
    with pytest.raises(ImageRefused, match="unpack to more than"):
        formats.probe(content[:start] + zeros, max_pixels=10**6)
    with pytest.raises(ImageRefused, match="unpack to more than"):
        formats.probe(gzip.compress(bytes(2**25)), max_pixels=10**6)


def _end_of_file_header(content):
    (length,) = struct.unpack_from("<I", content, 140)
    return 144 + length


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"NumberOfFrames": "2"}, "2 frames"),
        ({"NumberOfFrames": "many"}, "00280008 is not a number"),
        ({"PhotometricInterpretation": "RGB"}, "'RGB'"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "'PALETTE COLOR'"),
        ({"PhotometricInterpretation": ""}, "no Photometric .* write MONO"),
        ({"PhotometricInterpretation": None}, "no Photometric .* write MONO"),
        ({"PhotometricInterpretation": "RGB"}, "with 1 value a pixel"),
        ({"SamplesPerPixel": 3}, "3 values a pixel"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 bit stored in 1"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits stored in 32"),
        ({"BitsStored": 17}, "17 bits stored in 16"),
        ({"HighBit": 15}, "up to bit 15; expected 11"),
        ({"Rows": 0}, "48 x 0 pixels"),
        ({"Rows": 65}, "cut off: 6144 bytes where the header asks for 6240"),
        ({"Rows": None}, "no Rows in its header"),
        ({"BitsStored": None}, "no Bits Stored in its header"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_what_is_not_one_gray_picture_is_refused(elements, words):
    made = data_set(thorax(12))
    for name, value in elements.items():
        if value is None:
            delattr(made, name)
        elif value == "many":
            made.add_new("NumberOfFrames", "LO", value)
        else:
            setattr(made, name, value)
    with pytest.raises(ImageRefused, match=words) as error:
        formats.probe(written(made))
    assert "Explicit VR Little Endian (1.2.840.10008.1.2.1)" in str(error.value)


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        (uid.HTJ2K, "High-Throughput JPEG 2000 .1.2.840.10008.1.2.4.203."),
        (uid.MPEG2MPML, "MPEG2 Main Profile"),
    ],
)
def test_other_transfer_syntaxes_are_refused_by_name(syntax, words):
    content = encapsulated(data_set(thorax(12)), syntax, b"\0\1\2\3")
    with pytest.raises(ImageRefused, match=words + ".*cannot be decoded"):
        formats.probe(content)
    content = content.replace(syntax.encode(), b"1.2.3".ljust(len(syntax)))
    with pytest.raises(ImageRefused, match=r"unknown \(1\.2\.3\).*cannot"):
        formats.probe(content)


def test_pixels_not_coded_as_announced_are_refused(tmp_path):
    made = data_set(thorax(12))
    for syntax, stream in (
        (uid.JPEG2000Lossless, b"\xff\xd8\xff\xe0" * 40),
        (uid.JPEGBaseline8Bit, b"\xff\x4f\xff\x51" * 40),
        (uid.RLELossless, b"\xff\x4f\xff\x51" * 40),
    ):
        with pytest.raises(ImageRefused):
            formats.probe(encapsulated(made, syntax, stream))
    lossless = radiograph("jpeg 2000 lossless", tmp_path)
    native = str(uid.ExplicitVRLittleEndian).encode() + b"\0\0\0"
    coded = str(uid.JPEG2000Lossless).encode()
    assert len(native) == len(coded)
    with pytest.raises(ImageRefused, match="not coded in this"):
        formats.probe(lossless.replace(coded, native))


def test_a_file_that_names_no_transfer_syntax_is_refused():
    content = dicom(thorax(12))
    start = _end_of_file_header(content)
    with pytest.raises(ImageRefused, match=r"^DICOM: .* no transfer syntax"):
        formats.probe(content[:132] + content[start:])


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_dicom_without_its_mark_is_told_so(syntax):
    content = dicom(thorax(12), syntax)
    start = _end_of_file_header(content)
    # its own header, or none at all
    for rest in (content[132:], content[start:]):
        with pytest.raises(ImageRefused, match=r"without .* mark DICM; write"):
            formats.probe(rest)
    with pytest.raises(ImageRefused, match="other data"):
        formats.probe(b"\x08\0" + b"\xff" * 90)


@pytest.mark.parametrize("where", [0.2, 0.6, 0.99])
def test_a_cut_deflated_file_is_told_to_be_dicom(where):
    content = dicom(thorax(12), "deflated")
    start = _end_of_file_header(content)
    cut = content[: start + int(where * (len(content) - start))]
    with pytest.raises(ImageRefused) as error:
        formats.probe(cut)
    assert str(error.value) == (
        "DICOM, Deflated Explicit VR Little Endian (1.2.840.10008.1.2.1.99): "
        "packed data that are cut off"
    )


def sequences():
    """Sequences in sequences, of stated and of open length, private too."""
    inner, outer = Dataset(), Dataset()
    inner.Rows = 7  # not the picture's
    inner.CodeMeaning = "invented"
    outer.Columns = 9
    outer.IconImageSequence = Sequence([inner])
    outer.IconImageSequence[0].is_undefined_length_sequence_item = True
    outer["IconImageSequence"].is_undefined_length = True
    return Sequence([outer, outer])


@decodes
@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("open_ended", [False, True])
def test_sequences_before_the_pixels_are_passed_over(syntax, open_ended):
    def holding(**elements):
        made = data_set(thorax(12), **elements)
        made.private_block(0x0019, "KERASMI", create=True).add_new(
            1, "SQ", sequences()
        )
        for name in ("ViewCodeSequence", (0x0019, 0x1001)):
            made[name].is_undefined_length = open_ended
        return made

    made = holding(ViewCodeSequence=sequences())
    content = written(made) if syntax == "explicit" else recoded(made, syntax)
    np.testing.assert_array_equal(stored(content), thorax(12))


@decodes
def test_a_sequence_of_unknown_type_is_passed_over():
    content = dicom(thorax(12))
    start = _end_of_file_header(content)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 10)
    item += struct.pack("<HHIH", 0x0028, 0x0010, 2, 7)  # implicit, inside
    unknown = struct.pack("<HH2sHI", 0x0007, 0x1001, b"UN", 0, 2**32 - 1)
    unknown += item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    longer = content[:start] + unknown + content[start:]
    np.testing.assert_array_equal(stored(longer), thorax(12))


def test_sequences_without_end_are_refused():
    content = dicom(thorax(12))
    start = _end_of_file_header(content)
    opened = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 2**32 - 1)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    with pytest.raises(ImageRefused, match="too deep"):
        formats.probe(content[:start] + (opened + item) * 5000)


def test_nothing_of_the_files_header_reaches_the_decoder(tmp_path):
    for syntax in (*NATIVE, "rle", "jpeg 2000"):
        content = radiograph(syntax, tmp_path, PatientName="Nobody^At^All")
        written_anew = plain(content, 10**6)
        assert b"Nobody" not in written_anew
        assert b"nobody-7" not in written_anew
        made = pydicom.dcmread(io.BytesIO(written_anew))
        assert {str(element.tag)[1:5] for element in made} == {"0028", "7FE0"}


@decodes
def test_gzipped_dicom_is_opened():
    content = dicom(thorax(12))
    packed = gzip.compress(content)
    np.testing.assert_array_equal(converted(packed), converted(content))


@decodes
def test_decoding_in_parallel_gives_the_same_images(tmp_path):
    files = [
        radiograph(s, tmp_path) for s in (*NATIVE, *CODED) for _ in range(4)
    ]
    known = [formats.probe(content) for content in files]
    prepared = [
        formats.prepare(*pair) for pair in zip(files, known, strict=True)
    ]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(prepared), output_signature=formats.SIGNATURE
    ).map(lambda image: formats.to_pixels(image, 24), num_parallel_calls=8)
    expected = [
        formats.png_of(*pair, size=24)
        for pair in zip(files, known, strict=True)
    ]
    made = [formats.encode(*one) for one in dataset.as_numpy_iterator()]
    assert made == expected


@decodes
def test_a_stream_that_the_decoder_rejects_is_refused_by_name(tmp_path):
    made = pydicom.dcmread(io.BytesIO(radiograph("jpeg lossless", tmp_path)))
    stream = code_stream(made)
    tables = stream.index(b"\xff\xc4")
    broken = bytearray(stream)
    broken[tables + 4 : tables + 9] = b"\xee" * 5
    content = encapsulated(made, CODED["jpeg lossless"], bytes(broken))
    with pytest.raises(ImageRefused, match=r"JPEG Lossless \(.*decoder"):
        converted(content)


@decodes
def test_a_blank_radiograph_is_refused():
    content = dicom(np.full((64, SIDE), 77, np.uint16))
    with pytest.raises(ImageRefused, match=r"DICOM.*every pixel"):
        converted(content)
