"""A miniature of Open-i with invented reports."""

import html
import tarfile
import zipfile

import pytest
from open_i_tree import (
    IMAGES,
    PNG,
    REPORTS,
    tar,
    write_archives,
    write_csvs,
    xml,
)

from kerasmi.data.schema import BLANK, CHEXPERT14, UNCERTAIN
from kerasmi.data.sources import open_i_files, open_i_labels, open_i_reports
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.open_i import OpenI
from kerasmi.data.sources.open_i_files import image_key
from kerasmi.errors import DataError

ALL = ("AP", "PA", "FRONTAL", "LL", "RL", "LATERAL", "UNKNOWN")


def collect(source):
    refused = []
    audit = Audit(keep=lambda *row: refused.append(row))
    return list(source.items(audit)), audit, refused


@pytest.fixture
def tree(tmp_path):
    write_archives(tmp_path)
    return tmp_path


def test_every_report_and_image_is_there_once(tree):
    items, audit, refused = collect(OpenI(tree / "png", views=ALL))
    assert [item.image_id for item in items] == list(IMAGES)
    assert [item.subject_id for item in items] == [
        *("CXR1", "CXR1", "CXR2", "CXR3", "CXR4")
    ]
    assert all(item.study_id == item.subject_id for item in items)
    assert items[0].findings == "Heart < half, clear."
    assert items[0].impression == "Größe normal."
    assert (items[2].findings, items[2].impression) == ("", "Edema.")
    assert (items[3].findings, items[3].impression) == ("Nodule.", "")
    assert items[0].image.read_bytes() == PNG
    assert items[0].origin == "NLMCXR_reports.tgz:ecgen-radiology/1.xml"
    assert refused == []
    assert audit.counts == {
        "image files": 5,
        "report files": 5,
        "images named by reports": 5,
        "images of unknown view": 2,
        "reports with findings and impression": 2,
        "reports with findings only": 1,
        "reports with impression only": 1,
        "reports with neither findings nor impression": 1,
        "reports with 0 images": 1,
        "reports with 1 image": 3,
        "reports with 2 images": 1,
    }


def test_frontal_images_are_kept_and_unknown_views_reported(tree):
    items, audit, _ = collect(OpenI(tree / "png"))
    assert [item.view for item in items] == ["PA", "AP"]
    assert audit.counts["filter: view LL"] == 1
    assert audit.counts["filter: view UNKNOWN"] == 2
    (said,) = audit.warnings
    assert said.startswith("unknown view: 2 of 5 images, left out; ")
    assert said in audit.notes
    _, audit, _ = collect(OpenI(tree / "png", views=ALL))
    assert "unknown view: 2 of 5 images, kept" in audit.notes
    assert audit.warnings == []


def test_a_second_table_tells_only_what_the_first_does_not(tree):
    second = tree / "more.csv"
    second.write_text(
        "imageid,tsne-view\nCXR3_IM-9-1001,PA\nCXR2_IM-9-1001,L\n"
    )
    tables = [tree / "nlmcxr_dicom_metadata.csv.gz", second]
    items, audit, _ = collect(OpenI(tree / "png", projections=tables))
    assert [item.view for item in items] == ["PA", "AP", "PA"]
    assert audit.counts["images of unknown view"] == 1


def test_without_any_view_nothing_is_guessed(tree):
    (tree / "nlmcxr_dicom_metadata.csv.gz").unlink()
    with pytest.raises(DataError, match="tell no views"):
        OpenI(tree / "png")
    items, audit, _ = collect(OpenI(tree / "png", views=["unknown"]))
    assert len(items) == audit.counts["images of unknown view"] == 5


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_images_may_stay_in_their_archive(tree, mode):
    names = {f"./{name}.png": PNG for name in IMAGES}
    place = tar(tree / "NLMCXR_png.tgz", names, mode)
    items, _, _ = collect(OpenI(place, views=ALL))
    assert {item.image for item in items} == {place}
    assert [item.member for item in items] == list(names)


def test_a_zip_will_do(tree):
    with zipfile.ZipFile(tree / "images.zip", "w") as archive:
        for name in IMAGES:
            archive.writestr(f"images/{name}.png", PNG)
    items, _, _ = collect(OpenI(tree / "images.zip", views=ALL))
    assert items[0].member == "images/CXR1_1_IM-0001-3001.png"


def test_dicom_goes_before_png(tree):
    (tree / "png" / "1").mkdir()
    (tree / "png" / "1" / "1_IM-0001-3001.dcm").write_bytes(b"DICM")
    items, _, _ = collect(OpenI(tree / "png"))
    assert items[0].image.name == "1_IM-0001-3001.dcm"
    assert items[0].image_id == "CXR1_1_IM-0001-3001"


def test_unpacked_reports_are_the_same(tree):
    with tarfile.open(tree / "NLMCXR_reports.tgz") as archive:
        archive.extractall(tree, filter="data")
    folder = tree / "ecgen-radiology"
    table = tree / "nlmcxr_dicom_metadata.csv.gz"
    source = OpenI(tree / "png", reports=folder, projections=table)
    packed = collect(OpenI(tree / "png"))[0]
    assert [(i.image_id, i.findings) for i in collect(source)[0]] == [
        (i.image_id, i.findings) for i in packed
    ]


def test_the_two_csv_form(tmp_path):
    source = OpenI(write_csvs(tmp_path))
    (item,), audit, refused = collect(source)
    assert (item.image_id, item.subject_id) == ("CXR1_IM-0001-4001", "CXR1")
    assert (item.findings, item.impression) == ("Clear,\nnearly.", "Same.")
    assert item.view == "FRONTAL"
    assert item.labels["Lung Opacity"] == 1
    assert audit.counts["filter: view LATERAL"] == 1
    assert audit.counts["images without a report"] == 1
    assert refused == []
    assert source.options() == {
        "reports": "indiana_reports.csv",
        "projections": ["indiana_projections.csv"],
        "views": ["AP", "PA", "FRONTAL"],
    }


def test_the_two_csv_form_needs_the_second(tmp_path):
    images = write_csvs(tmp_path)
    (tmp_path / "indiana_projections.csv").unlink()
    with pytest.raises(DataError, match="names no images"):
        OpenI(images, views=ALL)


def test_a_missing_image_is_refused_by_name(tree):
    (tree / "png" / "CXR2_IM-9-1001.png").unlink()
    items, _, refused = collect(OpenI(tree / "png"))
    assert len(items) == 1
    ((step, key, _, _),) = refused
    assert (step, key) == ("image file missing", "CXR2_IM-9-1001")


def test_a_wrong_table_is_named(tree):
    (tree / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other\.csv tells no views"):
        collect(OpenI(tree / "png", projections=tree / "other.csv"))


def test_missing_reports_are_told(tmp_path):
    with pytest.raises(DataError, match="no reports"):
        OpenI(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        OpenI(tmp_path / "nowhere")


def test_a_folder_without_reports_is_told(tree):
    table = tree / "nlmcxr_dicom_metadata.csv.gz"
    source = OpenI(tree / "png", reports=tree / "png", projections=table)
    with pytest.raises(DataError, match="no report was found"):
        collect(source)


def test_no_image_in_view_is_told(tree):
    with pytest.raises(DataError, match="no image is left of 5"):
        collect(OpenI(tree / "png", views=["RL"]))


def test_a_report_given_twice_is_refused(tree):
    folder = tree / "reports"
    folder.mkdir()
    (folder / "a.xml").write_bytes(REPORTS["1"])
    (folder / "b.xml").write_bytes(REPORTS["1"])
    table = tree / "nlmcxr_dicom_metadata.csv.gz"
    source = OpenI(tree / "png", reports=folder, projections=table, views=ALL)
    items, _, refused = collect(source)
    assert len(items) == 2
    (row,) = refused
    assert row[0] == "report given twice"
    # what is refused is told, and the number is the subject's
    assert "1" not in row[-1]


# --- names


@pytest.mark.parametrize(
    "name",
    [
        "CXR1_1_IM-0001-3001",
        "CXR1_IM-0001-3001",
        "1_IM-0001-3001.dcm",
        "./1/1_IM-0001-3001.dcm",
        "images\\1_IM-0001-3001.dcm.PNG",
    ],
)
def test_an_image_has_one_key_whatever_its_name(name):
    assert image_key(name) == "1_IM-0001-3001"


def test_other_images_have_other_keys():
    names = ["CXR1_11_IM-1-1", "CXR11_IM-1-1", "CXR1_IM-1-1", "CXR1_IM-1-1-2"]
    assert len({image_key(name) for name in names}) == 4


# --- labels


def test_normal_is_the_only_source_of_zeros():
    found = open_i_labels.labels(["normal"])
    assert found.pop("No Finding") == 1
    assert set(found.values()) == {0}
    mixed = open_i_labels.labels(["normal", "Cardiomegaly"])
    assert mixed["No Finding"] == mixed["Edema"] == BLANK


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("Cardiomegaly", ["Cardiomegaly"]),
        ("Opacity/lung/base/left", ["Lung Opacity"]),
        ("Opacity/bone", []),
        ("Nodule/lung", ["Lung Lesion"]),
        ("Nodule/breast", []),
        ("Hydropneumothorax", ["Pleural Effusion", "Pneumothorax"]),
        ("Tube, Inserted", ["Support Devices"]),
        ("Pulmonary Emphysema", []),
        ("Density/rib", []),
        ("Costophrenic Angle", []),
    ],
)
def test_a_term_means_what_it_says(term, names):
    found = open_i_labels.labels([term])
    assert [n for n in CHEXPERT14 if found[n] == 1] == names
    assert {found[n] for n in CHEXPERT14 if n not in names} == {BLANK}


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("Cardiomegaly/borderline", ["Cardiomegaly"]),
        ("Cardiac Shadow/enlarged/mild", ["Cardiomegaly"]),
        ("Costophrenic Angle/left/blunted", ["Pleural Effusion"]),
        ("Density/lung/base/left", ["Lung Lesion", "Lung Opacity"]),
        ("Pulmonary Congestion", ["Edema"]),
        ("Surgical Instruments/mediastinum", ["Support Devices"]),
        ("No Indexing", list(CHEXPERT14)),
        ("", list(CHEXPERT14)),
    ],
)
def test_what_a_term_leaves_open_is_no_negative(term, names):
    found = open_i_labels.labels([term])
    assert [n for n in CHEXPERT14 if found[n] == UNCERTAIN] == names
    assert {found[n] for n in CHEXPERT14 if n not in names} <= {BLANK}


@pytest.mark.parametrize("turn", [1, -1])
def test_a_term_that_is_sure_counts_before_one_that_is_not(turn):
    terms = ["Cardiomegaly", "Cardiomegaly/borderline", "Cardiac Shadow"]
    assert open_i_labels.labels(terms[::turn])["Cardiomegaly"] == 1


def test_meanings_are_names_of_chexpert():
    for _, _, names in (*open_i_labels.MEANINGS, *open_i_labels.UNSURE):
        assert set(names) <= set(CHEXPERT14)


# --- hostile and broken files

BILLION = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<eCitation><uId id="CXR1"/>&b;</eCitation>"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BILLION, "declares"),
        (b'<!doctype x SYSTEM "file:///etc/hostname"><x/>', "declares"),
        (BILLION.decode().encode("utf-16"), "UTF-8"),
        (b"", "no XML"),
        (b"\0\0", "no XML"),
        (REPORTS["1"][:300], "no XML"),
        (b"<eCitation>&undefined;</eCitation>", "no XML"),
        (b"<eCitation/>", "one uId"),
        (b'<e><uId id="1"/><uId id="2"/></e>', "one uId"),
        (b'<e><uId id=" "/></e>', "one uId"),
        ("<e>Größe</e>".encode("latin-1"), "UTF-8"),
    ],
)
def test_what_is_no_report_is_refused_with_its_reason(content, reason):
    with pytest.raises(open_i_reports.BadReportError, match=reason):
        open_i_reports.parse(content)


def test_deep_nesting_does_no_harm():
    deep = b"<a>" * 50_000 + b"</a>" * 50_000
    content = b'<e><uId id="CXR1"/>' + deep + b"</e>"
    assert open_i_reports.parse(content).uid == "CXR1"


def test_comments_and_cdata_are_no_declarations():
    content = (
        b'<e><!-- x --><uId id="CXR1"/>'
        b'<AbstractText Label="FINDINGS"><![CDATA[a < b]]></AbstractText></e>'
    )
    assert open_i_reports.parse(content).text("FINDINGS") == "a < b"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Suspicious for&lt;BR&gt;malignancy.", "Suspicious for\nmalignancy."),
        ("Old &lt;br/&gt;scar.", "Old \nscar."),
        ("[&lt;Clear lungs.&gt;] Big heart.", "Clear lungs. Big heart."),
        (
            "[&amp;lt;Clear lungs.&amp;gt;] Big heart.",
            "Clear lungs. Big heart.",
        ),
        ("Nodule &amp;lt; 3 mm, A&amp;amp;B.", "Nodule < 3 mm, A&B."),
        ("Nodule &lt; 3 mm [left].", "Nodule < 3 mm [left]."),
        ("Dry. [Clear lungs&gt;]. Big.", "Dry. Clear lungs. Big."),
        ("[left] dry [clear&gt;].", "[left] dry clear."),
        ("A &amp;amp;lt; B.", "A &lt; B."),  # decoded once
    ],
)
def test_markup_that_reports_kept_is_decoded(text, read, tmp_path):
    (parsed,) = read_all(tmp_path, text)
    assert parsed.text("FINDINGS") == read
    reports, projections = tmp_path / "r.csv", tmp_path / "p.csv"
    raw = html.unescape(text)
    reports.write_text(f'uid,MeSH,findings,impression\n1,normal,"{raw}",\n')
    projections.write_text("uid,filename\n1,1.png\n")
    (row,) = open_i_reports.from_csv(reports, projections, Audit())
    assert row.text("FINDINGS") == read


def read_all(folder, findings):
    (folder / "1.xml").write_bytes(xml(1, findings))
    return open_i_reports.from_xml(folder, Audit())


def test_a_section_given_twice_loses_no_text():
    content = (
        b'<e><uId id="CXR1"/><AbstractText Label="FINDINGS">A <i>b</i>.'
        b'</AbstractText><AbstractText Label="FINDINGS">C.</AbstractText></e>'
    )
    assert open_i_reports.parse(content).text("FINDINGS") == "A b.\n\nC."


def read(place):
    refused = []
    audit = Audit(keep=lambda *row: refused.append(row))
    return list(open_i_reports.from_xml(place, audit)), refused


def test_a_broken_report_does_not_stop_the_others(tmp_path):
    members = {"1.xml": REPORTS["1"], "x.xml": BILLION, "2.xml": REPORTS["2"]}
    found, refused = read(tar(tmp_path / "a.tgz", members))
    assert [report.uid for report in found] == ["CXR1", "CXR2"]
    ((step, key, _, _),) = refused
    assert (step, key) == ("unreadable report", "a.tgz:x.xml")


def test_a_report_too_large_is_refused_unread(tmp_path):
    large = REPORTS["1"] + b" " * open_i_files.LARGEST_REPORT
    found, refused = read(tar(tmp_path / "a.tgz", {"1.xml": large}))
    assert found == []
    assert "1,048,576 bytes" in refused[0][3]


@pytest.mark.parametrize("name", ["../1.xml", "/1.xml", "a/../../1.xml", "C:1"])
def test_a_path_out_of_the_archive_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="leads out"):
        read(tar(tmp_path / "a.tgz", {name: REPORTS["1"]}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, REPORTS["1"])
    with pytest.raises(DataError, match="leads out"):
        read(tmp_path / "a.zip")
    with pytest.raises(DataError, match="leads out"):
        open_i_files.Images(tmp_path / "a.zip", Audit())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_an_archive_is_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("1.xml")
        info.type, info.linkname = kind, "/etc/hostname"
        archive.addfile(info)
    found, refused = read(tmp_path / "a.tgz")
    assert found == []
    assert [row[0] for row in refused] == ["link in an archive"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("1.xml")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    found, refused = read(tmp_path / "a.zip")
    assert found == []
    assert [row[0] for row in refused] == ["link in an archive"]


def test_folders_that_are_linked_in_a_circle_end(tree):
    (tree / "png" / "again").symlink_to(tree / "png")
    items, _, _ = collect(OpenI(tree / "png", views=ALL))
    assert len(items) == 5


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_archive_is_named(tmp_path, share):
    whole = tar(tmp_path / "a.tgz", {"1.xml": REPORTS["1"] * 50})
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * share)] or b"no archive")
    with pytest.raises(DataError, match=r"a\.tgz cannot be read"):
        read(whole)
