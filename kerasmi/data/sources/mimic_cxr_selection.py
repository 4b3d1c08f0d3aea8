"""Which images of MIMIC-CXR are taken, into which split, with which grade."""

from typing import Any

import pandas as pd

from kerasmi.data.schema import BLANK
from kerasmi.data.sources import mimic_cxr_splits
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.edema_severity import Severity
from kerasmi.data.sources.mimic_cxr_files import FRONTAL


def in_view(
    frame: pd.DataFrame,
    views: tuple[str, ...],
    severity: Severity,
    audit: Audit,
) -> pd.DataFrame:
    """Keeps the images of the views wanted.

    Radiologists graded frontal images only: a graded image without a view is
    frontal.

    Args:
        frame: One row for each image, with `image_id` and `view`.
        views: View positions, upper case.
        severity: The grades.
        audit: Told how many images were left out.
    """
    wanted = frame["view"].isin(views)
    unknown = frame["view"] == ""
    graded = unknown & frame["image_id"].isin(list(severity.consensus))
    if set(views) >= set(FRONTAL):
        audit.count("graded images without a view kept", int(graded.sum()))
        wanted |= graded
    audit.count("filter: view unknown", int((unknown & ~wanted).sum()))
    audit.count(
        f"filter: view not among {', '.join(views)}",
        int((~unknown & ~wanted).sum()),
    )
    return frame[wanted]


def consensus_subjects(
    frame: pd.DataFrame, severity: Severity
) -> frozenset[str]:
    """Returns the subjects of the consensus grades.

    Those that the release names and those that the metadata name: a subject
    that either knows must not be trained on.

    Args:
        frame: All images, with `image_id` and `subject_id`.
        severity: The grades.
    """
    graded = frame["image_id"].isin(list(severity.consensus))
    return severity.consensus_subjects.union(frame.loc[graded, "subject_id"])


def graded_subjects(frame: pd.DataFrame, severity: Severity) -> frozenset[str]:
    """Returns the subjects with a regex grade and a frontal image.

    Args:
        frame: Images, with `study_id`, `subject_id` and `view`.
        severity: The grades.
    """
    graded = frame["study_id"].isin(list(severity.regex))
    graded &= frame["view"].isin(FRONTAL)
    subjects = frozenset(frame.loc[graded, "subject_id"])
    return subjects - consensus_subjects(frame, severity)


def placed(
    frame: pd.DataFrame,
    evidence: mimic_cxr_splits.Evidence,
    rule: str,
    validation_share: float,
    audit: Audit,
) -> pd.DataFrame:
    """Adds the column `split` and leaves out images that are in none.

    Args:
        frame: Images, with `subject_id`.
        evidence: See `mimic_cxr_splits.assign`.
        rule: Likewise.
        validation_share: Likewise.
        audit: Told how many images were left out, and why.
    """
    where = mimic_cxr_splits.assign(
        frame["subject_id"], evidence, rule, validation_share
    ).set_index("subject_id")
    reason = frame["subject_id"].map(where["reason"])
    for why, count in reason[reason != ""].value_counts().items():
        audit.count(f"filter: {why}", int(count))
    frame = frame.assign(split=frame["subject_id"].map(where["split"]))
    return frame[frame["split"] != ""]


def grade(row: Any, severity: Severity) -> int:
    """Returns an image's severity.

    In the test set the consensus on this very image; else its report's, for
    every frontal image of the study.

    Args:
        row: Has `image_id`, `study_id`, `view` and `split`.
        severity: The grades.
    """
    if row.split == "test":
        return severity.consensus.get(row.image_id, BLANK)
    if row.view not in FRONTAL:
        return BLANK
    return severity.regex.get(row.study_id, BLANK)


def count_unmatched(
    severity: Severity, frame: pd.DataFrame, audit: Audit
) -> None:
    """Counts grades of studies and images that the metadata lack.

    Args:
        severity: The grades.
        frame: All images, with `image_id` and `study_id`.
        audit: Told their numbers.
    """
    studies = severity.regex.keys() - set(frame["study_id"])
    audit.count("regex grades without image", len(studies))
    images = severity.consensus.keys() - set(frame["image_id"])
    audit.count("consensus grades without image", len(images))
