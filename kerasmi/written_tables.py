"""CSV files that a run has written, read back as they were."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

# Words of the user's: a subject may be called NA, a finding None or 01.
_WORDS = {
    "image_id",
    "study_id",
    "subject_id",
    "split",
    "task",
    "label",
    "encoder",
    "finding",
}


def read(path: Path, kinds: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Reads a table; ids, labels and the like stay text, whatever they are.

    In any other column what is empty is missing, and nothing else.

    Args:
        path: the file.
        kinds: dtypes of columns that are numbers, where pandas must not guess.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such table.
    """
    names = list(pd.read_csv(path, nrows=0).columns)
    words = dict.fromkeys(_WORDS.intersection(names), "str")
    return pd.read_csv(
        path,
        dtype={**(kinds or {}), **words},
        keep_default_na=False,
        na_values={name: [""] for name in names if name not in words},
    )
