"""Texts without their padding: the tokens of a batch as one long row.

What a BERT computes for each token by itself (dense layers, normalisation,
activation, dropout) needs no padding; attention alone asks which token stands
in which text.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from kerasmi.types import Tensor

# oneDNN compiles a kernel for each shape: numbers of texts, of tokens and of
# places in a text are filled up to multiples
TEXTS = 4
TOKENS = 32
LENGTH = 4


class Packing(NamedTuple):
    """Where the `T` tokens of `n` texts stand, in the order of reading.

    Where a text has padding, `T` is filled up to a multiple of `TOKENS`: after
    the tokens comes the first padded place, again and again. No token looks at
    it and no feature of a text is made of it, so its gradient is exactly 0.

    Attributes:
        number: scalar int32, of the tokens without what fills up.
        texts: `(T,)` int32, the text of each token.
        positions: `(T,)` int32, its place in that text.
        first: `(n,)` int32, the token that each text begins with.
        slots: `(n, L)` int32, the token at each place; any where padded.
        mask: `(n, L)` bool, False where padded.
    """

    number: Tensor
    texts: Tensor
    positions: Tensor
    first: Tensor
    slots: Tensor
    mask: Tensor


def packed(mask: Tensor) -> Packing:
    """The packing of texts; `L` becomes that of the longest, or little more.

    Args:
        mask: `(n, L)` int or bool, 0 where padded; n may be 0. The first place
            of a text counts as a token whatever the mask says. Of `L` a
            multiple of `LENGTH` is left, or all.

    Returns:
        See `Packing`.
    """
    mask = tf.cast(mask, tf.bool)
    first = tf.one_hot(0, tf.shape(mask)[1], True, False, dtype=tf.bool)
    mask = mask | first
    used = tf.where(tf.reduce_any(mask, axis=0) | first)  # of no text too
    longest = tf.cast(used[-1, 0], tf.int32) + 1
    mask = mask[:, : longest + -longest % LENGTH]
    places = tf.cast(tf.where(mask), tf.int32)
    flat = tf.reshape(tf.cast(mask, tf.int32), (-1,))
    slots = tf.reshape(tf.cumsum(flat) - 1, tf.shape(mask))
    number = tf.shape(places)[0]
    gap = tf.cast(tf.where(tf.logical_not(mask)), tf.int32)[:1]
    fill = tf.tile(gap, [-number % TOKENS, 1])
    places = tf.concat([places, fill], axis=0)
    texts, positions = places[:, 0], places[:, 1]
    return Packing(number, texts, positions, slots[:, 0], slots, mask)


def distinct(token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each different text once.

    Args:
        token_ids: `(n, L)` int.
        mask: `(n, L)` int or bool, 0 where padded; what the ids are there
            makes no text another.

    Returns:
        Ids `(u, L)` and mask `(u, L)` bool of the different texts, in the
        order of their first appearance, filled up to a multiple of `TEXTS` by
        texts of padding alone; and `(n,)` int32: which of them each text is.
    """
    marked = tf.where(tf.cast(mask, tf.bool), token_ids, -1)
    # on the host: a GPU may have no kernel for rows
    with tf.device("CPU:0"):
        rows, which = tf.raw_ops.UniqueV2(x=marked, axis=[0])
    fill = -tf.shape(rows)[0] % TEXTS
    rows = tf.pad(rows, [[0, fill], [0, 0]], constant_values=-1)
    rows = tf.ensure_shape(rows, (None, marked.shape[1]))
    mask = rows >= 0
    return tf.where(mask, rows, 0), mask, which


class Heads(NamedTuple):
    """How rows of tokens become attention's `(n, H, L, d)`, and back.

    Attributes:
        spread: `(n, H, L)` int32, rows of `(T * H, d)`.
        collect: `(T, H)` int32, rows of `(n * H * L, d)`.
        back: `spread` with the rows of a token after the last where padded.
    """

    spread: Tensor
    collect: Tensor
    back: Tensor


def heads(packing: Packing, num_heads: int) -> Heads:
    """The two orders for a number of heads."""
    head = tf.range(num_heads)
    after, length = tf.shape(packing.texts)[0], tf.shape(packing.mask)[1]
    row = packing.texts[:, None] * num_heads + head

    def rows(slots: Tensor) -> Tensor:
        return slots[:, None, :] * num_heads + head[:, None]

    return Heads(
        rows(packing.slots),
        row * length + packing.positions[:, None],
        rows(tf.where(packing.mask, packing.slots, after)),
    )


def spread(x: Tensor, order: Heads) -> Tensor:
    """`(T, D)` tokens to `(n, H, L, d)`; any token's row where padded."""

    @tf.custom_gradient
    def apply(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        # nothing that is read comes from padding: no gradient comes to it
        return _spread(x, order.spread), lambda g: _collect(g, order.collect)

    return apply(x)


def collect(x: Tensor, order: Heads) -> Tensor:
    """`(n, H, L, d)` to `(T, D)` tokens; padding is left out."""

    @tf.custom_gradient
    def apply(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def grad(g: Tensor) -> Tensor:
            return _spread(tf.pad(g, [[0, 1], [0, 0]]), order.back)

        return _collect(x, order.collect), grad

    return apply(x)


def _spread(x: Tensor, order: Tensor) -> Tensor:
    num_heads = order.shape[1]
    return tf.gather(tf.reshape(x, (-1, x.shape[-1] // num_heads)), order)


def _collect(x: Tensor, order: Tensor) -> Tensor:
    num_heads, size = order.shape[1], x.shape[-1]
    rows = tf.gather(tf.reshape(x, (-1, size)), order)
    return tf.reshape(rows, (-1, num_heads * size))
