"""What messages repeat of a user's tables: no report, no person's id.

A cell that may be either is told by its length. Which it is, is judged by how
it looks: a person whose id is a name without digits cannot be told from a word.
"""

import re
from collections.abc import Sequence

from kerasmi.reporter import counted

_LONGEST = 50  # characters of a word or of a column's name
_MOST_WORDS = 3
# No full stop and no comma: files and sentences have them, names hardly.
_NAME = re.compile(r"[\w /#()\[\]:%-]*")
_SEPARATORS = re.compile(r"[;|\t]|,(?! )")


def length(text: str) -> str:
    """A text that is not repeated, such as `a text of 9 characters`."""
    return f"a text of {counted(len(text), 'character')}"


def cell(text: str) -> str:
    """A cell where an image or its id is due: a word, whatever it is."""
    return repr(text) if _is_word(text) else length(text)


def word(text: str) -> str:
    """A cell where a word or a number is due: a word that is like no id."""
    short = len(text) <= _LONGEST and not _is_id(text)
    return cell(text) if short else length(text)


def column(name: str) -> str:
    """The name of a column, unless it looks like a cell."""
    return repr(name) if are_names([name]) else length(name)


def columns(names: Sequence[str]) -> str:
    """The names of a file's columns; their number if one looks like a cell."""
    if are_names(names):
        return ", ".join(names)
    return (
        f"{counted(len(names), 'column')}, whose names look like the cells of "
        "a row; if no line names the columns, put one first"
    )


def are_names(names: Sequence[str]) -> bool:
    """Whether all look like names of columns: short, no ids, no sentences.

    One that does not may be of the first row, in a file without names; then
    its neighbours are cells too, however they look.
    """
    # Read by another separator, a line of names is one cell.
    parts = (part for name in names for part in _SEPARATORS.split(name))
    return all(map(_is_name, parts))


def _is_name(text: str) -> bool:
    few = len(text) <= _LONGEST and len(text.split()) <= _MOST_WORDS
    return few and bool(_NAME.fullmatch(text)) and not _is_id(text)


def _is_word(text: str) -> bool:
    # A comma without quotes puts words into the columns beside it.
    return len(text.split()) <= 1


def _is_id(text: str) -> bool:
    """Whether digits are a quarter of it: so of p10000032, not of sha256."""
    digits = sum(map(str.isdigit, text))
    return text.isdigit() or (digits > 1 and 4 * digits >= len(text))
