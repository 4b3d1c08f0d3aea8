"""Results as tables to read: on screen, in markdown, in CSV.

A cell is `0.798 [0.771, 0.824]  (312/688)`: AUC, interval, positives and
negatives; over several seeds `0.798 ± 0.011 [0.771, 0.824]`, mean, standard
deviation and the mean's interval. Where a class is absent it says `not
defined`. The paper's tables are in `paper_tables`.
"""

from collections.abc import Mapping

import pandas as pd

NOT_DEFINED = "not defined"


def cell(
    row: Mapping, *, interval: bool = True, counts: bool = True, digits: int = 3
) -> str:
    """One row of results.csv as text.

    Args:
        row: with value, low, high, n_positive, n_negative, and over seeds sd.
        interval: whether the interval stands behind the value.
        counts: whether positives/negatives stand behind it.
        digits: decimals.
    """
    if pd.isna(row["value"]):
        text = NOT_DEFINED
    else:
        text = f"{row['value']:.{digits}f}"
        if not pd.isna(row.get("sd", pd.NA)):
            text += f" ± {row['sd']:.{digits}f}"
        if interval and not pd.isna(row["low"]):
            text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    if counts and not pd.isna(row["n_positive"]):
        text += f"  ({row['n_positive']:.0f}/{row['n_negative']:.0f})"
    return text


def summary(results: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """One run: a row per label, a column per encoder.

    Args:
        results: the table results.csv of one run.
        digits: decimals.

    Returns:
        Frame of text with the columns task, label, one per encoder, and note
        (last, and only where some row has one).
    """
    rows = []
    for (task, label), group in results.groupby(["task", "label"], sort=False):
        row = {"task": task, "label": label}
        row |= {
            one["encoder"]: cell(one, digits=digits) for one in _rows(group)
        }
        row["note"] = notes(group)
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame["note"] = frame.pop("note")
    if not frame["note"].any():
        frame = frame.drop(columns="note")
    return frame.fillna("")


def footnotes(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Notes as numbers, so that long ones do not make a table wide.

    Args:
        frame: a table to read, with or without a column `note`.

    Returns:
        The table, its notes numbered from 1, equal ones by one number; and
        what each says. Without any note the table lacks the column.
    """
    if "note" not in frame:
        return frame, []
    told = frame["note"].fillna("")
    found = [note for note in dict.fromkeys(told) if note]
    rest = frame.drop(columns="note")
    if not found:
        return rest, []
    numbers = {note: str(k) for k, note in enumerate(found, 1)}
    return rest.assign(note=told.map(numbers).fillna("")), found


def markdown(frame: pd.DataFrame) -> str:
    """A frame of text as a markdown table, without its index."""
    lines = [
        [str(name) for name in frame.columns],
        *([str(value) for value in row] for row in frame.to_numpy()),
    ]
    # The cuts of a severity hold the sign that parts the columns.
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        "| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([rows[0], rule, *rows[1:]]) + "\n"


def csv(frame: pd.DataFrame) -> str:
    """A frame of text as CSV, without its index."""
    return frame.to_csv(index=False)


def _rows(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict("records")


def notes(group: pd.DataFrame) -> str:
    """Each note of some rows once, with the encoders it concerns if not all.

    Args:
        group: rows of results.csv that differ in the encoder.
    """
    told = group["note"].fillna("")
    found = []
    for note in dict.fromkeys(note for note in told if note):
        encoders = list(group.loc[told == note, "encoder"])
        whom = "" if len(encoders) == len(group) else f"{', '.join(encoders)}: "
        found.append(whom + note)
    return "; ".join(found)
