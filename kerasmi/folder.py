"""A folder that one process at a time works in: a run's or a grid's."""

import abc
import contextlib
import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import ClassVar, Self

from kerasmi.errors import RunError

DONE = "done.json"
CHECKPOINT = "checkpoint"
LOCK = ".lock"


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    full = (errno.ENOSPC, errno.EDQUOT)
    # libraries pass the words on and lose the number
    return getattr(error, "errno", None) in full or any(
        os.strerror(number) in str(error) for number in full
    )


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, after a rename."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Folder(abc.ABC):
    """A folder with a lock; `close` lets another process take it.

    Attributes:
        path: where it is.
        kind: the word for it in messages.
        marker: the file that says what the folder is.
    """

    kind: ClassVar[str]
    marker: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._made: list[Path] = []
        self._mine = False

    @property
    def started(self) -> bool:
        """Whether the folder holds what it is for."""
        return (self.path / self.marker).is_file()

    def _refuse_file(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: a file; give another --output")

    def _refuse_foreign_files(self) -> None:
        if not self.path.is_dir():
            return
        try:
            foreign = sorted(filter(self._is_foreign, os.listdir(self.path)))
        except OSError as error:
            raise RunError(f"{self.path}: {error.strerror}") from None
        if foreign:
            raise RunError(
                f"{self.path}: not empty and no {self.kind}: it holds"
                f" {foreign[0]}; give another --output"
            )

    def _is_foreign(self, name: str) -> bool:
        # a process that was killed leaves the lock, or half of the marker
        return name != LOCK and not name.startswith(f".{self.marker}.")

    def _refuse_second_start(self, resume: bool) -> None:
        if not resume:
            raise RunError(
                f"{self.path}: holds this {self.kind} already; continue it"
                " with --resume, or give another --output"
            )

    def _refuse_links(self) -> None:
        # logs are cut and old files removed where a link leads, anyone's too
        for place, folders, files in os.walk(self.path):
            for name in sorted([*folders, *files]):
                path = Path(place, name)
                if path.is_symlink():
                    raise RunError(
                        f"{path}: a link, which a {self.kind} does not write"
                        " through; put what it leads to in its place, or give"
                        " another --output"
                    )

    def _begin(self, resume: bool) -> None:
        """Takes the folder, or raises `RunError` and leaves it as it was."""
        try:
            self.check(resume)
            self._make_folder()
            self._take_lock()
            self._mine = not self.started
            # Another process may have started it in between.
            self.check(resume)
            self._record_start()
        except OSError as error:
            self.discard()
            raise RunError(
                f"{self.path}: the output folder cannot be written:"
                f" {error.strerror or error}; give another --output"
            ) from None
        except BaseException:
            self.discard()
            raise

    @abc.abstractmethod
    def check(self, resume: bool) -> None:
        """Refuses a folder that must not be taken; only reads.

        Args:
            resume: whether what the folder holds is to be continued.

        Raises:
            RunError: as `create`, but for a folder that is in use or cannot
                be written.
        """

    @abc.abstractmethod
    def _record_start(self) -> None:
        """Writes what says that the folder is in use, and since when."""

    def _make_folder(self) -> None:
        missing = [
            folder
            for folder in (self.path, *self.path.parents)
            if not folder.exists()
        ]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            self._made.insert(0, folder)

    def _take_lock(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path / LOCK, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunError(
                f"{self.path}: another process is at this {self.kind}; wait"
                " for it, or give another --output"
            ) from None
        self._lock = descriptor

    def discard(self) -> None:
        """Takes back what this process began and that did nothing.

        A folder with a finished stage or a checkpoint, or one that was
        resumed, is kept.
        """
        kept = (DONE, f"{CHECKPOINT}/*")
        if self._mine and not any(any(self.path.rglob(k)) for k in kept):
            for entry in self.path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        self.close()
        for folder in self._made:
            # Others may have put something there since.
            with contextlib.suppress(OSError):
                folder.rmdir()

    def close(self) -> None:
        """Lets another process take the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
