"""Records on disk: `write` makes a data set, `read` yields it back."""

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError

from kerasmi.data import wire
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import Record
from kerasmi.data.shards import FRAME, frames, reader
from kerasmi.data.writer import write
from kerasmi.errors import DataError

__all__ = ["Dataset", "read", "read_serialized", "write"]


def read(
    dataset: Dataset, split: str, image_ids: Iterable[str] | None = None
) -> Iterator[Record]:
    """Yields records as they were written.

    Args:
        dataset: The data set.
        split: One of its splits.
        image_ids: The images wanted; None is all of the split.

    Yields:
        The records, in the data set's order.

    Raises:
        DataError: An image is not in the split, or a record is damaged or
            not the one that the table tells of.
    """
    rows = dataset.rows(split, image_ids)["image_id"]
    serialized = read_serialized(dataset, split, image_ids)
    for image_id, each in zip(rows, serialized, strict=True):
        record = _decoded(dataset, each)
        if record is None or record.image_id != image_id:
            raise DataError(
                f"{dataset.path}: the record of {split} image {image_id!r} is "
                "another or none. Copy the files again, or make the data set "
                "again."
            )
        yield record


def _decoded(dataset: Dataset, serialized: bytes) -> Record | None:
    try:
        return wire.decode(serialized, dataset.label_names, dataset.has_regions)
    # All that a foreign message leads to.
    except (DecodeError, LookupError, ValueError):
        return None


def read_serialized(
    dataset: Dataset, split: str, image_ids: Iterable[str] | None = None
) -> Iterator[bytes]:
    """Yields serialised records; those not wanted are passed over unread.

    Raises:
        DataError: An image is not in the split, or a file has changed since
            the data set was opened.
    """
    shards = [shard for shard in dataset.index if shard.split == split]
    rows = dataset.rows(split, image_ids)
    for number, places in rows.groupby("shard", sort=True)["position"]:
        shard, wanted = shards[int(number)], set(places)
        file = dataset.path / shard.file
        record = reader(file)
        found = 0
        with file.open("rb") as stream:
            for position, (offset, _) in enumerate(frames(stream)):
                if position in wanted:
                    serialized, _ = record(offset - FRAME)
                    if serialized is None:
                        break
                    yield serialized
                    found += 1
        if found < len(wanted):
            raise DataError(dataset.fault(shard))
