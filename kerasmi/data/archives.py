"""What is common to zip and tar archives that others made."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from kerasmi.errors import DataError

# All that reading a damaged or a strange archive raises.
BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,  # a password
    NotImplementedError,  # another compression, or version
    ValueError,  # names that are no UTF-8
    OverflowError,
    TypeError,  # a tar's header that is cut off
    IndexError,  # a zip's member without a name
)


def reason(error: BaseException) -> str:
    """Says in a few words what one of `BROKEN` is about."""
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__


def check_member(file: Path, name: str) -> None:
    """Raises a `DataError` where a member's path leads out of its archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name[:2]:
        raise DataError(
            f"{file}: holds the path {name[:80]!r}, which leads out of the "
            "archive; it is damaged or made to harm. Get it from its "
            "publisher again."
        )
