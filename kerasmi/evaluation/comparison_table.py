"""The paired tests as a table to read."""

from collections.abc import Sequence

import pandas as pd

from kerasmi.evaluation.markup import Table
from kerasmi.evaluation.paper_tables import NONE
from kerasmi.reporter import percent

_HEADINGS = (
    "comparison",
    "a",
    "b",
    "task",
    "label",
    "a - b",
    "p bootstrap",
    "p DeLong",
    "p Holm",
    "seeds",
    "note",
)


def comparison_table(
    comparisons: pd.DataFrame,
    *,
    above: Sequence[str] = (),
    confidence: float = 0.95,
) -> Table:
    """The frame of `comparisons.compare` as text.

    Args:
        comparisons: as `compare` returns it.
        above: lines to print over the table.
        confidence: of its intervals.
    """
    rows, marks = [], []
    for one in comparisons.to_dict("records"):
        sure = one["p_holm"] < 1 - confidence
        sure = bool(sure and (one["low"] > 0 or one["high"] < 0))
        rows.append(
            {
                "comparison": one["comparison"],
                "a": one["a"],
                "b": one["b"],
                "task": one["task"],
                "label": one["label"],
                "a - b": _difference(one),
                "p bootstrap": _p(one["p_bootstrap"]),
                "p DeLong": _p(one["p_delong"]),
                "p Holm": _p(one["p_holm"]),
                "seeds": str(one["n_seeds"]),
                "note": one["note"] or "",
            }
        )
        marks.append({name: sure and name == "a - b" for name in rows[-1]})
    frame = pd.DataFrame(rows, columns=list(_HEADINGS))
    bold = pd.DataFrame(marks, columns=list(_HEADINGS), dtype=bool)
    if not frame["note"].any():
        frame, bold = frame.drop(columns="note"), bold.drop(columns="note")
    return Table(
        "Paired tests",
        "Differences of AUC on the same images",
        tuple(above),
        frame,
        bold,
        (
            _note(confidence)
            if rows
            else "No two of these methods make a pair.",
        ),
        comparisons,
    )


def _difference(row: dict) -> str:
    if pd.isna(row["difference"]):
        return NONE
    text = _signed(row["difference"])
    if not pd.isna(row["sd"]):
        text += f" ± {row['sd']:.3f}"
    return f"{text} [{_signed(row['low'])}, {_signed(row['high'])}]"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _p(value: float) -> str:
    if pd.isna(value):
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _note(confidence: float) -> str:
    return (
        "Mean ± standard deviation over seeds, pairs of one seed; "
        f"[{percent(confidence)} interval over subjects, drawn for both sides "
        "alike]. p DeLong: subjects as clusters; p Holm: the same, corrected "
        "over the means as one family and over the labels as another. Bold: "
        f"p Holm < {1 - confidence:.2g} and an interval without 0."
    )
