"""Finished shards of an import: each stands, with its rows, or does not."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasmi.data import publishing, sentences, wire
from kerasmi.data.pixels import Converted
from kerasmi.data.plan import Chunk
from kerasmi.data.probes import ImageRefused
from kerasmi.data.register import Register
from kerasmi.data.schema import Record
from kerasmi.data.shards import sha256
from kerasmi.data.sources.base import Item
from kerasmi.errors import DataError

CHECK = "image"  # that a part's images are refused by
Splitter = Callable[[str], Sequence[str]]
Outcome = tuple[Item, Converted | ImageRefused]


@dataclass(frozen=True)
class Part:
    """A shard that is finished.

    Attributes:
        digest: The `Chunk.digest` it was made of.
        split: Its split.
        number: Counted from 0 within the split.
        records: Records in it; 0 where every image was refused.
        with_text: Those with a sentence.
        longer: Those whose text has more sentences than are kept.
        left_out: Sentences of these that are not kept.
        dark: Those whose image is `Converted.dark`.
        bytes: Size of its file.
        sha256: Hash of its file.
        rows_sha256: Hash of the file of its rows.
        refused: Check, key, origin and reason of every image refused.
    """

    digest: str
    split: str
    number: int
    records: int
    with_text: int
    longer: int
    left_out: int
    dark: int
    bytes: int
    sha256: str
    rows_sha256: str
    refused: tuple[tuple[str, str, str, str], ...]


class Parts:
    """A folder of finished shards.

    A part is three files: `train-00003.tfrecord`, `.csv` (its rows, each
    with a hash of the pixels and of the text) and, last, `.json`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        label_names: Sequence[str],
        image_size: int,
        split_text: Splitter,
        target: Path,
    ):
        """Says how records are made.

        Args:
            folder: Holds the parts.
            label_names: The data set's labels.
            image_size: Shorter side of the images, in pixels.
            split_text: Text to sentences.
            target: The data set's folder, for messages.
        """
        self._folder = folder
        self._labels = list(label_names)
        self._size = image_size
        self._split_text = split_text
        self._target = target

    def finished(self, chunk: Chunk) -> Part | None:
        """Returns the part of a chunk if it is finished and unaltered."""
        try:
            found = json.loads(self.file(chunk, "json").read_text("utf-8"))
            found["refused"] = tuple(map(tuple, found["refused"]))
            part = Part(**found)
            whole = (
                part.digest == chunk.digest
                and sha256(self.file(part, "tfrecord")) == part.sha256
                and sha256(self.file(part, "csv")) == part.rows_sha256
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return part if whole else None

    def file(self, part: Part | Chunk, suffix: str) -> Path:
        """Returns one of a part's files."""
        return self._folder / f"{part.split}-{part.number:05d}.{suffix}"

    def write(self, chunk: Chunk, outcomes: Iterable[Outcome]) -> Part:
        """Writes a part; one that is not finished leaves no file.

        Args:
            chunk: What it is made of.
            outcomes: The items of the chunk with image or refusal.

        Raises:
            DataError: The disk is full, or the splitter does not split.
        """
        files = [self.file(chunk, s) for s in ("tfrecord", "csv", "json")]
        files[-1].unlink(missing_ok=True)
        try:
            return self._write(chunk, outcomes, *files)
        except BaseException:
            for file in files:
                file.unlink(missing_ok=True)
            raise

    def _write(
        self,
        chunk: Chunk,
        outcomes: Iterable[Outcome],
        shard: Path,
        rows: Path,
        index: Path,
    ) -> Part:
        register = Register(self._labels, self._size)
        refused, left_out, dark = [], [], 0
        with self._disk(), _Shard(shard, rows) as writer:
            for item, outcome in outcomes:
                if isinstance(outcome, ImageRefused):
                    place = (item.image_id, item.origin, str(outcome))
                    refused.append((CHECK, *place))
                    continue
                record = self._record(item, chunk.split, outcome.png)
                register.add(record)
                writer.add(record, self._labels)
                left_out.append(self._left_out(item, record))
                dark += outcome.dark
        counts = register.counts().get(chunk.split, {})
        part = Part(
            digest=chunk.digest,
            split=chunk.split,
            number=chunk.number,
            records=counts.get("images", 0),
            with_text=counts.get("with_text", 0),
            longer=sum(number > 0 for number in left_out),
            left_out=sum(left_out),
            dark=dark,
            bytes=shard.stat().st_size,
            sha256=sha256(shard),
            rows_sha256=sha256(rows),
            refused=tuple(refused),
        )
        with self._disk():
            temporary = index.with_suffix(".new")
            temporary.write_text(json.dumps(asdict(part)), encoding="utf-8")
            temporary.replace(index)
        return part

    def _disk(self) -> Any:
        return publishing.disk_errors(self._target)

    def _record(self, item: Item, split: str, png: bytes) -> Record:
        return Record(
            image=png,
            image_id=item.image_id,
            study_id=item.study_id,
            subject_id=item.subject_id,
            split=split,
            view=item.view,
            findings=item.findings,
            impression=item.impression,
            sentences=self._sentences(item),
            labels=item.labels,
            source=item.source,
        )

    def _sentences(self, item: Item) -> tuple[str, ...]:
        text = _text(item)
        if not text.strip():
            return ()
        try:
            found = self._split_text(text)
        # Its message may hold the report's words, which a cause would show.
        except Exception as error:
            raise DataError(
                f"{item.origin}: the splitter failed: {type(error).__name__}."
            ) from None
        if not isinstance(found, (list, tuple)) or not all(
            isinstance(s, str) and s.strip() for s in found
        ):
            raise DataError(
                f"{item.origin}: the splitter must return a list of sentences "
                "that are not empty; it returned something else."
            )
        return tuple(found)

    def _left_out(self, item: Item, record: Record) -> int:
        """How many sentences our splitter left out; another's are its own."""
        kept = len(record.sentences)
        if self._split_text is not sentences.split:
            return 0
        if kept < sentences.MAX_SENTENCES:
            return 0
        return len(sentences.split(_text(item), max_sentences=None)) - kept


def _text(item: Item) -> str:
    """Returns findings and impression, or else the report."""
    sections = [item.findings, item.impression]
    text = "\n\n".join(part for part in sections if part.strip())
    return text or item.report


class _Shard:
    """The two open files of a part."""

    def __init__(self, shard: Path, rows: Path):
        self._writer = tf.io.TFRecordWriter(str(shard))
        self._stream = rows.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._stream)

    def __enter__(self) -> "_Shard":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stream.close()
        finally:
            self._writer.close()

    def add(self, record: Record, label_names: Sequence[str]) -> None:
        """Writes a record and its row."""
        self._writer.write(wire.encode(record, label_names))
        text = record.report.casefold()
        prints = [_print(record.image), _print(text.encode()) if text else ""]
        self._rows.writerow([*publishing.row(record, label_names), *prints])


def rows(file: Path) -> Iterator[tuple[list[str], str, str]]:
    """Yields the rows of a part: columns, hash of pixels, hash of text.

    The text's is empty where there is no sentence.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            yield row[:-2], row[-2], row[-1]


def _print(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
