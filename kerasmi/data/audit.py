"""The account of an import: `audit.md`, `audit.csv` and `refused.csv`."""

import csv
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kerasmi.data import labels
from kerasmi.data.dataset import IMAGES
from kerasmi.data.schema import SPLITS
from kerasmi.data.sources.base import Source
from kerasmi.errors import DataError

AUDIT, AUDIT_TABLE, REFUSED = "audit.md", "audit.csv", "refused.csv"
LEAKS = "leaks.csv"
PICTURES = "images with the same pixels"
Refusal = tuple[str, str, str, str]
_KINDS = {
    "subject": "subjects",
    "study": "studies",
    "pixels": PICTURES,
    "text": "reports with the same words",
}
_NUMBER = re.compile(r"\b\d[\d,]*\b")


class Sightings:
    """What was seen in which split, in a database: memory stays flat."""

    def __init__(self, file: Path):
        file.unlink(missing_ok=True)
        self._base = sqlite3.connect(file)
        self._base.execute("PRAGMA journal_mode=OFF")
        self._base.execute("PRAGMA synchronous=OFF")
        self._base.execute(
            "CREATE TABLE seen(kind TEXT, value TEXT, split TEXT, "
            "PRIMARY KEY (kind, value, split)) WITHOUT ROWID"
        )

    def add(self, split: str, **values: str) -> None:
        """Notes what an image of a split has; empty values do not count."""
        self._base.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)",
            [(kind, v, split) for kind, v in values.items() if v],
        )

    def count(self, kind: str, split: str) -> int:
        """Returns how many different ones a split has."""
        query = "SELECT COUNT(*) FROM seen WHERE kind = ? AND split = ?"
        return int(self._base.execute(query, (kind, split)).fetchone()[0])

    def leaks(self) -> dict[str, int]:
        """Returns for each kind how many are in more than one split."""
        found = self._base.execute(
            "SELECT kind, COUNT(*) FROM (SELECT kind FROM seen "
            "GROUP BY kind, value HAVING COUNT(*) > 1) GROUP BY kind"
        )
        counts = dict(found)
        return {name: counts.get(kind, 0) for kind, name in _KINDS.items()}

    def leaks_out(self, kind: str, value: str) -> bool:
        """Returns whether a value is in more than one split."""
        query = "SELECT COUNT(*) FROM seen WHERE kind = ? AND value = ?"
        found = self._base.execute(query, (kind, value)).fetchone()
        return int(found[0]) > 1

    def close(self) -> None:
        """Closes the database."""
        self._base.close()


@dataclass(frozen=True)
class Account:
    """What an import did.

    Attributes:
        name: The data set's name.
        source: The source's.
        steps: What a source counted, in order.
        refusals: Check to how many rows it refused.
        images: Why images were refused, without their numbers, to how many.
        notes: What a source or the importer noted.
        counts: As `Dataset.counts`.
        leaks: What `Sightings.leaks` found.
        options: Name to value of what decides the records.
    """

    name: str
    source: str
    steps: Mapping[str, int]
    refusals: Mapping[str, int]
    images: Mapping[str, int]
    notes: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    leaks: Mapping[str, int]
    options: Mapping[str, Any]


def write_refused(file: Path, refused: Iterable[Refusal]) -> None:
    """Writes the rows refused: key, origin, reason, check."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("key", "origin", "reason", "check"))
        for check, *rest in refused:
            table.writerow((*rest, check))


def refused_by(file: Path, check: str) -> int:
    """How many rows of a `refused.csv` failed a check; 0 without the file."""
    if not file.is_file():
        return 0
    with file.open(encoding="utf-8", newline="") as stream:
        return sum(row[-1] == check for row in csv.reader(stream))


def kind(reason: str) -> str:
    """Returns why an image was refused without its own numbers.

    So that images with the same fault count as one line.
    """
    what, colon, why = reason.rpartition(": ")
    return what + colon + _NUMBER.sub("N", why)


def write(folder: Path, account: Account, source: Source) -> None:
    """Writes `audit.md` and `audit.csv`.

    Args:
        folder: Holds `images.csv`.
        account: What the import did.
        source: Where the images are from.

    Raises:
        DataError: A subject or a study is in two splits.
    """
    for kind in ("subjects", "studies"):
        if account.leaks[kind]:
            raise DataError(
                f"{account.leaks[kind]} {kind} are in more than one split."
            )
    images = read_images(folder / IMAGES)
    classes = labels.table1(images)
    tables = {"Labels": classes, "Views": views(images)}
    beside = source.published(images)
    if beside is not None:
        tables["Beside the publication"] = beside
    lines = list(_report(account, tables))
    text = "\n".join(lines).rstrip() + "\n"
    (folder / AUDIT).write_text(text, encoding="utf-8")
    rows = list(_rows(account, tables))
    pd.DataFrame(rows, columns=["table", "row", "column", "value"]).to_csv(
        folder / AUDIT_TABLE, index=False, lineterminator="\n"
    )


def read_images(file: Path) -> pd.DataFrame:
    """Reads what is counted of `images.csv`, in little memory.

    Args:
        file: The table of a data set.

    Returns:
        As `Dataset.images`, without `image_id` and `study_id`.
    """
    names = list(pd.read_csv(file, nrows=0).columns)
    kinds: dict[str, Any] = dict.fromkeys(names, "int32")
    for name in ("subject_id", "split", "view"):
        kinds[name] = "category"
    for name in names[names.index("sentences") + 1 : names.index("shard")]:
        kinds[name] = "int8"
    wanted = [name for name in names if name not in ("image_id", "study_id")]
    return pd.read_csv(file, dtype=kinds, usecols=wanted, keep_default_na=False)


def views(images: pd.DataFrame) -> pd.DataFrame:
    """Counts the images of each view and split.

    Args:
        images: Has the columns `view` and `split`.

    Returns:
        One row for each view, a column for each split that has an image.
    """
    counts = pd.crosstab(images["view"].astype(str), images["split"])
    present = [split for split in SPLITS if split in counts]
    table = counts[present].rename_axis(columns=None).reset_index()
    return table.replace({"view": {"": "(unknown)"}})


def _report(
    account: Account, tables: Mapping[str, pd.DataFrame]
) -> Iterator[str]:
    yield f"# Audit of {account.name}\n\nSource: {account.source}\n"
    yield "## Rows\n"
    yield from _table(_rows_frame(account))
    yield f"\nEvery row refused stands in `{REFUSED}` with its reason.\n"
    if account.images:
        yield "## Images refused\n"
        yield from _table(_images_frame(account))
        yield ""
    yield "## Sets\n"
    yield from _table(_sets_frame(account))
    yield "\n## Leaks\n\nFound in more than one set:\n"
    leaks = pd.DataFrame(account.leaks.items(), columns=["what", "number"])
    yield from _table(leaks)
    yield (
        "\nEqual words are common where nothing was found; equal pixels are "
        "one image under two ids.\n"
    )
    for title, frame in tables.items():
        if len(frame):
            yield f"## {title}\n"
            yield from _table(frame)
            yield ""
    yield (
        "Uncertain and blank labels are kept; what they count as is decided "
        "when records are read (`data.uncertain`, `data.blank`; the paper "
        "ignores both).\n"
    )
    if account.notes:
        yield "## Notes\n"
        yield from (f"- {note}" for note in account.notes)
        yield ""
    yield "## Options\n"
    yield from (f"- {key}: {value}" for key, value in account.options.items())


def _rows_frame(account: Account) -> pd.DataFrame:
    kept = sum(count["images"] for count in account.counts.values())
    rows = [
        *account.steps.items(),
        *((f"refused: {check}", n) for check, n in account.refusals.items()),
        ("kept: images", kept),
    ]
    return pd.DataFrame(rows, columns=["step", "number"])


def _images_frame(account: Account) -> pd.DataFrame:
    rows = Counter(account.images).most_common()
    return pd.DataFrame(rows, columns=["reason", "number"])


def _sets_frame(account: Account) -> pd.DataFrame:
    rows = [{"set": s, **counts} for s, counts in account.counts.items()]
    return pd.DataFrame(rows)


def _rows(
    account: Account, tables: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[str, Any, str, Any]]:
    """Yields every number of the audit: table, row, column, value."""
    found = {
        "rows": _rows_frame(account),
        "images refused": _images_frame(account),
        "sets": _sets_frame(account),
    }
    for table, frame in found.items():
        yield from _cells(table, frame, 1)
    for kind, number in account.leaks.items():
        yield "leaks", kind, "number", number
    for title, frame in tables.items():
        keys = 2 if "split" in frame else 1
        yield from _cells(title.lower(), frame, keys)


def _cells(
    table: str, frame: pd.DataFrame, keys: int
) -> Iterator[tuple[str, Any, str, Any]]:
    for row in frame.to_dict("records"):
        cells = list(row.items())
        key = ", ".join(str(value) for _, value in cells[:keys])
        for column, value in cells[keys:]:
            yield table, key, column, value


def _table(frame: pd.DataFrame) -> Iterator[str]:
    """Yields the lines of a Markdown table."""
    yield f"| {' | '.join(map(str, frame.columns))} |"
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    yield "|" + "|".join("--:" if number else "---" for number in numbers) + "|"
    for row in frame.itertuples(index=False):
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", r"\|")
