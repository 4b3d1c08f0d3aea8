"""Which image files a data set was made of: their sizes and times of change.

A hash of them lies beside the records and not in `dataset.json`: a copy of
the same files has other times and makes the same data set.
"""

import json
from pathlib import Path

FILE = "image_files.json"
_KEY = "sizes_and_times_sha256"


def write(folder: Path, states: str) -> None:
    """Notes in a data set's folder which files it was made of.

    Args:
        folder: Holds the records.
        states: Hash of the size and the time of change of every file.
    """
    text = json.dumps({_KEY: states}) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def unchanged(folder: Path, states: str) -> bool:
    """Whether a data set was made of files of these states.

    Not where this cannot be told: the note is missing or damaged.
    """
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return bool(found[_KEY] == states)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
