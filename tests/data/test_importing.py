import csv
import gc
import importlib.util
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import traceback
import zipfile
from pathlib import Path

import numpy as np
import own_tables
import pytest
from PIL import Image

from kerasmi.data import contents as archives
from kerasmi.data import parts, records, sentences, split_rules
from kerasmi.data.dataset import Dataset
from kerasmi.data.importing import import_items
from kerasmi.data.probes import ImageRefused
from kerasmi.data.sources.base import Item, Source
from kerasmi.data.sources.chexpert import CheXpert
from kerasmi.data.sources.chexpert_plus import CheXpertPlus
from kerasmi.data.sources.mimic_cxr import MimicCXR
from kerasmi.data.sources.open_i import OpenI
from kerasmi.data.sources.table import Table
from kerasmi.errors import DataError
from kerasmi.reporter import Reporter

LABELS = {"Edema": "edema"}
SMALL = {"image_size": 8, "records_per_shard": 4, "name": "own"}
SUPPORT = Path(__file__).parents[1] / "support"


class Folder(Source):
    """A source of one's own, with what docs/data.md asks of it."""

    name = "folder"
    label_names = ("Edema",)

    def __init__(self, folder):
        self.folder = folder

    def options(self):
        return {}

    def items(self, audit):
        for file in sorted(self.folder.glob("*.png")):
            yield Item(file.stem, file.stem, file.stem, file, report="A note.")


@pytest.fixture
def table(tmp_path):
    return own_tables.write_table(tmp_path / "own")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "made" / "records"


def load(table, out, labels=LABELS, **options):
    source = Table(table, labels=labels)
    return import_items(source, out, **{**SMALL, **options})


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def refused(folder):
    with (folder / "refused.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


class Listener(Reporter):
    def __init__(self):
        self.lines, self.totals, self.warnings = [], [], []

    def message(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.warnings.append(text)

    def start(self, stage, total, unit="step", detail="", epochs=None):
        self.totals.append(total)
        self.lines.append(detail)


# What comes out.


def test_every_row_becomes_a_record(table, out):
    made = load(table, out)
    assert Dataset.open(out, verify="hash").fingerprint == made.fingerprint
    found = {r.image_id: r for s in made.counts for r in records.read(made, s)}
    assert len(found) == 24
    for row in own_tables.rows(24):
        record = found[row["image"]]
        assert record.subject_id == row["subject"]
        assert record.view == row["view"]
        assert record.labels["Edema"] == (
            -2 if row["edema"] == "" else row["edema"]
        )
        assert record.source == "own"
    assert found["0002.png"].sentences == (
        "Lungs are clear.",
        "1.8 cm nodule on the left.",
    )
    assert found["0004.png"].sentences == ()
    # One subject, one text: one study.
    assert found["0000.png"].study_id == found["0001.png"].study_id


@pytest.mark.parametrize(
    "kind", [CheXpert, CheXpertPlus, MimicCXR, OpenI, Table]
)
def test_a_source_is_one_by_name(kind):
    assert Source in kind.__mro__


def test_a_source_without_a_publication_says_so(table, out):
    source = Table(table, labels=LABELS)
    assert source.published(load(table, out).images) is None
    assert source.split_decides_labels is False
    assert "Beside the publication" not in (out / "audit.md").read_text()


def test_pixels_are_those_of_the_file(table, out):
    made = load(table, out)
    for record in records.read(made, "train"):
        (out.parent / "one.png").write_bytes(record.image)
        ours = np.asarray(Image.open(out.parent / "one.png"))
        theirs = np.asarray(Image.open(table.parent / record.image_id))
        np.testing.assert_array_equal(ours, theirs)


def test_the_format_is_that_of_the_writer(table, out, tmp_path):
    made = load(table, out)
    again = records.write(
        (r for split in made.counts for r in records.read(made, split)),
        tmp_path / "written",
        name=made.name,
        source=made.source,
        label_names=made.label_names,
        made_by=made.made_by["options"],
        image_size=8,
        records_per_shard=4,
    )
    extra = {"audit.md", "audit.csv", "refused.csv", "image_files.json"}
    assert set(contents(out)) - set(contents(again.path)) == extra
    for name, content in contents(again.path).items():
        assert contents(out)[name] == content, name


def test_any_number_of_workers_gives_the_same_bytes(table, out, tmp_path):
    load(table, out, workers=1)
    load(table, tmp_path / "other", workers=3)
    assert contents(out) == contents(tmp_path / "other")
    assert list(out.parent.iterdir()) == [out]


def test_where_the_files_lie_does_not_matter(table, out, tmp_path):
    load(table, out)
    moved = table.parent.rename(tmp_path / "moved")
    load(moved / table.name, tmp_path / "other")
    assert contents(out) == contents(tmp_path / "other")


# Interruptions.

KILLED = """
import os, signal, sys
sys.path.insert(0, {support!r})
from kerasmi.data.importing import import_items
from kerasmi.data.sources.table import Table
from kerasmi.reporter import Reporter

class Killer(Reporter):
    done = 0
    def advance(self, steps=1, **values):
        self.done += 1
        if self.done == 11:
            os.kill(os.getpid(), signal.SIGKILL)

import_items(
    Table({table!r}, labels={labels!r}), {out!r}, reporter=Killer(), **{small!r}
)
"""


def test_a_killed_import_goes_on_to_the_same_bytes(table, out, tmp_path):
    (table.parent / "0003.png").write_bytes(b"")
    small = {**SMALL, "refuse_share": 0.1}
    code = KILLED.format(
        support=str(SUPPORT),
        table=str(table),
        labels=LABELS,
        out=str(out),
        small=small,
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    work = out.with_name("records.importing")
    kept = {f.name: f.stat().st_ino for f in work.glob("train-*.tfrecord")}
    finished = {f"{f.stem}.tfrecord" for f in work.glob("train-*.json")}
    assert len(finished) == 2
    # The third was begun: what there is of it must not be taken.
    assert len(kept) == 3
    listener = Listener()
    load(table, out, refuse_share=0.1, reporter=listener)
    assert listener.totals == [24 - 8]
    assert not work.exists()
    load(table, tmp_path / "whole", refuse_share=0.1)
    assert contents(out) == contents(tmp_path / "whole")
    assert [row["key"] for row in refused(out)] == ["0003.png"]


class StopError(Exception):
    pass


def interrupt(table, out, after=9, **options):
    class Stopper(Reporter):
        done = 0

        def advance(self, steps=1, **values):
            self.done += 1
            if self.done == after:
                raise StopError

    with pytest.raises(StopError):
        load(table, out, reporter=Stopper(), **options)


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (lambda work, table: None, 16),
        (lambda work, table: (work / "train-00000.json").write_text("{"), 20),
        (lambda work, table: (work / "train-00001.tfrecord").unlink(), 20),
        (
            lambda work, table: own_tables.picture(
                table.parent / "0000.png", 99
            ),
            20,
        ),
    ],
    ids=["nothing", "a torn index", "a lost shard", "a changed image"],
)
def test_only_what_is_whole_and_current_is_kept(table, out, spoil, left):
    everyone = {"split_rule": split_rules.Shares({"train": 1.0})}
    interrupt(table, out, **everyone)
    spoil(out.with_name("records.importing"), table)
    listener = Listener()
    load(table, out, reporter=listener, **everyone)
    assert listener.totals == [left]


@pytest.mark.parametrize(
    "options", [{"intensity": "percentile"}, {"resume": False}], ids=str
)
def test_other_options_begin_anew(table, out, options):
    interrupt(table, out)
    listener = Listener()
    load(table, out, reporter=listener, **options)
    assert listener.totals == [24]


def test_a_finished_import_is_not_made_again(table, out):
    load(table, out)
    before = out.stat().st_ino
    listener = Listener()
    load(table, out, reporter=listener)
    assert listener.totals == []
    assert out.stat().st_ino == before
    assert list(out.parent.iterdir()) == [out]


def test_a_finished_import_tells_of_images_refused_when_it_was_made(table, out):
    image = table.parent / "0005.png"
    image.write_bytes(image.read_bytes()[:60])
    load(table, out)
    listener = Listener()
    load(table, out, reporter=listener)
    (warning,) = listener.warnings
    assert warning.startswith("1 image refused when it was made is not in it")
    assert "import to a new folder" in warning


def in_zip(folder, file):
    with zipfile.ZipFile(file, "w") as archive:
        for picture in sorted(folder.glob("*.png")):
            archive.write(picture, f"files/{picture.name}")


def replaced(table):
    own_tables.picture(table.parent / "0007.png", 99)


def mended(table):
    own_tables.picture(table.parent / "0005.png", 5)


@pytest.mark.parametrize("change", [replaced, mended])
@pytest.mark.parametrize("archive", [False, True], ids=["files", "zip"])
def test_replaced_images_are_not_passed_over_in_silence(
    table, out, change, archive
):
    image = table.parent / "0005.png"
    image.write_bytes(image.read_bytes()[:60])

    def again():
        if not archive:
            return load(table, out)
        file = table.parent / "pictures.zip"
        in_zip(table.parent, file)
        names = {"image": "files/{image}", "image_id": "image"}
        source = Table(table, images=file, labels=LABELS, columns=names)
        return import_items(source, out, **SMALL)

    again()
    before = contents(out)
    change(table)
    for _ in range(2):
        with pytest.raises(
            DataError,
            match=r"shard \d+ comes out otherwise .*to another folder",
        ):
            again()
    assert contents(out) == before
    shutil.rmtree(out)
    made = again()
    work = out.with_name("records.importing")
    assert not work.exists()
    found = {r.image_id for s in made.counts for r in records.read(made, s)}
    assert ("0005.png" in found) == (change is mended)


def test_a_source_of_ones_own_gives_what_it_must(table, out):
    made = import_items(Folder(table.parent), out, **SMALL)
    assert made.source == "folder"
    assert sum(made.counts[s]["images"] for s in made.counts) == 24
    assert "Beside the publication" not in (out / "audit.md").read_text()

    class Nameless(Source):
        label_names, options, items = (), Folder.options, Folder.items

    with pytest.raises(TypeError, match=r"abstract method '?name"):
        Nameless()


@pytest.mark.parametrize("note", [None, "", "{}", "[]", '{"a": 1}'])
def test_the_same_images_of_another_time_are_compared_once(table, out, note):
    load(table, out)
    inode = out.stat().st_ino
    if note is None:
        for image in table.parent.glob("*.png"):
            os.utime(image, (1e9, 1e9))
    else:
        (out / "image_files.json").write_text(note)
    listener = Listener()
    load(table, out, reporter=listener)
    assert listener.totals == [24]
    assert any("decoded to compare" in line for line in listener.lines)
    load(table, out, reporter=listener)
    assert listener.totals == [24]
    assert listener.lines[-1] == "made before; nothing to do"
    assert out.stat().st_ino == inode
    assert list(out.parent.iterdir()) == [out]


def test_a_changed_source_does_not_replace_a_data_set(table, out):
    load(table, out)
    text = table.read_text().replace("large", "small")
    table.write_text(text)
    with pytest.raises(DataError, match="made_by differs"):
        load(table, out)
    assert Dataset.open(out, verify="hash")


def test_a_folder_of_anything_else_is_refused(table, out):
    out.mkdir(parents=True)
    (out / "thesis.tex").write_text("dear")
    with pytest.raises(DataError, match="holds no whole data set"):
        load(table, out)
    assert list(out.parent.iterdir()) == [out]


def test_a_full_disk_is_told_and_what_was_finished_is_kept(table, out):
    own_tables.picture(table.parent / "0013.png", 13, (512, 1024))
    options = {
        "image_size": 512,
        "split_rule": split_rules.Shares({"train": 1}),
    }
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Two images of 512x512 are stored in 526 KB; one is twice as wide.
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, limits[1]))
    try:
        with pytest.raises(DataError, match="could not be written") as caught:
            load(table, out, records_per_shard=2, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    work = out.with_name("records.importing")
    shards = {f.stem for f in work.glob("train-*.tfrecord")}
    assert shards == {f.stem for f in work.glob("train-*.json")}
    assert len(shards) == 6
    made = load(table, out, records_per_shard=2, **options)
    assert made.counts["train"]["images"] == 24


# Rows refused.


def test_a_broken_image_is_refused_and_counted(table, out):
    whole = (table.parent / "0005.png").read_bytes()
    (table.parent / "0005.png").write_bytes(whole[:60])
    made = load(table, out)
    (row,) = refused(out)
    assert row["key"] == "0005.png"
    assert row["origin"] == "own.csv:7"
    assert "cut off" in row["reason"]
    assert sum(c["images"] for c in made.counts.values()) == 23
    assert "| refused: image | 1 |" in (out / "audit.md").read_text()


def test_an_image_that_fails_in_the_decoder_leaves_the_others_alone(
    table, out, monkeypatch
):
    # What the look at the header passes: only the decoder finds it.
    Image.new("L", (8, 8)).save(table.parent / "0006.png")
    made = load(table, out)
    (row,) = refused(out)
    assert row["key"] == "0006.png"
    assert "same value" in row["reason"]
    for record in [r for s in made.counts for r in records.read(made, s)]:
        assert record.image_id != "0006.png"
        own = np.asarray(Image.open(table.parent / record.image_id))
        (out.parent / "one.png").write_bytes(record.image)
        found = np.asarray(Image.open(out.parent / "one.png"))
        np.testing.assert_array_equal(found, own)


def spoil(table, name):
    file = table.parent / name
    file.unlink()
    return file


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda file: None, "no such file"),
        (lambda file: file.symlink_to(file), "symbolic links"),
        (lambda file: file.mkdir(), "a folder or a device"),
        (os.mkfifo, "a folder or a device"),
        (lambda file: file.write_bytes(b""), "empty file"),
        (lambda file: file.write_text("<html>"), "HTML"),
    ],
    ids=["missing", "loop", "folder", "fifo", "empty", "html"],
)
def test_a_file_that_is_no_image_is_refused_by_name(
    table, break_it, reason, out
):
    break_it(spoil(table, "0001.png"))
    load(table, out)
    (row,) = refused(out)
    assert reason in row["reason"]


def missing(table, out, images, path):
    """What is told where one image of a table is at a path without a file."""
    made = [{**row, "id": row["image"]} for row in own_tables.rows(24)]
    for row in made:
        row["image"] = f"files/{row['image']}"
    made[3]["image"] = path
    columns = (*own_tables.COLUMNS, "id")
    own_tables.write_table(
        table.parent, columns=columns, made=made, pictures=False
    )
    source = Table(table, images=images, columns={"image_id": "id"})
    listener = Listener()
    import_items(source, out, **SMALL, reporter=listener)
    (row,) = refused(out)
    (warning, *_) = listener.warnings
    assert f"for: image file: {row['reason']}. " in warning
    return row["reason"]


def test_a_missing_image_is_told_with_the_folder_looked_in(
    table, tmp_path, out
):
    images = tmp_path / "pictures"
    shutil.copytree(table.parent, images / "files")
    where = f"below {images} (--images)"
    reason = missing(table, out, images, "Mrs Smith has a nodule.")
    assert reason == f"there is no such file {where}"
    reason = missing(table, out.with_name("again"), images, "files\\1.png")
    assert reason.startswith(f"there is no such file {where}; its path has")
    # of an absolute path the folder says nothing
    reason = missing(table, out.with_name("root"), images, "/nowhere/1.png")
    assert reason == "there is no such file"


def test_a_missing_image_is_told_with_the_archive_looked_in(
    table, tmp_path, out
):
    images = tmp_path / "own.zip"
    in_zip(table.parent, images)
    reason = missing(table, out, images, "Mrs Smith has a nodule.")
    assert reason == f"there is no such file in {images}"


def test_too_many_refused_stop_the_import_and_are_listed(table, out):
    for number in range(3):
        (table.parent / f"{number:04d}.png").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"2 of 24 rows .*8\.3%.*5\.0%"
    ) as caught:
        load(table, out)
    listed = out.with_name("records.importing") / "refused.csv"
    assert str(listed) in str(caught.value)
    assert len(refused(listed.parent)) == 2
    made = load(table, out, refuse_share=0.2)
    assert sum(c["images"] for c in made.counts.values()) == 21
    assert len(refused(out)) == 3
    assert list(out.parent.iterdir()) == [out]


def test_an_import_that_refuses_all_says_why(table, out):
    for file in table.parent.glob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match=r"24 of 24 .*no such file"):
        load(table, out)
    # also where any share may be refused
    with pytest.raises(DataError, match=r"empty.*24 of .*no such file") as all_:
        load(table, out, refuse_share=1.0)
    listed = out.with_name("records.importing") / "refused.csv"
    assert str(listed) in str(all_.value)
    assert len(refused(listed.parent)) == 24


def reason_of_many(table, out, **options):
    with pytest.raises(DataError) as caught:
        load(table, out, **options)
    return str(caught.value)


def test_many_duplicates_are_one_reason(tmp_path, out):
    made = [{**row, "image_id": row["image"]} for row in own_tables.rows(12)]
    columns = (*own_tables.COLUMNS, "image_id")
    table = own_tables.write_table(
        tmp_path / "own", made=made + made, columns=columns
    )
    message = reason_of_many(table, out)
    assert "12 of 24 rows refused" in message
    assert "; 12 of them for: duplicate: " in message
    # Row 2 for one of them, row 13 for another.
    assert "the same image_id as own.csv:N. " in message


def test_labels_in_words_are_one_reason_that_names_the_remedy(tmp_path, out):
    made = own_tables.rows(24)
    for number, row in enumerate(made):
        row["edema"] = ["no", "yes", "cannot say"][number % 3]
    table = own_tables.write_table(tmp_path / "own", made=made)
    message = reason_of_many(table, out)
    assert (
        "; 24 of them for: labels: Edema is '...', expected 1, 0, " in message
    )
    assert "--label-value" in message
    assert "refused.csv lists them all" in message
    # A label's column may by mistake be one of reports, or of people.
    assert "yes" not in message
    assert "cannot" not in message


def test_what_is_refused_is_told_with_its_reason_and_place(tmp_path, out):
    table = made_of(tmp_path, {7: {"image_id": "i2"}})
    listener = Listener()
    load(table, out, reporter=listener)
    assert "23 images planned, 1 row refused" in listener.lines
    assert listener.warnings == [
        "1 row refused, for: duplicate: the same image_id as own.csv:4. "
        f"{out / 'refused.csv'} lists it."
    ]

    again = out.with_name("again")
    table = made_of(
        tmp_path,
        {7: {"image_id": "i2"}, 9: {"image_id": "i3"}, 11: {"subject": ""}},
    )
    (table.parent / "0000.png").write_bytes(b"no image")
    load(table, again, reporter=listener, refuse_share=0.5)
    assert "21 images planned, 3 rows refused" in listener.lines
    assert listener.warnings[1:] == [
        "4 rows refused, 2 of them for: duplicate: the same image_id as "
        f"own.csv:N. {again / 'refused.csv'} lists them all."
    ]


def test_an_import_that_refuses_nothing_warns_of_nothing(table, out):
    listener = Listener()
    load(table, out, reporter=listener)
    assert "24 images planned, 0 rows refused" in listener.lines
    assert listener.warnings == []


def test_an_import_without_any_text_says_what_cannot_be_done(tmp_path, out):
    made = own_tables.rows(24)
    for row in made:
        row["text"] = ""
    table = own_tables.write_table(tmp_path / "own", made=made)
    listener = Listener()
    load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(f"{out}: no image has text, so nothing can be ")
    assert "such as image_only, work" in said
    assert "--text" in said


def test_an_import_with_one_text_does_not_say_so(tmp_path, out):
    made = own_tables.rows(24)
    for row in made[1:]:
        row["text"] = ""
    listener = Listener()
    table = own_tables.write_table(tmp_path / "own", made=made)
    load(table, out, reporter=listener)
    assert listener.warnings == []


@pytest.mark.parametrize("cell", ["nan", " None", "N/A", "<NA>", "#N/A"])
def test_a_text_that_another_program_wrote_for_nothing_is_warned_of(
    tmp_path, out, cell
):
    made = own_tables.rows(24)
    made[0]["text"] = made[3]["text"] = cell
    made[5]["text"] = "None seen."
    listener = Listener()
    table = own_tables.write_table(tmp_path / "own", made=made)
    load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(f"{out}: the text of 2 images is 'nan', 'None', ")
    assert "leave the cell empty" in said
    assert "'nan', 'None' or the like | 2 |" in (out / "audit.md").read_text()


def test_a_subject_that_another_program_wrote_for_nothing_is_warned_of(
    tmp_path, out
):
    made = own_tables.rows(24)
    for number, cell in ((0, "nan"), (3, "None"), (5, "nan"), (7, "Nan Li")):
        made[number]["subject"] = cell
    listener = Listener()
    table = own_tables.write_table(tmp_path / "own", made=made)
    load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(f"{out}: the subject of 3 images is 'nan', 'None'")
    assert "tell each image its subject" in said
    kept = "kept: subject that is 'nan', 'None' or the like | 3 |"
    assert kept in (out / "audit.md").read_text()


def made_of(tmp_path, changes):
    made = own_tables.rows(24)
    for number, change in changes.items():
        made[number] = {**made[number], **change}
    columns = (*own_tables.COLUMNS, "image_id", "study", "split")
    for number, row in enumerate(made):
        row.setdefault("image_id", f"i{number}")
        row.setdefault("study", f"s{number // 2}")
        row.setdefault("split", "")
    return own_tables.write_table(tmp_path / "own", made=made, columns=columns)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id": "i2"}, "the same image_id as own.csv:4"),
        ({"study": "s0"}, "study has images of another subject; ids of"),
        ({"subject": ""}, "subject_id is empty"),
        ({"image_id": "x" * 300}, "columns mixed up"),
        ({"image_id": "a\nb"}, "columns mixed up"),
        ({"split": "tomorrow"}, "'tomorrow' is none of"),
        ({"edema": "severe"}, "Edema is 'severe', expected"),
        ({"edema": "3"}, "Edema is 3, expected"),
        ({"image": "../0007.png"}, "leads out of its folder"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_row_is_refused_with_its_reason(tmp_path, out, change, reason):
    table = made_of(tmp_path, {7: change})
    load(table, out)
    (row,) = refused(out)
    assert row["origin"] == "own.csv:9"
    assert reason in row["reason"]


def test_nothing_that_is_told_holds_an_id_or_a_text(tmp_path, out):
    table = made_of(tmp_path, {7: {"image_id": "i2"}})
    listener = Listener()
    load(table, out, reporter=listener)
    told = "\n".join(listener.lines) + (out / "audit.md").read_text()
    for secret in ("own-", "i2", "heart", "nodule"):
        assert secret not in told


# Splits.


def test_a_subject_in_two_splits_stops_the_import(tmp_path, out):
    table = made_of(tmp_path, {0: {"split": "train"}, 1: {"split": "test"}})
    match = r"own\.csv:2 is in train, own\.csv:3 in test"
    with pytest.raises(DataError, match=match) as caught:
        load(table, out)
    assert "own-0" not in str(caught.value)
    assert list(out.parent.iterdir()) == []


def test_a_split_given_for_one_image_holds_for_its_subject(tmp_path, out):
    changes = {2 * n: {"split": "dev"} for n in range(12)}
    made = load(made_of(tmp_path, changes), out)
    assert made.counts["validation"]["images"] == 24


def test_subjects_follow_the_shares(table, out):
    shares = {"train": 0.5, "test": 0.5}
    rule = split_rules.Shares(shares, seed=3)
    made = load(table, out, split_rule=rule)
    assert set(made.counts) == {"train", "test"}
    for subject, split in zip(
        made.images["subject_id"], made.images["split"], strict=True
    ):
        assert rule(subject) == split
    assert (
        "no image is in the split 'validation'"
        in (out / "audit.md").read_text()
    )


def test_a_rule_without_effect_is_refused(tmp_path, out):
    table = made_of(tmp_path, {n: {"split": "train"} for n in range(24)})
    with pytest.raises(DataError, match="leave out the rule"):
        load(table, out, split_rule=split_rules.Shares(seed=1))


@pytest.mark.parametrize("hashed", [True, False])
def test_exported_splits_come_back(table, out, tmp_path, hashed):
    first = load(table, out, split_rule=split_rules.Shares(seed=5))
    file = tmp_path / "splits.csv"
    sha256 = split_rules.export(first, file, hashed=hashed)
    assert ("own-1" in file.read_text()) is not hashed
    rule = split_rules.SplitFile(file)
    again = load(table, tmp_path / "again", split_rule=rule)
    assert again.fingerprint == first.fingerprint
    assert again.made_by["options"]["split_rule"]["sha256"] == sha256
    # It overrides a source's own.
    text = file.read_text().replace("test", "validation")
    file.write_text(text)
    other = load(
        table, tmp_path / "other", split_rule=split_rules.SplitFile(file)
    )
    assert "test" not in other.counts


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_splits_that_cannot_be_written_are_named(table, out, tmp_path, place):
    made = load(table, out, split_rule=split_rules.Shares(seed=5))
    (tmp_path / "file").write_text("")
    words = rf"{place}/splits\.csv: cannot be written: .*; give another place"
    with pytest.raises(DataError, match=words):
        split_rules.export(made, tmp_path / place / "splits.csv")


def test_half_a_split_file_is_not_left(table, out, tmp_path, monkeypatch):
    made = load(table, out, split_rule=split_rules.Shares(seed=5))
    folder = tmp_path / "splits"
    folder.mkdir()

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(split_rules.Path, "replace", full)
    with pytest.raises(DataError, match="No space left"):
        split_rules.export(made, folder / "splits.csv")
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty or no CSV"),
        ("subject_id,set\na,train\n", "has no column 'split'"),
        ("10000032,train\n", "it has 2 columns, whose names look like"),
        ("subject_id,split\na,tune\n", "row 2: split is 'tune'"),
        ("subject_id,split\na,10000032\n", "row 2: split is a text of 8 ch"),
        ("subject_id,split\ntest,ann\n", "split and subject_id are swapped"),
        ("subject_id,split\na,train\na,test\n", "row 3: the subject is in"),
        ("subject_id,split\n,test\n", "row 2: subject_id is empty"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_split_file_is_named(tmp_path, text, message):
    file = tmp_path / "splits.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        split_rules.SplitFile(file)
    assert str(file) in str(caught.value)


def test_a_subject_that_the_split_file_lacks_is_refused(table, out, tmp_path):
    file = tmp_path / "splits.csv"
    listed = [f"own-{n},train" for n in range(11)]
    file.write_text("\n".join(["subject_id,split", *listed]))
    load(table, out, split_rule=split_rules.SplitFile(file), refuse_share=0.1)
    reasons = {row["reason"] for row in refused(out)}
    assert reasons == {"the split file does not list its subject"}
    assert len(refused(out)) == 2


# The audit.


def of_one_picture(folder, first, other):
    """A table whose images 0 and 2 are the same, of these sets."""
    table = made_of(folder, {0: {"split": first}, 2: {"split": other}})
    pictures = table.parent
    (pictures / "0002.png").write_bytes((pictures / "0000.png").read_bytes())
    return table


def test_the_audit_finds_one_picture_in_two_sets(tmp_path, out):
    table = of_one_picture(tmp_path, "train", "test")
    listener = Listener()
    load(table, out, reporter=listener)
    text = (out / "audit.md").read_text()
    assert "| images with the same pixels | 1 |" in text
    assert "| subjects | 0 |" in text
    (said,) = listener.warnings
    assert said.startswith(f"{out}: 1 picture in more than one set: ")
    assert "leaks.csv" in said
    with (out / "leaks.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [(r["picture"], r["image_id"], r["split"]) for r in found] == [
        ("1", "i0", "train"),
        ("1", "i2", "test"),
    ]


def test_the_audit_names_the_rule_that_split_the_subjects(tmp_path, table):
    load(table, tmp_path / "ruled")
    told = (tmp_path / "ruled" / "audit.md").read_text()
    assert "- options.split_rule.rule: hash of the subject\n" in told
    own = made_of(tmp_path, {n: {"split": "train"} for n in range(24)})
    load(own, tmp_path / "told")
    told = (tmp_path / "told" / "audit.md").read_text()
    assert "hash of the subject" not in told
    assert "split_rule: none: every image's set is the source's own" in told


def test_one_picture_twice_in_one_set_is_no_leak(tmp_path, out):
    table = of_one_picture(tmp_path, "train", "train")
    listener = Listener()
    load(table, out, reporter=listener)
    assert listener.warnings == []
    assert not (out / "leaks.csv").exists()


def test_a_table_that_tells_no_subject_is_warned_of(tmp_path, out):
    made = [
        {k: v for k, v in row.items() if k != "subject"}
        for row in own_tables.rows(24)
    ]
    table = own_tables.write_table(
        tmp_path / "own",
        columns=[name for name in own_tables.COLUMNS if name != "subject"],
        made=made,
    )
    listener = Listener()
    load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(f"{out}: no column tells the subject: every image ")
    assert "--subject" in said
    assert said.partition(": ")[2].rstrip(".") in (
        (out / "audit.md").read_text()
    )


def test_without_subjects_a_study_is_one_and_in_one_set(tmp_path, out):
    table = made_of(tmp_path, {})
    lines = table.read_text().replace("subject", "who", 1)
    table.write_text(lines)
    listener = Listener()
    made = load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(f"{out}: no column tells the subject: every study ")
    assert refused(out) == []
    found = [r for s in made.counts for r in records.read(made, s)]
    assert len(found) == 24
    assert all(r.subject_id == r.study_id for r in found)
    assert len({r.subject_id for r in found}) == 12


def test_the_audit_table_has_the_class_counts(table, out):
    made = load(table, out)
    with (out / "audit.csv").open(newline="") as stream:
        cells = {
            (r["table"], r["row"], r["column"]): r["value"]
            for r in csv.DictReader(stream)
        }
    for split in made.counts:
        values = made.rows(split)["Edema"]
        assert int(cells["labels", f"Edema, {split}", "1"]) == sum(values == 1)
        assert int(cells["labels", f"Edema, {split}", "blank"]) == sum(
            values == -2
        )
    assert cells["rows", "rows read", "number"] == "24"


def test_lost_characters_are_counted(tmp_path, out):
    table = made_of(tmp_path, {3: {"text": "A caf� stain. Clear."}})
    load(table, out)
    assert "U+FFFD, lost characters | 1 |" in (out / "audit.md").read_text()


# Archives.


def in_tar(folder, file, mode):
    with tarfile.open(file, mode) as archive:
        for picture in folder.glob("*.png"):
            archive.add(picture, f"./files/{picture.name}")


@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
def test_images_in_an_archive_are_those_of_the_folder(
    table, out, tmp_path, suffix
):
    file = tmp_path / f"pictures.{suffix}"
    if suffix == "zip":
        in_zip(table.parent, file)
    else:
        in_tar(table.parent, file, "w" if suffix == "tar" else "w:gz")
    plain = load(table, out)
    source = Table(
        table,
        images=file,
        labels=LABELS,
        columns={"image": "files/{image}", "image_id": "image"},
    )
    packed = import_items(source, tmp_path / "packed", **SMALL)
    images = [
        [(r.image_id, r.image) for r in records.read(made, "train")]
        for made in (plain, packed)
    ]
    assert images[0] == images[1]


def tar_headers():
    gc.collect()
    return sum(isinstance(one, tarfile.TarInfo) for one in gc.get_objects())


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("suffix", ["tar", "tgz"])
def test_of_an_archive_only_names_sizes_and_places_are_kept(
    table, tmp_path, monkeypatch, suffix, kind
):
    file, deep = tmp_path / f"pictures.{suffix}", "/".join(["folder"] * 30)
    mode = "w" if suffix == "tar" else "w:gz"
    pictures = {f"{deep}/{p.name}": p for p in table.parent.glob("*.png")}
    with tarfile.open(file, mode, format=kind) as archive:
        for name, picture in pictures.items():
            archive.add(picture, name)
    before, seen = tar_headers(), []
    write = archives._Unpacked._write

    def watched(self, *arguments):
        seen.append(tar_headers())
        write(self, *arguments)

    monkeypatch.setattr(archives._Unpacked, "_write", watched)
    reader = archives.Contents(tmp_path / "scratch")
    for name, picture in pictures.items():
        item = Item("i", "s", "p", file, member=name)
        assert reader.state(item)[0] == picture.stat().st_size
        assert reader.read(item) == picture.read_bytes()
        seen.append(tar_headers())
    reader.close()
    assert max(seen) - before < 5


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a\\..\\..\\b"])
@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
def test_an_archive_with_a_path_out_of_it_is_refused(
    table, out, tmp_path, name, suffix
):
    file = tmp_path / f"bad.{suffix}"
    picture = table.parent / "0000.png"
    if suffix == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), picture.read_bytes())
    else:
        with tarfile.open(file, "w" if suffix == "tar" else "w:gz") as archive:
            member = archive.gettarinfo(picture)
            member.name = name
            with picture.open("rb") as stream:
                archive.addfile(member, stream)
    with pytest.raises(DataError, match="leads out of the archive"):
        import_items(Table(table, images=file), out, **SMALL)
    assert not (tmp_path / "out.png").exists()


def test_a_broken_archive_is_named(table, out, tmp_path):
    file = tmp_path / "cut.zip"
    in_zip(table.parent, file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"cut\.zip: the archive cannot be"):
        import_items(Table(table, images=file), out, **SMALL)


# Sentences.


def capitals(text):
    return [text.upper()]


def words(text):
    return text


def thirty_two(text):
    return sentences.split(text)


def fails(text):
    raise RuntimeError(text)


def test_a_users_splitter_replaces_ours(table, out):
    made = load(table, out, sentences=capitals)
    found = {r.sentences for r in records.read(made, "train")}
    assert ("THE HEART IS LARGE. NO EFFUSION.",) in found
    assert made.made_by["options"]["sentences"].endswith(":capitals")


def own_splitter(folder, words, monkeypatch):
    """A function of a module in a file, as `--splitter` loads it."""
    file = folder / "own_splitter.py"
    file.write_text(f"def split(text):\n    return [{words}]\n")
    spec = importlib.util.spec_from_file_location("own_splitter", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "own_splitter", module)
    return module.split


def typed_splitter(change):
    """A function of no file, as one that is typed in a notebook."""

    def split(text):
        return [change(text)]

    split.__module__ = "typed"
    return split


def reports(made):
    read = [r for s in made.counts for r in records.read(made, s)]
    return [r.report for r in read if r.report]


def test_a_corrected_splitter_is_another_import(
    table, out, tmp_path, monkeypatch
):
    first = own_splitter(tmp_path, "text", monkeypatch)
    interrupt(table, out, sentences=first)
    assert list(out.with_name("records.importing").glob("*-*.json"))
    corrected = own_splitter(tmp_path, "text.upper()", monkeypatch)
    made = load(table, out, sentences=corrected)
    assert all(map(str.isupper, reports(made)))
    options = made.made_by["options"]
    assert options["sentences"] == "own_splitter:split"
    assert len(options["sentences_sha256"]) == 64
    listener = Listener()
    load(table, out, sentences=corrected, reporter=listener)
    assert listener.lines[-1] == "made before; nothing to do"
    first = own_splitter(tmp_path, "text", monkeypatch)
    with pytest.raises(DataError, match="made_by differs"):
        load(table, out, sentences=first)


def test_with_a_splitter_of_no_file_no_shard_is_kept(table, out):
    interrupt(table, out, sentences=typed_splitter(str))
    listener = Listener()
    splitter = typed_splitter(str.upper)
    made = load(table, out, sentences=splitter, reporter=listener)
    assert all(map(str.isupper, reports(made)))
    assert listener.totals == [24]
    (said,) = listener.warnings
    assert "typed:" in said
    assert "its code cannot be read" in said
    # One that is finished is compared.
    load(table, out, sentences=splitter, reporter=listener)
    assert listener.totals == [24, 24]
    assert any("decoded to compare" in line for line in listener.lines)
    with pytest.raises(DataError, match="or the splitter was changed, since"):
        load(table, out, sentences=typed_splitter(str))


def test_without_a_splitter_of_ones_own_no_code_is_recorded(table, out):
    options = load(table, out).made_by["options"]
    assert options["sentences"] == "kerasmi.data.sentences:split"
    assert "sentences_sha256" not in options


@pytest.mark.parametrize(
    ("splitter", "message"),
    [(words, "must return a list"), (fails, "splitter failed: RuntimeError")],
)
def test_a_wrong_splitter_is_told_without_the_text(
    table, out, splitter, message
):
    with pytest.raises(DataError, match=message) as caught:
        load(table, out, sentences=splitter)
    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value) in told
    assert "heart" not in told.lower()


def long_text(sentences):
    marks = ("alpha", "beta", "gamma", "delta", "epsilon")
    pairs = [f"{first} {last}" for first in marks for last in marks]
    words = [f"{pair} {mark}" for mark in marks for pair in pairs]
    return " ".join(f"The heart is {word}." for word in words[:sentences])


def test_sentences_that_are_left_out_are_told(tmp_path, out):
    made = own_tables.rows(24)
    for number, sentences_ in ((0, 33), (5, 40), (9, 32)):
        made[number]["text"] = long_text(sentences_)
    table = own_tables.write_table(tmp_path / "own", made=made)
    interrupt(table, out)  # what is told is of shards made before, too
    listener = Listener()
    load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(
        f"{out}: the text of 2 images has more than 32 sentences: the last, 9 "
        "in all, are left out"
    )
    assert "--splitter" in said
    text = (out / "audit.md").read_text()
    assert "| kept: text of more than 32 sentences | 2 |" in text
    assert "| left out: last sentences of these texts | 9 |" in text


def write_deep(table, numbers, bits):
    """Gives pictures of a table 16 bits, of which few are used."""
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 2**bits, (8, 8))
        pixels[0, 0] = 2**bits - 1
        deep = Image.fromarray(pixels.astype(np.uint16))
        deep.save(table.parent / f"{number:04d}.png")


def test_images_of_12_bits_kept_as_16_are_told_and_stay_as_they_are(table, out):
    write_deep(table, (0, 5), bits=12)
    write_deep(table, (9,), bits=14)
    write_deep(table, (11,), bits=15)
    interrupt(table, out)  # what is told is of shards made before, too
    listener = Listener()
    made = load(table, out, reporter=listener)
    (said,) = listener.warnings
    assert said.startswith(
        f"{out}: 3 images of 16 bits stay below a quarter of their range, so "
        "nearly black"
    )
    assert "--intensity percentile" in said
    text = (out / "audit.md").read_text()
    assert "| kept: 16 bits, below a quarter of their range | 3 |" in text
    assert said.removeprefix(f"{out}: ").removesuffix(".") in text
    found = {r.image_id: r for s in made.counts for r in records.read(made, s)}
    kept = np.asarray(Image.open(io.BytesIO(found["0005.png"].image)))
    given = np.asarray(Image.open(table.parent / "0005.png"))
    np.testing.assert_array_equal(kept, given)


def test_dark_images_given_their_own_range_are_not_told(table, out):
    write_deep(table, (0, 5), bits=12)
    listener = Listener()
    load(table, out, reporter=listener, intensity="percentile")
    assert listener.warnings == []
    assert "16 bits" not in (out / "audit.md").read_text()


def test_of_a_users_splitter_nothing_is_told_to_be_left_out(tmp_path, out):
    made = own_tables.rows(24)
    made[0]["text"] = long_text(40)
    table = own_tables.write_table(tmp_path / "own", made=made)
    listener = Listener()
    load(table, out, reporter=listener, sentences=thirty_two)
    assert listener.warnings == []


def test_sections_come_before_the_report(tmp_path, out):
    files = parts.Parts(
        tmp_path,
        label_names=(),
        image_size=8,
        split_text=sentences.split,
        target=out,
    )
    both = Item(
        "i", "s", "p", Path(), findings="Clear.", impression="No change.",
        report="All.",
    )  # fmt: skip
    assert files._sentences(both) == ("Clear.", "No change.")
    assert files._sentences(Item("i", "s", "p", Path(), report="All.")) == (
        "All.",
    )


@pytest.mark.parametrize(
    "options",
    [
        {"intensity": "bright"},
        {"image_size": 0},
        {"records_per_shard": 0},
        {"refuse_share": 2},
        {"split_rule": None, "sentences": 3},
    ],
    ids=str,
)
def test_a_wrong_option_is_a_value_error(table, out, options):
    with pytest.raises(ValueError, match=r"must be"):
        load(table, out, **options)
    assert not out.parent.exists()


# Memory.

GROWS = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {support!r})
import own_tables
from kerasmi.data.importing import import_items
from kerasmi.data.sources.table import Table

own_tables.picture("one.png", 0, (128, 128))  # noise: nothing packs it
peaks, written = [], []
for images in {sizes}:
    made = own_tables.rows(images)
    for row in made:
        row.update(image_id=row["image"], image="one.png")
    folder, columns = Path(str(images)), (*own_tables.COLUMNS, "image_id")
    table = own_tables.write_table(folder, 0, columns, made, pictures=False)
    import_items(Table(table, images="."), folder / "out", image_size=128)
    peaks.append(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    shards = folder.glob("out/*.tfrecord")
    written.append(sum(shard.stat().st_size for shard in shards))
print(json.dumps([peaks, written]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path):
    code = GROWS.format(support=str(SUPPORT), sizes=(500, 5000))
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    peaks, written = json.loads(answer.stdout.splitlines()[-1])
    (few, many), more = peaks, written[1] - written[0]
    assert more > 60e6
    # were a half of the records kept, a half of their bytes would be seen
    assert many - few < more / 2
    assert many < 1.2 * few


def test_a_refusal_is_one_of_the_users_errors():
    assert issubclass(ImageRefused, DataError)
