"""Curves of training: the bound and its ceiling, the validation AUC."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasmi.evaluation import drawing
from kerasmi.evaluation.drawing import BLUE, GREY, VERMILLION


def training_curves(
    history: pd.DataFrame,
    quantity: str = "mutual_information",
    title: str = "Mutual information while pre-training",
    size: tuple[float, float] = (6.4, 4.0),
    ceiling: bool = True,
    chance: float | None = 0.0,
    axis: str = "bound (nats)",
) -> Figure:
    """The bound by epoch, training and validation, and its ceiling.

    Args:
        history: columns `epoch` (from 0, as Keras writes it), `quantity`, and
            where present `val_` + quantity and `ceiling` or `val_ceiling`.
        quantity: column shown.
        title: of the figure.
        size: of the figure, in inches.
        ceiling: whether the bound has one; InfoNCE has, Donsker-Varadhan none.
        chance: what the bound reads where there is nothing to find; None: not
            drawn.
        axis: what the values are, with their unit.

    Returns:
        A figure. A ceiling far above the curves is named and not drawn, so
        that the curves keep their height.

    Raises:
        ValueError: a column is missing.
    """
    missing = [name for name in ("epoch", quantity) if name not in history]
    if missing:
        raise ValueError(
            f"The history lacks the columns {missing}. "
            f"It has: {list(history.columns)}."
        )
    figure, (axes,) = drawing.panels(1, 1, size)
    epochs = history["epoch"] + 1
    series = (
        (quantity, "training", BLUE, "o", "-"),
        (f"val_{quantity}", "validation", VERMILLION, "D", "--"),
    )
    drawn = [one for one in series if one[0] in history]
    for name, label, colour, marker, dash in drawn:
        axes.plot(
            epochs,
            history[name],
            dash,
            color=colour,
            marker=marker,
            markersize=4,
            label=label,
        )
    if chance is not None:
        axes.axhline(
            chance, color="0.75", linewidth=0.8, zorder=0, label="chance"
        )
    if ceiling:
        _ceiling(axes, history, [one[0] for one in drawn])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=axis, title=title)
    axes.legend(framealpha=1, edgecolor="none", loc="lower right")
    return figure


def _ceiling(axes: Axes, history: pd.DataFrame, drawn: list[str]) -> None:
    names = [n for n in ("val_ceiling", "ceiling") if n in history]
    if not names or not np.isfinite(history[names[0]]).any():
        return
    ceiling = float(history[names[0]].dropna().iloc[-1])
    text = f"ceiling log|C| = {ceiling:.2f} nats"
    top = float(history[drawn].max().max())
    if ceiling <= 2.5 * top:
        axes.axhline(ceiling, color=GREY, linestyle=":", linewidth=1.6)
        # Room above the line for its name.
        axes.set_ylim(top=ceiling + 0.1 * (ceiling - axes.get_ylim()[0]))
        place, across = (0.01, ceiling), axes.get_yaxis_transform()
    else:
        text = f"{text}, above this picture"
        axes.margins(y=0.12)
        place, across = (0.01, 0.95), axes.transAxes
    axes.text(*place, f" {text}", transform=across, va="bottom", color=GREY)


def validation_curves(
    histories: Mapping[str, pd.DataFrame],
    size: tuple[float, float] = (6.4, 4.0),
) -> Figure:
    """The mean validation AUC by epoch while re-training.

    Args:
        histories: a name, such as the encoder's, to its history: columns
            `epoch` (from 0) and `val_auc`.
        size: of the figure, in inches.

    Returns:
        A figure; the best epoch, whose weights are kept, has a mark.
    """
    figure, (axes,) = drawing.panels(1, 1, size)
    styles = drawing.styles(pd.Series(list(histories), dtype=str))
    for name, history in histories.items():
        colour, marker, dash = styles[name]
        epochs, values = history["epoch"] + 1, history["val_auc"]
        label = drawing.plain(name)
        axes.plot(epochs, values, dash, color=colour, label=label)
        best = values.argmax()
        axes.plot(epochs.iloc[best], values.iloc[best], marker, color=colour)
    axes.axhline(0.5, color="0.75", linewidth=0.8, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel="mean validation AUC")
    axes.legend(framealpha=1, edgecolor="none", loc="best")
    return figure


def bound_curves(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    size: tuple[float, float] = (6.4, 4.0),
    chances: Collection[float] = (0.0,),
    axis: str = "validation bound (nats)",
) -> Figure:
    """The validation bound by epoch, of several variants.

    Args:
        histories: a variant to the history of each of its runs, with the
            columns `epoch` (from 0) and `val_mutual_information`.
        size: of the figure, in inches.
        chances: what their bounds read where there is nothing to find: a line
            for each.
        axis: what the values are, with their unit.

    Returns:
        A figure: a colour for each variant, a curve for each run.
    """
    figure, (axes,) = drawing.panels(1, 1, size)
    styles = drawing.styles(pd.Series(list(histories), dtype=str))
    for variant, runs in histories.items():
        colour, marker, dash = styles[variant]
        for k, history in enumerate(runs):
            axes.plot(
                history["epoch"] + 1,
                history["val_mutual_information"],
                dash,
                color=colour,
                # of one epoch there is no line to see
                marker=marker if len(history) == 1 else None,
                linewidth=1.3,
                label=drawing.plain(variant) if k == 0 else None,
            )
    for chance in chances:
        axes.axhline(chance, color="0.75", linewidth=0.8, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=axis)
    axes.legend(framealpha=1, edgecolor="none", loc="best")
    return figure
