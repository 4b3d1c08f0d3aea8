"""Reports of Open-i: one XML file each, or rows of a CSV."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kerasmi.data.sources import csv_files, open_i_files
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import ROW, Columns
from kerasmi.errors import DataError
from kerasmi.reporter import counted

SECTIONS = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
# Any declaration but comments and CDATA could define entities.
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
# the ampersand last, so that nothing is decoded twice
_CHARACTERS = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
# of one report the first half, "[Clear lungs>]", lacks its sign
_FRAME = re.compile(r"\[<|\[(?=[^\[\]<>]*>\])|>\]")
_LINE_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_REPORTS: Columns = {
    "uid": ("uid",),
    "terms": ("MeSH",),
    "findings": ("findings",),
    "impression": ("impression",),
}
_PROJECTIONS: Columns = {"uid": ("uid",), "filename": ("filename",)}


class BadReportError(Exception):
    """A file that is no report of Open-i; says why."""


@dataclass(frozen=True)
class Report:
    """A report, which is also a study and a subject.

    Attributes:
        uid: Its name, `CXR1`.
        images: The names of its images.
        sections: Label to text, empty ones too.
        terms: The indexers' MeSH terms.
        origin: Where it stands, for messages.
    """

    uid: str
    images: tuple[str, ...]
    sections: dict[str, str]
    terms: tuple[str, ...]
    origin: str = ""

    def text(self, label: str) -> str:
        """Returns a section, empty where there is none."""
        return self.sections.get(label, "")


def parse(content: bytes, origin: str = "") -> Report:
    """Reads a report.

    No entity is expanded and nothing outside is read: a file with a document
    type is refused before it is parsed.

    Args:
        content: An XML file in UTF-8.
        origin: Where it stands, for messages.

    Raises:
        BadReportError: Says what was expected and what was found.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadReportError(f"is not UTF-8 at byte {error.start}") from error
    if _DECLARATION.search(text):
        raise BadReportError("declares a document type or entities")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise BadReportError(f"is no XML: {error}") from error
    uids = [element.get("id", "").strip() for element in root.iter("uId")]
    if len(uids) != 1 or not uids[0]:
        raise BadReportError(f"expected one uId with an id, found {len(uids)}")
    return Report(
        uid=uids[0],
        images=tuple(e.get("id", "").strip() for e in root.iter("parentImage")),
        sections=_sections(root),
        terms=tuple(map(_text, root.iterfind(".//MeSH/major"))),
        origin=origin,
    )


def from_xml(place: Path, audit: Audit) -> Iterator[Report]:
    """Yields the reports of a folder or an archive of XML files.

    Args:
        place: See `open_i_files.xml_files`.
        audit: Told of the files refused.
    """
    for name, content in open_i_files.xml_files(place, audit):
        origin = f"{place.name}:{name}"
        audit.count("report files")
        try:
            if isinstance(content, open_i_files.TooLargeError):
                raise BadReportError(f"{content} bytes")
            yield parse(content, origin)
        except BadReportError as error:
            audit.removed("unreadable report", origin, str(error))


def from_csv(file: Path, projections: Path, audit: Audit) -> Iterator[Report]:
    """Yields the reports of the two-CSV form.

    Args:
        file: `indiana_reports.csv`.
        projections: `indiana_projections.csv`, which names the images.
        audit: Told of images without a report.

    Raises:
        DataError: A column lacks.
    """
    rows = csv_files.read(projections, _PROJECTIONS)
    images: dict[str, list[str]] = {}
    for row in rows.itertuples():
        images.setdefault(row.uid.strip(), []).append(row.filename.strip())
    for part in csv_files.chunks(file, _REPORTS):
        for row in part.itertuples():
            uid, origin = row.uid.strip(), f"{file.name}:{getattr(row, ROW)}"
            audit.count("report rows")
            if not uid:
                audit.removed("unreadable report", origin, "has no uid")
                continue
            yield Report(
                uid=_cxr(uid),
                images=tuple(map(_image_id, images.pop(uid, ()))),
                sections={
                    "FINDINGS": plain(row.findings),
                    "IMPRESSION": plain(row.impression),
                },
                terms=tuple(row.terms.split(";")),
                origin=origin,
            )
    for names in images.values():
        audit.count("images without a report", len(names))


def once(reports: Iterator[Report], audit: Audit) -> Iterator[Report]:
    """Passes on the first report of each name and counts the sections.

    Args:
        reports: Any.
        audit: Told of the others, and how many reports have what.

    Raises:
        DataError: There is no report at all.
    """
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    for report in reports:
        if report.uid in seen:
            audit.removed(
                "report given twice",
                report.origin,
                "one of the same number came before",
            )
            continue
        seen.add(report.uid)
        counts.update(_kinds(report))
        yield report
    if not seen:
        raise DataError(
            "no report was found: expected XML files such as "
            "ecgen-radiology/1.xml, or rows of indiana_reports.csv."
        )
    for kind in sorted(counts):
        audit.count(kind, counts[kind])


def _kinds(report: Report) -> Iterator[str]:
    findings, impression = report.text("FINDINGS"), report.text("IMPRESSION")
    if findings and impression:
        yield "reports with findings and impression"
    elif findings or impression:
        yield f"reports with {'findings' if findings else 'impression'} only"
    else:
        yield "reports with neither findings nor impression"
    yield f"reports with {counted(len(report.images), 'image')}"
    for label in report.sections:
        if label not in SECTIONS:
            yield "sections under another name, not read"


def _sections(root: ET.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in root.iter("AbstractText"):
        label = element.get("Label", "").strip().upper()
        before, text = found.get(label, ""), _text(element)
        found[label] = "\n\n".join(filter(None, (before, text)))
    return found


def plain(text: str) -> str:
    """A text without the markup that a few reports kept.

    `&lt;`, `&gt;` and `&amp;` are characters, `<BR>` is a line end, and
    `[<` and `>]`, which frame the text of a template, are left out.
    """
    for mark, character in _CHARACTERS:
        text = text.replace(mark, character)
    return _LINE_BREAK.sub("\n", _FRAME.sub("", text)).strip()


def _text(element: ET.Element) -> str:
    return plain("".join(element.itertext()))


def _cxr(uid: str) -> str:
    return uid if uid.startswith("CXR") else f"CXR{uid}"


def _image_id(filename: str) -> str:
    return _cxr(open_i_files.image_key(filename))
