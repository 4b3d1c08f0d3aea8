"""MIMIC-CXR from a miniature tree; all ids and all texts are invented."""

import gzip
import shutil
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzz_tables import mutants, read_or_say_why
from mimic_files import (
    CONSENSUS,
    CONSENSUS_TEST,
    CONSENSUS_TRAIN,
    FINDINGS,
    GRADED,
    GRADED_TEST,
    IMPRESSION,
    MIMIC_ORDER,
    PLAIN,
    PLAIN_TEST,
    STUDIES,
    TRAIN,
    VALIDATE,
    dicom,
    report,
    write_all,
    write_csv,
    write_images,
    write_severity,
    write_tables,
    write_zip,
)
from PIL import Image

from kerasmi.data import split_rules
from kerasmi.data.importing import import_items
from kerasmi.data.schema import BLANK, CHEXPERT14, EDEMA_SEVERITY, UNCERTAIN
from kerasmi.data.sources import mimic_cxr_files, mimic_cxr_table1
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.mimic_cxr import MimicCXR
from kerasmi.errors import DataError


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("physionet"))


def source(root, images=None, **options):
    given = {
        "reports": root / "mimic-cxr-reports.zip",
        "severity": root / "severity",
        **options,
    }
    return MimicCXR(images or root / "jpg", **given)


def read(found):
    audit = Audit(lambda *row: audit.rows.append(row))
    audit.rows = []
    return {item.image_id: item for item in found.items(audit)}, audit


def subjects(items):
    sets = {}
    for item in items.values():
        sets.setdefault(item.split, set()).add(int(item.subject_id))
    return sets


def test_an_item_has_all_that_the_files_say_of_its_image(release):
    items, audit = read(source(release))
    item = items[dicom(59900010, 0)]
    assert item.study_id == "59900010"
    assert item.subject_id == str(TRAIN)
    assert item.view == "AP"
    assert item.split == "train"
    assert item.findings.split() == (FINDINGS + " Number 59900010.").split()
    assert item.impression == IMPRESSION
    assert item.report == ""
    assert item.image.read_bytes() == b"pixels"
    assert item.origin == "mimic-cxr-2.0.0-metadata.csv.gz:2"
    wanted = {"Edema": 1, "Pneumonia": UNCERTAIN, "Fracture": 0}
    rest = dict.fromkeys((*CHEXPERT14, EDEMA_SEVERITY), BLANK)
    assert item.labels == {**rest, **wanted}
    assert tuple(item.labels) == source(release).label_names
    assert audit.refused == 0


def told(items):
    """What items say, without where their files lie."""
    return [
        replace(item, image=Path(item.image_id), origin="")
        for item in items.values()
    ]


def unpacked(root, beside):
    for study in STUDIES:
        file = Path(f"{study.folder}.txt")
        if not beside:
            file = Path(study.folder, file.name)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(study.report)


def sectioned(file):
    write_csv(
        file,
        ["study", "impression", "findings", "last_paragraph", "comparison"],
        [
            [
                f"s{study.number}",
                IMPRESSION,
                f"{FINDINGS}\n Number {study.number}.",
                "",
                "",
            ]
            for study in STUDIES
        ],
        gz=False,
    )


def test_reports_read_the_same_wherever_they_lie(release, tmp_path):
    items, _ = read(source(release))
    unpacked(tmp_path / "tree" / "files", beside=True)
    unpacked(tmp_path / "inside" / "mimic-cxr-reports" / "files", beside=False)
    sectioned(tmp_path / "csv" / "mimic_cxr_sectioned.csv")
    write_zip(tmp_path / "renamed.zip", prefix="mimic-cxr-reports/files/")
    ways = {
        "tree": "tree",
        "files": "tree",
        "inside": "tree",
        "csv": "sectioned CSV",
        "renamed.zip": "zip",
        "csv/mimic_cxr_sectioned.csv": "sectioned CSV",
    }
    for way, kind in ways.items():
        place = tmp_path / ("tree/files" if way == "files" else way)
        other, audit = read(source(release, reports=place))
        assert told(other) == told(items), way
        assert audit.counts[f"reports from the {kind}"] == 8, way


def test_dicom_and_jpg_trees_and_plain_tables_read_the_same(release, tmp_path):
    items, audit = read(source(release))
    assert any("histogram-equalised" in note for note in audit.notes)
    dicoms = tmp_path / "mimic-cxr"
    write_images(dicoms / "2.0.0", suffix=".dcm")
    write_zip(dicoms / "2.0.0" / "mimic-cxr-reports.zip")
    write_tables(tmp_path / "tables" / "2.1.0", gz=False)
    write_severity(tmp_path / "severity", gz=True)
    found = MimicCXR(
        dicoms,
        metadata=tmp_path / "tables",
        severity=tmp_path / "severity",
    )
    other, audit = read(found)
    assert told(other) == told(items)
    assert audit.counts["image files .dcm"] == len(items)
    assert not any("histogram-equalised" in note for note in audit.notes)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("suffix", "version"),
    [(".jpg", "2.0.0"), (".jpg", "2.1.0"), (".dcm.gz", "2.1.0")],
)
def test_either_release_reads_the_same_packed_or_not(
    release, tmp_path, suffix, version, gz
):
    items, _ = read(source(release))
    root = tmp_path / "mimic"
    write_images(root, suffix=suffix)
    write_tables(root, gz=gz)
    for file in root.glob("mimic-cxr-2.0.0-*"):
        file.rename(root / file.name.replace("2.0.0", version))
    write_severity(tmp_path / "severity", gz=gz)
    found = source(
        root,
        images=root,
        reports=release / "mimic-cxr-reports.zip",
        severity=tmp_path / "severity",
    )
    other, audit = read(found)
    assert told(other) == told(items)
    assert audit.counts[f"image files {suffix}"] == len(items)


def test_where_files_lie_is_no_option(release, tmp_path):
    moved = shutil.copytree(release, tmp_path / "moved")
    assert source(moved).options() == source(release).options()
    assert str(release) not in str(source(release).options())


def test_a_subject_is_written_in_one_form(tmp_path):
    root = write_all(tmp_path)
    items, _ = read(source(root))
    table = pd.read_csv(root / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz")
    table["subject_id"] = table["subject_id"].astype(float)
    table["study_id"] = "s" + table["study_id"].astype(str)
    table = table[table.columns[::-1]]
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv"
    table.to_csv(file, index=False)
    other, audit = read(source(root, metadata=file))
    assert told(other) == told(items)
    assert audit.refused == 0


# --- splits


def test_the_paper_trains_on_no_subject_of_either_test_set(release):
    items, audit = read(source(release))
    assert subjects(items) == {
        "train": {TRAIN, GRADED, PLAIN},
        "validation": {VALIDATE},
        "test": {CONSENSUS_TRAIN, CONSENSUS_TEST},
    }
    left_out = "official test subject, not in the paper's test set"
    assert audit.counts[f"filter: {left_out}"] == 2


def test_the_authors_code_trains_on_graded_subjects_of_the_test_set(release):
    items, _ = read(source(release, split="authors_code", validation_share=0))
    assert subjects(items) == {
        "train": {TRAIN, GRADED, PLAIN, VALIDATE, GRADED_TEST},
        "test": {CONSENSUS_TRAIN, CONSENSUS_TEST, PLAIN_TEST},
    }


def test_authors_code_sets_subjects_apart_for_validation(release):
    exact = source(release, split="authors_code", validation_share=0)
    half = source(release, split="authors_code", validation_share=0.5)
    before, after = subjects(read(exact)[0]), subjects(read(half)[0])
    assert after["test"] == before["test"]
    assert after["train"] | after["validation"] == before["train"]
    assert after["train"]
    assert after["validation"]
    default = source(release, split="authors_code").options()
    assert default["validation_share"] == 0.02


def test_the_official_split_keeps_its_word_and_no_consensus_subject(release):
    items, _ = read(source(release, split="official"))
    assert subjects(items) == {
        "train": {TRAIN, GRADED, PLAIN},
        "validation": {VALIDATE},
        "test": {CONSENSUS_TEST, GRADED_TEST, PLAIN_TEST},
    }
    items, _ = read(source(release, split="official", severity=None))
    assert subjects(items)["train"] == {TRAIN, GRADED, PLAIN, CONSENSUS_TRAIN}


def test_no_split_leaks_where_a_naive_rule_does(release):
    naive = {}
    for study in STUDIES:
        for image in study.images:
            split = "test" if image in CONSENSUS else study.split
            naive.setdefault(split, set()).add(study.subject)
    assert naive["train"] & naive["test"] == {CONSENSUS_TRAIN}
    for split in ("paper", "authors_code", "official"):
        items, _ = read(source(release, split=split))
        sets = subjects(items)
        assert sum(map(len, sets.values())) == len(set().union(*sets.values()))


def test_a_consensus_image_holds_out_the_subject_that_owns_it(tmp_path):
    root = write_all(tmp_path)
    file = root / "severity" / "consensus_image_edema_severity.csv"
    wrong = file.read_text().replace(str(CONSENSUS_TRAIN), "19911111")
    file.write_text(wrong)
    items, _ = read(source(root))
    assert CONSENSUS_TRAIN in subjects(items)["test"]


def test_a_subject_in_two_official_splits_stops_the_import(tmp_path):
    other = replace(STUDIES[1], split="validate")
    root = write_all(tmp_path, (STUDIES[0], other, *STUDIES[2:]))
    with pytest.raises(DataError, match=r"the subject of row 0 .* splits") as e:
        read(source(root))
    assert "split.csv.gz: " in str(e.value)
    assert "19900001" not in str(e.value)


def test_a_subject_without_official_split_is_left_out(tmp_path):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-split.csv.gz"
    table = pd.read_csv(file)
    table[table["subject_id"] != PLAIN].to_csv(file, index=False)
    items, audit = read(source(root))
    assert PLAIN not in subjects(items)["train"]
    assert audit.counts["filter: subject not in the split file"] == 1


# --- edema severity


def grades(items):
    return {
        image: item.labels[EDEMA_SEVERITY]
        for image, item in items.items()
        if item.labels[EDEMA_SEVERITY] != BLANK
    }


def test_a_regex_grade_goes_to_every_frontal_image_of_its_study(release):
    views = ("AP", "PA", "LATERAL", "LL")
    items, _ = read(source(release, views=views))
    assert len([i for i in items.values() if i.study_id == "59900020"]) == 3
    assert grades(items) == {
        dicom(59900020, 0): 2,
        dicom(59900020, 1): 2,
        dicom(59900030, 0): 3,
        dicom(59900060, 0): 0,
    }


def test_the_test_set_has_no_regex_grade(release):
    items, audit = read(source(release, split="official"))
    tested = {k: v for k, v in items.items() if v.split == "test"}
    assert grades(tested) == {dicom(59900060, 0): 0}
    assert audit.counts["regex grades without image"] == 1
    assert audit.counts["consensus grades without image"] == 0
    assert audit.counts["regex grades of consensus subjects left out"] == 3


def test_authors_code_trains_with_the_grades_of_test_subjects(release):
    items, _ = read(source(release, split="authors_code", validation_share=0))
    train = {k: v for k, v in items.items() if v.split == "train"}
    assert grades(train) == {
        dicom(59900020, 0): 2,
        dicom(59900020, 1): 2,
        dicom(59900070, 0): 0,
    }


def test_rows_without_a_grade_are_counted_and_wrong_ones_refused(tmp_path):
    root = write_all(tmp_path)
    file = root / "severity" / "regex_report_edema_severity.csv"
    text = file.read_text().replace("edema_severity", "edeme_severity")
    text = text.replace(f"{GRADED},59900020,2", f"{GRADED},59900020,-1")
    file.write_text(text + f"{TRAIN},59900010,7\n{PLAIN},59900040,1.0\n")
    items, audit = read(source(root))
    assert grades(items)[dicom(59900040, 0)] == 1
    assert dicom(59900020, 0) not in grades(items)
    assert audit.counts["severity rows without a grade"] == 1
    assert audit.refusals["severity is none of 0, 1, 2, 3"] == 1


def test_a_subject_of_the_consensus_is_held_out_whatever_the_grade(tmp_path):
    root = write_all(tmp_path)
    file = root / "severity" / "consensus_image_edema_severity.csv"
    graded = pd.read_csv(file, dtype=str)
    graded["edema_severity"] = "-1"
    graded.to_csv(file, index=False)
    _, audit = read(source(root, split="official"))
    assert audit.counts["regex grades of consensus subjects left out"] == 3


def test_a_split_file_that_contradicts_the_labels_is_refused(release, tmp_path):
    file = tmp_path / "splits.csv"
    items, _ = read(source(release))
    names = sorted({item.subject_id for item in items.values()})
    lines = [f"{name},train" for name in names]
    file.write_text("\n".join(["subject_id,split", *lines]) + "\n")
    rule = split_rules.SplitFile(file)
    with pytest.raises(DataError, match=r"csv\.gz:\d+: train by the split"):
        import_items(source(release), tmp_path / "out", split_rule=rule)
    assert not (tmp_path / "out").exists()


# --- views and order


def test_lateral_images_are_left_out_and_counted(release):
    items, audit = read(source(release))
    assert {item.view for item in items.values()} == {"AP", "PA"}
    lateral = [v for s in STUDIES for v in s.views if v not in ("AP", "PA")]
    assert audit.counts["filter: view not among AP, PA"] == len(lateral)


def test_a_missing_view_comes_from_the_view_code(tmp_path):
    studies = (
        replace(
            STUDIES[0],
            views=("", "", ""),
            codes=("antero-posterior", "", "lateral"),
        ),
        *STUDIES[1:],
    )
    root = write_all(tmp_path, studies)
    items, audit = read(source(root))
    found = [i for i in items.values() if i.study_id == "59900010"]
    assert [item.view for item in found] == ["AP"]
    assert audit.counts["views taken from the view code"] == 1
    assert audit.counts["filter: view unknown"] == 2
    items, audit = read(source(root, infer_view=False))
    assert not any(i.study_id == "59900010" for i in items.values())
    assert audit.counts["filter: view unknown"] == 3


def test_a_graded_image_without_view_is_frontal(tmp_path):
    studies = [
        replace(s, views=("",), codes=("",)) if s.number == 59900060 else s
        for s in STUDIES
    ]
    items, audit = read(source(write_all(tmp_path, studies)))
    assert items[dicom(59900060, 0)].view == ""
    assert audit.counts["graded images without a view kept"] == 1


def test_a_view_that_no_image_has_is_named(release):
    with pytest.raises(DataError, match=r"views in .* are AP, LATERAL, LL, PA"):
        read(source(release, views=("SWIMMERS",)))


def test_studies_come_in_order_of_time(release):
    items, _ = read(source(release))
    studies = [i.study_id for i in items.values() if i.subject_id == str(TRAIN)]
    assert studies == ["59900011", "59900010", "59900010"]
    assert list(items) == list(read(source(release))[0])


def test_a_time_that_lost_its_zeros_is_read_as_a_time():
    date = pd.Series(["21500101", "21500101.0", "21500101", "21500102", ""])
    time = pd.Series(["213014.531", "123.5", "93000", "0.0", "1"])
    found = mimic_cxr_files.moment(date, time)
    assert found[1] == "21500101 000123.5"
    assert list(np.argsort(found)) == [1, 2, 0, 3, 4]


# --- labels


def test_studies_without_labels_are_blank_and_counted(release):
    items, audit = read(source(release))
    image = items[dicom(59900020, 0)]
    assert {image.labels[name] for name in CHEXPERT14} == {BLANK}
    assert audit.counts["images whose study has no label row"] == 2
    name = "mimic-cxr-2.0.0-chexpert.csv.gz"
    assert audit.counts[f"{name}: rows without any label"] == 1
    assert audit.counts[f"{name}: rows without image"] == 0


def test_label_rows_without_image_are_counted(tmp_path):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz"
    extra = f"19912345,59912345,{'1.0,' * 13}\n".encode()
    file.write_bytes(file.read_bytes() + gzip.compress(extra))
    _, audit = read(source(root))
    assert audit.counts[f"{file.name}: rows without image"] == 1


def test_a_label_of_no_known_value_is_refused(tmp_path):
    studies = (replace(STUDIES[0], labels={"Edema": "2.0"}), *STUDIES[1:])
    items, audit = read(source(write_all(tmp_path, studies)))
    assert items[dicom(59900010, 0)].labels["Edema"] == BLANK
    assert audit.rows[0][:2] == (
        "label not known",
        "mimic-cxr-2.0.0-chexpert.csv.gz:2",
    )


def test_labels_are_read_by_name_and_by_labeller(tmp_path):
    root = write_all(tmp_path)
    chexpert = root / "jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table = pd.read_csv(chexpert)
    table[table.columns[::-1]].to_csv(chexpert, index=False)
    negbio = root / "jpg" / "mimic-cxr-2.0.0-negbio.csv.gz"
    table.assign(Edema=table["Edema"] * 0).to_csv(negbio, index=False)
    image = dicom(59900010, 0)
    assert read(source(root))[0][image].labels["Edema"] == 1
    for options in (
        {"labeller": "negbio"},
        {"labeller": "negbio", "labels": negbio},
    ):
        items, _ = read(source(root, **options))
        assert items[image].labels["Edema"] == 0
    none = source(root, labeller="none", severity=None, split="official")
    assert none.label_names == ()
    assert read(none)[0][image].labels == {}
    with pytest.raises(DataError, match="labels of negbio, but --labeller"):
        source(root, labels=negbio)


def test_radiologists_labels_replace_others_in_the_test_set_only(tmp_path):
    root = write_all(tmp_path)
    columns = [
        "Airspace Opacity" if name == "Lung Opacity" else name
        for name in MIMIC_ORDER
    ]
    file = root / "jpg" / "mimic-cxr-2.1.0-test-set-labeled.csv"
    opaque = [["", "1.0"][name == "Lung Opacity"] for name in MIMIC_ORDER]
    write_csv(
        file,
        ["study_id", *columns],
        [[59900060, *opaque], [59900050, *([""] * 14)]],
        gz=False,
    )
    for given in (file, file.parent):
        items, audit = read(source(root, test_labels=given))
        assert items[dicom(59900060, 0)].labels["Lung Opacity"] == 1
        assert items[dicom(59900050, 0)].labels["Lung Opacity"] == 1
        assert audit.counts["test images with radiologists' labels"] == 1
    assert read(source(root))[0][dicom(59900060, 0)].labels["Lung Opacity"] == 0


# --- reports


def with_text(number, text):
    return [replace(s, text=text) if s.number == number else s for s in STUDIES]


def test_a_study_without_report_stays_and_is_counted(tmp_path):
    root = write_all(tmp_path, with_text(59900040, None))
    items, audit = read(source(root))
    item = items[dicom(59900040, 0)]
    assert item.findings + item.impression + item.report == ""
    assert audit.counts["studies without report"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("     FINAL REPORT\n TECHNIQUE:  A kite.\n", ""),
        (
            "     FINAL REPORT\n TECHNIQUE:  A kite.\n \n The boat is gone.\n",
            "The boat is gone.",
        ),
    ],
)
def test_a_report_without_sections_gives_its_last_paragraph(
    tmp_path, text, expected
):
    folder = tmp_path / "reports" / "p14" / f"p{PLAIN}"
    unpacked(tmp_path / "reports", beside=True)
    (folder / "s59900040.txt").write_text(text)
    root = write_all(tmp_path)
    items, audit = read(source(root, reports=tmp_path / "reports"))
    item = items[dicom(59900040, 0)]
    assert (item.findings, item.impression) == ("", "")
    assert item.report == expected
    missing = audit.counts["reports without a usable section"]
    assert missing == (0 if expected else 1)


def test_studies_missing_in_the_sectioned_csv_come_from_the_reports(tmp_path):
    root = write_all(tmp_path)
    items, _ = read(source(root))
    file = root / "mimic_cxr_sectioned.csv"
    sectioned(file)
    table = pd.read_csv(file)
    table[table["study"] != "s59900040"].to_csv(file, index=False)
    other, audit = read(source(root, reports=file))
    assert told(other) == told(items)
    assert audit.counts["reports from the zip"] == 1
    assert audit.counts["reports from the sectioned CSV"] == 7
    (root / "mimic-cxr-reports.zip").unlink()
    other, audit = read(source(root, reports=file))
    assert other[dicom(59900040, 0)].findings == ""
    assert audit.counts["studies without report"] == 1


def test_the_authors_text_is_one_text(tmp_path):
    text = report(1) + " RECOMMENDATION(S):  Look at the kite again.\n"
    root = write_all(tmp_path, with_text(59900040, text))
    items, _ = read(source(root, text="authors"))
    item = items[dicom(59900040, 0)]
    assert (item.findings, item.impression) == ("", "")
    assert item.report.startswith("The kite is level. A small boat lies")
    assert item.report.endswith("boat. Look at the kite again.")
    sectioned(tmp_path / "only" / "mimic_cxr_sectioned.csv")
    with pytest.raises(DataError, match="--text authors needs them"):
        source(root, text="authors", reports=tmp_path / "only")


def test_images_without_reports_can_be_asked_for(release):
    items, _ = read(source(release, reports=None, text="none"))
    assert {item.findings for item in items.values()} == {""}
    assert items[dicom(59900010, 0)].labels["Edema"] == 1


def test_reports_of_several_findings_are_counted(tmp_path):
    step = "reports of several findings or impressions: the last of each taken"
    text = (
        " FINAL REPORT\n FINDINGS:  The kite is big.\n \n"
        " FRONTAL AND LATERAL CHEST:  As before.\n \n IMPRESSION:  Stable.\n"
    )
    root = write_all(tmp_path, with_text(59900040, text))
    items, audit = read(source(root))
    assert items[dicom(59900040, 0)].findings == "As before."
    assert audit.counts[step] == 1
    _, audit = read(source(root, text="authors"))
    assert step not in audit.counts
    # an empty one replaces nothing
    once = text.replace("The kite is big.", "")
    root = write_all(tmp_path / "once", with_text(59900040, once))
    _, audit = read(source(root))
    assert step not in audit.counts


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"FINDINGS: \xff\xfe", "not UTF-8"), (b"x" * (2**20 + 1), "1,048,576")],
)
def test_the_image_of_an_unreadable_report_is_refused(
    tmp_path, content, reason
):
    root = write_all(tmp_path, with_text(59900040, None))
    kept, _ = read(source(root))
    with zipfile.ZipFile(root / "mimic-cxr-reports.zip", "a") as archive:
        archive.writestr(f"files/p14/p{PLAIN}/s59900040.txt", content)
    items, audit = read(source(root))
    image = dicom(59900040, 0)
    assert kept.keys() - items.keys() == {image}
    (row,) = audit.rows
    place = "mimic-cxr-2.0.0-metadata.csv.gz:14"
    assert row[:3] == ("report unreadable", image, place)
    assert reason in row[3]


def test_every_image_of_an_unreadable_report_is_refused_once(tmp_path):
    root = write_all(tmp_path)
    unpacked(tmp_path / "reports", beside=True)
    study = next(s for s in STUDIES if s.number == 59900010)
    file = tmp_path / "reports" / f"{study.folder}.txt"
    file.write_bytes("Kerley-Linien, vergrößert.".encode("latin-1"))
    kept, _ = read(source(root))
    items, audit = read(source(root, reports=tmp_path / "reports"))
    gone = {i.image_id for i in kept.values() if i.study_id == "59900010"}
    assert len(gone) == 2
    assert kept.keys() - items.keys() == gone
    assert {key for _, key, *_ in audit.rows} == gone
    assert audit.refused == 2


def test_a_damaged_member_of_the_zip_is_refused(tmp_path):
    root = write_all(tmp_path)
    file = root / "mimic-cxr-reports.zip"
    content = bytearray(file.read_bytes())
    start = content.index(f"files/p14/p{PLAIN}/s59900040.txt".encode())
    content[start + 50 : start + 60] = b"\xff" * 10
    file.write_bytes(content)
    _, audit = read(source(root))
    assert audit.refusals == Counter({"report unreadable": 1})
    ((*_, reason),) = audit.rows
    assert str(PLAIN) not in reason


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_damaged_report_does_not_hide_that_of_the_next_place(
    tmp_path, elsewhere
):
    root = write_all(tmp_path)
    expected, _ = read(source(root))
    file = root / "mimic_cxr_sectioned.csv"
    sectioned(file)
    if not elsewhere:
        table = pd.read_csv(file, dtype=str)
        columns = ["impression", "findings", "last_paragraph", "comparison"]
        table.loc[table["study"] == "s59900040", columns] = ""
        table.to_csv(file, index=False)
    write_zip(root / "mimic-cxr-reports.zip", studies=with_text(59900040, None))
    with zipfile.ZipFile(root / "mimic-cxr-reports.zip", "a") as archive:
        archive.writestr(f"files/p14/p{PLAIN}/s59900040.txt", b"\xff")
    items, audit = read(source(root, reports=root))
    refused = {} if elsewhere else {"report unreadable": 1}
    assert audit.refusals == Counter(refused)
    step = "reports unreadable in the zip, taken elsewhere"
    assert audit.counts[step] == elsewhere
    assert audit.counts["reports from the sectioned CSV"] == elsewhere
    assert (told(items) == told(expected)) == elsewhere


@pytest.mark.parametrize(
    "name", ["../../etc/s1.txt", "/etc/s1.txt", "files\\..\\s1.txt", "c:/s1"]
)
def test_a_zip_that_leads_out_of_itself_is_refused(tmp_path, name):
    root = write_all(tmp_path)
    file = root / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("safe"), "x")
        info = zipfile.ZipInfo(name)
        info.filename = name
        archive.writestr(info, "x")
    with pytest.raises(DataError, match="leads out"):
        source(root)


def test_a_zip_that_is_none_or_has_no_report_is_named(tmp_path):
    root = write_all(tmp_path)
    file = root / "mimic-cxr-reports.zip"
    file.write_bytes(b"PK not really")
    with pytest.raises(DataError, match="no zip archive"):
        source(root)
    write_zip(file, prefix="files/other/p1/")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(DataError, match="has no report"):
        source(root)


def test_a_link_that_leads_to_itself_is_no_report(tmp_path):
    root = write_all(tmp_path)
    unpacked(tmp_path / "reports", beside=True)
    file = tmp_path / "reports" / "p14" / f"p{PLAIN}" / "s59900040.txt"
    file.unlink()
    file.symlink_to(file)
    _, audit = read(source(root, reports=tmp_path / "reports"))
    assert audit.refusals == Counter({"report unreadable": 1})


# --- what is wrong


def test_a_missing_image_is_refused_with_the_place_looked_at(tmp_path):
    root = write_all(tmp_path)
    image = dicom(59900040, 0)
    file = root / "jpg" / "files" / STUDIES[5].folder / f"{image}.jpg"
    file.unlink()
    items, audit = read(source(root))
    assert image not in items
    (row,) = audit.rows
    place = "mimic-cxr-2.0.0-metadata.csv.gz:14"
    assert row[:3] == ("image file missing", image, place)
    assert ".dcm or .dcm.gz or .jpg" in row[3]


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("dicom_id", "../../../etc/passwd", "id not well formed"),
        ("dicom_id", "..", "id not well formed"),
        ("dicom_id", dicom(59900010, 0), "image_id twice"),
        ("subject_id", "x", "id not well formed"),
        ("subject_id", "", "id not well formed"),
        ("study_id", "59900010", "study of two subjects"),
    ],
)
def test_a_broken_row_is_refused_and_the_rest_is_read(
    tmp_path, column, value, check
):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    whole, _ = read(source(root))
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    row = table.index[table["study_id"] == "59900040"][0]
    table.loc[row, column] = value
    table.to_csv(file, index=False)
    items, audit = read(source(root))
    assert audit.refusals == Counter({check: 1})
    assert audit.rows[0][2] == f"{file.name}:{row + 2}"
    assert set(whole) - set(items) == {dicom(59900040, 0)}


def test_a_row_written_twice_counts_once(tmp_path):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    whole, _ = read(source(root))
    table = pd.read_csv(file)
    pd.concat([table, table[:3]]).to_csv(file, index=False)
    items, audit = read(source(root))
    assert told(items) == told(whole)
    assert audit.counts[f"{file.name}: rows written twice"] == 3
    assert audit.refused == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "hash"}, "split must be one of paper, authors_code"),
        ({"text": "all"}, "text must be one of"),
        ({"labeller": "gpt"}, "labeller must be one of"),
        ({"severity": None}, "--split paper needs the edema severity release"),
        ({"validation_share": 0.1}, "--validation-share is for"),
        (
            {"split": "authors_code", "validation_share": 1.0},
            r"must be in \[0, 1\)",
        ),
        ({"text": "none"}, "--reports is given but --text is none"),
        ({"views": ()}, "--keep-view must name"),
        ({"metadata": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_an_option_that_cannot_hold_is_named(release, options, message):
    with pytest.raises(DataError, match=message):
        source(release, **options)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*metadata*", r"no metadata: looked for mimic-cxr-2\.\*-metadata"),
        ("*split*", "no split file: .* belong to MIMIC-CXR-JPG"),
        ("*chexpert*", "no chexpert labels: .*--labels; --labeller none"),
    ],
)
def test_what_was_looked_for_is_told(tmp_path, pattern, message):
    root = write_all(tmp_path)
    (file,) = (root / "jpg").glob(pattern)
    file.unlink()
    with pytest.raises(DataError, match=message) as error:
        source(root)
    assert str(root / "jpg") in str(error.value)


def test_missing_trees_are_told_apart(release, tmp_path):
    with pytest.raises(DataError, match="no reports: looked for mimic-cxr"):
        source(release, reports=None)
    with pytest.raises(DataError, match="no image tree: looked for p10"):
        MimicCXR(release / "severity", split="official", text="none")
    with pytest.raises(DataError, match="no edema severity release"):
        source(release, severity=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header"),
        (b"dicom_id,subject_id,study_id\n", "no column 'ViewPosition'"),
        (b"dicom_id,dicom_id,subject_id,study_id,ViewPosition\n", "the same"),
        (b"PNG\x00\x00", "no CSV"),
        (b"\x89PNG\x00\x00", "not UTF-8"),
        (b"caf\xe9,x\n", "not UTF-8"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, content, message):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        source(root)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,1,2,PA,too,many", "no CSV"),
        ('a,1,2,"PA', "no CSV"),
        ("a,1,2,P\0A", "NUL"),
        ("", "no row with well-formed ids"),
        (f"a,1,2,{'x' * (3 << 20)}", "more than 1,048,576 characters"),
    ],
)
def test_a_table_with_a_broken_row_is_named(tmp_path, row, message):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv"
    header = "dicom_id,subject_id,study_id,ViewPosition"
    whole = "b,1,2,PA\n" if row else ""
    file.write_text(f"{header}\n{whole}{row}\n")
    with pytest.raises(DataError, match=message):
        read(source(root))


def test_a_cut_gzip_is_named(tmp_path):
    root = write_all(tmp_path)
    file = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"metadata\.csv\.gz cannot be read"):
        read(source(root))


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [
        "jpg/mimic-cxr-2.0.0-metadata.csv.gz",
        "jpg/mimic-cxr-2.0.0-metadata.csv",
        "jpg/mimic-cxr-2.0.0-split.csv",
        "jpg/mimic-cxr-2.0.0-chexpert.csv",
        "severity/regex_report_edema_severity.csv",
        "severity/consensus_image_edema_severity.csv",
        "mimic-cxr-reports.zip",
        "csv/mimic_cxr_sectioned.csv",
    ],
)
def test_a_thousand_broken_files_are_read_or_refused_by_name(tmp_path, file):
    root = write_all(tmp_path)
    if not file.endswith(".gz"):
        for old in (root / "jpg").glob("*.gz"):
            old.unlink()
        write_tables(root / "jpg", gz=False)
    sectioned(root / "csv" / "mimic_cxr_sectioned.csv")
    options = {"reports": root / file} if "sectioned" in file else {}
    options["split"] = "official" if "regex" in file else "paper"
    whole = (root / file).read_bytes()
    read_something = 0
    for content in mutants(whole, 130):
        (root / file).write_bytes(content)
        read_something += bool(
            read_or_say_why(lambda: source(root, **options), Audit(), DataError)
        )
    assert read_something or file.endswith(".gz")


# --- Table 1


def test_table_1_counts_zeros_and_ones_beside_the_paper(release):
    images = pd.DataFrame(
        {
            "split": ["train", "train", "validation", "test", "test", "test"],
            "Edema": [1, BLANK, 0, 1, UNCERTAIN, 0],
            EDEMA_SEVERITY: [3, 0, BLANK, 2, BLANK, BLANK],
        }
    )
    found = source(release).published(images).set_index("label")
    assert list(found.index) == ["Edema", EDEMA_SEVERITY]
    assert found.loc["Edema"].to_dict() == {
        "train": 1,
        "validation": 1,
        "paper_train": 56_203,
        "train_difference": 2 - 56_203,
        "test": 2,
        "paper_test": 373,
        "test_difference": -371,
    }
    assert found.loc[EDEMA_SEVERITY, ["train", "test"]].tolist() == [2, 1]


def test_table_1_is_the_papers():
    train = sum(counts[0] for counts in mimic_cxr_table1.TABLE1.values())
    test = sum(counts[1] for counts in mimic_cxr_table1.TABLE1.values())
    assert (train, test) == (520_779, 2_716)
    # Positive and negative images of the authors' published test file.
    counted = {
        "Atelectasis": 255 + 7,
        "Cardiomegaly": 379 + 25,
        "Consolidation": 66 + 29,
        "Edema": 273 + 100,
        "Lung Opacity": 311 + 7,
        "Pleural Effusion": 355 + 96,
        "Pneumonia": 104 + 91,
        "Pneumothorax": 15 + 176,
        "Support Devices": 263 + 23,
        EDEMA_SEVERITY: 61 + 44 + 20 + 16,
    }
    assert counted == {k: n for k, (_, n) in mimic_cxr_table1.TABLE1.items()}
    # 6,424 studies with a grade, on 7,066 frontal images
    assert mimic_cxr_table1.TABLE1[EDEMA_SEVERITY][0] == 7_066


# --- to the end


def test_an_import_makes_records_and_sets_the_paper_beside(tmp_path):
    root = write_all(tmp_path / "physionet")
    noise = np.random.default_rng(0)
    for file in sorted((root / "jpg").rglob("*.jpg")):
        pixels = noise.integers(0, 256, (40, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
    gone = root / "jpg" / "files" / STUDIES[5].folder
    shutil.rmtree(gone)
    out = tmp_path / "records"
    with pytest.raises(DataError, match="1 of 10 rows refused"):
        import_items(source(root), out, image_size=32)
    made = import_items(source(root), out, image_size=32, refuse_share=0.2)
    assert {split: made.counts[split]["images"] for split in made.counts} == {
        "train": 5,
        "validation": 1,
        "test": 3,
    }
    assert made.label_names == (*CHEXPERT14, EDEMA_SEVERITY)
    rows = made.images.set_index("image_id")
    assert rows.loc[dicom(59900060, 0), EDEMA_SEVERITY] == 0
    assert rows.loc[dicom(59900010, 0), "sentences"] == 4
    account = (out / "audit.md").read_text()
    assert "## Beside the publication" in account
    assert "| Edema Severity |" in account
    assert "refused: image file missing | 1 |" in account
    refused = (out / "refused.csv").read_text()
    assert "kite" not in account + refused
    assert str(tmp_path) not in account + refused
