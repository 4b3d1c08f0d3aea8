"""Reports of MIMIC-CXR: in the zip, in a tree, or cut into sections."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kerasmi.data import reports
from kerasmi.data.archives import BROKEN, check_member, reason
from kerasmi.data.sources import csv_files
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import Columns
from kerasmi.data.sources.mimic_cxr_ids import group_folder
from kerasmi.errors import DataError

ZIP = "mimic-cxr-reports.zip"
TEXTS = ("impression_findings", "authors", "none")
LARGEST_REPORT = 1 << 20  # bytes; the longest has some 10,000
_SECTIONS: Columns = {
    "study_id": ("study", "study_id"),
    "findings": ("findings",),
    "impression": ("impression",),
}
_OTHER: Columns = {
    "last_paragraph": ("last_paragraph",),
    "comparison": ("comparison",),
}
_REPEATS = "reports of several findings or impressions: the last of each taken"
_MEMBER = re.compile(r"(.*/|)p\d\d/p\d{8}/s\d{8}\.txt", re.DOTALL)


class UnreadableReportError(Exception):
    """A report that is there but cannot be read; says why."""


@dataclass(frozen=True)
class Text:
    """What of a report goes into an item.

    Attributes:
        findings: The findings section.
        impression: The impression section.
        report: Text used where there is neither.
        repeats: See `reports.repeats`; False where it cannot be told.
    """

    findings: str = ""
    impression: str = ""
    report: str = ""
    repeats: bool = False

    def __bool__(self) -> bool:
        return bool(self.findings or self.impression or self.report)


class Store(Protocol):
    """A place that has reports."""

    kind: str

    def text(self, subject_id: str, study_id: str) -> Text | None:
        """Returns a study's text, or None where it has no such study.

        Raises:
            UnreadableReportError: The report is there but damaged.
        """


class ZipReports:
    """Reports in `mimic-cxr-reports.zip`, read without unpacking it."""

    kind = "zip"

    def __init__(self, file: Path, how: str):
        """Opens the archive.

        Args:
            file: The zip.
            how: One of `TEXTS`.

        Raises:
            DataError: No zip, without reports, or with a member whose name
                leads out of the archive.
        """
        self._how = how
        try:
            self._zip = zipfile.ZipFile(file)
        except BROKEN as error:
            raise DataError(
                f"{file} is no zip archive ({reason(error)}); download it "
                "again."
            ) from error
        names = self._zip.namelist()
        for name in names:
            check_member(file, name)
        matches = (_MEMBER.fullmatch(name) for name in names)
        first = next((match for match in matches if match), None)
        if first is None:
            raise DataError(
                f"{file} has no report (files/p10/p10000032/s50414267.txt); "
                f"expected the published {ZIP}."
            )
        self._prefix = first.group(1)

    def text(self, subject_id: str, study_id: str) -> Text | None:
        """See `Store`."""
        name = f"{self._prefix}{group_folder(subject_id)}/s{study_id}.txt"
        try:
            with self._zip.open(name) as stream:
                content = stream.read(LARGEST_REPORT + 1)
        except KeyError:
            return None
        except BROKEN as error:
            # its name holds the subject's id
            raise UnreadableReportError(reason(error)) from error
        return cut(_decode(content), self._how)


class TreeReports:
    """Reports as files, beside the study's folder or in it."""

    kind = "tree"

    def __init__(self, folder: Path, how: str):
        """Reads below a folder.

        Args:
            folder: Has the folders `p10` to `p19`.
            how: One of `TEXTS`.
        """
        self._folder = folder
        self._how = how

    def text(self, subject_id: str, study_id: str) -> Text | None:
        """See `Store`."""
        study = self._folder / group_folder(subject_id) / f"s{study_id}"
        for file in (study.with_suffix(".txt"), study / f"s{study_id}.txt"):
            try:
                with file.open("rb") as stream:
                    content = stream.read(LARGEST_REPORT + 1)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                reason = f"{file.name}: {error.strerror}"
                raise UnreadableReportError(reason) from error
            return cut(_decode(content), self._how)
        return None


class SectionedReports:
    """Reports that were cut into sections by the MIT-LCP scripts."""

    kind = "sectioned CSV"

    def __init__(self, file: Path):
        """Takes the CSV; reads it on first use.

        Args:
            file: `mimic_cxr_sectioned.csv`.

        Raises:
            DataError: Names the column that lacks.
        """
        self._file = file
        self._texts: dict[str, Text] | None = None
        csv_files.match(file, _SECTIONS, _OTHER)

    def text(self, subject_id: str, study_id: str) -> Text | None:
        """See `Store`."""
        if self._texts is None:
            self._texts = dict(self._read())
        return self._texts.get(study_id)

    def _read(self) -> Iterator[tuple[str, Text]]:
        for part in csv_files.chunks(self._file, _SECTIONS, _OTHER):
            part = part[list(_SECTIONS | _OTHER)].apply(
                lambda column: column.str.strip()
            )
            for row in part.itertuples():
                other = row.last_paragraph or row.comparison
                if row.findings or row.impression:
                    other = ""
                yield (
                    row.study_id.removeprefix("s"),
                    Text(row.findings, row.impression, other),
                )


def cut(text: str, how: str) -> Text:
    """Takes from a report what an item needs.

    Args:
        text: The whole report.
        how: `"impression_findings"`: these two sections, or
            `reports.other_text` where there is neither; `"authors"`:
            `reports.final_report`.

    Returns:
        The text; empty where no usable section is found.
    """
    if how == "authors":
        return Text(report=reports.final_report(text))
    findings, impression = reports.findings_impression(text)
    other, repeats = reports.other_text(text), reports.repeats(text)
    return Text(findings, impression, other, repeats)


class Texts:
    """Texts of the studies, each read once for its images in a row."""

    def __init__(self, stores: Sequence[Store], audit: Audit):
        self._stores = stores
        self._audit = audit
        self._study = ""
        self._text = Text()
        self._fault = ""

    def of(self, subject_id: str, study_id: str) -> Text:
        """Returns a study's text, empty where it has none.

        Raises:
            UnreadableReportError: It has a report, and no place gives it
                whole; for every image of the study anew.
        """
        if study_id != self._study:
            self._study = study_id
            self._text, self._fault = self._ask(subject_id, study_id)
        if self._fault:
            raise UnreadableReportError(self._fault)
        return self._text

    def _ask(self, subject_id: str, study_id: str) -> tuple[Text, str]:
        """Returns a study's text, and why it cannot be read."""
        there = False
        damaged: list[tuple[str, str]] = []
        for store in self._stores:
            try:
                text = store.text(subject_id, study_id)
            except UnreadableReportError as error:
                damaged.append((store.kind, str(error)))
                continue
            there |= text is not None
            if text:
                for kind, _ in damaged:
                    self._audit.count(
                        f"reports unreadable in the {kind}, taken elsewhere"
                    )
                self._audit.count(f"reports from the {store.kind}")
                if text.repeats:
                    self._audit.count(_REPEATS)
                return text, ""
        if damaged:
            return Text(), damaged[0][1]
        if there:
            self._audit.count("reports without a usable section")
        elif self._stores:
            self._audit.count("studies without report")
        return Text(), ""


def _decode(content: bytes) -> str:
    if len(content) > LARGEST_REPORT:
        raise UnreadableReportError(
            f"report of more than {LARGEST_REPORT:,} bytes"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableReportError(
            f"report is not UTF-8 (byte {error.start})"
        ) from error
