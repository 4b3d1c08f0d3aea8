"""The bytes of image files: on disk, or in a zip or tar archive."""

import abc
import contextlib
import hashlib
import json
import os
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from kerasmi.data.archives import BROKEN, check_member, reason
from kerasmi.data.probes import ImageRefused
from kerasmi.data.sources.base import Item
from kerasmi.errors import DataError

MAX_BYTES = 2**28  # twice what the largest image allowed takes undecoded
_DONE = "members.json"


class Contents:
    """Reads the files of items; an archive stays open for the next.

    Nothing is unpacked where an archive can be read at any place; a
    compressed tar cannot, so its files go to `scratch` once, under names of
    our own.
    """

    def __init__(self, scratch: Path, max_bytes: int = MAX_BYTES):
        """Opens nothing yet.

        Args:
            scratch: A folder for what has to be unpacked.
            max_bytes: The largest file taken.
        """
        self._scratch = scratch
        self._limit = max_bytes
        self._archives: dict[Path, _Archive] = {}

    def state(self, item: Item) -> tuple[int, int]:
        """Returns the size and the time of change of an item's file.

        Args:
            item: The item.

        Returns:
            Bytes and nanoseconds; the time is the archive's where there is
            one.

        Raises:
            ImageRefused: There is no such file, or it is too large.
            DataError: The archive is broken or holds a path out of itself.
        """
        found = _status(item.image, item.sought)
        size = found.st_size
        if item.member:
            size = self._archive(item.image).size(item.member)
        if size > self._limit:
            raise ImageRefused(
                f"the file has {size:,} bytes, more than the limit of "
                f"{self._limit:,}"
            )
        return size, found.st_mtime_ns

    def read(self, item: Item) -> bytes:
        """Returns the bytes of an item's file.

        Raises:
            ImageRefused: It cannot be read, or is too large.
        """
        try:
            if item.member:
                stream = self._archive(item.image).open(item.member)
            else:
                _status(item.image, item.sought)
                stream = item.image.open("rb")
            with stream:
                content = stream.read(self._limit + 1)
        except BROKEN as error:
            raise ImageRefused(f"cannot be read: {reason(error)}") from error
        if len(content) > self._limit:
            raise ImageRefused(f"has more than {self._limit:,} bytes")
        return content

    def close(self) -> None:
        """Closes the archives."""
        for archive in self._archives.values():
            archive.close()

    def _archive(self, file: Path) -> "_Archive":
        if file not in self._archives:
            try:
                self._archives[file] = self._opened(file)
            except BROKEN as error:
                raise DataError(
                    f"{file}: the archive cannot be read: {reason(error)}; "
                    "give a whole one."
                ) from error
        return self._archives[file]

    def _opened(self, file: Path) -> "_Archive":
        if zipfile.is_zipfile(file):
            return _Zip(file)
        with file.open("rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        if not compressed:
            return _Tar(file)
        name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
        return _Unpacked(file, self._scratch / name, self._limit)


class _Archive(abc.ABC):
    """Members by name; a leading `./` does not count."""

    def __init__(self, file: Path):
        self._file = file
        self._sizes: dict[str, int] = {}
        with contextlib.ExitStack() as opened:
            self._list(opened)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Closes the archive."""
        self._opened.close()

    @abc.abstractmethod
    def _list(self, opened: contextlib.ExitStack) -> None:
        """Takes all members in; what stays open is left to `opened`."""

    def add(self, name: str, size: int) -> str:
        """Takes a member in, or raises where its path leads out."""
        check_member(self._file, name)
        path = str(PurePosixPath(name.replace("\\", "/")))
        self._sizes[path] = size
        return path

    def size(self, name: str) -> int:
        """Returns the size of a member once unpacked."""
        try:
            return self._sizes[str(PurePosixPath(name))]
        except KeyError:
            raise _absent(f"in {self._file}", name) from None

    @abc.abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Opens a member."""


class _Zip(_Archive):
    def _list(self, opened: contextlib.ExitStack) -> None:
        self._zip = opened.enter_context(zipfile.ZipFile(self._file))
        self._names = {}
        for info in self._zip.infolist():
            if not info.is_dir():
                self._names[self.add(info.filename, info.file_size)] = info

    def open(self, name: str) -> IO[bytes]:
        self.size(name)
        return self._zip.open(self._names[str(PurePosixPath(name))])


class _Tar(_Archive):
    def _list(self, opened: contextlib.ExitStack) -> None:
        self._stream = opened.enter_context(self._file.open("rb"))
        self._tar = opened.enter_context(tarfile.TarFile(fileobj=self._stream))
        self._headers = {}  # where each stands
        for member in self._tar:
            if member.isreg():
                path = self.add(member.name, member.size)
                self._headers[path] = member.offset
            _forget(self._tar)

    def open(self, name: str) -> IO[bytes]:
        self.size(name)
        self._stream.seek(self._headers[str(PurePosixPath(name))])
        member = tarfile.TarInfo.fromtarfile(self._tar)
        stream = self._tar.extractfile(member)
        if stream is None:
            raise ImageRefused("the archive holds no file of that name")
        return stream


class _Unpacked(_Archive):
    """A compressed tar, unpacked once to `<folder>/<number>`."""

    def __init__(self, file: Path, folder: Path, limit: int):
        self._folder, self._limit = folder, limit
        super().__init__(file)

    def _list(self, opened: contextlib.ExitStack) -> None:
        found = self._file.stat()
        state = [found.st_size, found.st_mtime_ns]
        done = self._folder / _DONE
        # Damaged, it is as if it were not there: unpacked anew.
        with contextlib.suppress(
            OSError, ValueError, LookupError, TypeError, RecursionError
        ):
            kept = json.loads(done.read_text(encoding="utf-8"))
            if kept["state"] == state:
                self._sizes = kept["sizes"]
                self._numbers = kept["numbers"]
                return
        self._numbers = self._unpack()
        kept = {"state": state, "sizes": self._sizes, "numbers": self._numbers}
        temporary = self._folder / f"{_DONE}.new"
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(done)

    def _unpack(self) -> dict[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        numbers: dict[str, int] = {}
        with tarfile.open(self._file, "r|*") as archive:
            for member in archive:
                _forget(archive)
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None:
                    continue
                name = self.add(member.name, member.size)
                if member.size <= self._limit:
                    numbers[name] = len(numbers)
                    self._write(numbers[name], stream)
        return numbers

    def _write(self, number: int, stream: IO[bytes]) -> None:
        file = self._folder / str(number)
        try:
            with file.open("wb") as target:
                while block := stream.read(2**20):
                    target.write(block)
        except OSError as error:
            raise DataError(
                f"{self._folder}: could not be written: {reason(error)}"
            ) from error

    def open(self, name: str) -> IO[bytes]:
        self.size(name)
        number = self._numbers[str(PurePosixPath(name))]
        return (self._folder / str(number)).open("rb")


def _forget(archive: tarfile.TarFile) -> None:
    """Drops what a tar remembers of its members, which grows with them."""
    archive.members = []  # type: ignore[attr-defined]


def _status(file: Path, sought: str) -> os.stat_result:
    """Returns the status of a regular file, its links followed."""
    try:
        found = file.stat()
    except FileNotFoundError:
        raise _absent(sought, str(file)) from None
    except (OSError, ValueError) as error:
        raise ImageRefused(f"cannot be read: {reason(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ImageRefused("it is a folder or a device, not a file")
    return found


def _absent(sought: str, path: str) -> ImageRefused:
    """What to say of a missing file; of a path of Windows, that it is one."""
    what = f"there is no such file {sought}".rstrip()
    hint = "; its path has \\ between folders, expected /"
    return ImageRefused(what + hint * ("\\" in path))
