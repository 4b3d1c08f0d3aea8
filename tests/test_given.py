"""Prompts and boxes of a user: what is read, and each row that is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kerasmi import given
from kerasmi.data.schema import EDEMA_SEVERITY
from kerasmi.errors import DataError
from kerasmi.evaluation import grounding
from kerasmi.evaluation.region_maps import seen_square

DATASET = SimpleNamespace(
    label_names=("Edema", "Pneumonia", EDEMA_SEVERITY),
    images=pd.DataFrame({"image_id": ["i1", "i2"]}),
)
PROMPTS = "label,positive,negative\n"
BOXES = "image_id,sentence,x,y,w,h,finding,image_width,image_height\n"


def csv(folder, text):
    file = folder / "given.csv"
    file.write_text(text)
    return file


def placed(file, stored=(80, 100)):
    frame = given.boxes(file, DATASET)
    return [given.placed(file, box, stored) for _, box in frame.iterrows()]


def refused(work, file, *parts):
    """One line that names the file and has all parts."""
    with pytest.raises(DataError) as caught:
        work(file, DATASET)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    for part in parts:
        assert part in message


# Prompts


def test_prompts_are_read_in_order_without_outer_blanks(tmp_path):
    file = csv(
        tmp_path,
        "note,negative,label,positive\n"
        "1, No edema. ,Edema,Edema is seen.\n"
        '2,"Clear, dry lungs.", Pneumonia,"Pneumonia, left."\n',
    )
    found = given.prompts(file, DATASET)
    assert list(found.columns) == ["label", "positive", "negative"]
    assert found.to_numpy().tolist() == [
        ["Edema", "Edema is seen.", "No edema."],
        ["Pneumonia", "Pneumonia, left.", "Clear, dry lungs."],
    ]


GOOD_PROMPT = "Edema,Edema.,No edema.\n"


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("Fracture,Yes.,No.", ["label is 'Fracture'", "Edema, Pneumonia"]),
        (f"{EDEMA_SEVERITY},Yes.,No.", ["label is a text of 14 characters"]),
        ("No edema.,Yes.,No.", ["label is a text of 9 characters"]),
        ("Edema,Wet lungs., Wet lungs.", ["sentence, a text of 10 char"]),
        (",Yes.,No.", ["no label; give one"]),
        ("Edema,,No.", ["no positive; give one"]),
        ("Edema,Yes., ", ["no negative; give one"]),
        ("Edema,Yes., Yes.", ["the same sentence, 'Yes.'"]),
        ("Edema,Yes.", ["2 fields", "header has 3"]),
    ],
)
def test_each_bad_prompt_is_refused_by_its_row(tmp_path, row, parts):
    file = csv(tmp_path, f"{PROMPTS}{GOOD_PROMPT}{row}\n{GOOD_PROMPT}")
    refused(given.prompts, file, "row 3", *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["no header"]),
        (PROMPTS, ["has no row; give a label and two sentences"]),
        ("label,positive\nEdema,Yes.\n", ["no column 'negative'"]),
    ],
)
def test_prompts_that_are_no_table_are_refused(tmp_path, text, parts):
    refused(given.prompts, csv(tmp_path, text), *parts)


# Boxes


def test_boxes_are_read_by_our_names_and_by_those_of_ms_cxr(tmp_path):
    ours = given.boxes(
        csv(tmp_path, f"{BOXES}i1, Wet. ,1,2,30.5,4, Edema ,100,80\n"), DATASET
    )
    theirs = given.boxes(
        csv(
            tmp_path,
            "dicom_id,category_name,label_text,path,x,y,w,h,image_width,"
            "image_height\ni1,Edema,Wet.,f,1,2,30.5,4,100,80\n",
        ),
        DATASET,
    )
    for frame in (ours, theirs):
        (one,) = frame.itertuples()
        assert (one.image_id, one.sentence, one.finding) == (
            *("i1", "Wet.", "Edema"),
        )
        numbers = (one.x, one.y, one.w, one.h)
        assert numbers == (1, 2, 30.5, 4)
        assert (one.image_width, one.image_height, one.row) == (100, 80, 2)


def test_finding_and_size_may_be_left_out(tmp_path):
    file = csv(tmp_path, "image_id,sentence,x,y,w,h\ni1,Wet.,1,2,3,4\n")
    (one,) = given.boxes(file, DATASET).itertuples()
    assert one.finding == ""
    assert np.isnan([one.image_width, one.image_height]).all()
    assert placed(file) == [((1, 2, 4, 6), (80, 100))]


GOOD_BOX = "i1,Wet.,1,2,30,40,Edema,,\n"


def test_boxes_of_images_that_an_import_left_out_are_no_fault(tmp_path):
    file = csv(tmp_path, f"{BOXES}i9,Wet.,1,2,3,4,,,\n{GOOD_BOX}")
    assert given.boxes(file, DATASET)["image_id"].tolist() == ["i9", "i1"]


def test_boxes_of_no_image_of_the_data_are_refused(tmp_path):
    file = csv(tmp_path, f"{BOXES}i9,Wet.,1,2,3,4,,,\n")
    refused(given.boxes, file, "in row 2 'i9'", "images.csv")
    # a sentence in the place of the id is not repeated
    file = csv(tmp_path, f"{BOXES}No edema.,i9,1,2,3,4,,,\n")
    refused(given.boxes, file, "row 2 a text of 9 characters", "images.csv")


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (",Wet.,1,2,3,4,,,", ["no image_id; give one"]),
        ("i1, ,1,2,3,4,,,", ["no sentence; give one"]),
        ("i1,Wet.,,2,3,4,,,", ["no x; give one"]),
        ("i1,Wet.,1,2,3,,,,", ["no h; give one"]),
        ("i1,Wet.,1,two,3,4,,,", ["y is 'two'", "number of pixels"]),
        ("i1,Wet, no edema.,1,2,3,4,,", ["x is a text of 9 characters"]),
        ("i1,Wet.,p10/p1000,2,3,4,,,", ["x is a text of 9 characters"]),
        ("i1,Wet.,nan,2,3,4,,,", ["x is 'nan'", "number of pixels"]),
        ("i1,Wet.,1,2,inf,4,,,", ["w is 'inf'", "number of pixels"]),
        ("i1,Wet.,1,2,0,4,,,", ["0 by 4 pixels", "above 0"]),
        ("i1,Wet.,1,2,3,-4,,,", ["3 by -4 pixels", "above 0"]),
        ("i1,Wet.,1,2,3,4,,100,", ["image_width and image_height"]),
        ("i1,Wet.,1,2,3,4,,,80", ["image_width and image_height"]),
        ("i1,Wet.,1,2,3,4,,0,0", ["0 by 0 pixels", "1 or more"]),
        ("i1,Wet.,1,2,3,4,,-100,80", ["-100 by 80 pixels", "1 or more"]),
        ("i1,Wet.,1,2,3,4,,wide,80", ["image_width is 'wide'"]),
        ("i1,Wet.,1,2,3,4,all,,", ["'all' is the name of the total"]),
        ("i1,Wet.,1,2,3", ["5 fields", "header has 9"]),
    ],
)
def test_each_bad_box_is_refused_by_its_row(tmp_path, row, parts):
    file = csv(tmp_path, f"{BOXES}{GOOD_BOX}{row}\n{GOOD_BOX}")
    refused(given.boxes, file, "row 3", *parts)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("i1,Wet.,-1,2,3,4,,,", ["(-1, 2) to (2, 6)", "100 by 80"]),
        ("i1,Wet.,1,-2,3,4,,,", ["(1, -2)"]),
        ("i1,Wet.,90,2,12,4,,,", ["(102, 6)", "image_width"]),
        ("i1,Wet.,1,70,3,12,,,", ["(4, 82)"]),
        ("i1,Wet.,100.2,2,0.5,4,,,", ["beyond its image"]),
        ("i1,Wet.,1,80,3,1,,,", ["beyond its image"]),
        ("i1,Wet.,1,2,3,4,,80,100", ["proportions", "100 by 80"]),
        ("i1,Wet.,190,2,20,4,,200,160", ["200 by 160"]),
    ],
)
def test_each_box_that_does_not_fit_its_image_is_refused(tmp_path, row, parts):
    file = csv(tmp_path, f"{BOXES}{GOOD_BOX}{row}\n")
    refused(lambda file, _: placed(file), file, "row 3", *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (BOXES, ["has no row; give at least one box"]),
        ("image_id,sentence,x,y,w\n", ["no column 'h'"]),
        ("image_id,dicom_id\n", ["image_id and dicom_id"]),
    ],
)
def test_boxes_that_are_no_table_are_refused(tmp_path, text, parts):
    refused(given.boxes, csv(tmp_path, text), *parts)


def test_a_box_rounded_outwards_ends_at_the_edge(tmp_path):
    file = csv(tmp_path, f"{BOXES}i1,Wet.,50,40,50.9,41,,,\n")
    assert placed(file) == [((50, 40, 100, 80), (80, 100))]


@pytest.mark.parametrize("factor", [2, 2.5, 7])
def test_a_box_in_pixels_of_a_larger_image_lands_in_the_same_place(
    tmp_path, factor
):
    numbers = np.array([30.0, 20, 25, 35])
    size = (100 * factor, 80 * factor)
    small, large = (
        ",".join(map(str, cells))
        for cells in (numbers, [*(factor * numbers), "", *size])
    )
    file = csv(tmp_path, f"{BOXES}i1,A.,{small},,,\ni1,B.,{large}\n")
    (one, stored), (other, drawn) = placed(file)
    assert drawn == (80 * factor, 100 * factor)
    np.testing.assert_allclose(factor * np.array(one), other)
    places = [
        grounding.regions_of_boxes([box], seen_square(*shape, 64), (4, 4))
        for box, shape in ((one, stored), (other, drawn))
    ]
    np.testing.assert_array_equal(*places)
    assert places[0].any()


def test_the_stored_size_may_be_rounded(tmp_path):
    # 2544 by 3056 stored with a shorter side of 256: 307.5 becomes 308.
    file = csv(tmp_path, f"{BOXES}i1,A.,100,2000,500,900,,2544,3056\n")
    frame = given.boxes(file, DATASET)
    for height in (307, 308):
        edges, shape = given.placed(file, frame.iloc[0], (height, 256))
        assert edges == (100, 2000, 600, 2900)
        assert shape == (3056, 2544)
    with pytest.raises(DataError, match="proportions"):
        given.placed(file, frame.iloc[0], (320, 256))
