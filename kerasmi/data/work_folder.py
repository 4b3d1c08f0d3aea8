"""The folder that an import works in: locked, kept if that is worth it."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasmi.data import audit, publishing

_HEADER = "header.json"


@contextlib.contextmanager
def opened(
    folder: Path, header: Mapping[str, Any], resume: bool
) -> Iterator[Path]:
    """Yields `<folder>.importing`, beside the folder.

    After an error it stays if a part in it is finished, or if it tells what
    was refused; else it is removed.

    Args:
        folder: The data set's.
        header: What decides the records; parts made of another are removed.
        resume: Keep the parts that are finished.

    Raises:
        DataError: Another process works there, or the disk is full.
    """
    work = folder.parent / f"{folder.name}.importing"
    with publishing.locked(work, folder):
        keep = False
        try:
            with publishing.disk_errors(folder):
                _keep_or_clear(work, header, resume)
            yield work
        except sqlite3.Error as error:
            keep = _worth_keeping(work)
            raise publishing.not_written(folder, error) from error
        except BaseException:
            keep = _worth_keeping(work)
            raise
        finally:
            if not keep:
                shutil.rmtree(work, ignore_errors=True)


def _keep_or_clear(work: Path, header: Mapping[str, Any], resume: bool) -> None:
    """Removes what was made with other options."""
    file = work / _HEADER
    text = json.dumps(header, sort_keys=True)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if resume and file.read_text(encoding="utf-8") == text:
            (work / audit.REFUSED).unlink(missing_ok=True)
            return
    _clear(work)
    file.write_text(text, encoding="utf-8")


def _clear(work: Path) -> None:
    for entry in work.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != publishing.LOCK:
            entry.unlink()


def _worth_keeping(work: Path) -> bool:
    """Whether a folder has a finished part, or tells what was refused."""
    return (work / audit.REFUSED).exists() or any(work.glob("*-*.json"))
