"""A page of images with what was found in each and where."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kerasmi.evaluation.palette import PLAIN, palette

Array = np.ndarray
_WIDTH = 2.6  # inches of one image
_LINE = 0.155  # inches of one line of text
_TITLE = 0.22  # inches above an image
_LONGEST = 38  # characters of a title
_LONGEST_NAME = 32  # of a finding, which is larger


def contact_sheet(
    images: Array | Sequence[Array],
    findings: Sequence[Sequence[str] | None],
    *,
    titles: Sequence[str] | None = None,
    sentences: Sequence[Sequence[str]] | None = None,
    regions: Sequence[Mapping[str, Array]] | None = None,
    names: Sequence[str] | None = None,
    columns: int = 4,
) -> Figure:
    """Draws a page of images, their findings named below them.

    Args:
        images: Each (H, W) or (H, W, 1), in [0, 1]; the sizes may differ.
        findings: For each image the names written below it, the middle of
            those that are too long left out; `"no positive label"` is written
            where there is none, `"no label"` where it is None.
        titles: For each image a line above it, such as its id; where it is
            too long, its middle is left out.
        sentences: For each image the sentences written below it.
        regions: For each image finding to a grid of cells, (4, 4) or flat,
            outlined in the finding's colour where it is not 0.
        names: Every finding of the data set, in its order, so that each has
            the same colour on every page; others are dark gray. None: the
            findings of this page.
        columns: Images in a row.

    Returns:
        A figure; `figure.savefig(path)` writes it.

    Raises:
        ValueError: If there is no image, or a sequence has another length.
    """
    images = [np.asarray(image) for image in images]
    _check(images, findings, titles, sentences, regions, columns)
    if names is None:
        names = _of_page(findings, regions or ())
    colours = palette(names)
    texts = [_wrap(s) for s in sentences or [()] * len(images)]
    lines = [
        max(1, len(found or ())) + len(text)
        for found, text in zip(findings, texts, strict=True)
    ]
    figure, axes = _page(lines, min(columns, len(images)))
    for i, axis in enumerate(axes):
        _image(axis, images[i])
        if titles is not None:
            title = _shortened(titles[i], _LONGEST)
            axis.set_title(title, fontsize=7, color="#555555", pad=2)
        row = _findings(axis, findings[i], colours)
        _lines(axis, texts[i], row)
        if regions is not None:
            found = [n for n in findings[i] or () if n in regions[i]]
            shown = {n: regions[i][n] for n in found}
            _outlines(axis, shown, colours, images[i].shape[:2])
    return figure


def _of_page(
    findings: Sequence[Sequence[str] | None],
    regions: Sequence[Mapping[str, Array]],
) -> list[str]:
    """The findings of a page; where some are outlined, only these."""
    names = list(dict.fromkeys(n for found in findings for n in found or ()))
    outlined = {name for shown in regions for name in shown}
    return [name for name in names if name in outlined] or names


def _check(
    images: Sequence[Array],
    findings: Sequence[Any],
    titles: Sequence[Any] | None,
    sentences: Sequence[Any] | None,
    regions: Sequence[Any] | None,
    columns: int,
) -> None:
    shapes = [image.shape for image in images]
    if not shapes or any(s[2:] not in ((), (1,)) or len(s) < 2 for s in shapes):
        raise ValueError(
            "images: expected at least one, each (H, W) or (H, W, 1), "
            f"received {shapes[:3]}."
        )
    given = {
        "findings": findings,
        "titles": titles,
        "sentences": sentences,
        "regions": regions,
    }
    for name, values in given.items():
        if values is not None and len(values) != len(images):
            raise ValueError(
                f"{name}: expected one for each of {len(images)} images, "
                f"received {len(values)}."
            )
    if columns < 1:
        raise ValueError(f"columns={columns}: expected 1 or more.")


def _page(lines: Sequence[int], columns: int) -> tuple[Figure, list[Axes]]:
    """Returns a page and its axes, with room for `lines` of text below."""
    starts = range(0, len(lines), columns)
    below = [_LINE * (max(lines[i : i + columns]) + 1.2) for i in starts]
    width = columns * (_WIDTH + 0.15) + 0.15
    height = sum(below) + len(below) * (_WIDTH + _TITLE)
    figure = Figure(figsize=(width, height), facecolor="white")
    axes, bottom = [], height
    for row, start in enumerate(starts):
        bottom -= _TITLE + _WIDTH
        for column in range(len(lines[start : start + columns])):
            left = 0.15 + column * (_WIDTH + 0.15)
            box = (left / width, bottom / height, _WIDTH / width)
            axes.append(figure.add_axes((*box, _WIDTH / height)))
        bottom -= below[row]
    return figure, axes


def _image(axis: Axes, image: Array) -> None:
    height, width = image.shape[:2]
    axis.imshow(
        image.reshape(height, width),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    # the square stays; what is not square leaves margins
    axis.set_adjustable("datalim")
    axis.set_axis_off()


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _write(axis: Axes, row: int, text: str, **style: Any) -> None:
    axis.annotate(
        text,
        (0, 0),
        (0, -72 * _LINE * (row + 0.25)),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        **style,
    )


def _findings(
    axis: Axes, found: Sequence[str] | None, colours: Mapping[str, str]
) -> int:
    """Writes the findings and returns the next free line."""
    if not found:
        text = "no label" if found is None else "no positive label"
        _write(axis, 0, text, fontsize=8, color="#777777")
        return 1
    for row, name in enumerate(found):
        style = {"fontsize": 8, "fontweight": "bold"}
        _write(axis, row, "■", color=colours.get(name, PLAIN), **style)
        shown = _shortened(name, _LONGEST_NAME)
        _write(axis, row, "    " + shown, color="black", **style)
    return len(found)


def _wrap(sentences: Sequence[str]) -> list[str]:
    return [
        line
        for sentence in sentences
        for line in textwrap.wrap(sentence, 50, subsequent_indent="   ")
    ]


def _lines(axis: Axes, lines: Sequence[str], row: int) -> None:
    for number, line in enumerate(lines):
        _write(axis, row + number, line, fontsize=6.5, color="#333333")


def _outlines(
    axis: Axes,
    regions: Mapping[str, Array],
    colours: Mapping[str, str],
    shape: tuple[int, ...],
) -> None:
    """Outlines the cells of each finding, one inside the other."""
    for order, (name, cells) in enumerate(regions.items()):
        mask = np.asarray(cells) != 0
        side = round(mask.size**0.5)
        inset = 0.03 + 0.03 * order
        edges = outline(mask.reshape(side, side), inset)
        if len(edges):
            scale = np.array([shape[1], shape[0]]) / side
            axis.add_collection(
                LineCollection(
                    list(edges * scale - 0.5),
                    colors=colours.get(name, PLAIN),
                    linewidths=1.6,
                )
            )


def outline(mask: Array, inset: float = 0.0) -> Array:
    """Returns the border of the cells that are set.

    Args:
        mask: (rows, columns) bool.
        inset: How far inside the cells it runs, as a part of a cell.

    Returns:
        (segments, 2, 2): two ends, each x and y in cells from the corner.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    edges = []
    for y, x in np.argwhere(mask):
        around = padded[y : y + 3, x : x + 3]
        for side in _SIDES:
            if not around[1 + side[0], 1 + side[1]]:
                edge = _edge(around, np.array(side), inset)
                edges.append(edge + np.array([x, y]))
    return np.array(edges, float).reshape(-1, 2, 2)


_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # rows and columns away


def _edge(around: Array, side: Array, inset: float) -> Array:
    """Returns the edge on one side of a cell, (2, 2), meeting its next."""
    along = side[::-1]
    ends = []
    for way in (-along, along):
        if not around[tuple(1 + way)]:
            reach = 0.5 - inset  # turns inwards
        elif around[tuple(1 + way + side)]:
            reach = 0.5 + inset  # turns outwards
        else:
            reach = 0.5  # goes straight on
        ends.append(0.5 + (0.5 - inset) * side + reach * way)
    return np.array(ends)[:, ::-1]
