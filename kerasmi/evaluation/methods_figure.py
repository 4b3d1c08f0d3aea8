"""The methods of a grid side by side: mean AUC, every seed a mark."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasmi.evaluation import drawing
from kerasmi.evaluation.auc import MEAN


def figure(results: pd.DataFrame) -> Figure:
    """Mean AUC of each method, a panel for each task.

    Args:
        results: results.csv of a grid, with the column `variant`.

    Returns:
        A row for each variant and encoder, in the order of the table; a small
        mark for each seed, a large one for their mean.
    """
    means = results[results["label"] == MEAN]
    tasks = list(dict.fromkeys(means["task"]))
    methods = list(
        means[["variant", "encoder"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    )
    drawn, panels = drawing.panels(
        len(tasks), len(tasks), (4.4, 1.2 + 0.3 * len(methods))
    )
    styles = drawing.styles(means["encoder"])
    for axes, task in zip(panels, tasks, strict=True):
        for at, (variant, encoder) in enumerate(methods):
            values = means.loc[
                (means["variant"] == variant)
                & (means["encoder"] == encoder)
                & (means["task"] == task),
                "value",
            ].dropna()
            colour, marker, _ = styles[encoder]
            axes.plot(
                *(values, [at] * len(values), marker),
                color=colour,
                markersize=3.5,
                alpha=0.5,
            )
            axes.plot(values.mean(), at, marker, color=colour, markersize=7)
        axes.set_yticks(range(len(methods)), [_name(*m) for m in methods])
        axes.set_ylim(len(methods) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", color="0.92")
        axes.set_axisbelow(True)
        axes.set_title(drawing.plain(task), loc="left", fontsize=11)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    seeds = means["seed"].nunique()
    marks = "large: mean, small: each seed" if seeds > 1 else "one seed"
    drawn.supxlabel(f"mean AUC over labels ({marks})", fontsize=10)
    return drawn


def _name(variant: str, encoder: str) -> str:
    words = drawing.plain(variant)
    return words if encoder in variant else f"{words}, {drawing.plain(encoder)}"
