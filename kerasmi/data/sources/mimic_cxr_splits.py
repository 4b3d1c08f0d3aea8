"""Which subjects of MIMIC-CXR are trained on, and which are tested on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from kerasmi import told
from kerasmi.data import splits
from kerasmi.errors import DataError

RULES = ("paper", "authors_code", "official")
NOT_PUBLISHED = "official test subject, not in the paper's test set"
CONSENSUS_SUBJECT = "consensus subject outside the official test set"
NO_ROW = "subject not in the split file"
WHY = {
    "paper": (
        "train: official train; validation: official validate; test: the "
        "subjects of the consensus edema grades; other official test "
        "subjects: left out"
    ),
    "authors_code": (
        "test: the subjects of the consensus edema grades, and official test "
        "subjects without a training edema grade; all others: train"
    ),
    "official": (
        "as the split file says; subjects of the consensus edema grades "
        "outside the official test set: left out"
    ),
}


@dataclass(frozen=True)
class Evidence:
    """What the rules ask about a subject.

    Attributes:
        official: Subject to `train`, `validation` or `test`.
        consensus: Subjects with an edema grade by consensus.
        graded: Subjects with a regex edema grade and a frontal image,
            consensus subjects left out.
    """

    official: Mapping[str, str]
    consensus: frozenset[str] = frozenset()
    graded: frozenset[str] = frozenset()


def assign(
    subjects: Iterable[str],
    evidence: Evidence,
    rule: str,
    validation_share: float = 0.0,
) -> pd.DataFrame:
    """Puts each subject into one split, or into none.

    Args:
        subjects: Subjects that have an image.
        evidence: What is known of them.
        rule: One of `RULES`; `WHY` says what each does.
        validation_share: Share of the training subjects, chosen by a hash of
            their ids, that `authors_code` keeps for validation.

    Returns:
        One row for each subject: `subject_id`, `split` (empty where left
        out), and `reason` why it was left out.
    """
    place = {
        "paper": _paper,
        "authors_code": _authors_code,
        "official": _official,
    }[rule]
    names = sorted(set(subjects))
    placed = [place(subject, evidence) for subject in names]
    frame = pd.DataFrame(placed, columns=["split", "reason"], dtype=object)
    frame.insert(0, "subject_id", pd.Series(names, dtype=object))
    if rule == "authors_code" and validation_share:
        shares = {
            "train": 1 - validation_share,
            "validation": validation_share,
        }
        train = frame["split"] == "train"
        hashed = splits.by_subject(frame.loc[train, "subject_id"], shares)
        frame.loc[train, "split"] = hashed
    splits.assert_disjoint(frame)
    return frame


def by_subject(rows: pd.DataFrame, file: object) -> dict[str, str]:
    """Returns the official split of each subject.

    Args:
        rows: Has `subject_id` and `split` of each image.
        file: Where it was read, for messages.

    Raises:
        DataError: A split is unknown, or a subject is in two.
    """
    names = {"train": "train", "validate": "validation", "test": "test"}
    split = rows["split"].str.strip().map(names)
    if split.isna().any():
        other = sorted(set(rows.loc[split.isna(), "split"]))[:3]
        raise DataError(
            f"{file}: split is {', '.join(map(told.word, other))}, expected "
            f"one of {', '.join(names)}. Give the file as published."
        )
    pairs = rows.assign(split=split)[["subject_id", "split"]].drop_duplicates()
    try:
        splits.assert_disjoint(pairs)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    return dict(zip(pairs["subject_id"], pairs["split"], strict=True))


def _paper(subject: str, evidence: Evidence) -> tuple[str, str]:
    if subject in evidence.consensus:
        return "test", ""
    split = evidence.official.get(subject, "")
    if split == "test":
        return "", NOT_PUBLISHED
    return split, "" if split else NO_ROW


def _authors_code(subject: str, evidence: Evidence) -> tuple[str, str]:
    if subject in evidence.consensus:
        return "test", ""
    official = evidence.official.get(subject, "")
    if official == "test" and subject not in evidence.graded:
        return "test", ""
    return ("train", "") if official else ("", NO_ROW)


def _official(subject: str, evidence: Evidence) -> tuple[str, str]:
    split = evidence.official.get(subject, "")
    if subject in evidence.consensus and split != "test":
        return "", CONSENSUS_SUBJECT
    return split, "" if split else NO_ROW
