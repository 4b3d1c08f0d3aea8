"""A PyTorch state dict as numpy arrays: without torch, without running it."""

import os
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerasmi.checkpoints.pickle_machine import Machine, Tensor
from kerasmi.checkpoints.storage import Storage
from kerasmi.errors import CheckpointError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# what other programs call the weights among the rest of a training state
_WEIGHTS = ("state_dict", "model_state_dict", "model")
# names and shapes of 10,000 tensors need a hundredth of this
_LARGEST_PROGRAM = 64 * 2**20


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a `.bin` or `.pt` file by name.

    Args:
        path: a state dict that `torch.save` wrote, in the zip form (torch
            1.6 and later) or the older one.

    Returns:
        Arrays; bfloat16 comes as float32.

    Raises:
        CheckpointError: not such a file, damaged, or a pickle that asks for
            anything but tensors, which is named.
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            top = _read_zip(path)
        else:
            top = _read_legacy(path)
        return {name: each.array() for name, each in _weights(top).items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror or error}"
        ) from None
    # what reading nonsense leads to; nothing of ours is hidden by it
    except (
        *(ValueError, TypeError, LookupError, AttributeError, struct.error),
        *(EOFError, OverflowError, MemoryError, RuntimeError),
        *(zipfile.BadZipFile, NotImplementedError),
    ) as error:
        raise CheckpointError(
            f"{path}: damaged, or no state dict of PyTorch"
            f" ({type(error).__name__}: {error}); get it again"
        ) from None


# === The two forms of the file ===


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        programs = [n for n in names if n.split("/")[1:] == ["data.pkl"]]
        if len(programs) != 1:
            raise CheckpointError("a zip archive without one `data.pkl`")
        root = programs[0].removesuffix("data.pkl")
        big = False
        if f"{root}byteorder" in names:
            big = _member(archive, f"{root}byteorder", 6) == b"big"
        made: dict[Any, Storage] = {}

        def storage(identity: tuple[Any, ...]) -> Storage:
            _, kind, key, _, count, *_ = identity
            if key not in made:
                made[key] = Storage(kind, count, big)
                size = made[key].nbytes
                content = _member(archive, f"{root}data/{key}", size)
                made[key].fill(content)
            return made[key]

        program = archive.open(_stored(archive, programs[0], _LARGEST_PROGRAM))
        with program:
            return Machine(storage).run(program)


def _stored(archive: zipfile.ZipFile, name: str, limit: int) -> zipfile.ZipInfo:
    entry = archive.getinfo(name)
    # torch never compresses; what expands may expand without end
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
        raise CheckpointError(f"`{name}`: compressed, or larger than it says")
    return entry


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    content = archive.read(_stored(archive, name, size))
    return content


def _read_legacy(path: Path) -> Any:
    size = path.stat().st_size
    with open(path, "rb") as file:
        bounded = _Bounded(file, size)
        made: dict[Any, Storage] = {}

        def storage(identity: tuple[Any, ...]) -> Storage:
            _, kind, key, _, count, *view = identity
            if any(each is not None for each in view):
                raise CheckpointError("refused: a view of a storage")
            return made.setdefault(key, Storage(kind, count))

        def load() -> Any:
            return Machine(storage).run(bounded)  # type: ignore[arg-type]

        if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
            raise CheckpointError("not a state dict of PyTorch")
        load()  # byte order and sizes of the machine that wrote it
        top = load()
        for key in load():
            count = int.from_bytes(bounded.read(8), "little")
            if count != made[key].count:
                raise ValueError("a storage of another size than announced")
            made[key].fill(bounded.read(made[key].nbytes))
        return top


class _Bounded:
    """A file that never promises more than it holds."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        if count > self._size - self._file.tell():
            raise EOFError("the file ends early")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline(_LARGEST_PROGRAM)


def _weights(top: Any) -> dict[str, Tensor]:
    if isinstance(top, dict):
        for name in _WEIGHTS:
            if isinstance(top.get(name), dict):
                top = top[name]
        found = {
            name: value
            for name, value in top.items()
            if isinstance(name, str) and isinstance(value, Tensor)
        }
        if found:
            return found
    raise CheckpointError("it holds no dictionary of tensors")
