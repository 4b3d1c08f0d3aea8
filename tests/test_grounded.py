"""Maps and places of sentences, of known regions and of boxes."""

import numpy as np
import pytest
from played_features import (
    PlayedFeatures,
    cell_means,
    png,
    recipe,
    record,
    write,
)

from kerasmi import grounded
from kerasmi.data.schema import CELLS
from kerasmi.errors import DataError, RunError
from kerasmi.evaluation import grounding
from kerasmi.held_out_split import HeldOutSplit

BOXES = "image_id,sentence,x,y,w,h,finding,image_width,image_height\n"


def lit(*cells, shape=(8, 8)):
    """An image that is white in some cells of its central square."""
    pixels = np.zeros(shape)
    top, left = ((side - 8) // 2 for side in shape)
    for cell in cells:
        row, column = top + 2 * (cell // 4), left + 2 * (cell % 4)
        pixels[row : row + 2, column : column + 2] = 255
    return png(pixels)


def mask(*cells):
    return bytes(cell in cells for cell in range(CELLS))


RECORDS = (
    record(
        *("i1", "s1", "p1", ("Edema.", "Stable.", "No pneumonia.")),
        image=lit(5, 6),
        sentence_findings=("Edema", "", ""),
        sentence_regions=(mask(5, 6), b"", mask()),
    ),
    record(
        *("i2", "s2", "p2", ("Wide pneumonia.", "Edema.")),
        image=lit(12, 15),
        sentence_findings=("Pneumonia", "Edema"),
        sentence_regions=(mask(12), mask(15)),
    ),
    record("i3", "s3", "p3", image=lit(0)),
    record("i4", "s4", "p3", ("Edema.",), image=lit(9, shape=(8, 12))),
    record("i5", "s5", "p1", ("Stable.",), image=lit(3)),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grounded") / "records"
    other = record("v1", "v1", "v1", ("Stable.",), split="validation")
    return write(folder, [*RECORDS, other])


@pytest.fixture
def split(dataset):
    # As many pixels as the stored images have: the maps are their cells.
    played = PlayedFeatures(recipe())
    object.__setattr__(played.recipe.data, "image_size", 8)
    return HeldOutSplit(played, dataset, "test")


@pytest.fixture
def boxes(tmp_path, split):
    def of(*rows):
        file = tmp_path / "boxes.csv"
        file.write_text(BOXES + "".join(f"{row}\n" for row in rows))
        return grounded.of_boxes(split, file)

    return of


# Known regions


def test_a_case_is_a_sentence_with_a_known_place(split):
    cases = grounded.of_regions(split)
    assert list(cases.findings) == ["Edema", "Pneumonia", "Edema"]
    assert cases.images.tolist() == [0, 1, 1]
    assert cases.subjects.tolist() == [0, 1, 1]
    true = [mask(5, 6), mask(12), mask(15)]
    np.testing.assert_array_equal(
        cases.true.reshape(3, CELLS), [list(one) for one in true]
    )
    assert cases.cnr is None
    texts = ("Edema.", "Wide pneumonia.", "Edema.")
    for k, (image, text) in enumerate(zip((0, 1, 1), texts, strict=True)):
        expected = cell_means(RECORDS[image].image) * len(text)
        np.testing.assert_allclose(cases.maps[k].ravel(), expected[:, 0])


def test_maps_of_white_places_point_at_them(split):
    table = grounding.evaluate(grounded.of_regions(split), resamples=5)
    table = table.set_index(["finding", "metric"])["value"]
    assert table["Edema", grounding.POINTING] == (1 + 1 / 2) / 2
    assert table["Pneumonia", grounding.POINTING] == 1 / 2
    assert table["Edema", grounding.RANK] == (1 + 3 / 2) / 2


def test_a_split_without_known_places_is_refused(dataset):
    split = HeldOutSplit(PlayedFeatures(recipe()), dataset, "validation")
    with pytest.raises(DataError, match=r"validation sentence .*--boxes"):
        grounded.of_regions(split)


def test_a_run_of_one_region_is_refused(split, dataset):
    features = PlayedFeatures(recipe(name="global_mine"))
    with pytest.raises(RunError, match="scope is global"):
        grounded.check(HeldOutSplit(features, dataset, "test"))
    grounded.check(split)


# Boxes


def test_boxes_of_the_known_regions_give_the_same_cases(split, boxes):
    known = grounded.of_regions(split)
    cases, others = boxes(
        *("i1,Edema.,2,2,4,2,Edema,,", "i2,Wide pneumonia.,0,6,2,2,P,,"),
        "i2,Edema.,6,6,2,2,Edema,,",
    )
    assert others == ""
    np.testing.assert_array_equal(cases.true, known.true)
    np.testing.assert_array_equal(cases.maps, known.maps)
    assert list(cases.findings) == ["Edema", "P", "Edema"]
    assert cases.images.tolist() == known.images.tolist()
    assert cases.subjects.tolist() == known.subjects.tolist()
    for k, ratio in enumerate(cases.cnr):
        edges = [[(2, 2, 6, 4)], [(0, 6, 2, 8)], [(6, 6, 8, 8)]][k]
        expected = grounding.contrast_to_noise(cases.maps[k], edges, (8, 8), 8)
        assert ratio == pytest.approx(expected)
        assert ratio > 0.5


def test_boxes_of_a_larger_image_give_the_same_cases(boxes):
    small, _ = boxes("i1,Edema.,2,2,4,2,,,", "i4,Edema.,4,4,2,2,,,")
    large, larger = (
        boxes(
            f"i1,Edema.,{2 * n},{2 * n},{4 * n},{2 * n},,{8 * n},{8 * n}",
            f"i4,Edema.,{4 * n},{4 * n},{2 * n},{2 * n},,{12 * n},{8 * n}",
        )[0]
        for n in (50, 100)
    )
    for other in (large, larger):
        np.testing.assert_array_equal(small.true, other.true)
        np.testing.assert_array_equal(small.maps, other.maps)
    # CNR is over pixels: those of both are fine against a region.
    np.testing.assert_allclose(large.cnr, larger.cnr, rtol=0.01)
    # The square that is seen of the wide one begins at its third pixel.
    assert np.argwhere(small.true[1]).tolist() == [[2, 1]]


def test_the_boxes_of_a_sentence_and_finding_are_one_case(boxes):
    cases, _ = boxes(
        *("i2,Wet. ,0,6,2,2,Edema,,", "i1,Wet.,2,2,2,2,Edema,,"),
        *("i2,Wet.,6,6,2,2, Edema,,", "i2,Wet.,2,2,2,2,Pneumonia,,"),
        "i2,Wet.,0,0,2,2,,,",
    )
    assert list(cases.findings) == [*("Edema", "Edema", "Pneumonia", "unknown")]
    assert cases.images.tolist() == [1, 0, 1, 1]
    places = [np.flatnonzero(one).tolist() for one in cases.true]
    assert places == [[12, 15], [5], [5], [0]]


def test_boxes_of_other_images_are_counted(boxes):
    # i3 has no report; v1 is of another split; x1 is of no image there is.
    rows = ["i3,Wet.,0,0,2,2,,,", "i1,Wet.,2,2,2,2,,,", "v1,Wet.,0,0,2,2,,,"]
    cases, others = boxes(*rows)
    assert len(cases.maps) == 1
    assert others == "left out, as not of test images with a report: 2 boxes"
    cases, others = boxes(*rows, "x1,Wet.,0,0,2,2,,,")
    assert len(cases.maps) == 1
    assert others.endswith(": 3 boxes; of images that the data lack: 1 of them")


def test_a_case_is_of_the_subject_of_its_image(boxes):
    rows = [f"{name},Wet.,2,2,2,2,,," for name in ("i5", "i4", "i1")]
    cases, _ = boxes(*rows)
    assert cases.images.tolist() == [3, 2, 0]
    assert cases.subjects.tolist() == [0, 2, 0]


def test_boxes_of_no_image_of_the_split_are_refused(boxes):
    with pytest.raises(DataError, match=r"csv: none of its 2 boxes is of"):
        boxes("i3,Wet.,0,0,2,2,,,", "v1,Wet.,0,0,2,2,,,")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("i1,Wet.,7,0,3,2,,,", r"boxes.csv: row 3: .*beyond its image"),
        ("i1,Edema.,0,0,2,2,,16,16", r"boxes.csv: row 3: .*in one size"),
        ("i1,Wet.,0,0,2,2,,16,24", r"boxes.csv: row 3: .*proportions"),
    ],
)
def test_a_box_that_does_not_fit_is_refused_before_any_text_is_read(
    split, boxes, row, message
):
    with pytest.raises(DataError, match=message):
        boxes("i1,Edema.,2,2,4,2,,,", row)
    assert split.features.asked == []
