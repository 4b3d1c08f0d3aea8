"""One sentence over one image of any size, in the image's own pixels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from kerasmi.evaluation import drawing, grounding
from kerasmi.evaluation.region_maps import SCALE, Box, seen_square

_SIDE = 5.2  # inches of the longer side of the image
_NARROWEST = 3.0  # inches that the words below need
_LOWEST = 2.6  # inches that the words of the scale need
_DRAWN = 256  # values of the map along a side, as drawn
# A map that rises less, in nats, stays pale.
_FULL = 0.5


def sentence_map(
    image: np.ndarray,
    sentence: str,
    scores: np.ndarray,
    size: int,
    name: str = "the image",
) -> Figure:
    """The image under the map of a sentence's scores, its best region framed.

    The map is the score of a region above the mean of the regions, in nats,
    bilinear between their centres; what lies below the mean stays clear. The
    darkest colour is the highest value, or 0.5 nats if that is more.

    Args:
        image: `(height, width)` float in [0, 1].
        sentence: the text, which becomes the title.
        scores: `(rows, columns)` of the regions, in nats.
        size: side of the square that the network gets, in pixels.
        name: what the image is called.

    Returns:
        A figure whose axes count the pixels of the image.
    """
    height, width = image.shape
    scale = _SIDE / max(height, width)
    figure = Figure(
        (
            max(_NARROWEST, width * scale) + 1.5,
            max(_LOWEST, height * scale) + 1.3,
        ),
        dpi=drawing.DPI,
        layout="constrained",
    )
    axes = figure.subplots()
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    above = np.asarray(scores, float) - np.mean(scores)
    square = seen_square(height, width, size)
    left, top, right, bottom = (edge - 0.5 for edge in square)
    values, _ = grounding.pixel_map(above, (_DRAWN, _DRAWN), _DRAWN)
    drawn = axes.imshow(
        np.clip(values, 0, None),
        cmap=_colours(),
        vmin=0,
        vmax=max(float(above.max()), _FULL),
        interpolation="bilinear",
        extent=(left, right, bottom, top),
    )
    _frames(axes, square, (height, width), best_box(scores, square))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(labelsize=8, length=2, color="0.6")
    axes.spines[:].set_visible(False)
    letters = round(13 * figure.get_figwidth())
    figure.suptitle(drawing.wrap(sentence, letters), fontsize=11)
    note = f"pixels of {name}; framed: the best region, {above.max():+.2f} nats"
    figure.supxlabel(drawing.wrap(note, letters), fontsize=8.5)
    figure.colorbar(drawn, ax=axes, label=SCALE, shrink=0.8, aspect=30)
    return figure


def best_region(scores: np.ndarray) -> tuple[int, int]:
    """Row and column of the highest score, counted from 0."""
    row, column = np.unravel_index(np.argmax(scores), np.shape(scores))
    return int(row), int(column)


def best_box(scores: np.ndarray, square: Box) -> Box:
    """Left, top, right and bottom edge of the best region, in pixels.

    Args:
        scores: `(rows, columns)` of the regions.
        square: what the network sees of the image, see `seen_square`.
    """
    row, column = best_region(scores)
    rows, columns = np.shape(scores)
    left, top, right, bottom = square
    high, wide = (bottom - top) / rows, (right - left) / columns
    return (
        left + column * wide,
        top + row * high,
        left + (column + 1) * wide,
        top + (row + 1) * high,
    )


def _frames(axes: Axes, square: Box, shape: tuple[int, int], best: Box) -> None:
    """The best region, and what the network sees where that is not all."""
    styles = [(best, drawing.SKY, "-", 1.6)]
    if square != (0.0, 0.0, float(shape[1]), float(shape[0])):
        styles.append((square, "white", ":", 1.2))
    for (left, top, right, bottom), colour, dash, width in styles:
        axes.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=colour,
                linestyle=dash,
                linewidth=width,
                clip_on=False,
            )
        )


def _colours() -> LinearSegmentedColormap:
    """From clear to orange, as `region_maps` draws."""
    stops = [
        to_rgba(drawing.ORANGE, 0.0),
        to_rgba(drawing.ORANGE, 0.45),
        to_rgba(drawing.VERMILLION, 0.7),
    ]
    return LinearSegmentedColormap.from_list("sentence_map", stops)
