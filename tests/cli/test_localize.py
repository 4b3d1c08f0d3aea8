"""`kerasmi localize`: pictures and maps in the pixels of the image itself."""

import numpy as np
import pytest
from image_files import dicom, thorax
from matplotlib import image as reading
from PIL import Image
from trained_runs import (
    files,
    kerasmi,
    load_once,
    one_error,
    save_run,
    save_untrained,
)

from kerasmi import localizing
from kerasmi.data.dataset import Dataset
from kerasmi.runs import Run

SENTENCE = "The heart is large."


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_run(folder / "local")
    save_run(folder / "global", "global_mine")
    save_untrained(folder)
    return folder


@pytest.fixture(autouse=True)
def models(monkeypatch):
    load_once(monkeypatch)


@pytest.fixture
def wide(tmp_path):
    """A picture of 150 x 100 pixels."""
    path = tmp_path / "wide.png"
    values = thorax(8, shape=(100, 150)).astype(np.uint8)
    Image.fromarray(values).save(path)
    return path


def localize(*arguments):
    return kerasmi("localize", *arguments)


def _image_id(runs):
    data = Dataset.open(next((runs / "data").iterdir()))
    return data.rows("test")["image_id"].iloc[0]


def test_a_picture_of_any_size_is_drawn_and_told(runs, wide, tmp_path):
    result = localize(
        *(runs / "local", wide, SENTENCE),
        *("--output", tmp_path / "out.png", "--map", tmp_path / "map.npy"),
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["image", "150", "x", "100", "pixels"]
    assert lines[-2:] == [str(tmp_path / "out.png"), str(tmp_path / "map.npy")]
    assert reading.imread(tmp_path / "out.png").ndim == 3
    assert result.stderr == ""


def test_the_map_has_the_images_size_and_is_nan_beside_the_square(
    runs, wide, tmp_path
):
    for name in ("map.npy", "map.csv"):
        localize(
            *(runs / "local", wide, SENTENCE, "--force"),
            *("--output", tmp_path / "out.png", "--map", tmp_path / name),
        )
    values = np.load(tmp_path / "map.npy")
    assert values.shape == (100, 150)
    seen = np.isfinite(values)
    assert seen[:, 25:125].all()
    assert not seen[:, :24].any()
    assert not seen[:, 126:].any()
    text = np.loadtxt(tmp_path / "map.csv", delimiter=",")
    np.testing.assert_allclose(text, values, rtol=1e-5)


def test_the_highest_pixel_lies_in_the_best_region(runs, wide):
    found = localizing.localize(Run.open(runs / "local"), str(wide), SENTENCE)
    values = found.pixel_map()
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    left, top, right, bottom = found.best_box
    assert left <= column + 0.5 <= right
    assert top <= row + 0.5 <= bottom
    # a bilinear map reaches the score of a region at its centre
    assert np.nanmax(values) == pytest.approx(found.scores.max(), abs=1e-4)


def test_a_file_and_its_record_have_the_same_map(runs, tmp_path):
    image_id = _image_id(runs)
    run = Run.open(runs / "local")
    stored = localizing.localize(run, image_id, SENTENCE)
    values = np.round(stored.pixels * 255).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "copy.png")
    of_file = localizing.localize(run, str(tmp_path / "copy.png"), SENTENCE)
    np.testing.assert_allclose(of_file.scores, stored.scores, atol=1e-5)


def test_an_image_twice_as_large_has_nearly_the_same_scores(runs, tmp_path):
    run = Run.open(runs / "local")
    stored = localizing.localize(run, _image_id(runs), SENTENCE)
    values = np.round(stored.pixels * 255).astype(np.uint8)
    large = np.kron(values, np.ones((4, 4), np.uint8))
    Image.fromarray(large).save(tmp_path / "large.png")
    found = localizing.localize(run, str(tmp_path / "large.png"), SENTENCE)
    assert found.shape == (256, 256)
    assert found.best_region == stored.best_region
    np.testing.assert_allclose(
        np.array(found.best_box), 4 * np.array(stored.best_box)
    )


def test_dicom_and_jpeg_are_read(runs, tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom(thorax(12)))
    Image.fromarray(thorax(8).astype(np.uint8)).save(tmp_path / "a.jpg")
    for name in ("a.dcm", "a.jpg"):
        result = localize(
            *(runs / "local", tmp_path / name, SENTENCE, "--force"),
            *("--output", tmp_path / "out.png"),
        )
        assert result.exit_code == 0, result.output
        assert "48 x 64 pixels" in result.stdout


def test_the_name_of_the_picture_says_image_and_sentence(runs):
    result = localize(runs / "local", _image_id(runs), SENTENCE)
    picture = runs / f"local/localized/{_image_id(runs)}-the-heart-is-large.png"
    assert result.stdout.splitlines()[-1] == str(picture)
    again = localize(runs / "local", _image_id(runs), SENTENCE)
    one_error(again, picture, "--force")


def test_unknown_words_are_warned_of_by_name(runs, wide, tmp_path):
    result = localize(
        *(runs / "local", wide, "The heart is zebraic, 日本."),
        *("--output", tmp_path / "out.png"),
    )
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Warning: ")
    assert line.endswith("unknown to the text encoder: zebraic, 日本")


# Refusals: one line, status 2, nothing written


def _refused(runs, tmp_path, arguments, *parts):
    before = files(runs), files(tmp_path)
    one_error(localize(*arguments), *parts)
    assert (files(runs), files(tmp_path)) == before


@pytest.mark.parametrize("sentence", ["", "  \n", ". , -", "\u200b"])
def test_an_empty_sentence_is_refused(runs, wide, tmp_path, sentence):
    arguments = [runs / "local", wide, sentence]
    _refused(runs, tmp_path, arguments, "is empty: it holds no word")


def test_a_file_is_prepared_as_the_data_of_the_run_were(tmp_path):
    values = thorax(8, shape=(100, 150)).astype(np.uint8) // 2
    values[0, 0] = 255
    Image.fromarray(values).save(tmp_path / "faint.png")
    folder = save_run(tmp_path / "run")
    run = Run.open(folder)

    def seen(**asked):
        found = localizing.localize(
            run, str(tmp_path / "faint.png"), SENTENCE, **asked
        )
        return found.pixels

    full = seen()
    run.record_environment(data={"intensity": "percentile"})
    stretched = seen()
    assert (full != stretched).any()
    np.testing.assert_array_equal(stretched, seen(intensity="percentile"))
    np.testing.assert_array_equal(full, seen(intensity="full"))


def test_a_sentence_before_the_image_id_is_not_repeated(runs):
    image_id = _image_id(runs)
    result = localize(runs / "local", "Cardiomegaly.", image_id)
    one_error(result, f"{image_id}: an image_id", "give the image before it")
    assert "Cardiomegaly" not in result.output


def test_an_intensity_is_for_files_only(runs, tmp_path):
    arguments = [runs / "local", _image_id(runs), SENTENCE]
    arguments += ["--intensity", "full", "--output", tmp_path / "a.png"]
    _refused(runs, tmp_path, arguments, "--intensity is for files only")
