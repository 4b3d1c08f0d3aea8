"""Sentences of a report: no number broken, no word lost.

What ends a sentence is decided mark by mark, since in reports most full
stops after a digit are decimals or list numbers. Only three things are left
out: list marks (`1.`, `(2)`, `a.`, `II.`, `-`), the headings of what was
found (`FINDINGS:`) and those over nothing, and what holds neither a letter
nor a digit. Other headings stay: `HISTORY: Pneumothorax.` is no finding.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase

MAX_SENTENCES = 32
# What an import accepts in place of `split`.
Splitter = Callable[[str], list[str]]

# Headings over what was found: left out.
_TELLING = (
    r"(?:FINDINGS?(?: ?(?:/|AND) ?IMPRESSIONS?)?|IMPRESSIONS?|CONCLUSIONS?|"
    r"RECOMMENDATION(?:S|\(S\))?|ADDENDUM|WET READ|NARRATIVE|FINAL REPORT)"
)
# Headings over what was asked, done or known before: kept.
_CONTEXT = (
    r"(?:COMPARISONS?|INDICATIONS?|TECHNIQUE|EXAMINATION|NOTIFICATION|"
    r"REASON FOR (?:THIS )?EXAM(?:INATION)?|"
    r"(?:(?:PAST|MEDICAL|CLINICAL|PATIENT) ){0,3}HISTORY)"
)
# What longer headings begin with. Any capitals would do but for reports all in
# capitals: "INDICATION: PNEUMONIA FINDINGS: CLEAR".
_QUALIFIER = (
    r"(?:(?:END|TYPE|DATE) OF|CLINICAL|PATIENT|PAST|MEDICAL|SURGICAL|FAMILY|"
    r"SOCIAL|BRIEF|RELEVANT|PERTINENT|PRIOR|PREVIOUS|REFERENCE|OTHER|"
    r"ADDITIONAL|INCIDENTAL|FINAL|OVERALL|PRELIMINARY|RADIOGRAPHIC)"
)
# Those that may be in small letters, since they begin a line or a sentence.
_KNOWN = (
    rf"(?:{_TELLING}|REPORT|(?:{_QUALIFIER} ){{0,3}}(?:{_CONTEXT}|EXAM)|"
    rf"(?:{_QUALIFIER} ){{1,3}}INFORMATION)"
)
_BULLET = r"(?:[-*•·] |[-\u2013\u2014*•·] ?(?=(?-i:[A-Z])))"
_NEWLINE = re.compile(r"\r\n?|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
# Its one group is a heading.
_BREAK = re.compile(
    r"\n(?: ?\n)+"  # a blank line
    r"|^ ?[_=*-]{3,} ?$"  # a rule, as above an addendum
    rf"|^ ?{_BULLET}"
    r"|((?:^|(?<=[.:;?!])) ?"
    rf"(?:(?=[A-Z])(?i:{_KNOWN})|(?:{_QUALIFIER} ){{1,3}}{_TELLING}) ?:"
    rf"|(?<!\w)(?:{_TELLING}|{_CONTEXT}) ?:"
    r"|^ ?FINAL REPORT ?$)",
    re.MULTILINE,
)
_LEAD = re.compile(
    rf"(?:{_BULLET}(?:\(?\d{{1,2}}[.)] (?!\d))?|({_KNOWN} ?:) ?)+",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(rf"(?:{_TELLING}|REPORT) ?:?$", re.IGNORECASE)
_HEADED = re.compile(rf"\b{_KNOWN} ?:$", re.IGNORECASE)

# Two letters in a row, other than a de-identification mark such as XXXX.
_LETTER = r"[^\W\d_]"
_WORD = re.compile(rf"(?<!{_LETTER})(?!X+(?!{_LETTER})){_LETTER}{{2}}")
# "Lungs and pleura:" at the start of a line: up to four words of no clause.
_CLAUSE = r"(?i:the|an?|is|are|was|were|as|with|following|follows)"
_NAME = rf"(?!{_CLAUSE}\b){_LETTER}{{1,20}}"
_LABEL = re.compile(
    rf"^ ?(?=[A-Z]{_LETTER}){_NAME}"
    rf"(?:(?:, ?| ?[/&] ?|-| \(?){_NAME}\)?){{0,3}} ?:",
    re.MULTILINE,
)
# After these words, or a title, a line goes on with what the next begins with.
_UNFINISHED = re.compile(
    r"\b(?:an?|and|are|as|at|by|for|from|in|is|of|on|or|than|the|to|was|were|"
    r"with|drs?\.)\s*$",
    re.IGNORECASE,
)

# 1. or 1) or (1), then a space, the end, or a word glued to it; the comma of
# a mistyped "2., " goes with its mark.
# It follows a space, or is glued to a sentence: "Clear lungs.2.Large heart."
_PLACE = r"(?:(?<!\S)|(?<=[a-z]{2}[.:;]))"
_MARK = re.compile(
    _PLACE + r"\(?(\d{1,2})([.)])(?:(?<=\.),)?(?=\s|$|[A-Z][A-Za-z])"
)
# a. or a) or (a), before a word, or a number and a word; II. and ii. likewise.
_WORD_NEXT = r"(?=\s?(?:\d[\d.]{0,5}\s?)?[^\W\d_]{2})"
_LETTERED = re.compile(_PLACE + r"(\(?)([A-Za-z])([.)])" + _WORD_NEXT)
_ROMAN = re.compile(_PLACE + r"(\(?)([IVX]{1,4}|[ivx]{1,4})([.)])" + _WORD_NEXT)
# What follows each: a mark that is not here in its turn is none.
_LETTERS = dict([*pairwise(ascii_lowercase), *pairwise(ascii_uppercase)])
_NUMERALS = "I II III IV V VI VII VIII IX X"
_NUMERAL_AFTER = dict(
    [*pairwise(_NUMERALS.split()), *pairwise(_NUMERALS.lower().split())]
)
# "of rib 2. The heart": after these words a number is no list mark.
_THINGS = (
    r"ribs?|grade|stage|level|type|zone|lobe|segment|class|lead|image|series|"
    r"view|number|day|[TLCS]"
)
_COUNTED = re.compile(
    rf"\b(?:and|or|to|of|at|by|than|vs|x|{_THINGS})$", re.IGNORECASE
)
# "tip is 4. 5 cm above": one length, but in "of rib 2. 5 mm nodule".
_LENGTH = re.compile(r"\d{1,2} ?(?:mm|cm)\b")
_SMALL_NUMBER = re.compile(r"(?<![\w.,/#-])\d{1,2}$")
_COUNTS = re.compile(
    rf"\b(?:{_THINGS}|no\.?) (?:\d{{1,2}} ?(?:,|-|and|or|to) ?)?\d{{1,2}}$",
    re.IGNORECASE,
)
# "Chest 1. No change.": a list of one under its title.
_TITLE = re.compile(r"(?:^|[.:;?!] )[A-Z][a-z]+(?: [a-z]+)?$")
_END = re.compile(
    r"(?<![.!?])([.!?]++)[\"')\]\u201d\u2019]*+"
    r"(?:(\s++)|(?=[A-Z][a-z]))"  # "clear.The heart" lacks its space
)
_ABBREVIATION = re.compile(
    r"(?<!\w)(?:[Dd]rs?|DRS?|Mrs?|Ms|[Pp]rof|St|[Vv]s|[Aa]pprox|cf|e\.g|i\.e|"
    r"[Ff]igs?|resp|incl|[RL][tT]|Pt|Bil)$"
)
_SIDE = re.compile(r"(?:^|[.!?] )[RL]$")  # "R. CP angle is blunted."
_NUMBER_SIGN = re.compile(r"(?<!\w)[Nn]o$")
_INITIAL = re.compile(r"(?<!\w)(?:Drs?|Mrs?|Ms|Prof)\.(?: ?[A-Z]\.)* ?[A-Z]$")
_DOTTED = re.compile(r"(?<!\w)(?:[A-Za-z]\.)+[A-Za-z]$")  # p.m, M.D
_LONG_WORD = re.compile(r"[^\W\d_]{4}$")
_SHORT_WORD = re.compile(r"(?:[a-z]{3}|XX)$")
_TITLE_CASE = re.compile(r"[A-Z][a-z]")
_REACH = 40  # characters looked at before a mark


def split(
    text: str, min_words: int = 1, max_sentences: int | None = MAX_SENTENCES
) -> list[str]:
    """Splits a report, or a section of one, into sentences.

    Blank lines, list marks, section headings and lines that begin with a
    label (`Lungs:`) separate; other line ends are wrapped lines. A sentence
    ends at `.`, `!` or `?` before a capital, a digit or a de-identification
    mark, and after a long word before anything; decimals, titles, `p.m.` and
    the like end none. What has no word of two letters (`5/6/2010.`) stays
    with the sentence before it. A heading that is kept stands in the first
    sentence under it. Case is kept.

    Args:
        text: Sections are best joined by a blank line.
        min_words: Shorter sentences are dropped; if all are shorter, the
            longest is kept.
        max_sentences: Later sentences are dropped; None keeps all.

    Returns:
        The sentences, each on one line; splitting one again returns it
        alone. Empty only if the text has no letter but those of headings.
    """
    if min_words < 1 or (max_sentences is not None and max_sentences < 1):
        raise ValueError(
            "min_words and max_sentences must be at least 1, received "
            f"{min_words} and {max_sentences}."
        )
    sentences = _settle(text)
    kept = [s for s in sentences if len(s.split()) >= min_words]
    kept = kept or sorted(sentences, key=len)[-1:]
    return kept[:max_sentences]


def _settle(text: str) -> list[str]:
    """Splits until every sentence, split again, stays as it is."""
    settled, todo = [], [text]
    while todo:
        text = todo.pop()
        sentences = _attach(_fragments(text))
        if sentences == [text]:
            settled.append(text)
        else:
            todo.extend(reversed(sentences))
    return settled


def _fragments(text: str) -> Iterator[str]:
    """Yields parts of sentences; a heading that is kept is in the first."""
    text = _SPACES.sub(" ", _NEWLINE.sub("\n", text))
    heading = ""
    for over, fragment in _headed(text):
        heading = heading if over is None else over
        if any(map(str.isalnum, fragment)):
            yield f"{heading} {fragment}".strip()
            heading = ""


def _headed(text: str) -> Iterator[tuple[str | None, str]]:
    """Yields the heading before a part of a sentence, and the part.

    None is no heading, an empty one is left out.
    """
    # A blank line between II. and III. ends no list.
    for whole in _counted_up(text, _ROMAN, _NUMERAL_AFTER):
        for heading, block in _blocks(whole):
            yield _kept(heading), ""
            for line in _lines(block):
                for fragment in _ends(" ".join(line.split())):
                    part = fragment.strip()
                    lead = _LEAD.match(part)
                    if lead:
                        yield _kept(lead[1]), part[lead.end() :]
                    else:
                        yield None, part


def _blocks(text: str) -> Iterator[tuple[str | None, str]]:
    """Yields what stands between breaks, each with the heading over it."""
    first, *others = _BREAK.split(text)
    yield None, first
    yield from zip(others[::2], others[1::2], strict=True)


def _kept(heading: str | None) -> str | None:
    if heading is None:
        return None
    heading = heading.strip()
    return "" if _LEFT_OUT.search(heading) else heading


def _lines(block: str) -> Iterator[str]:
    """Cuts at list marks, then before lines that begin with a label."""
    for item in _items(block):
        for part in _counted_up(item, _LETTERED, _LETTERS):
            start = 0
            for label in _LABEL.finditer(part):
                before = part[max(0, label.start() - _REACH) : label.start()]
                if not _UNFINISHED.search(before):
                    yield part[start : label.start()]
                    start = label.start()
            yield part[start:]


def _items(block: str) -> Iterator[str]:
    """Cuts at list marks and leaves them out."""
    marks = list(_MARK.finditer(block))
    # A list that starts in mid-line must go on: "1. ... 2. ...".
    twos = [mark.start() for mark in marks if mark[1] == "2"]
    last_two = twos[-1] if twos else -1
    start, previous, style = 0, 0, ""
    for mark in marks:
        number = int(mark[1])
        goes_on = previous > 0 and number == previous + 1
        begins = number == 1 and mark.start() < last_two
        follows = number == previous + 1 and style in ("", mark[2])
        if previous == 0 or number == 1:
            titled = number == 1 and _titled(block, mark.start())
            follows = begins or titled
        if _is_value(block, mark) and not (goes_on or begins):
            continue
        if _is_glued(block, mark):
            begins = begins and block[mark.start() - 1] == ":"
            if not (goes_on or begins):
                continue
        if _is_list_mark(block, mark, follows, number in (1, previous + 1)):
            yield block[start : mark.start()]
            start, previous, style = mark.end(), number, mark[2]
    yield block[start:]


def _counted_up(
    text: str, pattern: re.Pattern[str], after: Mapping[str, str]
) -> Iterator[str]:
    """Cuts at `a. ... b. ...` or `I. ... II. ...` and leaves the marks out.

    Args:
        text: May hold several such lists.
        pattern: A mark: what opens it, its letters, what closes it.
        after: Letters to those of the mark that must follow.
    """
    firsts = after.keys() - set(after.values())
    lists: list[list[re.Match[str]]] = []
    for mark in filter(lambda m: _begins(text, m), pattern.finditer(text)):
        if mark[2] in firsts:
            lists.append([mark])
        elif lists and _next(lists[-1][-1], after) == mark.groups():
            lists[-1].append(mark)
    start = 0
    for mark in (mark for marks in lists if len(marks) > 1 for mark in marks):
        yield text[start : mark.start()]
        start = mark.end()
    yield text[start:]


def _next(mark: re.Match[str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Returns what the mark after another consists of."""
    return mark[1], after.get(mark[2], ""), mark[3]


def _begins(item: str, mark: re.Match[str]) -> bool:
    """Returns whether a line or a sentence ends before a mark."""
    before = item[max(0, mark.start() - _REACH) : mark.start()]
    left = before.rstrip()
    if not left or "\n" in before[len(left) :]:
        return True
    return left[-1] in ".:;?!" and not _ABBREVIATION.search(left[:-1])


def _is_glued(block: str, mark: re.Match[str]) -> bool:
    return mark.start() > 0 and not block[mark.start() - 1].isspace()


def _is_value(block: str, mark: re.Match[str]) -> bool:
    """Returns whether a number may be a label's: "Brixia score: 12."."""
    left = block[max(0, mark.start() - _REACH) : mark.start()].rstrip()
    return left.endswith(":") and not _HEADED.search(left)


def _titled(block: str, start: int) -> bool:
    """Returns whether two words at most stand before a mark."""
    return bool(_TITLE.search(block[max(0, start - _REACH) : start].rstrip()))


def _is_list_mark(
    block: str, mark: re.Match[str], follows: bool, in_order: bool
) -> bool:
    before = block[max(0, mark.start() - _REACH) : mark.start()]
    after = block[mark.end() : mark.end() + 3].strip()
    left = before.rstrip()
    if not left or left[-1] in ".:;?!":
        if _ABBREVIATION.search(left[:-1]) or _NUMBER_SIGN.search(left[:-1]):
            return False
        # "5. 8 mm" may be a measurement, "1. 8 mm" heads a list.
        return in_order or (bool(after) and not after[0].isdigit())
    starts = after[:1].isupper() or "\n" in before[len(left) :]
    return follows and starts and not _COUNTED.search(left)


def _ends(item: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(item):
        if _is_end(item, end):
            yield item[start : end.end()]
            start = end.end()
    yield item[start:]


def _is_end(item: str, end: re.Match[str]) -> bool:
    left = item[max(0, end.start() - _REACH) : end.start()]
    right = item[end.end() : end.end() + 4]
    stop = end[1]
    if end[2] is None:
        return stop == "." and bool(_SHORT_WORD.search(left))
    if (not left or left[-1].isspace()) and not stop.startswith(".."):
        return stop == "."  # "? pneumonia" asks about what follows
    if stop == ".":
        titles = (_ABBREVIATION, _SIDE, _INITIAL)
        if any(title.search(left) for title in titles):
            return False
        if _LENGTH.match(item, end.end()) and _is_broken(left):
            return False
        if _NUMBER_SIGN.search(left) and right[:1].isdigit():
            return False
        if _DOTTED.search(left):
            return bool(_TITLE_CASE.match(right))
    first = right.lstrip("\"'([\u201c\u2018")[:1]
    if first.isupper() or first.isdigit() or first == "_":
        return True
    # Lower case: "clear. the heart" ends, "approx. the" and "and ..." do not.
    return stop in (".", "..") and bool(_LONG_WORD.search(left))


def _is_broken(left: str) -> bool:
    """Returns whether a length may go on after a stop: "4. 5 cm"."""
    return bool(_SMALL_NUMBER.search(left)) and not _COUNTS.search(left)


def _attach(fragments: Iterator[str]) -> list[str]:
    """Joins what has no word to its neighbour."""
    sentences: list[list[str]] = []
    waiting: list[str] = []
    for fragment in fragments:
        if _WORD.search(fragment):
            sentences.append([*waiting, fragment])
            waiting = []
        else:
            (sentences[-1] if sentences else waiting).append(fragment)
    if _has_letter("".join(waiting)):
        sentences.append(waiting)
    return [" ".join(sentence) for sentence in sentences]


def _has_letter(text: str) -> bool:
    return any(map(str.isalpha, text))
