"""Table 1 of the paper: images with each label, in training and test."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kerasmi.evaluation import published
from kerasmi.evaluation.markup import Table
from kerasmi.evaluation.method_aucs import OURS
from kerasmi.evaluation.paper_tables import NONE

_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def count_table(
    counts: pd.DataFrame,
    *,
    above: Sequence[str] = (),
    published_counts: Mapping[str, tuple[int, int]] | None = None,
    remark: str = "",
) -> Table:
    """Table 1 of these counts.

    Args:
        counts: one row per label and split: `label`, `split`, `n_images` (with
            a target), and `n_positive` and `n_negative`, or for a severity
            `n_level_0` to `n_level_3`.
        above: lines to print over the table, such as the label policies.
        published_counts: label to the paper's training and test images; None
            leaves them out.
        remark: what to say of them, such as `paper_tables.OTHER_DATA`.
    """
    frame = pd.DataFrame(
        {
            split: {row["label"]: _text(row) for row in _rows(group)}
            for split, group in counts.groupby("split", sort=False)
        }
    )
    frame = frame.fillna("0").rename(columns=_SPLITS)
    whole = [column for column in counts if column.startswith("n_")]
    numbers = counts.astype(dict.fromkeys(whole, "Int64"))
    numbers = numbers.assign(source=OURS, note="")
    below = [
        "Images with a target (positives/negatives, or each level from 0)."
    ]
    if published_counts is not None:
        theirs = _paper(published_counts, remark)
        numbers = pd.concat(
            [numbers.astype(object), theirs.astype(object)], ignore_index=True
        )
        for split, group in theirs.groupby("split", sort=False):
            texts = {row["label"]: _text(row) for row in _rows(group)}
            column = f"{_SPLITS[str(split)]}, {published.SOURCE}"
            column += f"; {remark}" if remark else ""
            frame[column] = [texts.get(label, NONE) for label in frame.index]
        below.append(
            f"{published.SOURCE}: {published.CITATION}, Table 1; it has no "
            "validation set. Test counts from Pleural Effusion on are those "
            "of the authors' published test files."
        )
    frame = frame.rename_axis("label").reset_index()
    return Table(
        "Table 1",
        "Labelled images",
        tuple(above),
        frame,
        pd.DataFrame(False, index=frame.index, columns=frame.columns),
        tuple(below),
        numbers,
    )


def _rows(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict("records")


def _paper(
    published_counts: Mapping[str, tuple[int, int]], remark: str
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "source": published.SOURCE,
                "label": label,
                "split": split,
                "n_images": count,
                "note": remark,
            }
            for label, pair in published_counts.items()
            for split, count in zip(("train", "test"), pair, strict=True)
        ]
    )


def _text(row: dict) -> str:
    levels = [f"n_level_{level}" for level in range(4)]
    text = f"{row['n_images']:,}"
    for columns in (("n_positive", "n_negative"), levels):
        if all(not pd.isna(row.get(column)) for column in columns):
            classes = "/".join(f"{row[column]:,.0f}" for column in columns)
            text += f" ({classes})"
    return text
