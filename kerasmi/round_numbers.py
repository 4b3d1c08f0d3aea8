"""Held-out blocks filled up to round numbers of rows: few shapes for any data.

TensorFlow keeps what oneDNN compiled for each shape that it met. A process
that reads one data set after another would grow with the shapes of each.
"""

from collections.abc import Callable

import tensorflow as tf

from kerasmi.types import Tensor

_BITS = 3


def rounded_up(number: int) -> int:
    """The smallest number, not below `number`, of three significant bits.

    It is at most a quarter more, and there are four such numbers from one
    power of two to the next: 8, 10, 12, 14, 16, 20, ...
    """
    unit = _unit(number - 1)
    return -(-number // unit) * unit


def rounded_down(number: int) -> int:
    """The largest number, not above `number`, of three significant bits."""
    unit = _unit(number)
    return number // unit * unit


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()


def filled(block: Tensor, rounded: Callable[[int], int] = rounded_up) -> Tensor:
    """A block of `n >= 1` rows with rows of zeros after them."""
    n = block.shape[0]
    rows = [(0, rounded(n) - n)]
    return tf.pad(block, rows + [(0, 0)] * (block.shape.rank - 1))


def traced(
    function: Callable[..., Tensor], *blocks: tf.TensorSpec
) -> Callable[..., Tensor]:
    """A function traced once, for blocks of any number of rows.

    Blocks of two threads would race for which shape is first, and what is
    computed of a shape that is known differs by rounding from what is computed
    of one that is not.
    """
    return tf.function(function, input_signature=blocks, autograph=False)


def of_rows(
    function: Callable[..., Tensor],
    rounded: Callable[[int], int] = rounded_up,
) -> Callable[..., Tensor]:
    """A function whose row i is made of row i of each argument alone.

    Args:
        function: of blocks with as many rows each.
        rounded: to how many rows a block of `n` is filled up.
    """

    def call(*blocks: Tensor) -> Tensor:
        full = (filled(block, rounded) for block in blocks)
        return function(*full)[: blocks[0].shape[0]]

    return call


def of_pairs(
    function: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function whose entry (i, j) is made of row i and row j alone."""

    def call(left: Tensor, right: Tensor) -> Tensor:
        found = function(filled(left), filled(right))
        return found[: left.shape[0], : right.shape[0]]

    return call


def _unit(number: int) -> int:
    return 1 << max(0, number.bit_length() - _BITS)
