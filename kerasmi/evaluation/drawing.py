"""What all figures share: colours, panels, and how they are written.

Figures are made without pyplot's global state. Colours are Okabe and Ito's,
told apart by the colour blind; every series has its own marker or dash as well.
"""

import math
import os
import textwrap
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kerasmi import output_files

DPI = 120
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, GREY = "#CC79A7", "#E69F00", "#56B4E9", "#555555"
# Known encoders keep their colour and marker from figure to figure.
ENCODERS = {
    "image_only": (GREY, "s", "--"),
    "frozen": (BLUE, "o", "-."),
    "tuned": (VERMILLION, "D", "-"),
}
OTHERS = (
    (GREEN, "^", ":"),
    (PURPLE, "v", "-"),
    (ORANGE, "P", "--"),
    (SKY, "X", "-."),
    ("#A6761D", "p", "-"),
    ("#000000", "*", ":"),
)


def save(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes a figure whole or not at all, and makes its folder.

    Args:
        figure: any figure of matplotlib.
        path: the file, normally `.png`.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with output_files.replaced(path) as beside:
        write(figure, str(beside), DPI)
    return path


def save_asked(figure: Figure, path: Path) -> None:
    """Writes a figure that a command was asked for, whole or not at all.

    Letters that no font has become boxes.

    Args:
        figure: any figure of matplotlib.
        path: the file; its folder is made.

    Raises:
        OutputError: it cannot be written.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        output_files.write(path, lambda file: write(figure, str(file), DPI))


def write(figure: Figure, file: str | BinaryIO, dpi: float) -> None:
    """Writes a figure, laying it out once.

    Matplotlib lays a figure out twice as it writes it, and goes through all
    that is on it once more in between: a third of the time.

    Args:
        figure: any figure of matplotlib; its layout is kept from now on.
        file: a path, or a file that gets a PNG.
        dpi: pixels of an inch.
    """
    figure.set_dpi(dpi)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    # the user's settings of matplotlib may have another format
    of_path = isinstance(file, str)
    figure.savefig(file, dpi=dpi, format=None if of_path else "png")


def to_array(figure: Figure) -> np.ndarray:
    """`(height, width, 3)` uint8 RGB of a figure, as TensorBoard wants it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def panels(
    count: int, columns: int, size: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `size` inches in so many columns."""
    rows = math.ceil(count / columns)
    figure = Figure(
        (size[0] * columns, size[1] * rows), dpi=DPI, layout="constrained"
    )
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[:count]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid[:count]


def styles(encoders: pd.Series) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and dash of each encoder, in order of appearance."""
    names = list(dict.fromkeys(encoders))
    found = {name: ENCODERS[name] for name in names if name in ENCODERS}
    others = [name for name in names if name not in ENCODERS]
    for k, name in enumerate(others):
        found[name] = OTHERS[k % len(OTHERS)]
    return found


def plain(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def wrap(text: str, width: int) -> str:
    """At most three lines of `width` letters."""
    lines = textwrap.wrap(text, width)
    if len(lines) > 3:
        lines = [*lines[:2], lines[2][: width - 1] + "…"]
    # A dollar sign would start matplotlib's formulas.
    return "\n".join(lines).replace("$", r"\$")
