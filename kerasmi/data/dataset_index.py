"""`dataset.json`: what it must say, and whether it agrees with itself."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic

from kerasmi.data.schema import SPLITS
from kerasmi.data.shards import Shard
from kerasmi.errors import DataError

FORMAT = "kerasmi-records"
VERSION = 1
INDEX = "dataset.json"
_LARGEST = 2**27  # bytes; a shard takes about 200


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is no valid Unicode") from None
    return text


_Text = Annotated[str, pydantic.AfterValidator(_unicode)]
_Count = Annotated[int, pydantic.Field(ge=0)]
_Size = Annotated[int, pydantic.Field(ge=1)]
_Hash = Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
_Split = Annotated[str, pydantic.Field(pattern=f"^({'|'.join(SPLITS)})$")]
# A plain name: the file lies in the folder.
_File = Annotated[str, pydantic.Field(pattern=r"^\w[\w.-]*$")]


class _Shard(pydantic.BaseModel, strict=True, extra="forbid"):
    file: _File
    split: _Split
    records: _Count
    bytes: _Count
    sha256: _Hash


class _Counts(pydantic.BaseModel, strict=True, extra="forbid"):
    images: _Size
    with_text: _Count
    studies: _Size
    subjects: _Size


class Index(pydantic.BaseModel, strict=True):
    """What `dataset.json` says, as `Dataset` has it."""

    name: _Text
    source: _Text
    label_names: list[_Text]
    image_size: _Size
    grid: _Size
    has_truth: bool
    has_regions: bool
    counts: dict[_Split, _Counts]
    shards: list[_Shard]
    images_sha256: _Hash
    made_by: dict[str, Any]
    fingerprint: _Hash


def read(folder: Path) -> Index:
    """Reads the index of a folder of records.

    Args:
        folder: What `kerasmi.data.records.write` made.

    Raises:
        DataError: There is none, it is damaged, or it contradicts itself.
    """
    file = folder / INDEX
    raw = _json(folder)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise DataError(
            f"{file}: is not the index of a kerasmi data set: expected "
            f'"format": "{FORMAT}".'
        )
    if raw.get("version") != VERSION:
        raise DataError(
            f"{file}: has version {str(raw.get('version'))[:20]}; this kerasmi "
            f"reads version {VERSION}. Make the data set again with this "
            "kerasmi, or use the one that made it."
        )
    try:
        index = Index.model_validate(raw)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{file}: {key}: {first['msg']}. Copy the file again, or make the"
            " data set again."
        ) from error
    if not any(shard.records for shard in index.shards):
        raise DataError(
            f"{file}: the data set is empty: it has no image. Make it again "
            "from a source that has images."
        )
    _check(index, file)
    return index


def fingerprint(
    label_names: Sequence[str], shards: Iterable[Shard], table: str
) -> str:
    """Hashes what decides a batch: not the name, nor who made it.

    Args:
        label_names: The labels, in order.
        shards: Every shard, in order.
        table: The hash of `images.csv`.
    """
    content = {
        "labels": list(label_names),
        "images": table,
        "shards": [(shard.file, shard.sha256) for shard in shards],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _json(folder: Path) -> Any:
    file = folder / INDEX
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder of records; `kerasmi data import` makes"
            " one."
        )
    try:
        size = file.stat().st_size
        if size > _LARGEST:
            raise DataError(f"{file}: has {size:,} bytes; it is no index.")
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: is not a data set: it has no {INDEX}. `kerasmi data"
            " import` makes one."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file}: cannot be read: {error}. Copy the file again, or make the"
            " data set again."
        ) from error


def _check(index: Index, file: Path) -> None:
    table = index.images_sha256
    found = fingerprint(index.label_names, shards(index), table)
    images = dict.fromkeys(index.counts, 0)
    for shard in index.shards:
        images[shard.split] = images.get(shard.split, 0) + shard.records
    counts = {split: count.images for split, count in index.counts.items()}
    agrees = found == index.fingerprint and images == counts
    for count in index.counts.values():
        agrees &= count.subjects <= count.studies <= count.images
        agrees &= count.with_text <= count.images
    if not agrees:
        raise DataError(
            f"{file}: contradicts itself: it was changed or damaged. Copy it "
            "again, or make the data set again."
        )


def shards(index: Index) -> tuple[Shard, ...]:
    """Returns every shard, in order."""
    return tuple(Shard(**shard.model_dump()) for shard in index.shards)
