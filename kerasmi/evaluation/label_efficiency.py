"""Label efficiency: AUC against the number of labelled training images."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kerasmi.evaluation import drawing
from kerasmi.evaluation.auc import MEAN

COLUMNS = ("variant", "encoder", "task", "labels", "seed", "auc")
_METHOD = ["variant", "encoder"]
_STYLES = (
    (drawing.GREY, "s", "--"),
    (drawing.BLUE, "o", "-."),
    (drawing.VERMILLION, "D", "-"),
    *drawing.OTHERS,
)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """The mean AUC of each task, for each number of labels and seed.

    Args:
        results: results.csv of a grid, with the columns `variant` and
            `labels`, the labelled images of the task.

    Returns:
        Frame with the columns `COLUMNS`; `auc` is the mean over the labels of
        the task, NaN where none has both classes.
    """
    means = results[results["label"] == MEAN].rename(columns={"value": "auc"})
    order = ["task", *_METHOD, "labels", "seed"]
    return means.sort_values(order, kind="stable")[list(COLUMNS)].reset_index(
        drop=True
    )


def bands(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the AUC.

    Args:
        frame: what `table` returns.

    Returns:
        Frame with variant, encoder, task, labels, `mean`, `sd` (NaN for one
        seed) and `n`, the seeds that have an AUC.
    """
    grouped = frame.groupby([*_METHOD, "task", "labels"], sort=False)["auc"]
    found = grouped.agg(mean="mean", sd="std", n="count").reset_index()
    return found[found["n"] > 0]


def figure(frame: pd.DataFrame) -> Figure:
    """Mean AUC by number of labels, with a band of one standard deviation.

    Args:
        frame: what `table` returns.

    Returns:
        A panel for each task; the names stand at the ends of the curves.
    """
    tasks = list(dict.fromkeys(frame["task"]))
    drawn, panels = drawing.panels(len(tasks), len(tasks), (5.6, 4.2))
    methods = list(
        frame[_METHOD].drop_duplicates().itertuples(index=False, name=None)
    )
    methods.sort(key=lambda method: (method[1] != "image_only", method))
    found = bands(frame)
    for axes, task in zip(panels, tasks, strict=True):
        of_task = found[found["task"] == task]
        _panel(axes, of_task, methods)
        axes.set_title(drawing.plain(task), loc="left", fontsize=11)
    panels[0].set_ylabel("mean AUC on the test set")
    most = frame.groupby([*_METHOD, "labels"])["seed"].nunique().max()
    bands_are = f"; band: ± sd over {most} seeds" if most > 1 else "; one seed"
    drawn.supxlabel(f"labelled training images{bands_are}", fontsize=10)
    return drawn


def _panel(axes: Axes, rows: pd.DataFrame, methods: list[tuple]) -> None:
    ends = []
    for k, method in enumerate(methods):
        variant, encoder = method
        mine = rows[(rows["variant"] == variant) & (rows["encoder"] == encoder)]
        mine = mine.sort_values("labels")
        if mine.empty:
            continue
        colour, marker, dash = _STYLES[k % len(_STYLES)]
        spread = mine["sd"].fillna(0.0)
        axes.fill_between(
            mine["labels"],
            mine["mean"] - spread,
            mine["mean"] + spread,
            color=colour,
            alpha=0.15,
            lw=0,
        )
        axes.plot(
            mine["labels"],
            mine["mean"],
            dash,
            color=colour,
            marker=marker,
            markersize=4.5,
        )
        ends.append((mine["mean"].iloc[-1], _name(*method), colour))
    ticks = sorted(set(rows["labels"]))
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    _names(axes, rows["labels"].max(), ends)


def _name(variant: str, encoder: str) -> str:
    words = drawing.plain(variant)
    return words if encoder in variant else f"{words}, {drawing.plain(encoder)}"


def _names(axes: Axes, last: float, ends: list[tuple[float, str, str]]) -> None:
    """Names at the ends of the curves, moved apart where they would meet."""
    low, high = axes.get_ylim()
    apart = 0.06 * (high - low)
    at = float("-inf")
    for value, name, colour in sorted(ends):
        at = max(value, at + apart)
        axes.annotate(
            name,
            (last, value),
            (1.02, at),
            xycoords="data",
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )
