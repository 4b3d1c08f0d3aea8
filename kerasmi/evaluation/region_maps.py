"""Sentences and the regions they point at, drawn over the images.

Everything is drawn in the pixels of the stored image: the network sees its
central square, resized, and a map of scores covers that square alone.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from kerasmi.evaluation import drawing
from kerasmi.evaluation.contact_sheet import outline
from kerasmi.reporter import counted

SCALE = "score above the image's mean (nats)"
Box = tuple[float, float, float, float]


def seen_square(height: int, width: int, size: int) -> Box:
    """Where the network looks: what resizing and cropping keep of an image.

    The shorter side becomes `size` pixels, then the central square is cut, as
    `kerasmi.data.images` does it.

    Args:
        height: of the stored image, in pixels.
        width: of the stored image, in pixels.
        size: side of the square that the network gets, in pixels.

    Returns:
        Left, top, right and bottom edge in pixels of the stored image, from
        its upper left corner.
    """
    stored = np.array([width, height])
    shorter = stored.min()
    resized = (2 * stored * size + shorter) // (2 * shorter)
    offset = (resized - size) // 2
    left, top = (offset * stored / resized).tolist()
    right, bottom = ((offset + size) * stored / resized).tolist()
    return left, top, right, bottom


def region_maps(
    images: Sequence[np.ndarray],
    sentences: Sequence[str],
    maps: np.ndarray,
    truth: Sequence[np.ndarray | None] | None = None,
    size: int | None = None,
) -> Figure:
    """Each image under the map of its sentence's scores over the regions.

    The map is the score of a region above the mean of its image's regions, in
    nats, on one scale for all panels; what lies below the mean stays clear.

    Args:
        images: n stored images, `(height, width)` float, black to white over
            the range of each; their sizes may differ.
        sentences: n texts, the panels' titles.
        maps: `(n, rows, columns)` scores of the regions.
        truth: per image a mask of the true regions, square or flat, over the
            whole image, or None; its border is drawn.
        size: side of the square that the network gets, in pixels; None where
            the maps cover the whole images.

    Returns:
        A figure.

    Raises:
        ValueError: not as many images, sentences and maps.
    """
    images = [np.reshape(one, np.shape(one)[:2]) for one in images]
    if not len(images) == len(sentences) == len(maps) or not len(images):
        raise ValueError(
            "region_maps needs one sentence and one map per image, at least "
            f"one. Received: {counted(len(images), 'image')}, "
            f"{counted(len(sentences), 'sentence')}, "
            f"{len(maps)} maps."
        )
    limit = scale_of(maps)
    columns = min(4, len(images))
    figure, axes_of = drawing.panels(len(images), columns, (2.7, 3.15))
    for k, axes in enumerate(axes_of):
        mask = None if truth is None else truth[k]
        _panel(axes, images[k], maps[k], limit, mask, size)
        axes.set_title(drawing.wrap(sentences[k], 34), fontsize=9)
    figure.colorbar(
        _colours(limit), ax=axes_of, label=SCALE, shrink=0.7, aspect=30
    )
    note = "pixels of the stored image"
    if truth is not None and any(mask is not None for mask in truth):
        note += "; blue outline: the true regions"
    figure.supxlabel(note, fontsize=9)
    return figure


def redraw(figure: Figure, maps: np.ndarray) -> None:
    """Puts other maps on a figure of `region_maps`; its layout stays.

    Args:
        figure: what `region_maps` returned.
        maps: `(n, rows, columns)` scores of the regions, of the same images.
    """
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    limit = scale_of(maps)
    *panels, bar = figure.axes
    for axes, scores in zip(panels, maps, strict=True):
        overlay = axes.images[1]
        shape = np.asarray(overlay.get_array()).shape[:2]
        overlay.set_data(_overlay(_above(scores) / limit, shape))
    bar.clear()
    figure.colorbar(_colours(limit), cax=bar, label=SCALE)


def region_map(
    image: np.ndarray,
    scores: np.ndarray,
    limit: float,
    truth: np.ndarray | None = None,
    size: int | None = None,
) -> Figure:
    """One panel of `region_maps`, for a page that writes the sentence itself.

    Args:
        image: `(height, width)`, the stored image.
        scores: `(rows, columns)` of the regions, in nats.
        limit: what the darkest colour means, see `scale_of`.
        truth: as in `region_maps`, for this image.
        size: as in `region_maps`.
    """
    height, width = image.shape
    figure, (axes,) = drawing.panels(1, 1, (2.4, 0.3 + 2.1 * height / width))
    _panel(axes, image, scores, limit, truth, size)
    return figure


def scale_bar(limit: float) -> Figure:
    """The colours of `region_map` and what they mean."""
    figure = Figure((4.2, 0.75), dpi=drawing.DPI, layout="constrained")
    figure.colorbar(
        _colours(limit),
        cax=figure.subplots(),
        orientation="horizontal",
        label=SCALE,
    )
    return figure


def scale_of(maps: np.ndarray) -> float:
    """The score above its image's mean that gets the darkest colour, nats."""
    highest = _above(np.asarray(maps)).max(axis=(1, 2))
    return max(float(np.quantile(highest, 0.9)), 1e-6)


def _above(scores: np.ndarray) -> np.ndarray:
    return scores - np.mean(scores, axis=(-2, -1), keepdims=True)


def _panel(
    axes: Axes,
    image: np.ndarray,
    scores: np.ndarray,
    limit: float,
    truth: np.ndarray | None,
    size: int | None,
) -> None:
    height, width = image.shape
    box = (0.0, 0.0, float(width), float(height))
    if size is not None:
        box = seen_square(height, width, size)
    # Half a pixel: matplotlib counts from the centre of the first one.
    left, top, right, bottom = (edge - 0.5 for edge in box)
    side = max(64, round(right - left))
    axes.imshow(image, cmap="gray", interpolation="nearest")
    axes.imshow(
        _overlay(_above(scores) / limit, (side, side)),
        interpolation="bilinear",
        extent=(left, right, bottom, top),
    )
    if truth is not None:
        _outline(axes, truth, image.shape)
    if box != (0, 0, width, height):
        sides = (right - left, bottom - top)
        axes.add_patch(
            Rectangle((left, top), *sides, fill=False, ec="white", ls=":")
        )
    # The overlay has moved the limits to its own.
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.tick_params(labelsize=8, length=2, pad=1.5, color="0.6")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    axes.spines[:].set_visible(False)


def _colours(limit: float) -> ScalarMappable:
    return ScalarMappable(Normalize(0, limit), _clear_to_orange())


def _clear_to_orange() -> LinearSegmentedColormap:
    stops = [
        (0.9, 0.62, 0.0, 0.0),
        (0.9, 0.62, 0.0, 0.45),
        (0.84, 0.3, 0.0, 0.7),
    ]
    return LinearSegmentedColormap.from_list("clear_to_orange", stops)


def _overlay(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth RGBA picture of `shape` from a grid of values in [0, 1]."""
    rows = _smoother(shape[0], values.shape[0])
    columns = _smoother(shape[1], values.shape[1])
    smooth = rows @ np.clip(values, 0, 1) @ columns.T
    return _clear_to_orange()(np.clip(smooth, 0, 1))


def _smoother(pixels: int, cells: int) -> np.ndarray:
    """`(pixels, cells)` weights of a Gaussian at each pixel, summing to 1."""
    at = (np.arange(pixels) + 0.5) / pixels * cells - 0.5
    weights = np.exp(-0.5 * ((at[:, None] - np.arange(cells)) / 0.45) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def _outline(axes: Axes, truth: np.ndarray, shape: tuple[int, ...]) -> None:
    """Draws the border between true and other cells."""
    cells = np.asarray(truth)
    side = round(cells.size**0.5)
    edges = outline(cells.reshape(side, side) != 0)
    lines = list(edges * np.array([shape[1], shape[0]]) / side - 0.5)
    axes.add_collection(
        LineCollection(lines, colors=drawing.SKY, linewidths=2.2, clip_on=False)
    )
