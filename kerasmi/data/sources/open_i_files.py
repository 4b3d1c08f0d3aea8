"""Files of Open-i, in folders or in archives, and their names."""

import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from kerasmi.data.archives import BROKEN, check_member, reason
from kerasmi.data.sources.base import Audit
from kerasmi.errors import DataError

LARGEST_REPORT = 1 << 20  # bytes; the longest has some 9,000
Opener = Callable[[], IO[bytes]]
# DICOM before PNG: it has the pixels as taken.
SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg")
_TWICE = re.compile(r"(\d+)_\1_IM")


class TooLargeError(Exception):
    """A member that is larger than any report."""


def image_key(name: str) -> str:
    """Returns what the names of one image have in common.

    Report 1 calls an image `CXR1_1_IM-0001-3001`; its DICOM is
    `1_IM-0001-3001.dcm`, a copy of that `1_IM-0001-3001.dcm.png`, and the
    table of DICOM headers has it as `CXR1_IM-0001-3001`.

    Args:
        name: A name or a path, with or without suffixes.
    """
    name = PurePosixPath(name.strip().replace("\\", "/")).name
    stem, suffix = os.path.splitext(name)
    while suffix.lower() in SUFFIXES:
        name = stem
        stem, suffix = os.path.splitext(name)
    name = name.removeprefix("CXR")
    return _TWICE.sub(r"\1_IM", name, count=1)


class Images:
    """Where each image lies; one short entry for each."""

    def __init__(self, place: Path, audit: Audit):
        """Lists a folder with all below it, or an archive.

        Args:
            place: The folder or the archive.
            audit: Told of the links in an archive.

        Raises:
            DataError: The archive cannot be read or leads out of itself.
        """
        self._place = place
        self._names: dict[str, str] = {}
        for name in _names(place, audit):
            rank = _rank(name)
            if rank is None:
                continue
            key = image_key(name)
            other = self._names.get(key)
            if other is None or (rank, name) < (_rank(other), other):
                self._names[key] = name

    def __len__(self) -> int:
        return len(self._names)

    def find(self, image_id: str) -> tuple[Path, str] | None:
        """Returns an image's file, and its member if that is an archive."""
        name = self._names.get(image_key(image_id))
        if name is None:
            return None
        if self._place.is_dir():
            return self._place / name, ""
        return self._place, name


def xml_files(
    place: Path, audit: Audit
) -> Iterator[tuple[str, bytes | TooLargeError]]:
    """Yields the XML files of a folder by name, or of an archive in order.

    One at a time; an archive is read from its beginning to its end, nothing
    is unpacked.

    Args:
        place: The folder, or a tar or zip, compressed or not.
        audit: Told of the links in an archive.

    Yields:
        The name, and the content or why there is none.

    Raises:
        DataError: The archive cannot be read or leads out of itself.
    """
    with _Reading(place):
        for name, size, stream in _streams(place, audit):
            if not name.lower().endswith(".xml"):
                continue
            content = b""
            if size <= LARGEST_REPORT:
                with stream() as opened:
                    content = opened.read(LARGEST_REPORT + 1)
            if max(size, len(content)) > LARGEST_REPORT:
                yield name, TooLargeError(f"has more than {LARGEST_REPORT:,}")
            else:
                yield name, content


def _streams(place: Path, audit: Audit) -> Iterator[tuple[str, int, Opener]]:
    if place.is_dir():
        for name in _below(place):
            file = place / name
            yield name, file.stat().st_size, partial(_open, file)
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            for info in archive.infolist():
                if _is_file(place, info, audit):
                    opened = partial(archive.open, info)
                    yield info.filename, info.file_size, opened
    else:
        with tarfile.open(place, "r|*") as archive:
            for member in archive:
                if _is_member(place, member, audit):
                    opened = partial(_extract, archive, member)
                    yield member.name, member.size, opened
                # What a tar remembers of its members would grow with them.
                archive.members = []  # type: ignore[attr-defined]


def _open(file: Path) -> IO[bytes]:
    return file.open("rb")


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise tarfile.TarError(f"{member.name} is no file")
    return stream


def _names(place: Path, audit: Audit) -> Iterator[str]:
    with _Reading(place):
        for name, _, _ in _streams(place, audit):
            yield name


def _below(folder: Path) -> Iterator[str]:
    # Links to folders are not followed: they may lead in a circle.
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(parent, name)
            if file.is_file():
                yield file.relative_to(folder).as_posix()


def _is_file(place: Path, info: zipfile.ZipInfo, audit: Audit) -> bool:
    check_member(place, info.filename)
    link = (info.external_attr >> 16) & 0o170000 == 0o120000
    if link:
        _refuse_link(place, info.filename, audit)
    return not link and not info.is_dir()


def _is_member(place: Path, member: tarfile.TarInfo, audit: Audit) -> bool:
    check_member(place, member.name)
    if member.issym() or member.islnk():
        _refuse_link(place, member.name, audit)
    return member.isreg()


def _refuse_link(place: Path, name: str, audit: Audit) -> None:
    audit.removed("link in an archive", f"{place.name}:{name}", "is a link")


def _rank(name: str) -> int | None:
    suffix = os.path.splitext(name)[1].lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else None


class _Reading:
    """Turns what reading may raise into an error that names the file."""

    def __init__(self, place: Path):
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, BROKEN):
            raise DataError(
                f"{self._place} cannot be read: {reason(error)}. Give a "
                "folder, a tar or a zip, whole."
            ) from error
