"""Sections of a MIMIC-CXR report: as its publishers cut them, and as the
paper's authors did.

`sections` behaves as the section parser that MIT-LCP published with the data
(github.com/MIT-LCP/mimic-cxr, `txt/`), which also made the text that its
labels were read from; `final_report` follows the authors of the paper
(github.com/RayRuizhiLiao/joint_chestxray). Both written anew.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PREAMBLE = "preamble"
FULL_REPORT = "full report"
LAST_PARAGRAPH = "last_paragraph"
# Where the finding of a report stands, best first.
TELLING = ("impression", "findings", LAST_PARAGRAPH, "comparison")
FINAL = ("finding", "impression", "conclusion", "recommendation")

_HEADING = re.compile(r"\n ([A-Z ()/,-]+):\s")
_BLANK = "\n \n"
_EMPTY = re.compile(r"(?<=\n)(?=\n)")  # a line whose one space was lost
# A name to what else the reports of MIMIC-CXR call it.
_ALIASES = {
    "impression": (
        "conclusion|findings and impression|findings/impression|"
        "findings/ impression|ndication|impresson|imprression|imoression|"
        "impressoin|imprssion|impresion|imperssion|mpression|impession"
    ),
    "findings": (
        "finding|findins|findindgs|findgings|findngs|findnings|finidngs|"
        "reference findings|chest, two views"
    ),
    "indication": (
        "clinical indication|idication|reason for exam|reason for examination"
    ),
    "history": ("clinical history|clinical information|patient history|pfi"),
    "comparison": (
        "comparisons|comparison exam|comparison film|reference exam|"
        "comparision|comparisions|comparsion|comparrison"
    ),
    "examination": "exam|type of examination",
    "recommendations": "recommendation|recommendation(s)",
    "wet read": "wetread",
}
_NAMES = {
    alias: name
    for name, aliases in _ALIASES.items()
    for alias in aliases.split("|")
}
# Any other heading that holds one of these words is named after it.
_MAIN = ("impression", "findings", "history", "comparison", "addendum")
# A heading that says which images were taken stands over the findings.
_VIEWS = re.compile(
    "chest|portable|ribs|bone window|frontal and|"
    "(?:pa|ap) and lateral|lateral and (?:pa|ap)|pa and lat|"
    "two views|one view|(?:frontal|pa|ap|lateral) view|"
    "frontal (?:semi-)?upright"
)


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        name: Its heading's usual name, in lower case.
        text: What stands under the heading, as it was written.
    """

    name: str
    text: str


def parse(text: str) -> list[Section]:
    """Cuts a report of MIMIC-CXR at its headings.

    A heading is capitals and a colon at the start of an indented line: not
    on the first line, nor on the line where another heading stands. Empty
    findings and impressions are left out, so that a title over nothing
    (`CHEST, PA LATERAL:`) is no section. With neither, the text after the
    first blank line of the last section becomes the `last_paragraph`.

    Args:
        text: As in the file. The publishers' parser relies on the one space
            that every line begins with. In copies that lost it, it is put
            back: in an empty line always, in others where most lack it.

    Returns:
        The sections in order: `preamble` first, or `full report` alone where
        there is no heading. A name may come twice.
    """
    parts = [
        section
        for section in _cut(_indented(text))
        if section.text.strip() or section.name not in TELLING[:2]
    ]
    if not {"impression", "findings"} & {part.name for part in parts}:
        first, blank, rest = parts[-1].text.partition(_BLANK)
        if blank:
            parts[-1] = Section(parts[-1].name, first)
            parts.append(Section(LAST_PARAGRAPH, rest))
    return parts


def sections(text: str) -> dict[str, str]:
    """Returns the sections of a report by name; see `parse`.

    Of two sections with one name the last counts.

    Args:
        text: As in the file.

    Returns:
        Name to text, without the spaces around it.
    """
    return {part.name: part.text.strip() for part in parse(text)}


def repeats(text: str) -> bool:
    """Returns whether findings or impressions came before those that count.

    The publishers take the last of each, as `sections` does.
    """
    names = [part.name for part in parse(text)]
    return any(names.count(name) > 1 for name in TELLING[:2])


def findings_impression(text: str) -> tuple[str, str]:
    """Returns both sections of a report, empty where it has none."""
    found = sections(text)
    return found.get("findings", ""), found.get("impression", "")


def labelled_text(text: str, rule: str | Sequence[int] | None = None) -> str:
    """Returns the text that the labels of MIMIC-CXR were read from.

    The impression, else the findings, else the last paragraph, else the
    comparison.

    Args:
        text: As in the file.
        rule: For reports that were read by hand: the name of the section, or
            the first character and the one after the last.

    Returns:
        The text; empty where there is none of these.

    Raises:
        ValueError: The report has not the section that the rule names.
    """
    if rule is not None and not isinstance(rule, str):
        first, last = rule
        return text[first:last]
    found = sections(text)
    if rule is None:
        return next((found[name] for name in TELLING if name in found), "")
    if rule not in found:
        raise ValueError(
            f"expected a section {rule!r}, the report has {list(found)}."
        )
    return found[rule]


def other_text(text: str) -> str:
    """Returns the text to use where there is neither usual section.

    Args:
        text: As in the file.

    Returns:
        The last paragraph, else the comparison, else the whole report if no
        heading was found; empty if findings or impression are there.
    """
    found = sections(text)
    if "findings" in found or "impression" in found:
        return ""
    names = (*TELLING[2:], FULL_REPORT)
    return next((found[name] for name in names if found.get(name)), "")


# --- as the paper's authors did

_FINAL_REPORT = re.compile(r"^[ \t]*FINAL REPORT.*$", re.MULTILINE)
_LINE_HEADING = re.compile(r"([A-Za-z]+(?:(?: |/)[A-Za-z]+)*(?:\(S\))?) ?:")
_TELLING_HEADING = re.compile(
    r"(?:^|(?<=[._]) ?)([A-Z/ ]*(?:FINDING|IMPRESSION|CONCLUSION|"
    r"RECOMMENDATION)(?:S|\(S\))?) ?:"
)
_MARK = re.compile("_+")


def final_report(text: str) -> str:
    """Returns the text that the paper's authors read.

    What stands after the line `FINAL REPORT`, without de-identification
    marks; of it the sections named after findings, impression, conclusion
    and recommendation, one after the other in this order. Those of one name
    stay in the report's order. The authors' rules for single reports are
    left out.

    Args:
        text: As in the file.

    Returns:
        One line; the whole final report where it has none of these sections,
        empty where there is no final report.
    """
    # Their parser met the title anew at each addendum: the first one counts.
    title = _FINAL_REPORT.search(text)
    if title is None:
        return ""
    parts = _final_sections(_FINAL_REPORT.sub("", text[title.end() :]))
    # A text under two of the names (FINDINGS/IMPRESSION) is taken once.
    ranked = {
        index: words
        for key in FINAL
        for index, (name, words) in enumerate(parts)
        if key in name.lower()
    }
    chosen = list(ranked.values()) or [
        f"{n}: {w}" if n else w for n, w in parts
    ]
    return " ".join(" ".join(chosen).split())


def _final_sections(text: str) -> list[tuple[str, str]]:
    """Cuts at the headings of lines, and at telling ones within a line."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        line = " ".join(line.split())
        heading = _LINE_HEADING.match(line)
        if heading:
            parts.append((heading[1], []))
            line = line[heading.end() :].strip()
        # With one group, split gives text, name, text, name, text, ...
        first, *more = _TELLING_HEADING.split(line)
        parts[-1][1].append(first)
        names, texts = more[::2], more[1::2]
        for name, words in zip(names, texts, strict=True):
            parts.append((name.strip(), [words]))
    joined = [(name, _MARK.sub(" ", " ".join(w)).strip()) for name, w in parts]
    return [part for part in joined if part[1]]


def _indented(text: str) -> str:
    """Puts back the space of empty lines, and of all where most lost it."""
    first, *others = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # A title in the middle of its line is so in a copy without the space, too.
    kept = [line.startswith((" ", "\t")) for line in others if line.strip()]
    if 2 * sum(kept) < len(kept):
        others = [f" {line}" if line.strip() else " " for line in others]
    return _EMPTY.sub(" ", "\n".join([first, *others]))


def _cut(text: str) -> list[Section]:
    headings = _headings(text)
    if not headings:
        return [Section(FULL_REPORT, text)]
    parts = [Section(PREAMBLE, text[: headings[0].start(1)])]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        parts.append(Section(_usual(heading[1]), text[heading.end() : end]))
    return parts


def _headings(text: str) -> list[re.Match[str]]:
    found = []
    heading = _HEADING.search(text)
    while heading:
        found.append(heading)
        # The rest of a heading's line holds no other heading.
        line = text.find("\n", heading.end())
        heading = _HEADING.search(text, max(line, heading.end()))
    return found


def _usual(heading: str) -> str:
    name = heading.lower().strip()
    if name in _NAMES:
        return _NAMES[name]
    for main in _MAIN:
        if main in name:
            return main
    return "findings" if _VIEWS.search(name) else name
