"""What the phantom is drawn with: soft edges, bells, ellipses, lines, noise.

Distances are in the thorax's own coordinates, see `phantom_image`.
"""

import functools
from collections.abc import Iterable

import numpy as np

Array = np.ndarray
_HALF = np.float32(0.5)
_NEXT_TO_0 = {"f": 1e-10, "d": 1e-100}  # whose cube does not underflow
_AT_ONCE = 1024  # pixels whose distances to a line stay in the cache

# A number for one picture; for B pictures at once a (B, 1, 1) column of them.
Number = float | Array


def like(picture: Array, number: Number) -> Array:
    """Returns the number in the dtype of the picture it is used on.

    NumPy does so itself for a number, but not for a column of them.
    """
    return np.asarray(number, picture.dtype)


def column(numbers: Iterable[float]) -> Array:
    """Returns one number for each of B pictures, (B, 1, 1)."""
    return np.array(list(numbers))[:, None, None]


def ramp(distance: Array, width: Number) -> Array:
    """Returns 0 to 1 as `distance` goes from `-width/2` to `width/2`.

    Args:
        distance: (size, size) in the thorax's units, as `width`.
        width: Of the soft edge, above 0.

    Returns:
        (size, size) in [0, 1].
    """
    gray: Array = distance * np.asarray(1 / width, np.float32)
    gray += _HALF
    return unit(gray)


def unit(values: Array) -> Array:
    """Limits values to [0, 1] in place, sooner than `np.clip` does."""
    low, high = _bounds(values)
    np.maximum(values, low, values)
    return np.minimum(values, high, values)


def positive(values: Array) -> Array:
    """Limits values to 0 and above, in place."""
    low, _ = _bounds(values)
    return np.maximum(values, low, values)


def _bounds(values: Array) -> tuple[Array, Array]:
    """Returns 0 and 1 in the shape of `values`: NumPy is slow with numbers."""
    if values.ndim > 1:
        return _all_0_and_1(values.shape, values.dtype.char)
    count = values.size
    # The lengths differ from call to call: a few are kept, and cut.
    low, high = _all_0_and_1(1 << count.bit_length(), values.dtype.char)
    return low[:count], high[:count]


@functools.lru_cache(maxsize=64)
def _all_0_and_1(
    shape: int | tuple[int, ...], kind: str
) -> tuple[Array, Array]:
    return np.zeros(shape, kind), np.ones(shape, kind)


def power(base: Array, exponent: Number) -> Array:
    """Returns powers of what is above 0, and next to 0 for all else.

    NumPy is ten times slower at 0 than anywhere else. What stands for it is
    so small that it is lost, to the last bit, in what it is added to.

    Args:
        base: (size, size), limited in place to the dtype's `_NEXT_TO_0`.
        exponent: 1.3 to 3, or for float64 0.8 to 3.

    Returns:
        (size, size).
    """
    np.maximum(base, _least(base.shape, base.dtype.char), base)
    return base**exponent


@functools.lru_cache(maxsize=8)
def _least(shape: tuple[int, ...], kind: str) -> Array:
    return np.full(shape, _NEXT_TO_0[kind], kind)


def gaussian(x: Array, y: Array, width: float, height: float) -> Array:
    """Returns a bell of height 1 around the origin.

    Args:
        x, y: (size, size) distances from its centre, in the thorax's units.
        width, height: Its standard deviations, in the same units.

    Returns:
        (size, size) in (0, 1].
    """
    exponent = -0.5 * _squared(x, y, width, height)
    return np.exp(exponent, out=exponent)


def ellipse(
    x: Array, y: Array, width: Number, height: Number, soft: Number
) -> Array:
    """Returns 1 inside an ellipse of these half axes and 0 outside.

    Args:
        x, y: (size, size) distances from its centre, in the thorax's units.
        width, height: Its half axes, in the same units.
        soft: Width of its edge, in the same units.

    Returns:
        (size, size) in [0, 1].
    """
    radius = _squared(x, y, width, height)
    np.sqrt(radius, out=radius)
    return ramp((1 - radius) * like(radius, np.minimum(width, height)), soft)


def _squared(x: Array, y: Array, width: Number, height: Number) -> Array:
    across, down = x / like(x, width), y / like(y, height)
    across *= across
    down *= down
    return across + down


def stroke(
    x: Array, y: Array, points: Array, width: float, soft: float
) -> Array:
    """Returns 1 on the line through `points` (K, 2) and 0 off it.

    Args:
        x, y: (size, size) coordinates, in the thorax's units.
        points: (K, 2) x and y of its corners, in the same units.
        width, soft: Widths of the line and of its edges, in the same units.

    Returns:
        (size, size) in [0, 1].
    """
    # Elsewhere the line is not seen: its box is a small part of the picture.
    reach = 0.5 * (width + soft) + 1e-3
    (left, top), (right, bottom) = points.min(0) - reach, points.max(0) + reach
    near = (x > left) & (x < right)
    near &= (y > top) & (y < bottom)
    drawn = np.zeros(x.size, x.dtype)
    seen = np.flatnonzero(near)
    x, y = x.ravel(), y.ravel()
    for first in range(0, len(seen), _AT_ONCE):
        at = seen[first : first + _AT_ONCE]
        squared = _squared_distance(x[at], y[at], points)
        drawn[at] = ramp(0.5 * width - np.sqrt(squared), soft)
    return drawn.reshape(near.shape)


def _squared_distance(x: Array, y: Array, points: Array) -> Array:
    """Returns the squared distance to a line's nearest stretch, (N,).

    Args:
        x, y: (N,) coordinates of some pixels.
        points: (K, 2) x and y of the line's corners.
    """
    start, step = points[:-1, :, None], np.diff(points, axis=0)[..., None]
    (ax, ay), (dx, dy) = start.swapaxes(0, 1), step.swapaxes(0, 1)
    x, y = x - ax, y - ay  # (K - 1, N), as all that follows
    along = x * dx
    along += y * dy
    along /= dx * dx + dy * dy
    unit(along.reshape(-1))
    x -= along * dx
    y -= along * dy
    x *= x
    y *= y
    x += y
    return x.min(axis=0)


def grain(generator: np.random.Generator, cells: int, size: int) -> Array:
    """Returns (size, size) normal noise that is smooth within `cells`.

    Args:
        generator: Of the noise.
        cells: Cells along a side, each of one standard normal number.
        size: Pixels along a side.
    """
    coarse = generator.standard_normal((cells, cells), np.float32)
    if cells == size:
        return coarse
    weights = _between(cells, size)
    return weights @ coarse @ weights.T


@functools.lru_cache(maxsize=8)
def _between(cells: int, size: int) -> Array:
    """Returns how much of each cell a pixel has, (size, cells)."""
    at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    weights = np.maximum(1 - abs(at[:, None] - np.arange(cells)), 0)
    return weights.astype(np.float32)
