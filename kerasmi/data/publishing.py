"""A data set is put in place whole: header, table, index, lock, rename."""

import contextlib
import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

import kerasmi
from kerasmi.data.dataset import IMAGES, TRUTH, Dataset
from kerasmi.data.dataset_index import FORMAT, INDEX, VERSION, fingerprint
from kerasmi.data.schema import BLANK, GRID, Record
from kerasmi.data.shards import Shard, sha256
from kerasmi.errors import DataError

LOCK = ".lock"
IDS = ("image_id", "study_id", "subject_id", "split", "view")
PLACE = ("shard", "position")
_SAME = ("name", "source", "label_names", "image_size", "grid")


class BeingWrittenError(DataError):
    """Another process is writing the data set."""


def header(
    *,
    name: str,
    source: str,
    label_names: Sequence[str],
    made_by: Mapping[str, Any],
    image_size: int,
) -> dict[str, Any]:
    """Returns what `dataset.json` says before a record is written.

    Raises:
        DataError: Two labels have one name, or a label a column's.
    """
    columns = [*IDS, "sentences", *PLACE, *label_names]
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        raise DataError(
            f"a label cannot be called {twice[0]!r}: {IMAGES} has a column of "
            "that name; give the label another (--label NAME=COLUMN)."
        )
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "source": source,
        "label_names": list(label_names),
        "image_size": image_size,
        "grid": GRID,
        "made_by": {
            "kerasmi": kerasmi.__version__,
            "options": json.loads(json.dumps(dict(made_by))),
        },
    }


def columns(label_names: Sequence[str], has_truth: bool) -> list[str]:
    """Returns the columns of `images.csv`."""
    truth = [TRUTH + name for name in label_names if has_truth]
    return [*IDS, "sentences", *label_names, *truth, *PLACE]


def row(record: Record, label_names: Sequence[str]) -> list[Any]:
    """Returns a record's row of `images.csv` without its `PLACE`."""
    truth = record.truth
    return [
        *(getattr(record, name) for name in IDS),
        len(record.sentences),
        *(record.labels.get(n, BLANK) for n in label_names),
        *(() if truth is None else (truth.get(n, BLANK) for n in label_names)),
    ]


def write_index(
    folder: Path,
    header: Mapping[str, Any],
    shards: Sequence[Shard],
    counts: Mapping[str, Mapping[str, int]],
    has_truth: bool = False,
    has_regions: bool = False,
) -> None:
    """Writes `dataset.json`, the last file of a data set.

    Args:
        folder: Holds the shards and `images.csv`.
        header: What `header` returned.
        shards: Every shard, in order.
        counts: As `Dataset.counts`.
        has_truth: As `Dataset.has_truth`.
        has_regions: As `Dataset.has_regions`.
    """
    table = sha256(folder / IMAGES)
    index = {
        **header,
        "has_truth": has_truth,
        "has_regions": has_regions,
        "counts": counts,
        "shards": [asdict(shard) for shard in shards],
        "images_sha256": table,
        "fingerprint": fingerprint(header["label_names"], shards, table),
    }
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def refuse_foreign(folder: Path, header: Mapping[str, Any]) -> bool:
    """Raises unless the folder is free or holds the same data set.

    Returns:
        Whether it holds the same data set.
    """
    found = published(folder)
    if found is None:
        return False
    differs = [key for key in _SAME if found.get(key) != header[key]]
    if found["made_by"]["options"] != header["made_by"]["options"]:
        differs.append("made_by")
    if differs:
        raise DataError(
            f"{folder}: holds another data set (its {differs[0]} differs); "
            "name another folder, or remove it."
        )
    return True


def published(folder: Path) -> dict[str, Any] | None:
    """Returns the index of a folder's data set; None where it is free.

    Raises:
        DataError: The folder holds anything else.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; name a folder.")
    if not any(folder.iterdir()):
        return None
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        found["made_by"]["options"]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
    ) as error:
        raise DataError(
            f"{folder}: is not empty and holds no whole data set; name "
            "another folder, or remove it."
        ) from error
    return dict(found)


@contextlib.contextmanager
def locked(work: Path, folder: Path) -> Iterator[Any]:
    """Makes the folder `work`, beside `folder`, and locks it.

    Args:
        work: Where a data set is being made.
        folder: Where it will be, for messages.

    Yields:
        The open lock file.

    Raises:
        BeingWrittenError: Another process has the lock.
        DataError: The disk is full, or its file system has no locks.
    """
    with disk_errors(folder):
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / LOCK).open("w")
    with lock:
        try:
            # Freed by the system when the writer is killed.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BeingWrittenError(
                f"{folder}: another process is writing this data set."
            ) from error
        except OSError as error:
            raise not_written(folder, error) from error
        yield lock


def publish(partial: Path, folder: Path) -> Dataset:
    """Puts the finished folder in place, or keeps the same one there."""
    made = Dataset.open(partial)
    if (folder / INDEX).exists():
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if found["fingerprint"] != made.fingerprint:
            raise DataError(
                f"{folder}: holds other records made with the same options; "
                "name another folder, or remove it."
            )
        with contextlib.suppress(DataError):
            return Dataset.open(folder, verify="hash")
        shutil.rmtree(folder)
    with disk_errors(folder):
        os.rename(partial, folder)
    (folder / LOCK).unlink(missing_ok=True)
    return Dataset.open(folder)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what a full or read-only disk raises into one line."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise not_written(folder, error) from error


def not_written(folder: Path, error: Exception) -> DataError:
    """Returns the error of a folder that could not be written, in one line."""
    reason = getattr(error, "strerror", None) or error
    reason = str(getattr(error, "message", reason)).partition("\n")[0]
    if "No space left" in reason or "disk is full" in reason:
        reason += "; make room and run the same command again"
    return DataError(f"{folder}: could not be written: {reason}")
