"""Rows of a CSV, TSV, JSON Lines or Parquet file, one at a time."""

import contextlib
import csv
import gzip
import io
import itertools
import json
import math
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from kerasmi import told
from kerasmi.errors import DataError
from kerasmi.reporter import counted

LONGEST_LINE = 2**20  # characters; the longest report has some 10,000
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".jsonl", ".ndjson")
_PARQUET = ".parquet"
_FIRST = 1000
KINDS = (*_DELIMITERS, *_LINES, _PARQUET)


class Row(NamedTuple):
    """One row.

    Attributes:
        number: As a spreadsheet counts, the header being row 1; JSON Lines
            and Parquet count from 1.
        values: Column asked for to text, `""` where nothing stands.
        fault: What is wrong with the row, else `""`.
        late: Keys of JSON Lines that are none of the columns.
    """

    number: int
    values: dict[str, str]
    fault: str = ""
    late: frozenset[str] = frozenset()


class Rows:
    """The rows of one file.

    Args:
        file: Its kind follows from its name: `.csv`, `.tsv`, `.jsonl`, each
            also with `.gz`, and `.parquet`.
        encoding: Of a text file.
        delimiter: Of a CSV; None follows from the name.

    Raises:
        DataError: The file cannot be read, or is of no known kind.
    """

    def __init__(
        self,
        file: Path,
        encoding: str = "utf-8",
        delimiter: str | None = None,
    ):
        self._file = file
        self._packed = file.suffix.lower() == ".gz"
        self._kind = Path(file.stem if self._packed else file).suffix.lower()
        if self._kind not in KINDS or (self._packed and self._kind == _PARQUET):
            raise DataError(
                f"{file}: expected a file that ends in {', '.join(KINDS)} (a "
                "text file also .gz)."
            )
        if delimiter is not None and self._kind not in _DELIMITERS:
            raise DataError(f"{file}: only a CSV has a delimiter.")
        try:
            io.TextIOWrapper(io.BytesIO(), encoding)
        except LookupError as error:
            raise DataError(
                f"{encoding!r} is no encoding; common ones are utf-8, cp1252, "
                "latin-1, utf-16."
            ) from error
        # A byte order mark is no part of the first column's name.
        utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
        self._encoding = "utf-8-sig" if utf8 else encoding
        self._delimiter = delimiter or _DELIMITERS.get(self._kind, "")
        self.columns = self._columns()

    def read(self, columns: Collection[str]) -> Iterator[Row]:
        """Yields the rows; what other columns hold is not looked at.

        Args:
            columns: Some of `columns`.

        Raises:
            DataError: The file cannot be read, or is damaged.
        """
        if self._kind == _PARQUET:
            return self._parquet(columns)
        if self._kind in _LINES:
            return self._json(columns)
        return self._table(columns)

    def _columns(self) -> tuple[str, ...]:
        """Returns their names; of JSON Lines, all that its first rows have."""
        if self._kind == _PARQUET:
            with self._reading():
                return tuple(_pyarrow(self._file).schema_arrow.names)
        if self._kind in _LINES:
            lines = itertools.islice(self._objects(), _FIRST)
            number, keys, what = next(lines, (1, {}, ""))
            found = dict.fromkeys(keys)
            for _, keys, _ in lines:
                found.update(dict.fromkeys(keys))
            if not found:
                raise DataError(
                    f"{self._file}: row {number}: {what or 'it is empty'};"
                    " expected an object in each line, such as"
                    ' {"image": "a.png"}.'
                )
            return tuple(found)
        with self._reading():
            names = [name.strip() for name in next(self._records(), [])]
        if not any(names):
            raise DataError(
                f"{self._file}: is empty: it has no header; its first line"
                " names the columns."
            )
        twice = {name for name in names if names.count(name) > 1 and name}
        if twice and told.are_names(names):
            raise DataError(
                f"{self._file}: has the column {min(twice)!r} twice; rename "
                "one."
            )
        if twice:
            raise DataError(
                f"{self._file}: has one name twice, of {told.columns(names)}."
            )
        return tuple(names)

    def _table(self, columns: Collection[str]) -> Iterator[Row]:
        wanted = frozenset(columns)
        with self._reading():
            for number, fields in enumerate(self._records(), 1):
                # A spreadsheet's empty row is a line of delimiters alone.
                if number == 1 or not any(map(str.strip, fields)):
                    continue
                cells = zip(self.columns, fields, strict=False)
                values = {name: cell for name, cell in cells if name in wanted}
                fault = ""
                if len(fields) != len(self.columns):
                    fault = (
                        f"{counted(len(fields), 'field')} where the header has "
                        f"{len(self.columns)}"
                    )
                yield Row(number, values, fault)

    def _records(self) -> Iterator[list[str]]:
        # strict: else a quote left open would swallow rows unnoticed.
        reader = csv.reader(
            self._lines(), delimiter=self._delimiter, strict=True
        )
        number = 0
        try:
            for number, fields in enumerate(reader, 1):  # noqa: B007
                yield fields
        except csv.Error as error:
            raise DataError(
                f"{self._file}: row {number + 1} (line {reader.line_num}) is "
                f"no row of a table: {error}; is a quote left open?"
            ) from error

    def _json(self, columns: Collection[str]) -> Iterator[Row]:
        known = frozenset(self.columns)
        for number, found, fault in self._objects():
            if fault:
                yield Row(number, {}, fault)
            else:
                row = _row(number, found, columns)
                yield row._replace(late=frozenset(found.keys() - known))

    def _objects(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Yields number, keys and fault of each line."""
        with self._reading():
            for number, line in enumerate(self._lines(), 1):
                if not line.strip():
                    continue
                try:
                    found = json.loads(line, object_pairs_hook=_unique)
                except KeyError as error:
                    yield number, {}, f"it has {error.args[0]} twice"
                    continue
                except (ValueError, RecursionError):
                    yield number, {}, "it is no JSON"
                    continue
                if isinstance(found, dict):
                    yield number, found, ""
                else:
                    yield number, {}, "it is no JSON object"

    def _parquet(self, columns: Collection[str]) -> Iterator[Row]:
        with self._reading():
            batches = _pyarrow(self._file).iter_batches(
                batch_size=1024, columns=list(columns)
            )
        number = 0
        while True:
            with self._reading(), _arrow(self._file):
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            for number, found in enumerate(rows, number + 1):  # noqa: B020
                yield _row(number, found, columns)
            if batch is None:
                return

    def _lines(self) -> Iterator[str]:
        number = 0
        with self._open() as stream:
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith("\n"):
                    raise DataError(
                        f"{self._file}: line {number} has more than "
                        f"{LONGEST_LINE:,} characters; it is damaged or no "
                        "table."
                    )
                self._check_characters(number, line)
                yield line

    def _check_characters(self, number: int, line: str) -> None:
        if "\0" in line:
            raise DataError(
                f"{self._file}: line {number} holds a NUL character; it is "
                "damaged or no text file, or in another encoding; name that "
                "(--encoding), often utf-16."
            )
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) & 0xFF
            raise DataError(
                f"{self._file}: line {number} is not "
                f"{self._encoding.removesuffix('-sig')} (byte 0x{byte:02X}); "
                "name the file's encoding (--encoding), often cp1252."
            ) from error

    def _open(self) -> IO[str]:
        opened: Any = gzip.open if self._packed else open
        # Wrong bytes become lone surrogates, so that their line is known.
        stream: IO[str] = opened(
            self._file,
            "rt",
            encoding=self._encoding,
            errors="surrogateescape",
            newline="",
        )
        return stream

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise DataError(
                f"{self._file}: is not {self._encoding}; name the file's "
                "encoding (--encoding)."
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"{self._file}: cannot be read: {reason}; give a whole file."
            ) from error


def _row(number: int, found: dict[str, Any], columns: Collection[str]) -> Row:
    values, faults = {}, []
    for name in columns:
        if name not in found:
            continue
        try:
            values[name] = _text(found[name])
        except ValueError as error:
            # Not quoted: an import's message leaves out what is.
            faults.append(f"column {name} is {error}")
    return Row(number, values, "; ".join(faults))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise KeyError(told.column(name))
        found[name] = value
    return found


def _text(value: Any) -> str:
    """Returns a value as a CSV would hold it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("no valid Unicode") from None
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, int)):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    raise ValueError(f"a {type(value).__name__}, not a text or a number")


def _float(value: float) -> str:
    if math.isnan(value):
        return ""
    if not value.is_integer():
        return repr(value)
    # Beyond, neighbouring ids are one float.
    if abs(value) >= 2**53:
        raise ValueError("a number too large to be exact; store it as text")
    return str(int(value))


def _pyarrow(file: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{file}: Parquet needs pyarrow: pip install 'kerasmi[parquet]'."
        ) from error
    with _arrow(file):
        return parquet.ParquetFile(file)


@contextlib.contextmanager
def _arrow(file: Path) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file into one line."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, UnicodeError, OverflowError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{file}: cannot be read: {reason}; give a whole file."
        ) from error
