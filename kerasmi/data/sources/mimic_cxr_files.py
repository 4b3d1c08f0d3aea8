"""The CSVs of MIMIC-CXR-JPG: metadata and split."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kerasmi.data.sources import (
    csv_files,
    mimic_cxr_ids,
    mimic_cxr_splits,
    named_files,
)
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import ROW, Columns
from kerasmi.data.sources.mimic_cxr_tree import places
from kerasmi.errors import DataError

FRONTAL = ("AP", "PA")
REMEDY = (
    "These files belong to MIMIC-CXR-JPG (physionet.org/content/"
    "mimic-cxr-jpg/) and serve the DICOM tree too: give their folder as "
    "--metadata."
)
_METADATA: Columns = {
    "image_id": ("dicom_id",),
    "subject_id": ("subject_id",),
    "study_id": ("study_id",),
    "view": ("ViewPosition",),
}
_MORE_METADATA: Columns = {
    "date": ("StudyDate",),
    "time": ("StudyTime",),
    "view_code": ("ViewCodeSequence_CodeMeaning",),
}
_SPLIT: Columns = {"subject_id": ("subject_id",), "split": ("split",)}
_CODES = {"antero-posterior": "AP", "postero-anterior": "PA"}


@dataclass(frozen=True)
class Files:
    """Where the CSVs lie.

    Attributes:
        metadata: One row for each image.
        split: The official split.
    """

    metadata: Path
    split: Path


def locate(root: Path) -> Files:
    """Finds the CSVs and checks their columns.

    Args:
        root: Their folder, the root of the images if they lie there, or the
            metadata CSV, with the split beside it.

    Raises:
        DataError: Says what was looked for and where, or which column lacks.
    """
    if root.is_file():
        found, root = root, root.parent
    else:
        found = named_files.require(
            ["mimic-cxr-2.*-metadata.csv"], places(root), "metadata", REMEDY
        )
    csv_files.match(found, _METADATA, _MORE_METADATA)
    split = named_files.require(
        ["mimic-cxr-2.*-split.csv"], places(root), "split file", REMEDY
    )
    csv_files.match(split, _SPLIT, {})
    return Files(found, split)


def images(file: Path, infer_view: bool, audit: Audit) -> pd.DataFrame:
    """Reads the metadata.

    Args:
        file: The metadata CSV.
        infer_view: Take an empty ViewPosition from the view code.
        audit: Told of refused rows and of views inferred.

    Returns:
        One row for each image: `image_id`, `subject_id`, `study_id`, `view`
        (upper case), `moment` (the study's date and time, sortable), `ROW`;
        by subject, then in order of time.

    Raises:
        DataError: The file cannot be read, or has no row.
    """
    frame = csv_files.read(file, _METADATA, _MORE_METADATA)
    audit.count("images in the metadata", len(frame))
    frame = mimic_cxr_ids.valid(frame, file, audit)
    frame = mimic_cxr_ids.once(frame, "image_id", file, audit)
    if frame.empty:
        raise DataError(f"{file} has no row with well-formed ids.")
    frame = _one_subject_per_study(frame, file, audit)
    view = frame["view"].str.strip().str.upper()
    if infer_view:
        code = frame["view_code"].str.strip().str.lower().map(_CODES)
        inferred = (view == "") & code.notna()
        audit.count("views taken from the view code", int(inferred.sum()))
        view = view.mask(inferred, code)
    frame = frame.assign(view=view, moment=moment(frame["date"], frame["time"]))
    first = frame.groupby("study_id")["moment"].transform("min")
    frame = frame.assign(moment=first).drop(columns=["date", "time"])
    frame = frame.drop(columns="view_code")
    return frame.sort_values(["subject_id", "moment", "study_id", "image_id"])


def moment(date: pd.Series, time: pd.Series) -> pd.Series:
    """Returns dates and times of studies as text that sorts by time.

    StudyTime is HHMMSS.fff and lost its leading zeros where it was read as a
    number: `123.5` is 00:01:23.5.

    Args:
        date: `21800506` or `21800506.0`; empty where unknown.
        time: `213014.531`, `123.5`; empty where unknown.

    Returns:
        `21800506 000123.5`; unknown dates sort last.
    """
    whole = time.str.strip().str.split(".").str[0].str.zfill(6)
    parts = time.str.strip().str.split(".").str[1].fillna("")
    day = date.str.strip().str.removesuffix(".0").replace("", "~")
    return day + " " + whole + "." + parts


def official(file: Path, audit: Audit) -> dict[str, str]:
    """Reads the official split: subject to train, validation or test."""
    frame = csv_files.read(file, _SPLIT)
    frame = mimic_cxr_ids.valid(frame, file, audit)
    return mimic_cxr_splits.by_subject(frame, file)


def _one_subject_per_study(
    frame: pd.DataFrame, file: Path, audit: Audit
) -> pd.DataFrame:
    first = frame.groupby("study_id")["subject_id"].transform("first")
    other = frame["subject_id"] != first
    for row in frame.loc[other, ROW]:
        audit.removed(
            "study of two subjects",
            f"{file.name}:{row}",
            "an earlier row gives the study to another subject",
        )
    return frame[~other]
