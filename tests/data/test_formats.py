import gzip
import io
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import image_files
import numpy as np
import pytest
import tensorflow as tf
from image_files import png, thorax
from PIL import Image, ImageOps

from kerasmi.data import audit, exif, formats
from kerasmi.data.formats import ImageRefused
from kerasmi.data.probes import check_size
from kerasmi.errors import DataError

SIDE = 48  # shorter side of `thorax`
SUPPORT = Path(image_files.__file__).parent


def converted(content, intensity="auto", size=SIDE):
    """The pixels that come out, in their own depth."""
    known = formats.probe(content)
    result = formats.png_of(content, known, size=size, intensity=intensity)
    return np.asarray(Image.open(io.BytesIO(result)))


def jpeg(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def colours(alpha=False, seed=3):
    shape = (64, SIDE, 4 if alpha else 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def luminance(pixels):
    return pixels[..., :3] @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_gray_png_of_the_right_size_comes_out_as_it_is(bits):
    pixels = thorax(bits)
    out = converted(png(pixels, 0, bits))
    assert out.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(out, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_turned_as_its_exif_says(kind, orientation):
    block = Image.Exif()
    block[0x010E] = "made up"  # an entry before that of the orientation
    block[0x0112] = orientation
    buffer = io.BytesIO()
    quality = {"quality": 95} if kind == "JPEG" else {}
    image = Image.fromarray(thorax(8))
    image.save(buffer, kind, exif=block, **quality)
    shown = ImageOps.exif_transpose(Image.open(buffer))
    out = converted(buffer.getvalue())
    assert out.shape == (shown.height, shown.width)
    np.testing.assert_allclose(out, np.asarray(shown), atol=1.01)
    if orientation > 1:
        assert out.shape != thorax(8).shape or np.any(out != thorax(8))


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x112, 3, 1, 6, 0), 6),
        (b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x112, 3, 1, 8, 0), 8),
        (b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x112, 3, 1, 9, 0), 1),
        (b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x112, 4, 1, 6), 1),
        (b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x113, 3, 1, 6, 0), 1),
        (b"II*\0" + struct.pack("<IH", 8, 65535), 1),
        (b"II*\0" + struct.pack("<I", 2**32 - 1), 1),
        (b"II*\0" + b"\1", 1),
        (b"II*\1" + b"\0" * 20, 1),
        (b"", 1),
    ],
)
def test_an_exif_block_that_tells_no_orientation_is_upright(block, told):
    assert exif.orientation(block) == told


def test_values_above_32767_stay_bright():
    # read as int16, as the released code did, the upper half turns negative
    ramp = np.linspace(0, 65535, 64 * SIDE).astype(np.uint16)
    ramp = ramp.reshape(64, SIDE)
    assert (ramp.astype(np.int16) < 0).mean() > 0.4
    for intensity in ("full", "percentile"):
        out = converted(png(ramp, 0, 16), intensity).ravel().astype(int)
        assert (np.diff(out) >= 0).all()
        assert out[-1] == 65535
    np.testing.assert_array_equal(converted(png(ramp, 0, 16)), ramp)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_span_black_to_white(bits):
    pixels = thorax(bits)
    out = converted(png(pixels, 0, bits))
    np.testing.assert_array_equal(out, pixels * (255 // (2**bits - 1)))


@pytest.mark.parametrize("bits", [8, 16])
def test_colour_becomes_luminance(bits):
    pixels = colours().astype(int) * (257 if bits == 16 else 1)
    out = converted(png(pixels, 2, bits))
    np.testing.assert_allclose(out, luminance(pixels), atol=0.51)


def test_gray_stored_as_colour_stays_the_same_gray():
    gray = thorax(16)
    out = converted(png(np.stack([gray] * 3, -1), 2, 16))
    np.testing.assert_array_equal(out, gray)


def test_a_palette_is_looked_up():
    table = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    index = thorax(8)
    content = png(index, 3, 8, [(b"PLTE", table.tobytes())])
    out = converted(content)
    np.testing.assert_allclose(out, luminance(table[index]), atol=0.51)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_small_palette_is_looked_up(bits):
    table = np.random.default_rng(1).integers(0, 256, (2**bits, 3), np.uint8)
    index = thorax(bits)
    content = png(index, 3, bits, [(b"PLTE", table.tobytes())])
    expected = luminance(table[index])
    np.testing.assert_allclose(converted(content), expected, atol=0.51)
    alpha = np.full(2**bits, 255, np.uint8)
    alpha[0] = 0
    extra = [(b"PLTE", table.tobytes()), (b"tRNS", alpha.tobytes())]
    out = converted(png(index, 3, bits, extra))
    expected = np.where(index == 0, 0, expected)
    np.testing.assert_allclose(out, expected, atol=0.51)


def test_what_is_transparent_lies_over_black():
    pixels = colours(alpha=True)
    expected = luminance(pixels) * (pixels[..., 3] / 255)
    out = converted(png(pixels, 6, 8))
    np.testing.assert_allclose(out, expected, atol=0.51)
    # a transparent palette entry, and gray with alpha
    index = thorax(8)
    table = np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes()
    opaque = bytes(128) + b"\xff" * 128
    content = png(index, 3, 8, [(b"PLTE", table), (b"tRNS", opaque)])
    expected = np.where(index < 128, 0, index)
    np.testing.assert_array_equal(converted(content), expected)
    both = np.stack([index, np.full_like(index, 255)], -1)
    np.testing.assert_array_equal(converted(png(both, 4, 8)), index)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_gray_jpeg_equals_pillows(progressive):
    content = jpeg(thorax(8), progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(converted(content), expected)


def test_a_colour_jpeg_becomes_luminance():
    smooth = np.stack([thorax(8, seed=s) for s in range(3)], -1)
    content = jpeg(smooth, quality=95)
    expected = luminance(np.asarray(Image.open(io.BytesIO(content))))
    np.testing.assert_allclose(converted(content), expected, atol=2)


def test_the_shorter_side_is_as_asked():
    pixels = thorax(16, shape=(120, 90))
    content = png(pixels, 0, 16)
    assert converted(content, size=30).shape == (40, 30)
    assert converted(content, size=180).shape == (240, 180)
    wide = png(np.ascontiguousarray(pixels.T), 0, 16)
    assert converted(wide, size=30).shape == (30, 40)


def test_percentiles_do_not_see_gain_offset_or_sign():
    pixels = thorax(12).astype(int)
    expected = converted(png(pixels, 0, 16), "percentile")
    for changed in (3 * pixels + 1000, pixels + 40000):
        out = converted(png(changed, 0, 16), "percentile")
        np.testing.assert_allclose(out, expected, atol=1)
    negative = converted(png(65535 - pixels, 0, 16), "percentile")
    np.testing.assert_allclose(65535 - negative.astype(int), expected, atol=1)


def test_percentiles_are_numpys():
    pixels = thorax(16, shape=(100, 80)).astype(float)
    low = np.percentile(pixels, 0.5, method="higher")
    high = np.percentile(pixels, 99.5, method="lower")
    expected = np.clip((pixels - low) / (high - low), 0, 1) * 65535
    content = png(pixels.astype(int), 0, 16)
    out = converted(content, "percentile", size=80)
    np.testing.assert_allclose(out, expected, atol=1)


def test_a_few_pixels_of_metal_do_not_darken_the_rest():
    pixels = thorax(12).astype(int)
    expected = converted(png(pixels, 0, 16), "percentile").astype(int)
    pixels[10, 10:15] = 65535
    out = converted(png(pixels, 0, 16), "percentile").astype(int)
    assert np.abs(out - expected).mean() < 400


def test_an_image_of_two_values_keeps_both():
    # both percentiles fall on the same value
    pixels = np.zeros((SIDE, SIDE), int)
    pixels[3, 4] = 9
    out = converted(png(pixels, 0, 16), "percentile")
    assert out[3, 4] == 65535
    assert np.count_nonzero(out) == 1


@pytest.mark.parametrize("intensity", ["full", "percentile"])
@pytest.mark.parametrize("value", [0, 137])
def test_a_blank_image_is_refused(intensity, value):
    content = png(np.full((SIDE, SIDE), value), 0, 8)
    with pytest.raises(ImageRefused, match="PNG: every pixel has the same"):
        converted(content, intensity)


def test_a_png_has_no_window():
    with pytest.raises(ImageRefused, match="no window of its own"):
        converted(png(thorax(8), 0, 8), "window")


def test_an_unknown_intensity_is_named():
    content = png(thorax(8), 0, 8)
    with pytest.raises(ValueError, match="'best', expected one of"):
        formats.png_of(
            content, formats.probe(content), size=8, intensity="best"
        )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (bytes(500), "an empty file"),
        (b"hello" * 40, "other data"),
        (b"II*\0" + bytes(range(90)), "TIFF"),
        (b"GIF89a" + bytes(range(90)), "GIF"),
        (b"<!DOCTYPE html><p>Log in first", "HTML"),
        (b"\x89PNG\r\n\x1a\n", "cut off"),
        (b"\xff\xd8\xff", "cut off"),
        (b"\x1f\x8b" + bytes(30), "damaged"),
    ],
)
def test_what_is_no_image_is_refused_by_name(content, words):
    with pytest.raises(ImageRefused, match=words):
        formats.probe(content)


@pytest.mark.parametrize(
    "content",
    [
        png(thorax(16), 0, 16),
        jpeg(thorax(8)),
        jpeg(thorax(8), progressive=True),
    ],
    ids=["png", "jpeg", "progressive"],
)
def test_every_cut_is_refused(content):
    formats.probe(content)
    for length in range(len(content)):
        with pytest.raises(ImageRefused):
            formats.probe(content[:length])


def test_a_flipped_byte_in_a_png_is_refused():
    content = png(thorax(8), 0, 8)
    for at in range(8, len(content)):
        broken = bytearray(content)
        broken[at] ^= 0x41
        with pytest.raises(ImageRefused):
            formats.probe(bytes(broken))


def test_a_png_that_lacks_rows_is_refused():
    # checksums and chunks are right; the packed pixels end too early
    short = png(thorax(8)[:20], 0, 8)
    header = struct.pack(">II", SIDE, 64)
    broken = short[:8] + image_files.chunk(b"IHDR", header + short[24:29])
    with pytest.raises(ImageRefused, match="decoder cannot read"):
        converted(broken + short[33:])


def test_a_header_that_claims_too_much_is_refused():
    tall = png(thorax(8), 0, 8)
    header = struct.pack(">II", 60000, 60000) + tall[24:29]
    bomb = tall[:8] + image_files.chunk(b"IHDR", header) + tall[33:]
    with pytest.raises(ImageRefused, match=r"60000 x 60000 pixels.*limit"):
        formats.probe(bomb)
    picture = bytearray(jpeg(thorax(8)))
    at = picture.index(b"\xff\xc0")
    picture[at + 5 : at + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(ImageRefused, match=r"60000 x 60000 pixels.*limit"):
        formats.probe(bytes(picture))
    with pytest.raises(ImageRefused, match="limit of 100"):
        formats.probe(tall, max_pixels=100)
    strip = png(np.arange(900).reshape(1, 900) % 7, 0, 8)
    with pytest.raises(ImageRefused, match="a strip: 900 x 1"):
        formats.probe(strip)


@pytest.mark.parametrize(
    "shapes", [((9, 900), (8, 700)), ((9000, 9000), (10000, 8000))]
)
def test_the_audit_counts_images_of_a_wrong_shape_as_one_reason(shapes):
    reasons = set()
    for height, width in shapes:
        with pytest.raises(ImageRefused) as refused:
            check_size(height, width, 2**20)
        reasons.add(audit.kind(str(refused.value)))
    assert len(reasons) == 1


@pytest.mark.parametrize(
    ("marker", "bits", "samples", "words"),
    [
        (0xC3, 8, 1, "lossless"),
        (0xC9, 8, 1, "arithmetically coded"),
        (0xC1, 12, 1, "12 bits"),
        (0xC0, 8, 4, "4 channels"),
    ],
)
def test_a_jpeg_that_cannot_be_decoded_is_refused(marker, bits, samples, words):
    picture = bytearray(jpeg(thorax(8)))
    at = picture.index(b"\xff\xc0")
    picture[at + 1], picture[at + 4], picture[at + 9] = marker, bits, samples
    with pytest.raises(ImageRefused, match=words):
        formats.probe(bytes(picture))


def test_a_jpeg_of_a_thousand_scans_is_refused():
    picture = jpeg(thorax(8), progressive=True)
    last = picture.rindex(b"\xff\xda")
    bomb = picture[:last] + picture[last:-2] * 1000 + picture[-2:]
    with pytest.raises(ImageRefused, match=r"10\d\d scans"):
        formats.probe(bomb)


def test_bytes_behind_the_end_do_no_harm():
    for content in (png(thorax(8), 0, 8), jpeg(thorax(8))):
        expected = converted(content)
        np.testing.assert_array_equal(
            converted(content + b"\0trailing"), expected
        )


def test_gzip_is_opened_up_to_a_limit():
    content = png(thorax(8), 0, 8)
    packed = gzip.compress(content)
    np.testing.assert_array_equal(converted(packed), converted(content))
    with pytest.raises(ImageRefused, match="cut off"):
        formats.probe(packed[:-20])
    bomb = gzip.compress(bytes(2**25))
    with pytest.raises(ImageRefused, match="unpack to more than"):
        formats.probe(bomb, max_pixels=1000)


def test_images_of_all_kinds_go_through_one_parallel_map():
    contents = [
        png(thorax(16), 0, 16),
        jpeg(thorax(8)),
        png(colours(alpha=True), 6, 8),
        jpeg(thorax(8, seed=4)),
    ] * 6
    known = [formats.probe(content) for content in contents]
    prepared = [
        formats.prepare(*pair) for pair in zip(contents, known, strict=True)
    ]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(prepared), output_signature=formats.SIGNATURE
    ).map(lambda image: formats.to_pixels(image, 32), num_parallel_calls=4)
    expected = [
        formats.png_of(*pair, size=32)
        for pair in zip(contents, known, strict=True)
    ]
    made = [formats.encode(*one) for one in dataset.as_numpy_iterator()]
    assert made == expected


def test_dicom_without_tensorflow_io_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    content = image_files.dicom(thorax(12))
    known = formats.probe(content)
    with pytest.raises(DataError, match=r"kerasmi\[dicom\]") as error:
        formats.png_of(content, known, size=31)
    assert not isinstance(error.value, ImageRefused)
    # every other kind works
    content = png(thorax(8), 0, 8)
    image = formats.prepare(content, formats.probe(content))
    compiled = tf.function(
        formats.to_pixels,
        input_signature=[formats.SIGNATURE, tf.TensorSpec((), tf.int32)],
    )
    tensors = {
        name: tf.constant(image[name], spec.dtype)
        for name, spec in formats.SIGNATURE.items()
    }
    out, _ = compiled(tensors, SIDE)
    np.testing.assert_array_equal(out, thorax(8))


@pytest.mark.skipif(
    find_spec("tensorflow_io") is None, reason="needs tensorflow-io"
)
@pytest.mark.slow
def test_mutated_files_are_refused_or_give_an_image():
    # in a process of its own: a decoder that crashes takes it along
    answer = subprocess.run(
        [sys.executable, SUPPORT / "fuzz_images.py", "200"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout[-500:] + answer.stderr[-2000:]
    assert "14 kinds" in answer.stdout
