"""Files that a command is asked to write: refused before the work, not after.

A name that is taken, of the wrong kind or in a place that cannot be written
is told of at once; a file appears whole or not at all.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kerasmi.errors import KerasmiError


class OutputError(KerasmiError):
    """A file or folder that cannot be written: names it and why."""


def check_file(path: Path, kinds: Sequence[str], force: bool) -> None:
    """Refuses a file that cannot be written.

    Args:
        path: the file.
        kinds: the endings that its name may have, such as `".png"`.
        force: whether it may exist.

    Raises:
        OutputError: another ending, it exists, or its place cannot be written.
    """
    if path.suffix.lower() not in kinds:
        raise OutputError(f"{path}: expected a name in {' or '.join(kinds)}")
    if path.is_dir():
        raise OutputError(f"{path}: a folder; give the name of a file")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists; --force overwrites it")
    _check_place(path)


def check_folder(path: Path, new: bool) -> None:
    """Refuses a folder that cannot be made, or be written to.

    Args:
        path: the folder.
        new: whether it must not exist.

    Raises:
        OutputError: it exists, is a file, or its place cannot be written.
    """
    if path.exists() and (new or not path.is_dir()):
        what = "exists" if path.is_dir() else "a file"
        raise OutputError(f"{path}: {what}; give another --output")
    _check_place(path / "_")


def check_within(path: Path, folder: Path) -> None:
    """Refuses a file or folder that a link puts outside of a folder.

    Args:
        path: where a command writes if nothing else is said.
        folder: what it was given, which may be anyone's.

    Raises:
        OutputError: it is elsewhere.
    """
    # unlike `resolve`, no error for links in a circle
    place, within = map(os.path.realpath, (path, folder))
    if not Path(place).is_relative_to(within):
        raise OutputError(
            f"{path}: a link leads out of {folder}; give another --output"
        )


def write(path: Path, make: Callable[[Path], object]) -> None:
    """Writes a file whole: beside its place, then renamed; makes its folder.

    Args:
        path: the file.
        make: writes the file that it is given, which has the same ending.

    Raises:
        OutputError: it cannot be written.
    """
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            make(beside)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file to write to; at the end it has its name, or is gone.

    Args:
        path: the file, in a folder that exists.

    Yields:
        The file to write to, beside its place and with the same ending.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(
        prefix=".", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        # mkstemp makes the file private; a result is read by others too
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def written(
    path: Path, kind: type[KerasmiError] = OutputError, remedy: str = ""
) -> Iterator[None]:
    """Tells what the system refuses of the block as a path not written.

    Args:
        path: what is written.
        kind: of the error.
        remedy: what to do, such as "give another --output".

    Raises:
        KerasmiError: of the kind, for an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        reason = f"{path}: cannot be written: {error.strerror or error}"
        raise kind(f"{reason}; {remedy}" if remedy else reason) from None


@contextlib.contextmanager
def new_folder(
    path: Path, kind: type[KerasmiError] = OutputError, remedy: str = ""
) -> Iterator[Path]:
    """A folder to fill; at the end it has its name, or is gone if that failed.

    What fails inside the block is raised as it is, as it need not be of
    writing: see `written`.

    Args:
        path: the folder to make; its parents are made too.
        kind: of the error.
        remedy: what to do, see `written`.

    Yields:
        The folder to write to, beside its place.

    Raises:
        KerasmiError: of the kind: it cannot be made, or not get its name.
    """
    with written(path, kind, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(
            tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)
        )
    try:
        yield beside
        with written(path, kind, remedy):
            beside.chmod(0o755)
            beside.rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def slug(text: str, longest: int = 32) -> str:
    """Letters, digits and hyphens: a part of a file's name."""
    words = "".join(
        letter if letter.isalnum() else " " for letter in text.lower()
    ).split()
    return "-".join(words)[:longest].strip("-") or "unnamed"


def standing(path: Path) -> Path:
    """A file or folder itself, or what is nearest above it and exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _check_place(path: Path) -> None:
    place = standing(path.parent)
    if not place.is_dir():
        raise OutputError(
            f"{path.parent}: cannot be written: {place} is not a folder; give"
            " another place"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(
            f"{path.parent}: cannot be written: no permission; give another"
            " place"
        )
