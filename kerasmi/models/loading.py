"""A `.keras` file, as far as it can be trusted: nothing in it is executed.

Keras's safe mode refuses Python code in a file, such as a `Lambda` layer. An
archive that would unpack to more than it could hold is refused before that.
"""

import os
import zipfile
from pathlib import Path, PurePosixPath

import keras

from kerasmi.errors import RunError

_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_ASSETS = "assets"
# In what Keras says of such a file; a test fails when it says it otherwise.
_CODE = "arbitrary code execution"
# Keras stores without compression; this leaves room for another writer.
_LARGEST_RATIO, _ROOM = 20, 2**24


def load(path: str | os.PathLike[str], compile: bool = True) -> keras.Model:
    """The model of a `.keras` file that may be anyone's.

    Args:
        path: the file.
        compile: whether the optimizer is restored too.

    Raises:
        ValueError: one line: no such file, not a `.keras` file, damaged, or
            one that would execute code or fill the memory.
    """
    path = Path(path)
    try:
        _check(path)
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except MemoryError:
        raise ValueError("it asks for more memory than there is") from None
    # what a hostile configuration meets first is beyond any list
    except Exception as error:
        if _CODE in str(error):
            raise ValueError(
                "it holds Python code, which is not executed"
            ) from None
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(lines[0]) from error


def of_run(path: Path) -> keras.Model:
    """The model of a run's stage, for use: without its optimizer.

    Raises:
        RunError: as `load`; names the file and the remedy.
    """
    try:
        return load(path, compile=False)
    except ValueError as error:
        raise RunError(
            f"{path}: cannot be read: {error}; restore the file, or run the"
            " recipe anew"
        ) from None


def _check(path: Path) -> None:
    if not path.is_file():
        raise ValueError("there is no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is damaged, or no .keras file")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for member in members:
        parts = PurePosixPath(member.filename).parts
        inside = parts[:1] == (_ASSETS,) and ".." not in parts
        if not inside and member.filename not in _MEMBERS:
            raise ValueError(f"it holds {member.filename!r}, which is no part")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _ROOM + _LARGEST_RATIO * path.stat().st_size:
        raise ValueError(f"it would unpack to {unpacked:,} bytes")
