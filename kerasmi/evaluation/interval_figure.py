"""Values with their intervals, a row each, beside what chance gives."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasmi.evaluation import drawing

_ROW = 0.27  # inches
_LINE = 0.63  # of a row, for each further line of its name
_LETTERS = 32  # of a line


def figure(rows: pd.DataFrame, axis: str) -> Figure:
    """Draws rows from top to bottom.

    Args:
        rows: columns name, value, low, high, chance (NaN: none) and, written
            on the right, note. Names may be a user's words.
        axis: what the values are, with their unit.

    Returns:
        A figure.
    """
    names = [drawing.wrap(name, _LETTERS) for name in rows["name"]]
    heights = np.array([1 + _LINE * name.count("\n") for name in names])
    figure = Figure(
        (7.6, 1.0 + _ROW * heights.sum()), dpi=drawing.DPI, layout="constrained"
    )
    axes = figure.subplots()
    at = np.cumsum(heights) - (heights + 1) / 2
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
    axes.set_yticks(at, names)
    axes.set_ylim(heights.sum() - 0.4, -0.6)
    # long names leave little room, and small values have long numbers
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.set_xlabel(axis)
    return figure
