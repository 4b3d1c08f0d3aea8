"""Every release through the command: import, inspect, preview."""

import csv
import gzip
import itertools
import re
from importlib.util import find_spec

import chexpert_files
import mimic_files
import open_i_tree
import own_tables
import pytest
from click.testing import CliRunner
from matplotlib import image

from kerasmi.cli import main

decodes = pytest.mark.skipif(
    find_spec("tensorflow_io") is None, reason="needs tensorflow-io"
)


def pictures(folder):
    """Puts a picture of its own in place of every image file."""
    suffixes = (".png", ".jpg")
    files = (f for f in folder.rglob("*") if f.suffix in suffixes)
    for number, file in enumerate(sorted(files)):
        own_tables.picture(file, number, (20, 16 + number % 9))


def radiographs(folder):
    """Every image in another transfer syntax, the last ones gzipped."""
    import image_files

    ways = itertools.cycle(
        (syntax, style)
        for syntax in (*image_files.NATIVE, *image_files.CODED)
        for style in ("MONOCHROME1", "MONOCHROME2")
    )
    files = sorted(folder.rglob("*.dcm*"))
    for number, (file, (syntax, style)) in enumerate(
        zip(files, ways, strict=False)
    ):
        bits = 8 if syntax in ("jpeg baseline", "jpeg extended") else 12
        pixels = image_files.thorax(bits, shape=(40, 32), seed=number)
        content = image_files.dicom(
            pixels, syntax, folder, bits=bits, photometric=style
        )
        if file.suffix == ".gz":
            content = gzip.compress(content)
        file.write_bytes(content)
    for scratch in folder.glob("*.dcm"):
        scratch.unlink()


def mimic_jpg(root):
    mimic_files.write_all(root)
    pictures(root / "jpg")
    reports = ["--reports", root / "mimic-cxr-reports.zip"]
    return [root / "jpg", *reports, "--severity", root / "severity"]


def mimic_dicom(root, suffix=".dcm"):
    mimic_files.write_images(root / "dicom", suffix=suffix)
    mimic_files.write_zip(root / "dicom" / "mimic-cxr-reports.zip")
    mimic_files.write_tables(root / "tables", gz=False)
    mimic_files.write_severity(root / "severity", gz=True)
    radiographs(root / "dicom")
    tables = ["--metadata", root / "tables", "--severity", root / "severity"]
    return [root / "dicom", *tables]


def mimic_dicom_gz(root):
    return mimic_dicom(root, ".dcm.gz")


def open_i_xml(root):
    folder = open_i_tree.write_archives(root)
    pictures(folder)
    table = root / "nlmcxr_dicom_metadata.csv.gz"
    return [folder, "--projections", table]


def open_i_csv(root):
    folder = open_i_tree.write_csvs(root)
    pictures(folder)
    return [folder]


def chexpert(root):
    folder = chexpert_files.write_chexpert(root)
    pictures(folder)
    return [folder]


def chexpert_plus(root):
    chexpert_files.write_plus(root)
    pictures(root / "PNG")
    table = root / "df_chexpert_plus_240401.csv"
    labels = root / "chexbert_labels"
    return [root / "PNG", "--reports", table, "--labels", labels]


# The release, its writer, images kept, sentences of the longest report.
RELEASES = [
    ("mimic-cxr", mimic_jpg, 10, 4),
    pytest.param("mimic-cxr", mimic_dicom, 10, 4, marks=decodes),
    pytest.param("mimic-cxr", mimic_dicom_gz, 10, 4, marks=decodes),
    ("open-i", open_i_xml, 2, 2),
    ("open-i", open_i_csv, 1, 2),
    ("chexpert", chexpert, 3, 0),
    ("chexpert-plus", chexpert_plus, 3, 3),
]


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


def columns(text, title):
    """The rows under a title that `inspect` prints, split at spaces."""
    part = text.partition(f"{title}\n\n")[2].partition("\n\n")[0]
    return [line.split() for line in part.splitlines()]


@pytest.mark.parametrize(("release", "write", "images", "most"), RELEASES)
def test_a_release_becomes_records_that_can_be_looked_at(
    kerasmi, tmp_path, release, write, images, most
):
    arguments = write(tmp_path / "release")
    result = kerasmi(
        *("data", "import", release, *arguments, "out", "--image-size", 16),
        *("--shares", "train=1") if release != "mimic-cxr" else (),
    )
    assert result.exit_code == 0, result.output
    with open("out/refused.csv", newline="") as file:
        assert list(csv.DictReader(file)) == []

    result = kerasmi("data", "inspect", "out", "--full")
    assert result.exit_code == 0, result.output
    kept = re.findall(r"^[a-z]+ +(\d+) +\d+ +\d+$", result.stdout, re.MULTILINE)
    assert sum(map(int, kept)) == images
    lengths = columns(result.stdout, "Sentences of a report")
    most_of_splits = [int(row[-1]) for row in lengths[1:] if row[-1] != "-"]
    assert max(most_of_splits, default=0) == most
    assert columns(result.stdout, "Labels (Table 1)")[0][:2] == [
        *("label", "split")
    ]

    result = kerasmi("data", "preview", "out", "--output", "sheet.png")
    assert result.exit_code == 0, result.output
    assert image.imread("sheet.png").shape[0] > 200


def test_an_import_of_mimic_prints_the_papers_table(kerasmi, tmp_path):
    arguments = mimic_jpg(tmp_path / "release")
    result = kerasmi("data", "import", "mimic-cxr", *arguments, "out")
    assert result.exit_code == 0, result.output
    (row,) = re.findall(r"^ *Edema Severity +(.*)$", result.stdout, re.M)
    assert "7066" in row.split()
    assert "141" in row.split()


@decodes
def test_radiographs_that_cannot_be_decoded_are_listed_by_their_syntax(
    kerasmi, tmp_path
):
    import image_files
    from pydicom import uid

    arguments = mimic_dicom(tmp_path / "release")
    files = sorted((tmp_path / "release" / "dicom" / "files").rglob("*0.dcm"))
    whole = image_files.dicom(image_files.thorax(12), "jpeg 2000 lossless")
    files[0].write_bytes(whole[: len(whole) // 2])
    made = image_files.data_set(image_files.thorax(12))
    stream = uid.HTJ2KLossless
    files[1].write_bytes(image_files.encapsulated(made, stream, b"\xff\x4f"))
    command = ("data", "import", "mimic-cxr", *arguments, "out")
    result = kerasmi(*command, "--image-size", 16, "--max-refused", 0.5)
    assert result.exit_code == 0, result.output
    with open("out/refused.csv", newline="") as file:
        reasons = {r["key"]: r["reason"] for r in csv.DictReader(file)}
    assert list(reasons) == [file.stem for file in files[:2]]
    assert "JPEG 2000 Lossless" in reasons[files[0].stem]
    assert "cut off" in reasons[files[0].stem]
    assert "High-Throughput JPEG 2000" in reasons[files[1].stem]
    account = (tmp_path / "out" / "audit.md").read_text()
    for name in ("JPEG 2000 Lossless", "High-Throughput JPEG 2000 Lossless"):
        assert re.search(rf"\| DICOM, {name} .* \| 1 \|", account), account
