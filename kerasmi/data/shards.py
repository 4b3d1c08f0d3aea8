"""One TFRecord file: where its records lie and whether it is whole."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FRAME = 12  # bytes before the data of a record


@dataclass(frozen=True)
class Shard:
    """One TFRecord file, as `dataset.json` tells of it."""

    file: str
    split: str
    records: int
    bytes: int
    sha256: str


def frames(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yields where each whole record of a TFRecord file lies.

    A record is its length (8 bytes), that length's checksum (4), the data,
    and the data's checksum (4). Reads the lengths alone.

    Args:
        stream: The open file.

    Yields:
        Offset and length of the data, in bytes; stops before a record that
        is cut off.
    """
    size = stream.seek(0, os.SEEK_END)
    offset = 0
    while offset + 16 <= size:
        stream.seek(offset)
        (length,) = struct.unpack("<Q", stream.read(8))
        if offset + length + 16 > size:
            return
        yield offset + FRAME, length
        offset += length + 16


def first_damaged(file: Path, records: int) -> int | None:
    """Returns the first record that is missing, cut off or altered.

    Args:
        file: A TFRecord file.
        records: How many records were written to it.

    Returns:
        Its number, counted from 0, or None when all records are whole.
    """
    offset, read = 0, reader(file)
    for number in range(records):
        record, offset = read(offset)
        if record is None:
            return number
    return None


def reader(file: Path) -> Callable[[int], tuple[bytes | None, int]]:
    """Returns what reads a record of a TFRecord file, its checksums checked.

    Args:
        file: A TFRecord file.

    Returns:
        A function of the place of a record's frame, in bytes: the record,
        None where it is missing, cut off or altered, and the next one's
        place.
    """
    import tensorflow as tf
    from tensorflow.python.lib.io import tf_record  # public nowhere else

    opened = tf_record.tf_record_random_reader(str(file))

    def read(place: int) -> tuple[bytes | None, int]:
        try:
            record, end = opened.read(place)
        except (IndexError, tf.errors.DataLossError):
            return None, place
        return record, end

    return read


def sha256(file: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
