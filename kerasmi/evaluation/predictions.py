"""The table of predictions: its columns, and the rows that may be evaluated."""

import numpy as np
import pandas as pd

from kerasmi.reporter import counted

COLUMNS = (
    "task",
    "encoder",
    "image_id",
    "study_id",
    "subject_id",
    "split",
    "label",
    "target",
    "score",
)
IGNORED = -1


def usable(predictions: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Returns the rows of `split` whose target counts.

    Rows with the target -1 (uncertain or blank under the label policy) are
    left out.

    Args:
        predictions: one row per image and label, with the columns `COLUMNS`.
        split: the split to evaluate, normally `"test"`.

    Returns:
        A new frame with the same columns, `target` as int 0 or 1.

    Raises:
        ValueError: a column or the split is missing, a target is not
            0, 1 or -1, a score is not finite, or an image occurs twice.
    """
    missing = [name for name in COLUMNS if name not in predictions]
    if missing:
        raise ValueError(
            f"Predictions need the columns {list(COLUMNS)}. "
            f"Missing: {missing}. Received: {list(predictions.columns)}."
        )
    rows = predictions[predictions["split"] == split]
    if rows.empty:
        raise ValueError(
            f"No prediction belongs to split {split!r}. "
            f"Splits present: {sorted(set(predictions['split']))}."
        )
    _check_values(rows)
    _check_unique(rows)
    rows = rows[rows["target"] != IGNORED]
    return rows.astype({"target": "int64", "score": "float64"})


def _check_values(rows: pd.DataFrame) -> None:
    wrong = sorted(set(rows["target"]) - {0, 1, IGNORED})
    if wrong:
        raise ValueError(
            "Targets must be 0, 1 or -1 (ignored); turn severity levels into "
            f"cuts with `severity_predictions`. Received also: {wrong[:5]}."
        )
    broken = int((~np.isfinite(rows["score"].astype(float))).sum())
    if broken:
        raise ValueError(
            f"Scores must be finite. Received {broken} of {len(rows)} that are "
            "not: the model that made them has diverged."
        )


def _check_unique(rows: pd.DataFrame) -> None:
    key = ["task", "encoder", "label", "image_id"]
    repeated = rows[rows.duplicated(key)]
    if not repeated.empty:
        first = repeated.iloc[0][key].to_dict()
        raise ValueError(
            "Each image must occur once per task, encoder and label. "
            f"Received {counted(len(repeated), 'repeated row')}, the first: "
            f"{first}."
        )
