"""The files of a stage that grow with each epoch, and how long they were."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from kerasmi import checkpoint_files as files
from kerasmi.checkpoint_files import Checkpoint
from kerasmi.folder import CHECKPOINT

HISTORY = "history.csv"
TENSORBOARD = "tensorboard"


def _logs(folder: Path) -> Iterator[Path]:
    """The files that grow with each epoch."""
    if (folder / HISTORY).is_file():
        yield folder / HISTORY
    for path in sorted((folder / TENSORBOARD).rglob("*")):
        if path.is_file():
            yield path


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each log, once all of it is on the disk."""
    found = {}
    for path in _logs(folder):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        found[str(path.relative_to(folder))] = size
    return found


def missing(folder: Path, checkpoint: Checkpoint) -> str | None:
    """What of a checkpoint lies in other files and is not there."""
    for name, size in checkpoint.facts["sizes"].items():
        with contextlib.suppress(OSError):
            if (folder / name).stat().st_size >= size:
                continue
        return f"{name} is shorter than when it was made"
    best = checkpoint.facts["best"]
    if best is None:
        return None
    name = files.best_file(best["epoch"])
    wrong = files.fault(folder / CHECKPOINT / name)
    return wrong and f"{name}: {wrong}"


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Takes from the logs what was written after the checkpoint."""
    for path in list(_logs(folder)):
        size = sizes.get(str(path.relative_to(folder)))
        if size is None:
            path.unlink()
        else:
            os.truncate(path, size)
