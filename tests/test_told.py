"""What messages repeat of a user's tables, and what they must not."""

import mimic_files
import pytest

from kerasmi import told

NAMES = [
    *mimic_files.METADATA,
    *mimic_files.MIMIC_ORDER,
    # CheXpert, NIH's ChestX-ray14, VinDr-CXR, and what pandas and kerasmi write
    *(
        "Frontal/Lateral",
        "AP/PA",
        "Image Index",
        "Follow-up #",
        "View Position",
    ),
    *("OriginalImage[Width", "Height]", "x_min", "x1", "rad_id", "Age (years)"),
    *("Unnamed: 0", "", "subject_sha256", "image;subject", "image,subject"),
]
IDS = [
    *("10000032", "p10000032", "s50414267", "P001", "7", "patient00001"),
    *("1.2.840.113619.2", "2180-05-06", "ab12-cd34", "p10/p10000032/s50414267"),
]
CELLS = [
    *("a.png", "Edema.", "Smith, Ann", "Smith^Ann", "a.png;10000032;Edema"),
    *("Mrs Smith has severe edema", "No acute disease seen", "No edema?"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_columns_are_told(name):
    assert told.column(name) == repr(name)
    assert told.columns(["image", name]) == f"image, {name}"


@pytest.mark.parametrize("cell", [*IDS, *CELLS])
def test_no_column_is_told_where_one_looks_like_a_cell(cell):
    assert told.column(cell) == told.length(cell)
    said = told.columns(["train", "edema", cell])
    assert said.startswith("3 columns, whose names look like the cells")
    assert not {"train", "edema", cell} & set(said.replace(",", "").split())


@pytest.mark.parametrize("cell", IDS)
def test_an_id_is_told_where_an_image_is_due_and_nowhere_else(cell):
    assert told.cell(cell) == repr(cell)
    assert told.word(cell) == told.length(cell)


@pytest.mark.parametrize("cell", ["dev", "two", "nan", "Edema.", "", " train"])
def test_a_word_is_told(cell):
    assert told.cell(cell) == told.word(cell) == repr(cell)


@pytest.mark.parametrize("cell", ["Edema is seen.", "no edema"])
def test_words_are_told_by_their_length(cell):
    said = f"a text of {len(cell)} characters"
    assert told.cell(cell) == told.word(cell) == said


def test_a_long_word_is_told_by_its_length_where_no_id_is_due():
    assert told.word("x" * 64) == "a text of 64 characters"
    assert told.cell("x" * 64) == repr("x" * 64)
