"""Text of a batch: which sentences, and how they become token ids."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from kerasmi.types import Tensor

BUCKETS = (12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 320)
# of what is not trained on: fewer shapes (`kerasmi.round_numbers`)
HELD_OUT_BUCKETS = (16, 32, 64, 128, 256)


class Tokenizer(Protocol):
    """What the pipeline asks of a tokenizer.

    Called with `(n,)` strings it returns a ragged `(n, None)` int32 of word
    pieces, without special tokens, in the graph.
    """

    cls_id: int
    sep_id: int
    pad_id: int
    vocabulary_size: int

    def __call__(self, texts: Tensor) -> Tensor:
        """Returns the word pieces of each text."""
        ...


def draw_sentences(sentences: Tensor, count: int, seed: Tensor) -> Tensor:
    """Draws sentences of each report, without repeats while they last.

    Each report's sentences are permuted and the first `count` taken; a
    shorter report goes through its permutation again, so that every study has
    the same weight.

    Args:
        sentences: Ragged `(B, None)` strings, at least one for each report.
        count: Sentences to draw of each, the K of the recipe.
        seed: `(2,)` integers; the same seed draws the same sentences.

    Returns:
        `(B, count)` strings.
    """
    flat = sentences.flat_values
    report = tf.cast(sentences.value_rowids(), tf.float64)
    # Sorted by report, then at random: the uniform number is below 1.
    order = tf.argsort(
        report
        + tf.random.stateless_uniform(tf.shape(flat), seed, dtype=tf.float64)
    )
    turn = tf.range(count, dtype=tf.int64)[tf.newaxis]
    place = turn % sentences.row_lengths()[:, tf.newaxis]
    start = sentences.row_starts()[:, tf.newaxis]
    return tf.gather(tf.gather(flat, order), start + place)


def join_sentences(sentences: Tensor) -> Tensor:
    """Returns each report as one text, `(B, 1)` strings."""
    return tf.strings.reduce_join(
        sentences, axis=1, separator=" ", keepdims=True
    )


def pack(
    texts: Tensor,
    tokenizer: Tokenizer,
    max_tokens: int,
    buckets: Sequence[int] = BUCKETS,
) -> tuple[Tensor, Tensor]:
    """Tokenises texts as `[CLS] pieces [SEP]`, padded to one length.

    The length is the smallest bucket that holds the longest text of the
    batch; longer texts are cut to `max_tokens` and keep their `[SEP]`.

    Args:
        texts: `(B, K)` strings.
        tokenizer: See `Tokenizer`.
        max_tokens: Longest length, `[CLS]` and `[SEP]` counted.
        buckets: The other lengths allowed, in tokens.

    Returns:
        Token ids, `(B, K, L)` int32, and where they are no padding,
        `(B, K, L)` bool.
    """
    count = texts.shape[1]
    pieces = tokenizer(tf.reshape(texts, (-1,))).with_row_splits_dtype(tf.int64)
    pieces = pieces[:, : max_tokens - 2]
    rows = pieces.nrows()
    first = tf.fill((rows, 1), tf.constant(tokenizer.cls_id, tf.int32))
    last = tf.fill((rows, 1), tf.constant(tokenizer.sep_id, tf.int32))
    tokens = tf.concat([first, pieces, last], axis=1)
    lengths = tokens.row_lengths()
    sizes = tf.constant(bucket_sizes(max_tokens, buckets), tf.int64)
    place = tf.searchsorted(sizes, tf.reduce_max(lengths)[tf.newaxis])
    length = tf.gather(sizes, place[0])
    token_ids = tokens.to_tensor(
        tokenizer.pad_id, shape=tf.stack([rows, length])
    )
    mask = tf.sequence_mask(lengths, length)
    shape = tf.stack([-1, count, length])
    fixed = (texts.shape[0], count, None)
    return (
        tf.ensure_shape(tf.reshape(token_ids, shape), fixed),
        tf.ensure_shape(tf.reshape(mask, shape), fixed),
    )


def number(texts: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers the distinct texts.

    Args:
        texts: Strings of any shape, or ragged.

    Returns:
        The numbers, int32 of the same shape, and the texts, `(T,)`.
    """
    if isinstance(texts, tf.RaggedTensor):
        distinct, places = tf.unique(texts.flat_values)
        return texts.with_flat_values(places), distinct
    distinct, places = tf.unique(tf.reshape(texts, (-1,)))
    return tf.reshape(places, tf.shape(texts)), distinct


class Packed:
    """Texts that were packed once, each to be taken as often as it is drawn.

    Args:
        texts: `(T,)` strings, at least one.
        tokenizer: See `Tokenizer`.
        max_tokens: Longest length, `[CLS]` and `[SEP]` counted.
        buckets: The other lengths allowed, in tokens.
    """

    def __init__(
        self,
        texts: Tensor,
        tokenizer: Tokenizer,
        max_tokens: int,
        buckets: Sequence[int] = BUCKETS,
    ) -> None:
        packed, mask = pack(texts[:, None], tokenizer, max_tokens, buckets)
        self._token_ids = packed[:, 0]
        self._lengths = tf.math.count_nonzero(mask[:, 0], axis=1)
        self._sizes = tf.constant(bucket_sizes(max_tokens, buckets), tf.int64)

    def take(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `pack` gives for the texts of these numbers.

        Args:
            numbers: `(B, K)` int, places among the texts.
        """
        lengths = tf.gather(self._lengths, numbers)
        place = tf.searchsorted(self._sizes, tf.reduce_max(lengths)[None])
        length = tf.gather(self._sizes, place[0])
        token_ids = tf.gather(self._token_ids[:, :length], numbers)
        return token_ids, tf.sequence_mask(lengths, length)


def bucket_sizes(max_tokens: int, buckets: Sequence[int]) -> list[int]:
    """Returns the lengths that batches may have, ascending."""
    if max_tokens < 3:
        raise ValueError(
            "max_tokens must be at least 3, [CLS] and [SEP] counted, received "
            f"{max_tokens}."
        )
    if any(size < 1 for size in buckets):
        raise ValueError(f"buckets must be positive, received {buckets}.")
    return sorted({s for s in buckets if s < max_tokens} | {max_tokens})
