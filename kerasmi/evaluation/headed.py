"""A line above a page whose axes stand in places of their own."""

import textwrap

from matplotlib.figure import Figure

_LINE = 0.22  # inches of one line
_MARGIN = 0.12
_LETTERS = 10  # of a line, for each inch


def headed(figure: Figure, heading: str, note: str = "") -> Figure:
    """Makes room above a page and writes a heading and a note there.

    Args:
        figure: a page of axes without a layout engine, such as a contact
            sheet; changed.
        heading: in bold; wrapped to the width of the page.
        note: below it, small.

    Returns:
        The figure.
    """
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(heading, round(_LETTERS * width))
    small = textwrap.wrap(note, round(1.4 * _LETTERS * width))
    taller = height + _LINE * len(lines) + 0.8 * _LINE * len(small) + _MARGIN
    places = [axes.get_position() for axes in figure.axes]
    figure.set_size_inches(width, taller)
    share = height / taller
    for axes, place in zip(figure.axes, places, strict=True):
        axes.set_position(
            (place.x0, place.y0 * share, place.width, place.height * share)
        )
    # A dollar sign would start matplotlib's formulas.
    top, left = 1 - 0.5 * _MARGIN / taller, 0.15 / width
    figure.text(
        left,
        top,
        "\n".join(lines).replace("$", r"\$"),
        va="top",
        fontsize=11,
        fontweight="bold",
    )
    figure.text(
        left,
        top - _LINE * len(lines) / taller,
        "\n".join(small).replace("$", r"\$"),
        va="top",
        fontsize=8,
        color="#555555",
    )
    return figure
