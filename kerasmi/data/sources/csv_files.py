"""CSV files, plain or gzipped: columns by name, all read as text."""

import contextlib
import csv
import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from kerasmi import told
from kerasmi.errors import DataError
from kerasmi.reporter import counted

LONGEST_LINE = 1 << 20  # characters; the longest report has some 10,000
ROW = "row"

# What to do where a column lacks: of a release, and of a user's own file.
PUBLISHED = "Give the file as published."
OWN = "Add that column, or rename the one that holds it."

# Our name to the names accepted.
Columns = dict[str, tuple[str, ...]]


def header(file: Path) -> list[str]:
    """Returns the column names of a CSV.

    Raises:
        DataError: The file cannot be read, is empty or is no UTF-8 text.
    """
    with _reading(file):
        return next(_rows(file))[1]


def match(
    file: Path, columns: Columns, optional: Columns, remedy: str = PUBLISHED
) -> dict[str, str]:
    """Finds columns by name, in whatever order they stand.

    Args:
        file: A CSV.
        columns: Our name to the names accepted, one of which must be there.
        optional: Likewise, but may be absent.
        remedy: What to do where a column lacks.

    Returns:
        The file's name to ours.

    Raises:
        DataError: Names the column that lacks, or that is there twice.
    """
    there = header(file)
    found = {}
    for ours, theirs in (*columns.items(), *optional.items()):
        hits = [name for name in there if name in theirs]
        if len(hits) > 1:
            raise DataError(
                f"{file} has the columns {' and '.join(hits)}, which mean the "
                "same; keep one."
            )
        if hits:
            found[hits[0]] = ours
        elif ours in columns:
            raise DataError(
                f"{file} has no column {' or '.join(map(repr, theirs))}; it "
                f"has {told.columns(there)}. {remedy}"
            )
    return found


def read(
    file: Path,
    columns: Columns,
    optional: Columns | None = None,
    remedy: str = PUBLISHED,
) -> pd.DataFrame:
    """Reads columns of a CSV, all as text, empty where nothing stands.

    Args:
        file: A CSV, gzipped where its name ends in `.gz`.
        columns: See `match`.
        optional: See `match`; absent ones are empty.
        remedy: See `match`.

    Returns:
        The columns under our names, and `ROW`, counted with the header as 1.

    Raises:
        DataError: Names the file and what is wrong with it.
    """
    parts = list(chunks(file, columns, optional, remedy=remedy))
    if not parts:
        names = [*columns, *(optional or ()), ROW]
        return pd.DataFrame({name: [] for name in names}, dtype=str)
    return pd.concat(parts, ignore_index=True)


def chunks(
    file: Path,
    columns: Columns,
    optional: Columns | None = None,
    size: int = 20_000,
    remedy: str = PUBLISHED,
) -> Iterator[pd.DataFrame]:
    """Reads a CSV as `read` does, some rows at a time.

    Args:
        file: See `read`.
        columns: See `read`.
        optional: See `read`.
        size: Rows at a time.
        remedy: See `match`.
    """
    optional = optional or {}
    names = match(file, columns, optional, remedy)
    with _reading(file):
        rows = _rows(file)
        _, there = next(rows)
        places = {ours: there.index(name) for name, ours in names.items()}
        while part := list(itertools.islice(rows, size)):
            cells = {
                ours: [fields[place] for _, fields in part]
                for ours, place in places.items()
            }
            empty = dict.fromkeys(optional.keys() - cells.keys(), "")
            numbers = [number for number, _ in part]
            yield pd.DataFrame({**cells, ROW: numbers}).assign(**empty)


def text_lines(file: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 text file, gzipped or not, each bounded.

    Raises:
        DataError: The file cannot be read, or a line is too long.
    """
    with _reading(file), _text(file) as stream:
        while line := stream.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise DataError(
                    f"{file} has a line of more than {LONGEST_LINE:,} "
                    "characters; it is damaged or no such file."
                )
            if "\0" in line:
                raise DataError(
                    f"{file} is no CSV or JSON: it holds NUL characters."
                )
            yield line


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields number and fields of the rows, the names first; none is blank."""
    # strict: else a quote left open would swallow rows unnoticed.
    reader = csv.reader(text_lines(file), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if not any(names):
            raise DataError(
                f"{file} is empty or no CSV: it has no header; its first line"
                " names the columns."
            )
        yield 1, names
        for number, fields in enumerate(reader, 2):
            if fields and len(fields) != len(names):
                raise DataError(
                    f"{file} is no CSV: row {number} has "
                    f"{counted(len(fields), 'field')} where the header "
                    f"has {len(names)}; it is cut off or damaged."
                )
            if fields:
                yield number, fields
    except csv.Error as error:
        raise DataError(
            f"{file} is no CSV: line {reader.line_num}: {error}; is a quote "
            "left open?"
        ) from error


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turns what reading may raise into an error that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 (byte {error.start} of a block); save it "
            "as UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{file} cannot be read: {reason}; give a whole file."
        ) from error


def _text(file: Path) -> IO[str]:
    opened: Any = gzip.open if file.suffix == ".gz" else open
    return opened(file, "rt", encoding="utf-8-sig", newline="")
