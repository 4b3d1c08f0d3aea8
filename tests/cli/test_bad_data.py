"""Bad data through the command line: refused by name, or taken in right.

Rows that are broken go to `refused.csv` and the import goes on; a file that
is broken as a whole is one line on the terminal, and status 2.
"""

import csv
import errno
import gzip
import io
import os
import resource
import shutil
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from importlib.util import find_spec

import chexpert_files
import image_files
import mimic_files
import numpy as np
import open_i_tree
import own_tables
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from pydicom import uid

from kerasmi.cli import main
from kerasmi.data import parts, records
from kerasmi.data.dataset import Dataset

TEXT = "The heart is large. No effusion."
LONGEST = 2**31  # bytes of a line without end

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow_io") is None, reason="needs tensorflow-io"
)


def kerasmi(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def one_line(result, *parts):
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    *_, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


def refusals(folder):
    with (folder / "refused.csv").open(newline="") as stream:
        return {row["key"]: row["reason"] for row in csv.DictReader(stream)}


def shortened(content):
    return content[: len(content) * 2 // 3]


# Images as users have them.

PICTURE = image_files.thorax(8, shape=(48, 40))
DEEP = image_files.thorax(16, shape=(48, 40))


def saved(kind, pixels=PICTURE, **options):
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    if kind == "RGBA":
        picture.putalpha(255)
    elif kind not in ("JPEG", "I;16"):
        picture = picture.convert(kind)
    picture.save(buffer, "JPEG" if kind == "JPEG" else "PNG", **options)
    return buffer.getvalue()


def dicom(syntax="explicit", **options):
    pixels = image_files.thorax(12, shape=(48, 40))
    return image_files.dicom(pixels, syntax, **options)


def negative(**options):
    pixels = 4095 - image_files.thorax(12, shape=(48, 40))
    return image_files.dicom(pixels, photometric="MONOCHROME1", **options)


TAKEN = {
    "16 bits": saved("I;16", DEEP),
    "RGB": saved("RGB"),
    "RGBA": saved("RGBA"),
    "palette": saved("P"),
    "JPEG": saved("JPEG", quality=95),
    "DICOM": dicom(),
    "lossy JPEG 2000": dicom("jpeg 2000"),
    "MONOCHROME1": negative(),
    "lossy JPEG 2000, MONOCHROME1": negative(syntax="jpeg 2000"),
    "gzipped DICOM": gzip.compress(dicom("rle")),
}


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """The images of `TAKEN` as records, by name."""
    folder = tmp_path_factory.mktemp("taken")
    rows = ["image,subject"]
    for number, (name, content) in enumerate(TAKEN.items()):
        (folder / str(number)).write_bytes(content)
        rows.append(f'{number},"{name}"')
    (folder / "own.csv").write_text("\n".join(rows))
    result = kerasmi(
        *("data", "import", "table", folder / "own.csv", folder / "out"),
        *("--shares", "train=1", "--image-size", 40),
    )
    assert result.exit_code == 0, result.output
    made = Dataset.open(folder / "out", verify="hash")
    return {r.subject_id: r.image for r in records.read(made, "train")}


@pytest.mark.parametrize("name", TAKEN)
def test_an_image_of_any_kind_is_taken_in_right(taken, name):
    found = np.asarray(Image.open(io.BytesIO(taken[name])), float)
    assert found.shape == PICTURE.shape
    # neither inverted, nor wrapped, nor cut
    assert np.corrcoef(found.ravel(), DEEP.ravel())[0, 1] > 0.99


# Rows that are refused; the others are not.


def bomb():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    start = image_files.png(PICTURE, 0, 8)
    rest = image_files.chunk(b"IHDR", header)
    return start[:8] + rest + start[8 + len(rest) :]


def coded(syntax):
    made = image_files.data_set(image_files.thorax(12))
    return image_files.encapsulated(made, syntax, b"\xff\x4f")


def linked(file):
    file.unlink()
    file.symlink_to(file)


def device(file):
    file.unlink()
    file.symlink_to("/dev/zero")


def folder(file):
    file.unlink()
    file.mkdir()


def content(made):
    return lambda file: file.write_bytes(made)


# What is wrong, how the file or the row comes to be so, the reason told.
ROWS = [
    ("missing", os.unlink, "no such file"),
    ("a link to itself", linked, "symbolic links"),
    ("a device", device, "a folder or a device"),
    ("a folder", folder, "a folder or a device"),
    ("zero bytes", content(b""), "an empty file"),
    ("a web page", content(b"<html>"), "HTML"),
    ("PNG cut off", content(shortened(saved("L"))), "cut off"),
    ("JPEG cut off", content(shortened(saved("JPEG"))), "cut off"),
    ("DICOM cut off", content(shortened(dicom())), "cut off"),
    (
        "JPEG 2000 cut off",
        content(shortened(dicom("jpeg 2000"))),
        "DICOM, JPEG 2000 (1.2.840.10008.1.2.4.91)",
    ),
    (
        "a transfer syntax unknown to the decoder",
        content(coded(uid.HTJ2KLossless)),
        "DICOM, High-Throughput JPEG 2000 Lossless",
    ),
    ("an image bomb", content(bomb()), "more than the limit of 67108864"),
    (
        "a packed bomb",
        content(gzip.compress(bytes(2**28))),
        "more than",
    ),
    ("an id twice", {"image_id": "good0"}, "the same image_id as own.csv:2"),
    ("a text for an id", {"image_id": TEXT * 9}, "are the columns mixed up"),
    ("a text for a label", {"edema": TEXT}, "Edema is 'The heart is large. '"),
    ("a text for a set", {"split": TEXT}, "is none of train"),
    ("a text for an image", {"image": TEXT}, "no such file"),
    ("no subject", {"subject": ""}, "subject_id is empty"),
    ("another's study", {"study": "good0"}, "images of another subject"),
    ("a path out", {"image": "../good0"}, "leads out of its folder"),
]
GOOD = 6


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A table with all of `ROWS`, imported; its folder."""
    place = tmp_path_factory.mktemp("broken") / "own"
    place.mkdir()
    columns = ("image", "image_id", "subject", "study", "text", "split")
    made = []
    for name in [*(f"good{n}" for n in range(GOOD)), *(r[0] for r in ROWS)]:
        row = dict.fromkeys(columns, name) | {"text": TEXT, "split": "train"}
        made.append(row | {"edema": 1})
        (place / name).write_bytes(saved("L"))
    for row, (name, spoil, _) in zip(made[GOOD:], ROWS, strict=True):
        if isinstance(spoil, dict):
            row.update(spoil)
        else:
            spoil(place / name)
    own_tables.write_table(
        place, columns=(*columns, "edema"), made=made, pictures=False
    )
    return place


@pytest.fixture(scope="module")
def refused(broken):
    """Number of the row to the reason why it was refused."""
    result = kerasmi(
        *("data", "import", "table", broken / "own.csv", broken / "out"),
        *("--label", "Edema=edema", "--image-size", 8, "--max-refused", 1),
    )
    assert result.exit_code == 0, result.output
    assert Dataset.open(broken / "out").counts["train"]["images"] == GOOD
    with (broken / "out" / "refused.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["origin"]: row["reason"] for row in rows}


@pytest.mark.parametrize(
    ("place", "words"),
    [(n, words) for n, (_, _, words) in enumerate(ROWS, GOOD + 2)],
    ids=[name for name, *_ in ROWS],
)
def test_a_broken_row_is_refused_with_its_reason(refused, place, words):
    assert words in refused[f"own.csv:{place}"]


def test_no_other_row_is_refused(refused):
    assert len(refused) == len(ROWS)


def test_many_broken_rows_stop_the_import(broken, tmp_path):
    command = ("data", "import", "table", broken / "own.csv", tmp_path / "out")
    result = kerasmi(*command, "--label", "Edema=edema")
    one_line(result, f"of {len(ROWS) + GOOD} rows refused", "refused.csv")
    assert not (tmp_path / "out").exists()


# What a study may lack, and what may be there twice: MIMIC-CXR.


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """The audit of a release with one of each oddity; and its records."""
    root = tmp_path_factory.mktemp("mimic")
    texts = {
        59900040: None,
        59900011: " FINAL REPORT\n \n The kite is level.\n No boat.\n",
        59900050: " FINAL REPORT\n FINDINGS: \n \n IMPRESSION: \n",
    }
    mimic_files.write_all(
        root,
        [
            replace(s, text=texts.get(s.number, s.text))
            for s in mimic_files.STUDIES
        ],
    )
    for number, file in enumerate(sorted(root.rglob("*.jpg"))):
        own_tables.picture(file, number, (16, 16))
    metadata = root / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    table = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    again = table[:1].assign(study_id="59900099")
    table["subject_id"] += ".0"
    pd.concat([table, table[1:2], again]).to_csv(metadata, index=False)
    labels = root / "jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table = pd.read_csv(labels, dtype=str)
    pd.concat([table, table[:1].assign(study_id="s59900098")]).to_csv(
        labels, index=False
    )
    result = kerasmi(
        *("data", "import", "mimic-cxr", root / "jpg", root / "out"),
        *("--reports", root / "mimic-cxr-reports.zip", "--image-size", 16),
        *("--severity", root / "severity", "--max-refused", 0.2),
    )
    assert result.exit_code == 0, result.output
    return (root / "out" / "audit.md").read_text(), Dataset.open(root / "out")


@pytest.mark.parametrize(
    "words",
    [
        "| studies without report | 1 |",
        "| reports without a usable section | 1 |",
        "chexpert.csv.gz: rows without image | 1 |",
        "| images whose study has no label row | 2 |",
        "metadata.csv.gz: rows written twice | 1 |",
        "| refused: image_id twice | 1 |",
        "| filter: view not among AP, PA | 9 |",
    ],
)
def test_what_a_release_lacks_or_has_twice_is_counted(account, words):
    assert words in account[0]


def test_ids_are_the_same_however_written_and_texts_stay(account):
    images = account[1].images.set_index("image_id")
    assert set(images["subject_id"].str.len()) == {8}
    rows = images.loc[images["study_id"] == "59900010"]
    assert len(rows) == 2
    assert set(rows["sentences"]) == {4}
    assert images.loc[mimic_files.dicom(59900040, 0), "sentences"] == 0
    assert images.loc[mimic_files.dicom(59900011, 0), "sentences"] == 2


def test_a_table_keeps_zeros_studies_and_lost_characters(tmp_path):
    table = own_tables.write_table(
        tmp_path / "own",
        made=[
            {"image": "a.png", "subject": "007", "text": TEXT},
            {"image": "b.png", "subject": "007", "text": TEXT},
            {"image": "c.png", "subject": "7", "text": TEXT},
            {"image": "d.png", "subject": "7", "text": "A caf\ufffd stain."},
        ],
    )
    result = kerasmi("data", "import", "table", table, tmp_path / "out")
    assert result.exit_code == 0, result.output
    images = Dataset.open(tmp_path / "out").images.set_index("image_id")
    assert list(images["subject_id"].sort_index()) == ["007", "007", "7", "7"]
    studies = images["study_id"].sort_index()
    assert studies["a.png"] == studies["b.png"]
    assert studies.nunique() == 3
    account = (tmp_path / "out" / "audit.md").read_text()
    assert "U+FFFD, lost characters | 1 |" in account


# Files that are broken as a whole.


def archived(table, name):
    """The table's pictures in a zip, one of them under another name."""
    with zipfile.ZipFile(table.with_suffix(".zip"), "w") as archive:
        for picture in table.parent.glob("*.png"):
            archive.write(picture, picture.name)
        archive.writestr(name, b"root:x:0:0")
    return ("--images", table.with_suffix(".zip"))


def rewritten(change, encoding="utf-8"):
    def rewrite(table):
        text = change(table.read_text())
        table.write_bytes(text.encode(encoding))
        return ()

    return rewrite


FILES = [
    ("a zip that leads out", lambda t: archived(t, "../x.png"), "leads out"),
    ("a zip with a root", lambda t: archived(t, "/etc/x.png"), "leads out"),
    (
        "cp1252",
        rewritten(lambda text: text.replace("large", "größer"), "cp1252"),
        "line 2 is not utf-8 (byte 0xF6); name the file's encoding",
    ),
    ("UTF-16", rewritten(str, "utf-16"), "in another encoding"),
    (
        "a column twice",
        rewritten(lambda text: text.replace("subject", "image", 1)),
        "the column 'image' twice",
    ),
    (
        "another separator",
        rewritten(lambda text: text.replace(",", ";")),
        "has no column 'image'",
    ),
    (
        "a quote left open",
        rewritten(lambda text: text.replace("The", '"The', 1)),
        "own.csv: row 2",
    ),
    ("NUL", rewritten(lambda text: text + "\0"), "NUL character"),
    ("nothing", rewritten(lambda text: ""), "is empty"),
    (
        "mixed-up columns",
        lambda table: ("--image", "text", "--text", "image"),
        "of 24 rows refused",
    ),
]


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return own_tables.write_table(tmp_path / "own")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [case[1:] for case in FILES],
    ids=[name for name, *_ in FILES],
)
def test_a_broken_file_is_one_line(own, spoil, words):
    options = spoil(own)
    result = kerasmi("data", "import", "table", own, "out", *options)
    one_line(result, words)
    assert not os.path.exists("out")


def test_folders_that_are_linked_in_a_circle_end(own, tmp_path):
    images = open_i_tree.write_csvs(tmp_path / "open_i")
    (images / "again").symlink_to(images)
    for number, file in enumerate(sorted(images.glob("*.png"))):
        own_tables.picture(file, number)
    result = kerasmi("data", "import", "open-i", images, "out")
    assert result.exit_code == 0, result.output
    assert refusals(tmp_path / "out") == {}


# A line of 2 GB: sparse, and refused after its first megabyte.


def endless(file):
    """Lets a file's last line go on for 2 GB."""
    with file.open("ab") as stream:
        stream.write(b"x" * 2**22)
        stream.truncate(LONGEST)
    return file


def own_table(root):
    return "table", endless(own_tables.write_table(root))


def own_lines(root):
    (root / "own.jsonl").write_text('{"image": "1.png"}\n{"image": "')
    return "table", endless(root / "own.jsonl")


def packed(root):
    block = gzip.compress(b"x" * 2**24)
    file = root / "own.csv.gz"
    file.write_bytes(gzip.compress(b"image,text\n1.png,") + 128 * block)
    return "table", file


def splits(root):
    (root / "splits.csv").write_text("subject_id,split\n")
    table = own_tables.write_table(root)
    return "table", table, "--split-file", endless(root / "splits.csv")


def mimic(name):
    def release(root):
        mimic_files.write_images(root)
        mimic_files.write_tables(root, gz=False)
        mimic_files.write_severity(root)
        mimic_files.write_zip(root / "mimic-cxr-reports.zip")
        endless(root / name)
        return "mimic-cxr", root, "--severity", root

    release.__name__ = name
    return release


def chexpert(root):
    folder = chexpert_files.write_chexpert(root)
    endless(folder / "train.csv")
    return "chexpert", folder


def plus(root):
    chexpert_files.write_plus(root)
    endless(root / "df_chexpert_plus_240401.csv")
    return "chexpert-plus", root


def plus_labels(root):
    chexpert_files.write_plus(root)
    endless(root / "chexbert_labels" / "report_fixed.json")
    return "chexpert-plus", root


def open_i(root):
    images = open_i_tree.write_csvs(root)
    endless(root / "indiana_reports.csv")
    return "open-i", images


@pytest.mark.parametrize(
    "write",
    [
        *(own_table, own_lines, packed, splits, chexpert, plus, plus_labels),
        *(open_i, mimic("mimic-cxr-2.0.0-metadata.csv")),
        *(mimic("mimic-cxr-2.0.0-split.csv"),),
        *(mimic("mimic-cxr-2.0.0-chexpert.csv"),),
        *(mimic("regex_report_edema_severity.csv"),),
    ],
    ids=lambda write: write.__name__,
)
def test_a_line_of_2_gb_is_refused_in_little_memory(tmp_path, write):
    (tmp_path / "in").mkdir()
    arguments = write(tmp_path / "in")
    tracemalloc.start()
    try:
        result = kerasmi("data", "import", *arguments, tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one_line(result, "1,048,576 characters")
    assert peak < 2**26
    assert not (tmp_path / "out").exists()


# A full disk.


def importing(own):
    return kerasmi(
        *("data", "import", "table", own, "out", "--records-per-shard", 4),
        *("--image-size", 8, "--shares", "train=1"),
    )


def test_a_full_disk_is_one_line_and_the_import_goes_on_later(
    own, tmp_path, monkeypatch
):
    written = []

    def full(shard, record, labels):
        written.append(record)
        if len(written) == 11:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(shard, record, labels)

    add = parts._Shard.add
    with monkeypatch.context() as patched:
        patched.setattr(parts._Shard, "add", full)
        one_line(
            importing(own), "out: could not be written: No space left", "again"
        )
    work = tmp_path / "out.importing"
    kept = {file.stem for file in work.glob("train-*")}
    assert kept == {"train-00000", "train-00001"}
    result = importing(own)
    assert "8 done before" in result.stderr
    made = {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()}
    shutil.rmtree(tmp_path / "out")
    assert importing(own).exit_code == 0
    for name, bytes_ in made.items():
        assert (tmp_path / "out" / name).read_bytes() == bytes_, name


def test_a_file_that_cannot_grow_leaves_no_part(own, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        result = importing(own)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(result, "out: could not be written")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
