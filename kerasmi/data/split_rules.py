"""Who decides a subject's split: a share of all subjects, or a file."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from kerasmi import output_files, told
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import SPLITS
from kerasmi.data.sources import csv_files
from kerasmi.data.sources.csv_files import Columns
from kerasmi.data.splits import by_subject
from kerasmi.errors import DataError

SHARES = MappingProxyType({"train": 0.8, "validation": 0.1, "test": 0.1})
HASH = "hash of the subject"
PLAIN, HASHED = "subject_id", "subject_sha256"
_SALT = "kerasmi subject:"
_COLUMNS: Columns = {"subject": (PLAIN, HASHED), "split": ("split",)}
_REMEDY = "Give a file that `kerasmi data splits` has written, or its columns."


class SplitRule(Protocol):
    """Gives a subject its split."""

    @property
    def overrides(self) -> bool:
        """Whether it also decides where the source has a split."""

    def __call__(self, subject_id: str) -> str:
        """Returns one of `SPLITS`, or `""` to refuse the subject."""

    def options(self) -> dict[str, Any]:
        """Returns what decides the splits, JSON values."""


@dataclass(frozen=True)
class Shares:
    """Splits subjects by a hash of their ids; see `splits.by_subject`.

    Attributes:
        shares: Split to its share of the subjects; they sum to 1.
        seed: Another seed, another split.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    seed: int = 0

    @property
    def overrides(self) -> bool:
        """A source's own split counts more."""
        return False

    def __post_init__(self) -> None:
        by_subject([], self.shares, self.seed)

    def __call__(self, subject_id: str) -> str:
        """Returns the subject's split."""
        return str(by_subject([subject_id], self.shares, self.seed)[0])

    def options(self) -> dict[str, Any]:
        """Returns the shares and the seed."""
        shares = {s: self.shares[s] for s in SPLITS if self.shares.get(s)}
        return {"rule": HASH, **shares, "seed": self.seed}


class SplitFile:
    """The splits that `export` wrote; it overrides those of the source."""

    overrides = True

    def __init__(self, file: str | Path):
        """Reads the file.

        Args:
            file: A CSV with the columns `split` and `subject_id` or
                `subject_sha256`.

        Raises:
            DataError: Names the row that is wrong.
        """
        self._file = Path(file)
        rows = csv_files.read(self._file, _COLUMNS, remedy=_REMEDY)
        hashed = HASHED in csv_files.header(self._file)
        self._key = HASHED if hashed else PLAIN
        self._sha256 = hashlib.sha256(self._file.read_bytes()).hexdigest()
        self._split_of: dict[str, str] = {}
        for row in rows.itertuples():
            self._add(row.row, row.subject, row.split)

    def _add(self, number: int, subject: str, split: str) -> None:
        where = f"{self._file}: row {number}"
        if split not in SPLITS:
            found, remedy = told.word(split), ""
            if subject in SPLITS:
                found = told.length(split)
                remedy = f"; the columns split and {self._key} are swapped"
            raise DataError(
                f"{where}: split is {found}, expected one of {SPLITS}{remedy}."
            )
        if not subject:
            raise DataError(f"{where}: {self._key} is empty.")
        if self._split_of.setdefault(subject, split) != split:
            raise DataError(
                f"{where}: the subject is in the split {split!r} here and in "
                f"{self._split_of[subject]!r} above; a subject must stay in "
                "one split."
            )

    def __call__(self, subject_id: str) -> str:
        """Returns the subject's split, or `""` where it is not listed."""
        key = subject_sha256(subject_id) if self._key == HASHED else subject_id
        return self._split_of.get(key, "")

    def options(self) -> dict[str, Any]:
        """Returns the file's name and hash."""
        return {
            "rule": "file",
            "file": self._file.name,
            "sha256": self._sha256,
        }


def subject_sha256(subject_id: str) -> str:
    """Returns the hash that stands for a subject in a split file.

    Whoever knows all possible ids can find out which one it is: a hash keeps
    ids out of sight, it does not make them anonymous.
    """
    return hashlib.sha256((_SALT + subject_id).encode()).hexdigest()


def export(dataset: Dataset, file: str | Path, *, hashed: bool = True) -> str:
    """Writes the split of every subject, for `SplitFile` to read.

    Args:
        dataset: The data set.
        file: A CSV, replaced if it exists.
        hashed: Write hashes for the ids.

    Returns:
        The file's SHA-256, which a data set made by it has among its
        options.

    Raises:
        DataError: The file cannot be written.
    """
    pairs = dataset.images[["subject_id", "split"]].drop_duplicates()
    subjects = pairs["subject_id"]
    keys = map(subject_sha256, subjects) if hashed else subjects
    # Sorted, so that the order tells nothing of the ids.
    lines = sorted(zip(keys, pairs["split"], strict=True))
    target = Path(file)
    temporary = target.with_name(f".{target.name}.new")
    remedy = "give another place, or make its folder"
    with output_files.written(target, DataError, remedy):
        try:
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                table = csv.writer(stream, lineterminator="\n")
                table.writerow((HASHED if hashed else PLAIN, "split"))
                table.writerows(lines)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return hashlib.sha256(target.read_bytes()).hexdigest()
