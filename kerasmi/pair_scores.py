"""Scores of all images with all texts, block by block: in bounded memory.

A critic's hidden layers hold floats for every region of every image and every
text. Here they are made for one block at a time, and made again where the
gradient needs them: for Eq. 5's maximum only those of the winning regions.
The values and gradients are those of `regions.reduce_regions` on all scores.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from kerasmi import regions
from kerasmi.grid_of_pairs import Grid
from kerasmi.types import Tensor

# Floats of a hidden layer in one block, so that it stays in the cache.
BLOCK_FLOATS = 2**20
# Up to as many in all, the hidden layer is kept rather than made again.
KEPT_FLOATS = {"max": 2**18, "logsumexp": 2**24, "mean": 2**24}
# One region has no losers to leave out: blocks save memory, and no work.
KEPT_FLOATS_OF_ONE_REGION = 2**26


class Head(Protocol):
    """What follows a critic's projections, as a pure function of weights."""

    def region_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """`(B, N, H)` and `(C, H)` to `(B, N, C)`."""

    def row_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """`(..., H)` and `(..., H)`, broadcast, to `(...)`."""


def reduced_scores(
    head: Head,
    image: Tensor,
    text: Tensor,
    weights: list[Tensor],
    rule: str = "max",
    temperature: float | Tensor = 1.0,
    block_floats: int | None = None,
    most_texts: int | None = None,
) -> Tensor:
    """Scores of image and text, from the projections of both.

    `regions.reduce_regions(head.region_scores(image, text, weights), ...)`,
    with the same gradient, at an exact tie of regions too: there it is split
    evenly. The memory beside arguments and result is that of a few blocks.

    Args:
        head: of a critic, see `kerasmi.critics`.
        image: `(B, N, H)` float projections of regions.
        text: `(C, H)` float projections of texts.
        weights: of the head, float32 or float64.
        rule: `"max"`, `"logsumexp"` or `"mean"`; `"matched"` is no rule of a
            pair alone, see `matched_scores`.
        temperature: of `"logsumexp"`, without a gradient.
        block_floats: floats of one layer in a block; by default as many as is
            quickest: all of them for a small batch.
        most_texts: a number that `C` does not exceed, where the graph does
            not know it.

    Returns:
        `(B, C)` float32, or float64 where the scores are.

    Raises:
        ValueError: the rule is `"matched"` or unknown.
    """
    if rule == "matched":
        raise ValueError(
            "Expected a rule of an image and a text alone. Received: 'matched'"
        )
    if block_floats is None:
        if _is_small(image, text, rule, most_texts):
            scores = head.region_scores(image, text, weights)
            return regions.reduce_regions(scores, rule, temperature)
        block_floats = BLOCK_FLOATS

    def reduced(image: Tensor, text: Tensor, weights: list[Tensor]) -> Tensor:
        scores = head.region_scores(image, text, weights)
        return regions.reduce_regions(scores, rule, temperature)

    winners = rule == "max" and image.shape[1] != 1

    @tf.custom_gradient
    def in_blocks(*arguments: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        image, text, *weights = arguments
        grid = Grid(image, text, image.shape[1], block_floats)
        kind, marks = ((weights or [image])[0].dtype, ()), None
        if winners:
            packed = (tf.uint8, (-(-image.shape[1] // 8),))
            result, marks = grid.map(
                lambda i, t: _best(head, i, t, weights), kind, packed
            )
        else:
            (result,) = grid.map(lambda i, t: [reduced(i, t, weights)], kind)

        def backward(upstream: Tensor) -> list[Tensor]:
            if not winners:

                def again(i: Tensor, t: Tensor, g: Tensor) -> list[Tensor]:
                    return _gradients(reduced, i, t, weights, g)

                return grid.gradients(again, weights, upstream)

            def of_winners(
                i: Tensor, t: Tensor, g: Tensor, marks: Tensor
            ) -> list[Tensor]:
                return _winners_gradients(head, i, t, weights, g, marks)

            # of the regions of a pair one is left: larger blocks
            pairs = Grid(image, text, 1, block_floats)
            return pairs.gradients(of_winners, weights, upstream, marks)

        return result, backward

    # tensors, not variables: their gradients are returned as of any argument
    return in_blocks(*map(tf.convert_to_tensor, (image, text, *weights)))


def matched_scores(
    head: Head,
    image: Tensor,
    text: Tensor,
    weights: list[Tensor],
    chosen: Tensor,
    block_floats: int | None = None,
) -> Tensor:
    """The rule `matched`: each image's own text k chose the region for all k.

    Args:
        head: of a critic.
        image: `(B, N, H)` projections of regions.
        text: `(B', K, H)` projections of texts.
        weights: of the head.
        chosen: `(B, N, K)` one-hot regions, see `regions.region_weights`.
        block_floats: as in `reduced_scores`.

    Returns:
        `(B, B' * K)` scores.
    """
    if text.shape[1] is None:
        raise ValueError(
            "The rule 'matched' needs a known number of texts for each image. "
            "Received: batches in which it differs or is not known; pad them "
            "to one number with texts of padding alone."
        )
    region = tf.argmax(chosen, axis=1)  # (B, K)
    rows = tf.gather(image, region, batch_dims=1)  # (B, K, H)
    of_each = [
        reduced_scores(
            head,
            rows[:, k, None],
            text[:, k],
            weights,
            block_floats=block_floats,
        )
        for k in range(text.shape[1])
    ]
    scores = tf.stack(of_each, axis=-1)  # (B, B', K)
    return tf.reshape(scores, (tf.shape(scores)[0], -1))


def _is_small(
    image: Tensor, text: Tensor, rule: str, most_texts: int | None
) -> bool:
    known = (*image.shape, most_texts or text.shape[0])
    if None in known:
        return False
    images, number, width, texts = known
    most = KEPT_FLOATS.get(rule, 0)
    if number == 1:
        most = KEPT_FLOATS_OF_ONE_REGION
    return bool(images * number * texts * width <= most)


def _gradients(
    reduced: Callable[..., Tensor],
    image: Tensor,
    text: Tensor,
    weights: list[Tensor],
    upstream: Tensor,
) -> list[Tensor]:
    """Gradients of a block, made again: of image, text and each weight."""
    sources = [image, text, *weights]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        result = reduced(image, text, weights)
    return tape.gradient(
        result,
        sources,
        output_gradients=upstream,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


# === The winning regions ===


def _best(
    head: Head, image: Tensor, text: Tensor, weights: list[Tensor]
) -> list[Tensor]:
    """The best score of each pair, and which regions have it, as bits."""
    scores = head.region_scores(image, text, weights)
    best = tf.reduce_max(scores, axis=1)
    # also where a score is not a number, which must not be hidden
    wins = tf.logical_not(scores < best[:, None])
    return [best, _packed(wins)]


def _winners_gradients(
    head: Head,
    image: Tensor,
    text: Tensor,
    weights: list[Tensor],
    upstream: Tensor,
    marks: Tensor,
) -> list[Tensor]:
    """As `_gradients` for the maximum; the winners alone are made again.

    One winner of each pair at a time: once, but where regions tie.
    """
    wins = _unpacked(marks, image.shape[1])
    share = upstream / tf.reduce_sum(tf.cast(wins, upstream.dtype), axis=1)

    def scores(i: Tensor, t: Tensor, w: list[Tensor], region: Tensor) -> Tensor:
        rows = tf.gather(i, region, batch_dims=1)  # (b, c, H)
        return head.row_scores(rows, t[None], w)

    def body(wins: Tensor, *sums: Tensor) -> tuple[Tensor, ...]:
        region = tf.argmax(tf.cast(wins, tf.int32), axis=1)
        left = tf.where(tf.reduce_any(wins, axis=1), share, 0.0)
        parts = _gradients(
            lambda i, t, w: scores(i, t, w, region), image, text, weights, left
        )
        is_done = tf.one_hot(region, image.shape[1], True, False, 1)
        wins = tf.logical_and(wins, tf.logical_not(is_done))
        return (wins, *(a + b for a, b in zip(sums, parts, strict=True)))

    zeros = [tf.zeros_like(x) for x in (image, text, *weights)]
    _, *sums = tf.while_loop(
        lambda wins, *_: tf.reduce_any(wins),
        body,
        body(wins, *zeros),
        parallel_iterations=1,
    )
    return sums


def _packed(wins: Tensor) -> Tensor:
    """`(b, N, c)` bool to `(b, ceil(N / 8), c)` uint8, a bit for a region."""
    number = wins.shape[1]
    bits = tf.pad(tf.cast(wins, tf.int32), [[0, 0], [0, -number % 8], [0, 0]])
    shape = tf.shape(wins)
    bits = tf.reshape(bits, (shape[0], -(-number // 8), 8, shape[2]))
    return tf.cast(tf.reduce_sum(bits * _POWERS, axis=2), tf.uint8)


def _unpacked(marks: Tensor, number: int) -> Tensor:
    """The inverse of `_packed`."""
    bits = tf.cast(marks, tf.int32)[:, :, None] // _POWERS % 2
    shape = tf.shape(marks)
    return tf.reshape(bits, (shape[0], -1, shape[2]))[:, :number] > 0


_POWERS = 2 ** np.arange(8, dtype=np.int32)[:, None]
