"""What an import will do, on disk: every item checked and given its split."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasmi.data.contents import Contents
from kerasmi.data.probes import ImageRefused
from kerasmi.data.register import allowed
from kerasmi.data.schema import SPLITS
from kerasmi.data.sources.base import Audit, Item
from kerasmi.data.split_rules import SplitRule
from kerasmi.errors import DataError
from kerasmi.reporter import counted

LONGEST_ID = 200
_IDS = ("image_id", "study_id", "subject_id")
_TEXTS = ("findings", "impression", "report")
# What other programs write where they have nothing.
_NOTHING = frozenset(
    ("nan", "none", "null", "na", "n/a", "#n/a", "<na>", "#value!")
)
_WRITTEN_NOTHING = "kept: text that is 'nan', 'None' or the like"
_NOBODY = "kept: subject that is 'nan', 'None' or the like"
_TABLES = """
CREATE TABLE items(
    number INTEGER PRIMARY KEY, image_id TEXT UNIQUE, subject_id TEXT,
    origin TEXT, state TEXT, image TEXT, item TEXT);
CREATE TABLE studies(
    study_id TEXT PRIMARY KEY, subject_id TEXT) WITHOUT ROWID;
CREATE TABLE subjects(
    subject_id TEXT PRIMARY KEY, split TEXT, origin TEXT) WITHOUT ROWID;
CREATE TABLE decided(subject_id TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE refused(check_ TEXT, key TEXT, origin TEXT, reason TEXT);
"""


@dataclass(frozen=True)
class Chunk:
    """The items of one shard.

    Attributes:
        split: Their split.
        number: The shard's, counted from 0 within the split.
        items: In the source's order.
        digest: Changes with anything that changes the shard.
        content: Changes with what the items say; not with where files lie.
        files: Changes with the size or the time of change of an image file.
    """

    split: str
    number: int
    items: tuple[Item, ...]
    digest: str
    content: str
    files: str


class Plan:
    """All items of a source, in a database: memory stays flat.

    Whether an id was there before, whether a study has two subjects and a
    subject two splits is asked of the database, too.

    Attributes:
        audit: What became of every row.
        decided: How many subjects got their split of the rule.
    """

    def __init__(self, file: Path, label_names: Sequence[str]):
        """Starts an empty plan.

        Args:
            file: The database; replaced if it exists.
            label_names: The labels that items may have.
        """
        file.unlink(missing_ok=True)
        # The thread that reads images goes on with what this one began.
        self._base = sqlite3.connect(file, check_same_thread=False)
        # It is made anew at every start: no need to survive a crash.
        self._base.execute("PRAGMA journal_mode=OFF")
        self._base.execute("PRAGMA synchronous=OFF")
        self._base.executescript(_TABLES)
        self._labels = frozenset(label_names)
        self._leaks, self._first_leak = 0, ""
        self.decided = 0
        self.audit = Audit(self._keep)

    def close(self) -> None:
        """Closes the database."""
        self._base.close()

    @property
    def planned(self) -> int:
        """How many items are to become records."""
        return self._number("SELECT COUNT(*) FROM items")

    def add(self, item: Item, contents: Contents, rule: SplitRule) -> None:
        """Takes an item in, or refuses it.

        Args:
            item: The item.
            contents: Tells whether its file is there.
            rule: Decides its split where it overrides the source's.
        """
        split = rule(item.subject_id) if rule.overrides else item.split
        fault = self._fault(item, split, rule)
        if fault is None:
            try:
                state = contents.state(item)
            except ImageRefused as error:
                fault = ("image file", str(error))
        if fault is not None:
            self.audit.removed(fault[0], item, fault[1])
            return
        self._insert(item, split, state)
        if any("�" in getattr(item, name) for name in _TEXTS):
            self.audit.count("kept: text with U+FFFD, lost characters")
        if any(_is_nothing(getattr(item, name)) for name in _TEXTS):
            self.audit.count(_WRITTEN_NOTHING)
        if _is_nothing(item.subject_id):
            self.audit.count(_NOBODY)

    def settle(self, rule: SplitRule) -> int:
        """Gives every subject that has none its split.

        Args:
            rule: Decides it.

        Returns:
            How many subjects it decided about.

        Raises:
            DataError: A subject has two splits.
        """
        if self._leaks:
            raise DataError(
                "a subject is put in a second split in "
                f"{counted(self._leaks, 'row')}, the first: "
                f"{self._first_leak}; a subject must stay in one. Mend the "
                "source, or tell the set of each subject (--split-file)."
            )
        written = self.audit.counts[_WRITTEN_NOTHING]
        if written:
            self.audit.warn(
                f"the text of {counted(written, 'image')} is 'nan', 'None', "
                "'N/A' or the like, which is taken for a sentence; where it "
                "stands for no text, leave the cell empty"
            )
        nobodys = self.audit.counts[_NOBODY]
        if nobodys:
            self.audit.warn(
                f"the subject of {counted(nobodys, 'image')} is 'nan', "
                "'None', 'N/A' or the like, which is taken for the id of one "
                "person, in one set; where it stands for unknown, tell each "
                "image its subject, or leave the cell empty, which refuses it"
            )
        open_ = self._base.execute(
            "SELECT subject_id FROM subjects WHERE split = ''"
        )
        while rows := open_.fetchmany(10_000):
            self.decided += len(rows)
            self._base.executemany(
                "INSERT OR REPLACE INTO decided VALUES (?, ?)",
                [(subject, rule(subject)) for (subject,) in rows],
            )
        self._base.execute(
            "UPDATE subjects SET split = (SELECT split FROM decided WHERE "
            "decided.subject_id = subjects.subject_id) WHERE split = ''"
        )
        self._base.commit()
        return self.decided

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yields the items by split, in their order, `size` at a time."""
        for split in SPLITS:
            rows = self._base.execute(
                # CROSS JOIN keeps the order of the tables, so that rows
                # stream in order of their numbers.
                "SELECT item, image, state, items.origin FROM items "
                "CROSS JOIN subjects USING (subject_id) "
                "WHERE split = ? ORDER BY number",
                (split,),
            )
            number = 0
            while part := rows.fetchmany(size):
                yield _chunk(split, number, part)
                number += 1

    def refused(self) -> Iterator[tuple[str, str, str, str]]:
        """Yields check, key, origin and reason of every row refused."""
        yield from self._base.execute("SELECT * FROM refused ORDER BY rowid")

    def _keep(self, check: str, key: str, origin: str, reason: str) -> None:
        row = [_clean(text) for text in (check, key, origin, reason)]
        self._base.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", row)

    def _fault(
        self, item: Item, split: str, rule: SplitRule
    ) -> tuple[str, str] | None:
        for name in _IDS:
            value = getattr(item, name)
            if not value.strip():
                return "ids", f"{name} is empty"
            if len(value) > LONGEST_ID or not value.isprintable():
                return "ids", (
                    f"{name} has {len(value)} characters, or a line end; are "
                    "the columns mixed up?"
                )
        if rule.overrides and not split:
            return "split", "the split file does not list its subject"
        if split not in ("", *SPLITS):
            return "split", f"{split[:40]!r} is none of {', '.join(SPLITS)}"
        return self._fault_of_labels(item) or self._fault_of_texts(item)

    def _fault_of_labels(self, item: Item) -> tuple[str, str] | None:
        for name, value in item.labels.items():
            if name not in self._labels:
                return "labels", f"label {name!r} is not one of the source's"
            if value not in allowed(name):
                return "labels", (
                    f"{name} is {value!r}, expected one of {allowed(name)}"
                )
        return None

    def _fault_of_texts(self, item: Item) -> tuple[str, str] | None:
        for name in (*_IDS, *_TEXTS, "view"):
            try:
                getattr(item, name).encode()
            except UnicodeEncodeError:
                return "text", f"its {name} is no valid Unicode"
        found = self._row(
            "SELECT origin FROM items WHERE image_id = ?", item.image_id
        )
        if found is not None:
            return "duplicate", f"the same image_id as {found[0]}"
        owner = self._row(
            "SELECT subject_id FROM studies WHERE study_id = ?", item.study_id
        )
        if owner is not None and owner[0] != item.subject_id:
            return "study", (
                "its study has images of another subject; ids of studies must "
                "differ between subjects: join subject and study into one id, "
                "or leave the column out"
            )
        return None

    def _insert(self, item: Item, split: str, state: tuple[int, int]) -> None:
        values = [item.image_id, item.subject_id, item.origin]
        self._base.execute(
            "INSERT INTO items(image_id, subject_id, origin, state, image, "
            "item) VALUES (?, ?, ?, ?, ?, ?)",
            [*values, json.dumps(state), str(item.image), _pack(item)],
        )
        self._base.execute(
            "INSERT OR IGNORE INTO studies VALUES (?, ?)",
            (item.study_id, item.subject_id),
        )
        found = self._row(
            "SELECT split, origin FROM subjects WHERE subject_id = ?",
            item.subject_id,
        )
        if found is None or (split and not found[0]):
            self._base.execute(
                "INSERT OR REPLACE INTO subjects VALUES (?, ?, ?)",
                (item.subject_id, split, item.origin),
            )
        elif split and split != found[0]:
            self._leaks += 1
            self._first_leak = self._first_leak or (
                f"{found[1]} is in {found[0]}, {item.origin} in {split}"
            )

    def _row(self, query: str, value: str) -> Any:
        return self._base.execute(query, (value,)).fetchone()

    def _number(self, query: str) -> int:
        return int(self._base.execute(query).fetchone()[0])


def _chunk(split: str, number: int, rows: Sequence[Sequence[str]]) -> Chunk:
    content = hashlib.sha256(f"{split}\n".encode())
    for item, *_ in rows:
        content.update(f"{item}\n".encode())
    whole, files = content.copy(), hashlib.sha256()
    for _, _, state, _ in rows:
        files.update(f"{state}\n".encode())
    for _, *rest in rows:
        whole.update(f"{json.dumps(rest)}\n".encode())
    items = tuple(
        Item(**json.loads(item), image=Path(image), origin=origin)
        for item, image, _, origin in rows
    )
    digests = [found.hexdigest() for found in (whole, content, files)]
    return Chunk(split, number, items, *digests)


def _pack(item: Item) -> str:
    """Returns what an item says, without where its files lie."""
    names = (*_IDS, "view", *_TEXTS, "source", "member")
    fields = {name: getattr(item, name) for name in names}
    return json.dumps({**fields, "labels": dict(item.labels)})


def _is_nothing(value: str) -> bool:
    return value.strip().lower() in _NOTHING


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
