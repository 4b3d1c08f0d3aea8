"""Identifiers of MIMIC-CXR: the same text wherever and however written."""

from pathlib import Path

import pandas as pd

from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import ROW

# What a dicom_id may be made of: it becomes part of a path.
_IMAGE_ID = "[0-9A-Za-z][0-9A-Za-z_.-]*"
_NUMBER = {"subject_id": "p", "study_id": "s"}


def valid(frame: pd.DataFrame, file: Path, audit: Audit) -> pd.DataFrame:
    """Brings ids to one form and refuses rows without one.

    `10000032`, `p10000032` and `10000032.0` are the subject `"10000032"`;
    likewise `s50414267`.

    Args:
        frame: Has some of the columns `subject_id`, `study_id`, `image_id`,
            as text, and `ROW`.
        file: Where it was read, for the audit.
        audit: Told of refused rows.

    Returns:
        The rows whose ids are well formed.
    """
    good = pd.Series(True, index=frame.index)
    for name, letter in _NUMBER.items():
        if name in frame:
            text = frame[name].str.strip().str.removesuffix(".0")
            text = text.str.removeprefix(letter)
            frame = frame.assign(**{name: text})
            good &= text.str.fullmatch("[0-9]{1,18}")
    if "image_id" in frame:
        text = frame["image_id"].str.strip()
        frame = frame.assign(image_id=text)
        good &= text.str.fullmatch(_IMAGE_ID)
    for row in frame.loc[~good, ROW]:
        audit.removed(
            "id not well formed",
            f"{file.name}:{row}",
            "subject_id and study_id must be whole numbers, dicom_id letters, "
            "digits, '-', '_' and '.'",
        )
    return frame[good]


def once(
    frame: pd.DataFrame, key: str, file: Path, audit: Audit
) -> pd.DataFrame:
    """Keeps the first row of each id; refuses further ones that differ.

    Args:
        frame: Has the column `key` and `ROW`.
        key: The column that names a row.
        file: Where it was read, for the audit.
        audit: Told of refused rows.
    """
    same = frame.duplicated([name for name in frame if name != ROW])
    audit.count(f"{file.name}: rows written twice", int(same.sum()))
    frame = frame[~same]
    again = frame.duplicated(key)
    for row in frame.loc[again, ROW]:
        audit.removed(
            f"{key} twice", f"{file.name}:{row}", "the first row was kept"
        )
    return frame[~again]


def group_folder(subject_id: str) -> str:
    """Returns the folder of a subject, such as `p10/p10000032`."""
    return f"p{subject_id[:2]}/p{subject_id}"
