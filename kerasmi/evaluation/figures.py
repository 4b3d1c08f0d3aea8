"""Pictures of a run: ROC curves, intervals; curves and maps from beside.

Each function returns a `matplotlib.figure.Figure` of its own; `save` writes it.
"""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerasmi.evaluation import drawing, roc
from kerasmi.evaluation.auc import MEAN, NotDefined, auc
from kerasmi.evaluation.curves import (
    bound_curves,
    training_curves,
    validation_curves,
)
from kerasmi.evaluation.drawing import GREY, save, to_array
from kerasmi.evaluation.predictions import usable
from kerasmi.evaluation.region_maps import region_maps

__all__ = [
    "bound_curves",
    "forest",
    "region_maps",
    "roc_curves",
    "save",
    "to_array",
    "training_curves",
    "validation_curves",
]


_CORNER = 4


def roc_curves(
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 200,
    seed: int = 0,
) -> Figure:
    """ROC curves, a panel per label, with 95 % bands over subjects.

    Args:
        predictions: the table predictions.csv of one run.
        split: the split shown.
        resamples: number of resamples of subjects behind the bands.
        seed: of the resampling.

    Returns:
        A figure; each curve's AUC stands in its panel's legend, and a label
        that lacks a class says "not defined".
    """
    every = predictions[predictions["split"] == split]
    rows = usable(predictions, split)
    labels = list(
        every[["task", "label"]].drop_duplicates().itertuples(index=False)
    )
    columns = len(labels) if len(labels) <= 4 else _square(len(labels))
    styles = drawing.styles(every["encoder"])
    # More names than fit into the corner of a panel stand below it.
    below = 0.2 * len(styles) if len(styles) > _CORNER else 0.0
    size = (3.0, 3.25 + below)
    figure, panels = drawing.panels(len(labels), columns, size)
    for axes, (task, label) in zip(panels, labels, strict=True):
        one = rows[(rows["task"] == task) & (rows["label"] == label)]
        axes.set_title(drawing.wrap(str(label), 30), fontsize=10)
        _roc_panel(axes, one, styles, resamples, seed)
    figure.supxlabel("false-positive rate", fontsize=11)
    figure.supylabel("true-positive rate", fontsize=11)
    return figure


def _square(count: int) -> int:
    return min(4, math.ceil(math.sqrt(count)))


def _roc_panel(
    axes: Axes, rows: pd.DataFrame, styles: dict, resamples: int, seed: int
) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    value = auc(rows["target"], rows["score"])
    if isinstance(value, NotDefined):
        axes.text(
            0.5,
            0.5,
            str(value).replace(": ", ":\n"),
            ha="center",
            va="center",
            color=GREY,
        )
        return
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8, zorder=0)
    areas = {
        str(encoder): auc(mine["target"], mine["score"])
        for encoder, mine in rows.groupby("encoder", sort=False)
    }
    whole = [name for name in areas if isinstance(areas[name], float)]
    curves = roc.curves(rows[rows["encoder"].isin(whole)], resamples, seed)
    for encoder, area in areas.items():
        colour, _, dash = styles[encoder]
        if encoder not in curves:
            axes.plot([], [], dash, color=colour, label=f"{encoder} {area}")
            continue
        one = curves[encoder]
        axes.fill_between(
            one.grid, one.low, one.high, color=colour, alpha=0.15, lw=0
        )
        axes.plot(
            one.false_positive,
            one.true_positive,
            dash,
            color=colour,
            linewidth=1.5,
            label=f"{drawing.plain(encoder)} AUC {area:.2f}",
        )
    legend = {"frameon": False, "fontsize": 8, "handlelength": 1.8}
    if len(areas) > _CORNER:
        at = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
        axes.legend(**legend, **at)
    else:
        axes.legend(**legend, loc="lower right")


def forest(results: pd.DataFrame, width: float = 7.6) -> Figure:
    """AUC and its interval, a row per label, the encoders side by side.

    Args:
        results: the table results.csv of one run.
        width: of the figure, in inches.

    Returns:
        A figure; positives/negatives stand on the right, and a label that
        lacks a class says "not defined" instead of a mark.
    """
    tasks = list(dict.fromkeys(results["task"]))
    heights = [
        results.loc[results["task"] == task, "label"].nunique() + 0.8
        for task in tasks
    ]
    styles = drawing.styles(results["encoder"])
    row = 0.24 + 0.11 * len(styles)
    figure = Figure(
        (width, 1.1 + row * sum(heights) + 0.3 * len(tasks)),
        dpi=drawing.DPI,
        layout="constrained",
    )
    grid = figure.subplots(
        len(tasks), 1, sharex=True, squeeze=False, height_ratios=heights
    )
    for axes, task in zip(grid[:, 0], tasks, strict=True):
        _forest_panel(axes, results[results["task"] == task], styles)
        axes.set_title(drawing.plain(task), loc="left", fontsize=11)
    _forest_limits(grid[-1, 0], results)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=4, frameon=False
    )
    return figure


def _forest_panel(axes: Axes, rows: pd.DataFrame, styles: dict) -> None:
    labels = list(dict.fromkeys(rows["label"]))
    offsets = np.linspace(-0.26, 0.26, len(styles)) if len(styles) > 1 else [0]
    for (encoder, (colour, marker, _)), offset in zip(
        styles.items(), offsets, strict=True
    ):
        mine = rows[rows["encoder"] == encoder]
        at = np.array([labels.index(label) for label in mine["label"]]) + offset
        # A percentile interval need not hold its value: no error bars.
        axes.hlines(at, mine["low"], mine["high"], color=colour, linewidth=1.4)
        axes.plot(
            mine["value"],
            at,
            marker,
            color=colour,
            markersize=4.5,
            label=drawing.plain(encoder),
        )
    for place, label in enumerate(labels):
        _forest_text(axes, place, rows[rows["label"] == label])
    axes.spines[["top", "right"]].set_visible(False)
    axes.axvline(0.5, color="0.75", linewidth=0.8, zorder=0)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    if MEAN in labels:
        axes.axhline(labels.index(MEAN) - 0.5, color="0.75", linewidth=0.8)


def _forest_text(axes: Axes, place: int, rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    beside = axes.get_yaxis_transform()
    if not pd.isna(first["n_positive"]):
        text = f"{first['n_positive']:.0f} / {first['n_negative']:.0f}"
        axes.text(
            1.02,
            place,
            text,
            transform=beside,
            va="center",
            fontsize=8,
            color=GREY,
        )
    if rows["value"].isna().all():
        axes.text(
            0.98,
            place,
            first["note"].partition("; ")[0],  # the rest has no room
            transform=beside,
            va="center",
            ha="right",
            fontsize=9,
            # upright: matplotlib keeps each font's file open, for ever
            color=GREY,
        )


def _forest_limits(axes: Axes, results: pd.DataFrame) -> None:
    low = results[["low", "value"]].min().min()
    low = 0.5 if pd.isna(low) else min(0.5, low)
    axes.set_xlim(max(0.0, math.floor(low * 20) / 20 - 0.02), 1.01)
    axes.set_xlabel(
        "AUC with its interval over subjects\nright: positives / negatives"
    )
