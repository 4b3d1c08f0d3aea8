"""CheXpert and CheXpert Plus from miniature trees; everything is invented."""

import csv
import shutil
from collections import Counter

import pandas as pd
import pytest
from chexpert_files import (
    LABELS,
    TRAIN,
    VALID,
    image_id,
    label_line,
    labels,
    name,
    pixels,
    plus_row,
    write,
    write_chexpert,
    write_plus,
)
from fuzz_tables import mutants, read_or_say_why

from kerasmi.data.schema import BLANK, CHEXPERT14, UNCERTAIN
from kerasmi.data.sources import chexpert_paths
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.chexpert import CheXpert
from kerasmi.data.sources.chexpert_plus import CheXpertPlus
from kerasmi.errors import DataError


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_chexpert(tmp_path_factory.mktemp("chexpert"))


def read(source):
    audit = Audit(lambda *row: audit.rows.append(row))
    audit.rows = []
    return {item.image_id: item for item in source.items(audit)}, audit


def test_labels_are_read_by_name_and_all_kept(small):
    items, audit = read(CheXpert(small))
    item = items[image_id(TRAIN[0])]
    rest = dict.fromkeys(CHEXPERT14, BLANK)
    assert item.labels == {**rest, "Edema": 1, "Pneumonia": UNCERTAIN}
    assert item.subject_id == "patient90001"
    assert item.study_id == "patient90001_study1"
    assert item.view == "AP"
    assert item.split == ""
    assert item.findings + item.impression + item.report == ""
    assert item.image == small / "train" / name(TRAIN[0])
    assert item.origin == "train.csv:2"
    assert audit.refused == 0


def test_chexpert_keeps_frontal_images_and_counts_the_others(small):
    items, audit = read(CheXpert(small))
    found = {image_id(TRAIN[0]): "AP", image_id(TRAIN[2]): "PA"}
    found[image_id(VALID[0])] = "FRONTAL"
    assert {key: item.view for key, item in items.items()} == found
    assert audit.counts["filter: view LATERAL"] == 1
    assert audit.counts["filter: view LL"] == 1
    items, _ = read(CheXpert(small, views=("LATERAL", "LL")))
    assert set(items) == {image_id(TRAIN[1]), image_id(TRAIN[3])}


def test_the_official_split_of_chexpert_is_its_files(small, tmp_path):
    source = CheXpert(small, split="official")
    items, audit = read(source)
    assert items[image_id(TRAIN[0])].split == "train"
    assert items[image_id(VALID[0])].split == "validation"
    (said,) = audit.warnings
    assert "there is no test.csv" in said
    root = shutil.copytree(small, tmp_path / "CheXpert")
    tested = (99999, 1, 1, "frontal", "", {})
    # The published test labels have no columns but these.
    write(
        root / "test_labels.csv",
        ["Path", *LABELS],
        [[f"test/{name(tested)}", *labels(tested)]],
    )
    pixels(root / "test" / name(tested))
    items, audit = read(CheXpert(root, split="official"))
    assert items[image_id(tested)].split == "test"
    assert items[image_id(tested)].view == "FRONTAL"
    assert not audit.notes


def test_chexpert_is_found_from_above_and_when_renamed(small, tmp_path):
    items, _ = read(CheXpert(small))
    above, _ = read(CheXpert(small.parent))
    assert above == items
    renamed = shutil.copytree(small, tmp_path / "mine")
    tables = tmp_path / "tables"
    tables.mkdir()
    for split in ("train", "valid"):
        (renamed / f"{split}.csv").rename(tables / f"{split}.csv")
    other, _ = read(CheXpert(renamed, labels=tables))
    assert {k: i.labels for k, i in other.items()} == {
        k: i.labels for k, i in items.items()
    }
    options = CheXpert(renamed, labels=tables).options()
    assert options == CheXpert(small).options()


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("../train/patient90001/study1/view1_frontal.jpg", "path not"),
        ("/train/patient90001/study1/view1_frontal.jpg", "path not"),
        ("train/subject1/study1/view1_frontal.jpg", "path not"),
        ("", "path not"),
        ("train/patient90009/study1/view1_frontal.jpg", "image file missing"),
        ("x/train/patient90001/study1/view1_frontal.jpg", "image_id twice"),
    ],
)
def test_a_row_of_no_image_is_refused(tmp_path, path, check):
    root = write_chexpert(tmp_path)
    with (root / "train.csv").open("a", newline="") as stream:
        csv.writer(stream).writerow([path, "", "", "Frontal", "AP", *[""] * 14])
    items, audit = read(CheXpert(root))
    assert len(items) == 3
    (row,) = audit.rows
    assert row[0].startswith(check)
    assert row[2] == "train.csv:6"


def test_a_label_of_no_known_value_is_refused(tmp_path):
    root = write_chexpert(tmp_path)
    table = pd.read_csv(root / "train.csv", dtype=str)
    table.loc[0, "Edema"] = "yes"
    table.to_csv(root / "train.csv", index=False)
    items, audit = read(CheXpert(root))
    assert image_id(TRAIN[0]) not in items
    assert audit.refusals == Counter({"label not known": 1})


def test_the_images_are_found_when_the_tables_lack_one(small):
    with pytest.raises(DataError, match=r"no train\.csv\[\.gz\] in"):
        CheXpert(small / "train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "paper"}, "split must be one of subject, official"),
        ({"views": ("AP", "DIAGONAL")}, "received DIAGONAL"),
        ({"views": ()}, "received none"),
        ({"labels": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_an_option_that_cannot_hold_is_named(small, options, message):
    with pytest.raises(DataError, match=message):
        CheXpert(small, **options)
    with pytest.raises(DataError):
        CheXpertPlus(small, **options)


def test_a_path_says_subject_study_and_view():
    image = chexpert_paths.parse(
        "CheXpert-v1.0/train/patient00042/study3/view2_lateral.jpg"
    )
    assert image.subject_id == "patient00042"
    assert image.study_id == "patient00042_study3"
    assert image.image_id == "patient00042_study3_view2_lateral"
    assert chexpert_paths.view("", "", image) == "LATERAL"


# --- CheXpert Plus


@pytest.fixture(scope="module")
def plus(tmp_path_factory):
    return write_plus(tmp_path_factory.mktemp("plus"))


def test_an_image_of_chexpert_plus_has_sections_and_labels(plus):
    items, audit = read(CheXpertPlus(plus))
    item = items[image_id(TRAIN[0])]
    assert item.findings == "THE KITE IS LEVEL.  1.BOAT AT THE LEFT."
    assert item.impression == "NO CHANGE."
    assert item.report == ""
    rest = dict.fromkeys(CHEXPERT14, BLANK)
    assert item.labels == {**rest, "Edema": 1, "Pneumonia": UNCERTAIN}
    assert item.image == plus / "PNG" / "train" / name(TRAIN[0], ".png")
    assert (item.view, item.split) == ("AP", "")
    assert list(items) == [image_id(r) for r in (TRAIN[0], TRAIN[2], *VALID)]
    assert items[image_id(TRAIN[2])].impression == "1. Kite.\n2. Boat."
    assert audit.counts["image files .png"] == 3
    assert audit.refused == 0


@pytest.mark.parametrize(
    ("suffix", "below"), [(".jpg", "."), (".dcm", "DICOM"), (".png", ".")]
)
def test_the_file_is_found_whatever_its_suffix(plus, tmp_path, suffix, below):
    items, _ = read(CheXpertPlus(plus))
    other, audit = read(CheXpertPlus(write_plus(tmp_path, suffix, below)))
    assert [i.labels for i in other.values()] == [
        i.labels for i in items.values()
    ]
    assert audit.counts[f"image files {suffix}"] == 3


def test_the_whole_report_or_none_can_be_asked_for(plus):
    items, _ = read(CheXpertPlus(plus, text="report"))
    item = items[image_id(TRAIN[0])]
    assert item.report.startswith("NARRATIVE:\n, with a comma\nTHE KITE")
    assert item.findings == ""
    items, _ = read(CheXpertPlus(plus, text="none", labeller="none"))
    item = items[image_id(TRAIN[0])]
    assert (item.report, item.findings, item.labels) == ("", "", {})
    assert CheXpertPlus(plus, labeller="none").label_names == ()


def test_the_official_split_of_chexpert_plus_is_its_column(plus):
    items, _ = read(CheXpertPlus(plus, split="official"))
    assert [item.split for item in items.values()] == [
        "train",
        "train",
        "validation",
    ]


def test_labels_come_from_the_text_asked_for(plus):
    folder = plus / "chexbert_labels"
    for given in (None, folder, folder / "findings_fixed.json"):
        source = CheXpertPlus(plus, labels=given, labeller="findings")
        items, _ = read(source)
        assert items[image_id(TRAIN[0])].labels["Edema"] == 0
    with pytest.raises(DataError, match="labels of findings, but --labeller"):
        CheXpertPlus(plus, labels=folder / "findings_fixed.json")


def test_texts_that_lack_or_differ_are_counted(plus, tmp_path):
    _, audit = read(CheXpertPlus(plus, views=("LL",)))
    assert audit.counts["images without a usable section"] == 1
    root = write_plus(tmp_path)
    twin = (90001, 1, 3, "frontal", "AP", {})
    with (root / "df_chexpert_plus_240401.csv").open("a") as stream:
        row = plus_row(twin, "train", ("Another kite.", ""))
        csv.writer(stream).writerow(row)
    pixels(root / "PNG" / "train" / name(twin, ".png"))
    items, audit = read(CheXpertPlus(root))
    assert set(items[image_id(twin)].labels.values()) == {BLANK}
    assert audit.counts["images without a label line"] == 1
    assert audit.counts["images whose text differs within the study"] == 1


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("not json", "label line not understood"),
        ("[1, 2]", "label line not understood"),
        ("[" * 100_000, "label line not understood"),
        ('{"path_to_image": "train/x.jpg"}', "label line not understood"),
        (label_line(TRAIN[0], "train"), "image labelled twice"),
        (label_line(TRAIN[3], "x", Edema=2), "label not known"),
        (label_line(TRAIN[3], "x", Edema="1"), "label not known"),
        (label_line(TRAIN[3], "x", Edema=True), "label not known"),
    ],
)
def test_a_label_line_that_is_wrong_is_refused(tmp_path, line, check):
    root = write_plus(tmp_path)
    file = root / "chexbert_labels" / "report_fixed.json"
    with file.open("a") as stream:
        stream.write(f"\n{line}")
    items, audit = read(CheXpertPlus(root))
    assert len(items) == 3
    assert audit.refusals == Counter({check: 1})


def test_columns_that_do_not_belong_together_are_refused(tmp_path):
    root = write_plus(tmp_path)
    file = root / "df_chexpert_plus_240401.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[0, "deid_patient_id"] = "patient90002"
    table.to_csv(file, index=False)
    items, audit = read(CheXpertPlus(root))
    assert image_id(TRAIN[0]) not in items
    assert audit.rows[0][:2] == ("subject", image_id(TRAIN[0]))


def test_files_of_another_kind_are_named(plus, tmp_path):
    root = shutil.copytree(plus, tmp_path / "plus")
    with pytest.raises(DataError, match=r"looked for df_chexpert_plus_\*"):
        CheXpertPlus(root / "PNG")
    (root / "df_chexpert_plus_240501.csv").write_text("")
    with pytest.raises(DataError, match="name the one to read"):
        CheXpertPlus(root)
    table = root / "df_chexpert_plus_240401.csv"
    shutil.rmtree(root / "chexbert_labels")
    with pytest.raises(DataError, match="--labeller none goes without"):
        CheXpertPlus(root, reports=table)
    table.write_text("path_to_image,report\n")
    with pytest.raises(DataError, match="no column 'frontal_lateral'"):
        CheXpertPlus(root, reports=table)
    labels = plus / "chexbert_labels" / "report_fixed.json"
    array = tmp_path / "report_fixed.json"
    array.write_text(f"[{labels.read_text()}]")
    with pytest.raises(DataError, match="one object on each line"):
        CheXpertPlus(plus, labels=array)


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [
        "CheXpert-v1.0-small/train.csv",
        "df_chexpert_plus_240401.csv",
        "chexbert_labels/report_fixed.json",
    ],
)
def test_a_thousand_broken_files_are_read_or_refused_by_name(tmp_path, file):
    write_plus(tmp_path)
    write_chexpert(tmp_path)
    source = CheXpert if "small" in file else CheXpertPlus
    whole = (tmp_path / file).read_bytes()
    read_something = 0
    for content in mutants(whole, 350):
        (tmp_path / file).write_bytes(content)
        read_something += bool(
            read_or_say_why(lambda: source(tmp_path), Audit(), DataError)
        )
    assert read_something
