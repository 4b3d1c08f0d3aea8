"""A colour for each of any number of names, no two alike."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex, to_rgb

# Okabe and Ito's colours, told apart with any colour vision, on gray too.
COLOURS = (
    "#56B4E9",
    "#E69F00",
    "#F0E442",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#0072B2",
    "#A6761D",
    "#999999",
)
PLAIN = "#333333"  # of what has no colour of its own
_DARKER = 0.55  # of the second nine
_WEIGHTS = (2.0, 4.0, 3.0)  # the eye's, for differences of red, green, blue
_LEVELS = 8  # of red, green and blue among the further colours
_LUMINANCE = (0.2, 0.9)  # neither lost on black nor on white


def palette(names: Sequence[str]) -> dict[str, str]:
    """Gives each name its colour by its place.

    Nine, the same nine darker, then each time the one that is farthest from
    all before it.

    Args:
        names: of the whole data set, so that a page of some has their colours.

    Returns:
        Name to colour, `#rrggbb`; none twice.
    """
    shades = [*COLOURS, *map(_darker, COLOURS)]
    if len(names) > len(shades):
        shades += _further(shades, len(names) - len(shades))
    return dict(zip(names, shades, strict=False))


def _darker(colour: str) -> str:
    return to_hex([_DARKER * part for part in to_rgb(colour)])


def _further(taken: Sequence[str], count: int) -> list[str]:
    """Colours of a grid, the farthest from those taken first."""
    side = max(_LEVELS, round((4 * count) ** (1 / 3)) + 1)
    level = np.linspace(0, 1, side)
    grid = np.stack(np.meshgrid(level, level, level), -1).reshape(-1, 3)
    luminance = grid @ (0.2126, 0.7152, 0.0722)
    low, high = _LUMINANCE
    grid = grid[(luminance >= low) & (luminance <= high)]
    distance = np.min(
        [_distances(grid, to_rgb(c)) for c in [*taken, PLAIN]], axis=0
    )
    found = []
    for _ in range(count):
        colour = grid[distance.argmax()]
        found.append(to_hex(colour))
        distance = np.minimum(distance, _distances(grid, colour))
    return found


def _distances(grid: np.ndarray, colour: Sequence[float]) -> np.ndarray:
    return np.sqrt(((grid - np.asarray(colour)) ** 2) @ np.array(_WEIGHTS))
