"""From stored labels to targets: the policies for uncertain and blank."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kerasmi.data.dataset import TRUTH
from kerasmi.data.schema import (
    BLANK,
    EDEMA_SEVERITY,
    NO_FINDING,
    SPLITS,
    UNCERTAIN,
)
from kerasmi.errors import DataError

IGNORED = -1.0
UNCERTAIN_POLICIES = ("ignore", "zeros", "ones")
BLANK_POLICIES = ("ignore", "zero", "zero_if_no_finding")

Uncertain = Literal["ignore", "zeros", "ones"]
Blank = Literal["ignore", "zero", "zero_if_no_finding"]
_VALUES = {"ignore": IGNORED, "zeros": 0.0, "ones": 1.0}
_EXEMPT = ("Support Devices", NO_FINDING)


def apply_policy(
    values: Any,
    uncertain: Uncertain | Mapping[str, Uncertain] = "ignore",
    blank: Blank = "ignore",
    *,
    labels: Sequence[str] | None = None,
    no_finding: Any = None,
) -> np.ndarray:
    """Turns stored labels into targets.

    Args:
        values: `(n, L)` integers: 1, 0, `UNCERTAIN`, `BLANK`, or a severity.
        uncertain: What an uncertain label becomes: `"ignore"` (the paper),
            `"zeros"`, `"ones"`, or one of these by label (a label not named
            is ignored).
        blank: What an unmentioned finding becomes: `"ignore"` (the paper),
            `"zero"`, or `"zero_if_no_finding"`: 0 where the report says that
            there is no finding, else ignored; support devices, which such a
            report may have, stay ignored. A blank severity was not graded
            and is ignored under every policy.
        labels: The `L` names; needed for policies by label and to know a
            severity.
        no_finding: `(n,)` stored "No Finding"; needed for
            `"zero_if_no_finding"`.

    Returns:
        `(n, L)` float32: the target, or -1 where ignored.
    """
    values = np.asarray(values)
    _check(values, uncertain, blank, labels, no_finding)
    names = [""] * values.shape[1] if labels is None else list(labels)
    columns = []
    for name, column in zip(names, values.T, strict=True):
        target = column.astype(np.float32)
        target[column == UNCERTAIN] = _uncertain_value(uncertain, name)
        target[column == BLANK] = IGNORED
        target[(column == BLANK) & _absent(blank, name, no_finding)] = 0.0
        columns.append(target)
    return np.stack(columns, axis=1)


def targets(
    rows: pd.DataFrame,
    labels: Sequence[str],
    *,
    truth: bool = False,
    uncertain: Uncertain | Mapping[str, Uncertain] = "ignore",
    blank: Blank = "ignore",
) -> np.ndarray:
    """Returns the targets of some rows of `Dataset.images`.

    Args:
        rows: Rows of `Dataset.images`.
        labels: The labels wanted.
        truth: Take the known answers instead of the labels (phantom only).
        uncertain: See `apply_policy`.
        blank: See `apply_policy`.

    Returns:
        `(n, L)` float32: the target, or -1 where ignored.

    Raises:
        DataError: The data set lacks a label.
    """
    columns = [TRUTH + name if truth else name for name in labels]
    if blank == "zero_if_no_finding":
        columns.append(NO_FINDING)
    for column in columns:
        if column not in rows:
            raise DataError(
                f"the data set has no {column!r}; it has "
                f"{', '.join(label_columns(rows)) or 'no labels'}."
            )
    return apply_policy(
        rows[columns[: len(labels)]].to_numpy(),
        uncertain,
        blank,
        labels=labels,
        no_finding=rows.get(NO_FINDING),
    )


def table1(
    rows: pd.DataFrame, labels: Sequence[str] | None = None
) -> pd.DataFrame:
    """Counts the images of each class, as in the paper's Table 1.

    Args:
        rows: `Dataset.images`, or some of its rows.
        labels: The labels wanted; None counts all.

    Returns:
        One row for each label and split: `images`, `subjects` (of those with
        a value), the columns `0` (negative, or severity 0), `1` (positive),
        `2`, `3` (severities), `uncertain` and `blank`.
    """
    wanted = label_columns(rows) if labels is None else labels
    by_split = {split: rows[rows["split"] == split] for split in SPLITS}
    counts = [
        _count(part, label, split)
        for label in wanted
        for split, part in by_split.items()
        if len(part)
    ]
    return pd.DataFrame(counts)


def label_columns(rows: pd.DataFrame) -> list[str]:
    """Returns the columns of `Dataset.images` that are labels."""
    columns = list(rows.columns)
    first = columns.index("sentences") + 1
    between = columns[first : columns.index("shard")]
    return [name for name in between if not name.startswith(TRUTH)]


def _count(rows: pd.DataFrame, label: str, split: str) -> dict[str, Any]:
    values = rows[label]
    subjects = rows.loc[values != BLANK, "subject_id"].nunique()
    return {
        "label": label,
        "split": split,
        "images": len(rows),
        "subjects": subjects,
        **{str(value): int((values == value).sum()) for value in range(4)},
        "uncertain": int((values == UNCERTAIN).sum()),
        "blank": int((values == BLANK).sum()),
    }


def _uncertain_value(
    uncertain: Uncertain | Mapping[str, Uncertain], name: str
) -> float:
    if isinstance(uncertain, str):
        return _VALUES[uncertain]
    return _VALUES[uncertain.get(name, "ignore")]


def _absent(blank: Blank, name: str, no_finding: Any) -> Any:
    """Returns where a blank label means that the finding is absent."""
    if name == EDEMA_SEVERITY or blank == "ignore":
        return False
    if blank == "zero":
        return True
    return name not in _EXEMPT and np.asarray(no_finding) == 1


def _check(
    values: np.ndarray,
    uncertain: Uncertain | Mapping[str, Uncertain],
    blank: Blank,
    labels: Sequence[str] | None,
    no_finding: Any,
) -> None:
    if values.ndim != 2:
        raise ValueError(
            f"values must be (images, labels), received shape {values.shape}."
        )
    if isinstance(uncertain, Mapping):
        unknown = set(uncertain).difference(labels or ())
        if unknown:
            raise ValueError(
                f"uncertain names {min(unknown)!r}, which is not among the "
                f"labels {list(labels or ())}."
            )
    policies = [uncertain] if isinstance(uncertain, str) else uncertain.values()
    for policy in policies:
        if policy not in UNCERTAIN_POLICIES:
            raise ValueError(
                f"uncertain must be one of {UNCERTAIN_POLICIES}, or one of "
                f"these by label, received {policy!r}."
            )
    if blank not in BLANK_POLICIES:
        raise ValueError(
            f"blank must be one of {BLANK_POLICIES}, received {blank!r}."
        )
    if blank == "zero_if_no_finding" and no_finding is None:
        raise ValueError(
            "blank='zero_if_no_finding' needs `no_finding`, the stored "
            f"{NO_FINDING!r} of each image."
        )
