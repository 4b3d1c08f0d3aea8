"""How the tables of the representations look: to a reader, and drawn."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerasmi.evaluation import grounding, interval_figure, retrieval


def with_interval(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Value, interval and chance as text, counts beside, for a reader.

    Args:
        table: with metric, value, low, high, chance and counts `n_...`, and
            note, which tables of before lack.
        by: columns that name a row.

    Returns:
        Frame of text and counts; the notes are last, where there are any.
    """
    shown = table[by].copy()
    rows = list(table.itertuples())
    shown["value"] = [_valued(row) for row in rows]
    shown["chance"] = [f"{row.chance:.{_digits(row)}f}" for row in rows]
    counts = [name for name in table if str(name).startswith("n_")]
    for name in counts:
        shown[str(name).removeprefix("n_")] = table[name]
    if "note" in table and table["note"].fillna("").any():
        shown["note"] = table["note"].fillna("")
    return shown


def _valued(row: Any) -> str:
    digits = _digits(row)
    if np.isnan(row.low):
        return f"{row.value:.{digits}f}"
    return (
        f"{row.value:.{digits}f} [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    )


def _digits(row: Any) -> int:
    """Decimals: a rank is a number of candidates, the others are ratios."""
    return 1 if "rank" in row.metric else 3


def kinds(table: pd.DataFrame) -> Figure:
    """Nats of each kind of sentence, from `sentence_kinds.evaluate`."""
    rows = pd.DataFrame(
        {
            "name": table["kind"],
            "value": table["nats"],
            "low": table["nats"] - 1.96 * table["standard_error"],
            "high": table["nats"] + 1.96 * table["standard_error"],
            "chance": np.nan,
            "note": [
                f"{row.n_sentences} sentence{'s' * (row.n_sentences != 1)},"
                f" {row.carried:+z.3f} of {table['nats'].iloc[0]:z.3f}"
                for row in table.itertuples()
            ],
        }
    )
    return interval_figure.figure(
        rows,
        "nats a sentence, with its 95 % interval over subjects,\n"
        "the partition (mean over negatives) held fixed",
    )


def retrieved(table: pd.DataFrame) -> Figure:
    """R@k of both directions, from `retrieval.evaluate`."""
    rows = table[table["metric"] != retrieval.MEDIAN]
    rows = rows.assign(
        name=rows["direction"] + "  " + rows["metric"],
        note=[f"of {n}" for n in rows["n_candidates"]],
    )
    return interval_figure.figure(
        rows, "share of queries with a right one among the first k"
    )


def pointing(table: pd.DataFrame) -> Figure:
    """Pointing accuracy of each finding, from `grounding.evaluate`."""
    rows = table[table["metric"] == grounding.POINTING]
    rows = rows.assign(
        name=rows["finding"],
        note=[f"{n} sentences" for n in rows["n_sentences"]],
    )
    return interval_figure.figure(
        rows, "share of sentences whose best region lies in the true place"
    )
