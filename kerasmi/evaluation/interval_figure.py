"""Values with their intervals, a row each, beside what chance gives."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerasmi.evaluation import drawing


def figure(rows: pd.DataFrame, axis: str) -> Figure:
    """Draws rows from top to bottom.

    Args:
        rows: columns name, value, low, high, chance (NaN: none) and, written
            on the right, note. Names may be a user's words.
        axis: what the values are, with their unit.

    Returns:
        A figure.
    """
    figure = Figure(
        (7.6, 1.0 + 0.27 * len(rows)), dpi=drawing.DPI, layout="constrained"
    )
    axes = figure.subplots()
    at = np.arange(len(rows))
    axes.hlines(at, rows["low"], rows["high"], color=drawing.BLUE, lw=1.6)
    axes.plot(
        *(rows["value"], at, "o"),
        color=drawing.BLUE,
        markersize=5,
        label="value and interval",
    )
    if rows["chance"].notna().any():
        axes.plot(
            *(rows["chance"], at, "|"),
            color=drawing.VERMILLION,
            markersize=11,
            markeredgewidth=2,
            label="chance",
        )
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    for place, note in zip(at, rows["note"], strict=True):
        axes.text(
            1.02,
            place,
            note,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            color=drawing.GREY,
        )
    axes.axvline(0, color="0.75", linewidth=0.8, zorder=0)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_yticks(at, [drawing.wrap(name, 44) for name in rows["name"]])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(axis)
    return figure
