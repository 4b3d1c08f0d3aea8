"""A folder of records: what it holds, and whether it is whole.

Needs no TensorFlow until a damaged record is searched for, so that a command
can describe a data set at once.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from kerasmi.data import dataset_index
from kerasmi.data.dataset_index import INDEX
from kerasmi.data.shards import Shard, first_damaged, sha256
from kerasmi.errors import DataError

IMAGES = "images.csv"
TRUTH = "truth: "
_REMAKE = "Copy the file again, or make the data set again."


@dataclass(frozen=True)
class Dataset:
    """A folder of records.

    Attributes:
        path: The folder.
        name: Its name in tables.
        source: Where its images came from.
        label_names: The labels, in the order in which records hold them.
        image_size: Shorter side of every image, in pixels.
        grid: Cells of a region map along one side.
        has_truth: Whether the known answers are stored (phantom only).
        has_regions: Whether region maps are stored (phantom only).
        counts: Split to the number of `images`, `with_text` (images whose
            report has a sentence), `studies` and `subjects`.
        index: Every shard, in order.
        images_sha256: Hash of `images.csv`.
        made_by: kerasmi's version and the options of the maker.
        fingerprint: Changes with any byte of any record.
        services: `HOST:PORT` of servers that prepare its batches (see
            `kerasmi.data.service`); none: this process does.
    """

    path: Path
    name: str
    source: str
    label_names: tuple[str, ...]
    image_size: int
    grid: int
    has_truth: bool
    has_regions: bool
    counts: dict[str, dict[str, int]]
    index: tuple[Shard, ...]
    images_sha256: str
    made_by: dict[str, Any]
    fingerprint: str
    services: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, folder: str | Path, *, verify: Literal["size", "hash"] = "size"
    ) -> "Dataset":
        """Opens a folder and checks that it is whole.

        Args:
            folder: What `kerasmi.data.records.write` made.
            verify: `"size"` compares the size of every shard; `"hash"` reads
                every byte.

        Returns:
            The data set.

        Raises:
            DataError: The folder is not a data set, is empty, or is damaged;
                names the file, and the record where one is cut off.
        """
        if verify not in ("size", "hash"):
            raise ValueError(
                f"verify must be 'size' or 'hash', received {verify!r}."
            )
        path = Path(folder)
        index = dataset_index.read(path)
        dataset = cls(
            path=path,
            name=index.name,
            source=index.source,
            label_names=tuple(index.label_names),
            image_size=index.image_size,
            grid=index.grid,
            has_truth=index.has_truth,
            has_regions=index.has_regions,
            counts={s: n.model_dump() for s, n in index.counts.items()},
            index=dataset_index.shards(index),
            images_sha256=index.images_sha256,
            made_by=index.made_by,
            fingerprint=index.fingerprint,
        )
        dataset.verify(full=verify == "hash")
        return dataset

    def shards(self, split: str) -> list[Path]:
        """Returns the files of a split, in order.

        Raises:
            DataError: The split has no image.
        """
        return [self.path / shard.file for shard in self._of(split)]

    def shard_sizes(self, split: str) -> list[int]:
        """Returns the number of records in each of a split's files."""
        return [shard.records for shard in self._of(split)]

    def num_bytes(self, split: str) -> int:
        """Returns the size of a split on disk, in bytes."""
        return sum(shard.bytes for shard in self._of(split))

    @functools.cached_property
    def images(self) -> pd.DataFrame:
        """One row per image, in the order of the records.

        Columns: `image_id`, `study_id`, `subject_id`, `split`, `view`,
        `sentences` (their number), one for each label, `truth: <label>` where
        the answers are known, `shard` and `position` in that shard, both
        counted from 0 within the split.
        """
        text = ("image_id", "study_id", "subject_id", "split", "view")
        return pd.read_csv(
            self.path / IMAGES,
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
        )

    def rows(
        self, split: str, image_ids: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """Returns the rows of `images` of one split.

        Args:
            split: One of the splits.
            image_ids: The images wanted; None is all of the split.

        Returns:
            The rows in the order of the records; the index numbers them from
            0 within the split.

        Raises:
            DataError: The split has no image, or not an image wanted.
        """
        self._of(split)
        rows = self.images[self.images["split"] == split].reset_index(drop=True)
        if image_ids is None:
            return rows
        wanted = set(image_ids)
        missing = wanted.difference(rows["image_id"])
        if missing:
            raise DataError(
                f"{self.path}: has no {split} image {min(missing)!r} "
                f"({len(missing)} of the {len(wanted)} asked for are missing)."
            )
        return rows[rows["image_id"].isin(wanted)]

    def verify(self, full: bool = True, split: str | None = None) -> None:
        """Checks the files against `dataset.json`.

        Args:
            full: Also read every byte of the shards and compare the hashes.
            split: The split to check; None is all of them.

        Raises:
            DataError: Names the first file that differs, and the record.
        """
        table = self.path / IMAGES
        if not table.is_file() or sha256(table) != self.images_sha256:
            raise DataError(
                f"{table}: is missing or not the file that {INDEX} tells of. "
                f"{_REMAKE}"
            )
        for shard in self.index:
            if split in (None, shard.split):
                fault = self.fault(shard, full)
                if fault is not None:
                    raise DataError(fault)

    def fault(self, shard: Shard, full: bool = True) -> str | None:
        """Returns in one line what is wrong with a shard, or None."""
        file = self.path / shard.file
        if not file.is_file():
            return f"{file}: the file is missing. {_REMAKE}"
        size = file.stat().st_size
        if size == shard.bytes and not (full and sha256(file) != shard.sha256):
            return None
        number = first_damaged(file, shard.records)
        if number is None or number >= shard.records:
            return (
                f"{file}: is not the file that {INDEX} tells of: {size} bytes "
                f"where {shard.bytes} were written, or other contents. "
                f"{_REMAKE}"
            )
        return (
            f"{file}: record {number} of {shard.records} (counted from 0) "
            f"{self._image_at(shard, number)}is cut off or damaged; the file "
            f"has {size} bytes where {shard.bytes} were written. {_REMAKE}"
        )

    def _of(self, split: str) -> list[Shard]:
        found = [shard for shard in self.index if shard.split == split]
        if not found:
            raise DataError(
                f"{self.path}: has no {split} images; it has "
                f"{', '.join(sorted(self.counts)) or 'none'}."
            )
        return found

    def _image_at(self, shard: Shard, number: int) -> str:
        """Returns the image of a record, as a hint within a message."""
        first = sum(
            other.records
            for other in self._of(shard.split)
            if other.file < shard.file
        )
        image_id = self.rows(shard.split)["image_id"].iloc[first + number]
        return f"with image {image_id!r} "
