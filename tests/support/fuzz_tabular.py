"""Readers of tables, reports and archives, with what they may accept."""

import csv
import gzip
import io
import json
from collections import Counter

import chexpert_files
import mimic_files
import open_i_tree
import own_tables
from fuzz_packings import in_gzip, in_tar, in_zip
from fuzz_reader import Case, Reader

from kerasmi.data.contents import Contents
from kerasmi.data.plan import Plan
from kerasmi.data.probes import ImageRefused
from kerasmi.data.register import allowed
from kerasmi.data.schema import SPLITS
from kerasmi.data.sentences import split
from kerasmi.data.sources import (
    edema_severity,
    mimic_cxr_files,
    mimic_cxr_labels,
    mimic_cxr_reports,
    open_i_files,
    open_i_reports,
    open_i_views,
)
from kerasmi.data.sources.base import Audit, Item
from kerasmi.data.sources.chexpert import CheXpert
from kerasmi.data.sources.chexpert_plus import CheXpertPlus
from kerasmi.data.sources.table import Table
from kerasmi.data.split_rules import Shares, SplitFile, export

LABELS = mimic_files.MIMIC_ORDER


class Account(Audit):
    """An audit that keeps what was refused, and holds its words to ours."""

    def __init__(self):
        self.rows = []
        super().__init__(lambda *row: self.rows.append(row))

    def check(self, *names):
        for _, key, origin, reason in self.rows:
            assert reason.strip()
            _one_line(reason)
            assert any(n in origin for n in names), f"unnamed: {key}, {origin}"


def records(content, whole=True):
    """How many rows a table has below its header, by another reader.

    Of a table that need not be whole, rows of nothing do not count.
    """
    text = content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    rows = [row for row in rows if (row if whole else "".join(row).strip())]
    if whole:
        assert {len(row) for row in rows} == {len(rows[0])}, "a short row"
    return len(rows) - 1


# === whole sources, through the import's plan ===


def planned(source, folder):
    """What an import of the source would make, and its audit."""
    plan = Plan(folder / "plan.sqlite", source.label_names)
    contents = Contents(folder / "scratch")
    try:
        for item in source.items(plan.audit):
            plan.add(item, contents, Shares())
        plan.settle(Shares())
        chunks = list(plan.chunks(100))
        refused = list(plan.refused())
    finally:
        plan.close()
        contents.close()
    return chunks, refused, plan.audit


def _one_line(reason):
    assert len(reason.splitlines()) == 1, f"several lines: {reason!r}"


def check_planned(file):
    def check(found, content):
        chunks, refused, _ = found
        for _, _, origin, reason in refused:
            assert file in origin, f"unnamed: {origin}"
            assert len(reason.splitlines()) == 1, f"several lines: {reason!r}"
        items = [
            (chunk.split, item) for chunk in chunks for item in chunk.items
        ]
        names = [item.image_id for _, item in items]
        assert len(set(names)) == len(names)
        splits = {}
        for where, item in items:
            assert splits.setdefault(item.subject_id, where) == where
            check_item(item)

    return check


def check_item(item):
    for value in (item.image_id, item.study_id, item.subject_id):
        assert value.strip() == value
        assert 0 < len(value) <= 200
        assert value.isprintable()
    assert item.split in ("", *SPLITS)
    for label, value in item.labels.items():
        assert value in allowed(label), (label, value)
    text = "\n\n".join((item.findings, item.impression, item.report))
    sentences = split(text)
    assert all(sentence.strip() for sentence in sentences)
    text.encode()


def own_table(suffix, write, packings=(), form_of=None):
    """The general door: a table with every kind of column."""

    def make(folder):
        own_tables.write_table(folder / "own", 6)
        place = folder / "own" / f"own{suffix}"
        rows = own_tables.rows(6)
        for number, row in enumerate(rows):
            row["findings"] = f"Boat {number}, level."
            row["split"] = ("train", "test")[number // 4]
            row["severity"] = number % 4
        write(place, rows)

        def read(content):
            place.write_bytes(content)
            source = Table(
                place,
                labels={"Edema": "edema", "Edema Severity": "severity"},
                views=("PA", "AP"),
            )
            return planned(source, folder)

        def check(found, content):
            check_planned(place.name)(found, content)
            chunks, refused, audit = found
            kept = sum(len(chunk.items) for chunk in chunks)
            left = sum(
                n for step, n in audit.counts.items() if step[:6] == "filter"
            )
            assert kept + len(refused) + left == audit.counts["rows read"]
            if suffix == ".csv":
                assert audit.counts["rows read"] == records(content, False)

        return Case(place.read_bytes(), read, check, (place.name,))

    return Reader(f"table {suffix}", make, packings, form_of)


def _delimited(delimiter, pack=bytes):
    def write(place, rows):
        text = io.StringIO()
        table = csv.DictWriter(text, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
        place.write_bytes(pack(text.getvalue().encode()))

    return write


def _lines(pack=bytes):
    def write(place, rows):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        place.write_bytes(pack(text.encode()))

    return write


def _parquet(place, rows):
    import pandas as pd

    pd.DataFrame(rows).astype({"edema": str}).to_parquet(place)


def release(name, file, write, source, packings=()):
    """One file of a whole release."""

    def make(folder):
        root = write(folder / "release")
        place = folder / "release" / file

        def read(content):
            place.write_bytes(content)
            return planned(source(root), folder)

        return Case(
            place.read_bytes(), read, check_planned(place.name), (place.name,)
        )

    return Reader(name, make, packings)


# === files of MIMIC-CXR ===


def mimic(name, file, read_file, check, gz=False, form_of=None):
    """One CSV, with its own function."""

    def make(folder):
        mimic_files.write_tables(folder, gz=gz)
        mimic_files.write_severity(folder, gz=gz)
        place = folder / (f"{file}.gz" if gz else file)

        def read(content):
            place.write_bytes(content)
            audit = Account()
            return read_file(place, audit), audit

        def checked(found, content):
            made, audit = found
            audit.check(place.name)
            if gz:
                content = gzip.decompress(content)
            check(made, audit, content)

        return Case(place.read_bytes(), read, checked, (place.name,))

    return Reader(name, make, (in_gzip,) if gz else (), form_of)


def check_metadata(frame, audit, content):
    twice = sum(
        n for step, n in audit.counts.items() if "written twice" in step
    )
    assert audit.counts["images in the metadata"] == records(content)
    assert len(frame) + audit.refused + twice == records(content)
    assert frame["image_id"].is_unique
    assert frame["subject_id"].str.fullmatch("[0-9]+").all()
    assert frame["study_id"].str.fullmatch("[0-9]+").all()
    assert (frame.groupby("study_id")["subject_id"].nunique() == 1).all()
    assert (frame["view"] == frame["view"].str.strip().str.upper()).all()


def check_split(split_of, audit, content):
    assert set(split_of.values()) <= set(SPLITS)
    assert all(subject.isdigit() for subject in split_of)


def check_labels(frame, audit, content):
    assert frame.index.is_unique
    assert frame.isin([-2, -1, 0, 1]).all(axis=None)
    twice = sum(
        n for step, n in audit.counts.items() if "written twice" in step
    )
    assert len(frame) + audit.refused + twice == records(content)


def check_severity(severity, audit, content):
    grades = [*severity.regex.values(), *severity.consensus.values()]
    assert set(grades) <= {0, 1, 2, 3}
    assert severity.regex.keys() == severity.regex_subjects.keys()
    taken = set(severity.regex_subjects.values())
    assert taken.isdisjoint(severity.consensus_subjects)


def sectioned(folder):
    place = folder / "mimic_cxr_sectioned.csv"
    studies = [f"s{study.number}" for study in mimic_files.STUDIES]
    with place.open("w", newline="") as stream:
        table = csv.writer(stream)
        names = "study impression findings last_paragraph comparison"
        table.writerow(names.split())
        for study in studies:
            table.writerow([study, "No boat.", "A kite,\nlevel.", "", "None."])

    def read(content):
        place.write_bytes(content)
        store = mimic_cxr_reports.SectionedReports(place)
        return [store.text("1", study[1:]) for study in studies]

    return Case(place.read_bytes(), read, check_texts, (place.name,))


def check_texts(texts, content):
    for text in texts:
        if text is not None:
            for part in (text.findings, text.impression, text.report):
                assert part == part.strip()
                assert all(s.strip() for s in split(part))


def text_of(texts, study, audit):
    try:
        return texts.of(str(study.subject), str(study.number))
    except mimic_cxr_reports.UnreadableReportError as error:
        audit.removed("report unreadable", f"s{study.number}", str(error))
    return None


def reports_zip(how):
    def make(folder):
        place = folder / "mimic-cxr-reports.zip"
        mimic_files.write_zip(place)

        def read(content):
            place.write_bytes(content)
            audit = Account()
            texts = mimic_cxr_reports.Texts(
                [mimic_cxr_reports.ZipReports(place, how)], audit
            )
            found = [
                text_of(texts, study, audit) for study in mimic_files.STUDIES
            ]
            return found, audit

        def check(found, content):
            texts, audit = found
            audit.check("s5")
            check_texts(texts, content)
            assert sum(map(bool, texts)) == audit.counts["reports from the zip"]

        return Case(place.read_bytes(), read, check, (place.name,))

    return Reader(f"reports zip, {how}", make, (in_zip,))


def report(how):
    def make(folder):
        study = mimic_files.STUDIES[0]
        place = folder / f"{study.folder}.txt"
        place.parent.mkdir(parents=True)

        def read(content):
            place.write_bytes(content)
            audit = Account()
            store = mimic_cxr_reports.TreeReports(folder, how)
            texts = mimic_cxr_reports.Texts([store], audit)
            found = text_of(texts, study, audit)
            audit.check(place.stem)
            return [found]

        whole = study.report.encode()
        return Case(whole, read, check_texts)

    return Reader(f"report .txt, {how}", make)


# === files of Open-i ===


def check_report(report, content):
    assert report.uid.strip()
    content.decode("utf-8-sig")
    for label, text in report.sections.items():
        assert label == label.strip().upper()
        assert text == text.strip()
        assert all(sentence.strip() for sentence in split(text))


def open_i_xml(folder):
    def read(content):
        try:
            return open_i_reports.parse(content, "a.tgz:1.xml")
        except open_i_reports.BadReportError as error:
            # as `from_xml` hands it to the audit
            raise ImageRefused(str(error)) from None

    return Case(open_i_tree.REPORTS["1"], read, check_report)


def open_i_archive(name, packings):
    def make(folder):
        place = folder / name
        members = {f"e/{n}.xml": x for n, x in open_i_tree.REPORTS.items()}
        if name.endswith(".zip"):
            place.write_bytes(_zip(members))
        else:
            open_i_tree.tar(place, members, "w:gz" if "gz" in name else "w")

        def read(content):
            place.write_bytes(content)
            audit = Account()
            made = list(
                open_i_reports.once(
                    open_i_reports.from_xml(place, audit), audit
                )
            )
            return made, audit

        def check(found, content):
            made, audit = found
            audit.check(name)
            assert len({report.uid for report in made}) == len(made) > 0
            bad = audit.refusals["unreadable report"]
            bad += audit.refusals["report given twice"]
            assert len(made) + bad == audit.counts["report files"]

        names = (place.name, "no report was found")
        return Case(place.read_bytes(), read, check, names)

    return Reader(f"Open-i {name}", make, packings)


def _zip(members):
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def open_i_csv(file):
    def make(folder):
        open_i_tree.write_csvs(folder)
        place = folder / file
        reports = folder / "indiana_reports.csv"
        projections = folder / "indiana_projections.csv"

        def read(content):
            place.write_bytes(content)
            audit = Account()
            views = open_i_views.read([projections])
            made = open_i_reports.from_csv(reports, projections, audit)
            return list(open_i_reports.once(made, audit)), views, audit

        def check(found, content):
            made, views, audit = found
            audit.check(reports.name, projections.name)
            assert len({report.uid for report in made}) == len(made)
            assert all(report.uid.startswith("CXR") for report in made)
            assert all(v == v.strip().upper() and v for v in views.values())
            if place == reports:
                bad = audit.refused
                assert len(made) + bad == records(content)

        names = (place.name, "no report was found")
        return Case(place.read_bytes(), read, check, names)

    return Reader(f"Open-i {file}", make)


def open_i_metadata(folder):
    open_i_tree.write_archives(folder / "a")
    place = folder / "a" / "nlmcxr_dicom_metadata.csv.gz"

    def read(content):
        place.write_bytes(content)
        return open_i_views.read([place])

    def check(views, content):
        assert all(v == v.strip().upper() and v for v in views.values())

    return Case(place.read_bytes(), read, check, (place.name,))


def image_archive(name, packings, form_of=None):
    """Images in an archive: what `Contents` and `open_i_files` list."""

    def make(folder):
        place = folder / name
        members = {f"png/{n}.png": open_i_tree.PNG for n in open_i_tree.IMAGES}
        if name.endswith(".zip"):
            place.write_bytes(_zip(members))
        else:
            open_i_tree.tar(place, members, "w:gz" if "gz" in name else "w")
        number = Counter()

        def read(content):
            number["files"] += 1
            place.write_bytes(content)
            audit = Account()
            listed = open_i_files.Images(place, audit)
            audit.check(name)
            contents = Contents(folder / f"scratch{number['files']}")
            found = {}
            try:
                for image in open_i_tree.IMAGES:
                    there = listed.find(image)
                    if there is not None:
                        item = Item(image, "s", "p", there[0], member=there[1])
                        try:
                            size, _ = contents.state(item)
                            found[image] = contents.read(item)
                            assert len(found[image]) == size
                        except ImageRefused as error:
                            _one_line(str(error))
            finally:
                contents.close()
            return found

        return Case(place.read_bytes(), read, lambda *_: None, (place.name,))

    return Reader(f"images {name}", make, packings, form_of)


# === splits ===


def split_file(hashed):
    def make(folder):
        from types import SimpleNamespace

        import pandas as pd

        subjects = [f"p{number}" for number in range(8)]
        images = pd.DataFrame(
            {
                "subject_id": subjects,
                "split": ["train", "validation", "test", "train"] * 2,
            }
        )
        place = folder / "splits.csv"
        export(SimpleNamespace(images=images), place, hashed=hashed)

        def read(content):
            place.write_bytes(content)
            rule = SplitFile(place)
            return [rule(subject) for subject in subjects]

        def check(found, content):
            assert set(found) <= {"", *SPLITS}

        return Case(place.read_bytes(), read, check, (place.name,))

    return Reader(f"split file{', hashed' if hashed else ''}", make)


def _severity(file, audit):
    return edema_severity.read(file.parent, audit)


READERS = (
    own_table(".csv", _delimited(",")),
    own_table(".tsv", _delimited("\t"), form_of="table .csv"),
    own_table(
        ".csv.gz",
        _delimited(",", gzip.compress),
        (in_gzip,),
        form_of="table .csv",
    ),
    own_table(".jsonl", _lines()),
    own_table(
        ".jsonl.gz",
        _lines(gzip.compress),
        (in_gzip,),
        form_of="table .jsonl",
    ),
    own_table(".parquet", _parquet),
    mimic(
        "mimic-cxr metadata",
        "mimic-cxr-2.0.0-metadata.csv",
        lambda file, audit: mimic_cxr_files.images(file, True, audit),
        check_metadata,
    ),
    mimic(
        "mimic-cxr metadata .gz",
        "mimic-cxr-2.0.0-metadata.csv",
        lambda file, audit: mimic_cxr_files.images(file, True, audit),
        check_metadata,
        gz=True,
        form_of="mimic-cxr metadata",
    ),
    mimic(
        "mimic-cxr split",
        "mimic-cxr-2.0.0-split.csv",
        mimic_cxr_files.official,
        check_split,
    ),
    mimic(
        "mimic-cxr chexpert labels",
        "mimic-cxr-2.0.0-chexpert.csv",
        mimic_cxr_labels.read,
        check_labels,
    ),
    mimic(
        "severity, regex",
        edema_severity.REGEX,
        _severity,
        check_severity,
    ),
    mimic(
        "severity, consensus",
        edema_severity.CONSENSUS,
        _severity,
        check_severity,
        form_of="severity, regex",
    ),
    Reader("sectioned CSV", sectioned),
    reports_zip("impression_findings"),
    report("impression_findings"),
    report("authors"),
    Reader("Open-i XML", open_i_xml),
    open_i_archive("NLMCXR_reports.tgz", (in_gzip, in_tar(":gz"))),
    open_i_archive("reports.zip", (in_zip,)),
    open_i_csv("indiana_reports.csv"),
    open_i_csv("indiana_projections.csv"),
    Reader("Open-i metadata.csv.gz", open_i_metadata, (in_gzip,)),
    image_archive("images.tar", (in_tar(":"),)),
    image_archive(
        "images.tgz",
        (in_gzip, in_tar(":gz")),
        form_of="images images.tar",
    ),
    image_archive("images.zip", (in_zip,)),
    release(
        "chexpert CSV",
        "CheXpert-v1.0-small/train.csv",
        chexpert_files.write_chexpert,
        CheXpert,
    ),
    release(
        "chexpert-plus CSV",
        "df_chexpert_plus_240401.csv",
        lambda root: chexpert_files.write_plus(root),
        CheXpertPlus,
    ),
    release(
        "chexpert-plus labels",
        "chexbert_labels/report_fixed.json",
        lambda root: chexpert_files.write_plus(root),
        CheXpertPlus,
    ),
    split_file(hashed=False),
    split_file(hashed=True),
)
