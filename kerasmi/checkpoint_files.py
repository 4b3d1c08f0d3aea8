"""The files of checkpoints: whole or absent, checksummed, the last two kept.

    epoch0003-step000000.npz          what was trained, and facts about it
    epoch0003-step000000.npz.sha256   its checksum, as `sha256sum -c` reads it
    best0002.npz                      of the best epoch so far, if it is older

A file is written beside its place, to the disk, then renamed. Its checksum is
written before it, so a file that has none is damaged. So is one that would be
more in memory than on the disk: nothing is compressed in what is written here.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerasmi.folder import sync_folder

KEPT = 2
_POSITION = re.compile(r"epoch(\d+)-step(\d+)\.npz")
_BEST = re.compile(r"best(\d+)\.npz")
_FACTS = "facts"

Arrays = Iterable[tuple[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, order=True)
class Position:
    """How far a training got.

    Attributes:
        epoch: epochs done.
        step: steps done of the next epoch; 0 between two epochs.
    """

    epoch: int = 0
    step: int = 0

    @property
    def file(self) -> str:
        """The name of its checkpoint."""
        return f"epoch{self.epoch:04}-step{self.step:06}.npz"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back.

    Attributes:
        arrays: what was trained, by name.
        facts: what else is needed to go on, JSON values.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def best_file(epoch: int) -> str:
    """The name of the file with the state after an epoch, the first is 1."""
    return f"best{epoch:04}.npz"


def write(path: Path, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Writes a checkpoint; one of the same name is replaced.

    Args:
        path: the file; its folder is made if need be.
        arrays: names and values, taken one at a time.
        facts: JSON values.

    Raises:
        OSError: it cannot be written; those that were there are as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sums = _sums(path)
    beside, sums_beside = (p.with_name(f".{p.name}") for p in (path, sums))
    try:
        with open(beside, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                _write_arrays(archive, arrays, facts)
            _to_disk(file.fileno())
        with open(sums_beside, "w", encoding="ascii") as file:
            file.write(f"{_sha256(beside)}  {path.name}\n")
            file.flush()
            _to_disk(file.fileno())
        os.replace(sums_beside, sums)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
        sums_beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint; see `fault` for whether it is whole."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    return Checkpoint(arrays, facts)


def fault(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None where it is whole."""
    try:
        told = _sums(path).read_text("ascii").split()
        found = _sha256(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        return f"its checksum cannot be compared: {reason}"
    if told != [found, path.name]:
        return "its checksum differs"
    return _foreign(path)


def newest(
    folder: Path,
    tell: Callable[[str], None],
    usable: Callable[[Checkpoint], str | None],
) -> tuple[Position, Checkpoint] | None:
    """The last checkpoint that is whole, and of what position.

    Args:
        folder: where.
        tell: called with a line on each that is passed over.
        usable: tells why a whole one cannot be used, None where it can.

    Returns:
        None where there is none.
    """
    for position in reversed(positions(folder)):
        path = folder / position.file
        wrong = fault(path)
        if wrong is None:
            found = read(path)
            wrong = usable(found)
            if wrong is None:
                return position, found
        tell(
            f"{path}: a damaged checkpoint ({wrong}); the one before it is"
            " used, if there is one"
        )
    return None


def positions(folder: Path) -> list[Position]:
    """Of all checkpoints there, damaged or not, in order."""
    if not folder.is_dir():
        return []
    names = filter(None, map(_POSITION.fullmatch, os.listdir(folder)))
    return sorted(Position(int(m[1]), int(m[2])) for m in names)


def prune(folder: Path, best: Collection[int]) -> None:
    """Removes all but the last two checkpoints and some best epochs.

    Args:
        folder: where.
        best: the best epochs that are kept.
    """
    for position in positions(folder)[:-KEPT]:
        remove(folder / position.file)
    for name in os.listdir(folder):
        match = _BEST.fullmatch(name)
        if match and int(match[1]) not in best:
            remove(folder / name)


def remove(path: Path) -> None:
    """Removes a checkpoint and its checksum."""
    path.unlink(missing_ok=True)
    _sums(path).unlink(missing_ok=True)


def _write_arrays(
    archive: zipfile.ZipFile, arrays: Arrays, facts: Mapping[str, Any]
) -> None:
    told = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    for name, array in ((_FACTS, told), *arrays):
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.save(member, array, allow_pickle=False)


def _foreign(path: Path) -> str | None:
    """What `write` would not have written, which anyone can give a checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(m.compress_type != zipfile.ZIP_STORED for m in members):
                return "it is compressed"
            # several members may be of the same bytes
            if sum(m.file_size for m in members) > path.stat().st_size:
                return "its arrays are larger than the file"
            for member in members:
                with archive.open(member) as file:
                    if _promised(file) != member.file_size:
                        return f"{member.filename} is not as long as it says"
    # what a hostile file meets first is beyond any list
    except Exception:
        return "it is no archive of arrays"
    return None


def _promised(file: IO[bytes]) -> int:
    """Bytes of an `.npy` file, by its header; raises `ValueError`."""
    layout: Any = np.lib.format  # its functions have no types
    if layout.read_magic(file) != (1, 0):
        raise ValueError("not as `write` writes it")
    shape, _, dtype = layout.read_array_header_1_0(file)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("no array of numbers")
    return file.tell() + math.prod(shape) * dtype.itemsize


def _sums(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(descriptor: int) -> None:
    os.fsync(descriptor)
