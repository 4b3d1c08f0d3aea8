"""Writing a data set: all of it, or nothing."""

import contextlib
import csv
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasmi.data import publishing, wire
from kerasmi.data.dataset import IMAGES, Dataset
from kerasmi.data.publishing import LOCK, disk_errors
from kerasmi.data.register import Register
from kerasmi.data.schema import SPLITS, Record
from kerasmi.data.shards import Shard, sha256
from kerasmi.errors import DataError


def write(
    records: Iterable[Record],
    folder: str | Path,
    *,
    name: str,
    source: str,
    label_names: Sequence[str],
    made_by: Mapping[str, Any],
    image_size: int,
    records_per_shard: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Writes records as a data set.

    The records are taken one at a time, so that memory stays flat, and in
    their order, so that the same records give the same bytes. All is written
    in a hidden folder beside `folder`, which is renamed at the end: a writer
    that is killed, or that meets a full disk, leaves no half data set.

    Args:
        records: The records, of any split in any order.
        folder: Where to: new, empty, or made before with the same options.
        name: The data set's name in tables.
        source: Where its images came from.
        label_names: Its labels; a record may lack some (blank), not have
            others.
        made_by: The options it was made with, JSON values.
        image_size: Shorter side of every image, in pixels.
        records_per_shard: Records in a file; the last of a split has fewer.
        progress: Called with the number of records just written.

    Returns:
        The data set, opened.

    Raises:
        DataError: Two labels have one name, or a label a column's; there is
            no record; a record does not fit (names its image); a subject is
            in two splits; the folder holds anything else; another process
            writes there; or the disk is full.
    """
    folder = Path(folder)
    header = publishing.header(
        name=name,
        source=source,
        label_names=label_names,
        made_by=made_by,
        image_size=image_size,
    )
    publishing.refuse_foreign(folder, header)
    with _partial_folder(folder) as partial:
        writer = _Writer(partial, header, records_per_shard)
        with contextlib.closing(writer):
            for record in records:
                with disk_errors(folder):
                    writer.add(record)
                if progress is not None:
                    progress(1)
            with disk_errors(folder):
                writer.finish()
        return publishing.publish(partial, folder)


class _Writer:
    """Fills a folder with shards, `images.csv` and, last, `dataset.json`."""

    def __init__(
        self, folder: Path, header: dict[str, Any], records_per_shard: int
    ):
        if records_per_shard < 1:
            raise ValueError(
                "records_per_shard must be at least 1, received "
                f"{records_per_shard}."
            )
        self._folder = folder
        self._header = header
        self._limit = records_per_shard
        self._register = Register(header["label_names"], header["image_size"])
        self._files = contextlib.ExitStack()
        self._shards: dict[str, list[int]] = {}
        self._open: dict[str, Any] = {}
        self._table: Any = None

    def add(self, record: Record) -> None:
        """Writes one record to the open shard of its split."""
        self._register.add(record)
        if self._table is None:
            self._table = self._start_table()
        sizes = self._shards.setdefault(record.split, [])
        if not sizes or sizes[-1] == self._limit:
            self._next_shard(record.split)
        names = self._header["label_names"]
        place = (len(sizes) - 1, sizes[-1])
        self._table.writerow([*publishing.row(record, names), *place])
        self._open[record.split].write(wire.encode(record, names))
        sizes[-1] += 1

    def finish(self) -> None:
        """Closes the shards, gives them their names and writes the index."""
        if not self._shards:
            raise DataError(
                f"the data set {self._header['name']!r} would be empty: its "
                "source gave no record."
            )
        self._files.close()
        shards = [
            self._name_shard(split, number)
            for split in SPLITS
            for number in range(len(self._shards.get(split, ())))
        ]
        publishing.write_index(
            self._folder,
            self._header,
            shards,
            self._register.counts(),
            self._register.has_truth,
            self._register.has_regions,
        )

    def close(self) -> None:
        """Closes every open file; after a full disk that fails once more."""
        with contextlib.suppress(OSError, tf.errors.OpError):
            self._files.close()

    def _start_table(self) -> Any:
        stream = (self._folder / IMAGES).open("w", encoding="utf-8", newline="")
        table = csv.writer(self._files.enter_context(stream))
        names = self._header["label_names"]
        table.writerow(publishing.columns(names, self._register.has_truth))
        return table

    def _next_shard(self, split: str) -> None:
        if split in self._open:
            self._open[split].close()
        sizes = self._shards[split]
        file = self._folder / f"{split}-{len(sizes):05d}"
        self._open[split] = self._files.enter_context(
            tf.io.TFRecordWriter(str(file))
        )
        sizes.append(0)

    def _name_shard(self, split: str, number: int) -> Shard:
        sizes = self._shards[split]
        name = f"{split}-{number:05d}-of-{len(sizes):05d}.tfrecord"
        file = self._folder / name
        (self._folder / f"{split}-{number:05d}").rename(file)
        return Shard(
            name, split, sizes[number], file.stat().st_size, sha256(file)
        )


@contextlib.contextmanager
def _partial_folder(folder: Path) -> Iterator[Path]:
    """Yields a locked, empty, hidden folder beside `folder`; removes it."""
    partial = folder.parent / f".{folder.name}.partial"
    with publishing.locked(partial, folder) as lock:
        try:
            with disk_errors(folder):
                for stale in partial.iterdir():
                    if stale.name != LOCK:
                        stale.unlink()
            yield partial
        finally:
            # Once published, a folder of this name is another writer's.
            with contextlib.suppress(FileNotFoundError):
                mine = os.fstat(lock.fileno())
                if os.path.samestat(mine, (partial / LOCK).stat()):
                    shutil.rmtree(partial, ignore_errors=True)
