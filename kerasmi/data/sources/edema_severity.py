"""The edema severity release (`mimic-cxr-pe-severity` 1.0.1)."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kerasmi.data.schema import EDEMA_SEVERITY
from kerasmi.data.sources import csv_files, mimic_cxr_ids, named_files
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import Columns

NAME = "mimic-cxr-pe-severity"
REGEX = "regex_report_edema_severity.csv"
CONSENSUS = "consensus_image_edema_severity.csv"
REMEDY = (
    f"Give the folder of the release {NAME} (physionet.org/content/{NAME}/) "
    "as --severity."
)
_COLUMNS: Columns = {
    "subject_id": ("subject_id",),
    "study_id": ("study_id",),
    # The authors' later files misspell the column.
    "severity": ("edema_severity", "edeme_severity"),
}
_IMAGE: Columns = {"image_id": ("dicom_id",)}
_GRADES = {"0": 0, "1": 1, "2": 2, "3": 3}


@dataclass(frozen=True)
class Severity:
    """Grades 0 (none), 1 (vascular), 2 (interstitial), 3 (alveolar edema).

    Attributes:
        regex: Study to the grade read from its report by rules; without the
            studies of consensus subjects.
        regex_subjects: Those studies' subjects.
        consensus: Image to the grade that radiologists agreed on.
        consensus_subjects: Those images' subjects; none may be trained on.
    """

    regex: dict[str, int]
    regex_subjects: dict[str, str]
    consensus: dict[str, int]
    consensus_subjects: frozenset[str]

    @classmethod
    def none(cls) -> "Severity":
        """Returns the grades of nobody."""
        return cls({}, {}, {}, frozenset())


def files(folder: Path) -> tuple[Path, Path]:
    """Finds the two files of the release and checks their columns.

    Args:
        folder: The release's folder.

    Returns:
        The regex file and the consensus file.

    Raises:
        DataError: Says what was looked for, or which column lacks.
    """
    what = "edema severity release"
    regex = named_files.require([REGEX], [folder], what, REMEDY)
    consensus = named_files.require([CONSENSUS], [folder], what, REMEDY)
    csv_files.match(regex, _COLUMNS, {})
    csv_files.match(consensus, _COLUMNS | _IMAGE, {})
    return regex, consensus


def read(folder: Path, audit: Audit) -> Severity:
    """Reads the release.

    All studies of the consensus images have a regex grade too: those grades
    are left out here, so that no rule can train on them.

    Args:
        folder: The release's folder.
        audit: Told of rows left out.
    """
    regex_file, consensus_file = files(folder)
    regex, _ = _graded(regex_file, {}, audit)
    consensus, subjects = _graded(consensus_file, _IMAGE, audit)
    held_out = regex["subject_id"].isin(subjects)
    audit.count(
        "regex grades of consensus subjects left out", int(held_out.sum())
    )
    regex = regex[~held_out]
    return Severity(
        dict(zip(regex["study_id"], regex["severity"], strict=True)),
        dict(zip(regex["study_id"], regex["subject_id"], strict=True)),
        dict(zip(consensus["image_id"], consensus["severity"], strict=True)),
        subjects,
    )


def _graded(
    file: Path, more: Columns, audit: Audit
) -> tuple[pd.DataFrame, frozenset[str]]:
    """The rows with a grade, one for each study or image; all subjects."""
    frame = csv_files.read(file, _COLUMNS | more)
    frame = mimic_cxr_ids.valid(frame, file, audit)
    subjects = frozenset(frame["subject_id"])
    text = frame["severity"].str.strip().str.removesuffix(".0")
    unlabelled = text == "-1"
    audit.count("severity rows without a grade", int(unlabelled.sum()))
    grade = text.map(_GRADES)
    for row in frame.loc[grade.isna() & ~unlabelled, csv_files.ROW]:
        audit.removed(
            "severity is none of 0, 1, 2, 3",
            f"{file.name}:{row}",
            f"the column {EDEMA_SEVERITY!r} is read from is not 0, 1, 2 or 3",
        )
    frame = frame.assign(severity=grade)[grade.notna()]
    frame = frame.astype({"severity": int})
    key = "image_id" if more else "study_id"
    return mimic_cxr_ids.once(frame, key, file, audit), subjects
