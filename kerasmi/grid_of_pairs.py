"""All pairs of images and texts in blocks: mapped, and summed up in gradients.

A loop over blocks of equal, static size; what does not fill the last block is
zeros, and is cut off again.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasmi.types import Tensor

Size = Any  # int, or a scalar tensor where the graph does not know it
Kind = tuple[Any, tuple[int, ...]]  # dtype, and the axes between image and text


class Grid:
    """Images and texts in blocks.

    Args:
        image: `(B, N, H)`.
        text: `(C, H)`.
        rows: N if all regions of a pair are scored, 1 if one is.
        floats: of a hidden layer in one block.
    """

    def __init__(
        self, image: Tensor, text: Tensor, rows: int, floats: int
    ) -> None:
        self.images, self.texts = _size(image, 0), _size(text, 0)
        most = max(1, floats // (rows * text.shape[-1]))
        # few rows of images, as wide as the block allows
        self.across, self.wide = _cut(self.texts, most)
        self.down, self.high = _cut(self.images, _quotient(most, self.wide))
        self.image = self._blocks_of_images(image)
        self.text = self._blocks_of_texts(text)

    def map(
        self, function: Callable[..., list[Tensor]], *kinds: Kind
    ) -> list[Tensor]:
        """Results of a function of each block of images and texts.

        Args:
            function: of `(b, N, H)` and `(c, H)`, to tensors `(b, ..., c)`.
            *kinds: dtype and inner axes of each of its results.

        Returns:
            Each result for all pairs, `(B, ..., C)`.
        """
        static = [_static(self.high), _static(self.wide)]
        arrays = [
            tf.TensorArray(
                dtype,
                size=self.down * self.across,
                element_shape=(static[0], *inner, static[1]),
            )
            for dtype, inner in kinds
        ]

        def body(k: Tensor, *arrays: Any) -> tuple[Any, ...]:
            image = self.image[k // self.across]
            results = function(image, self.text[k % self.across])
            pairs = zip(arrays, results, strict=True)
            return k + 1, *(array.write(k, each) for array, each in pairs)

        _, *written = _loop(self.down * self.across, body, arrays)
        return [self._joined(array.stack()) for array in written]

    def gradients(
        self,
        function: Callable[..., list[Tensor]],
        weights: list[Tensor],
        *of_pairs: Tensor,
    ) -> list[Tensor]:
        """Gradients of images, texts and weights, added up over all blocks.

        Args:
            function: of a block of images, of texts, and of each of
                `of_pairs`, to the gradients of its images, of its texts and
                of each weight.
            weights: what else has a gradient.
            *of_pairs: `(B, ..., C)`, zero where nothing is to be added.

        Returns:
            As `image`, as `text`, and as each weight.
        """
        blocks = [self._split(each) for each in of_pairs]

        def row(i: Tensor, rows: Any, texts: Tensor, *sums: Tensor) -> Any:
            def block(
                j: Tensor, image: Tensor, parts: Any, *totals: Any
            ) -> Any:
                own = [each[i, j] for each in blocks]
                of_image, of_text, *of_weights = function(
                    self.image[i], self.text[j], *own
                )
                added = zip(totals, of_weights, strict=True)
                return (
                    j + 1,
                    image + of_image,
                    parts.write(j, of_text),
                    *(a + b for a, b in added),
                )

            _, image, parts, *added = _loop(
                self.across,
                block,
                [
                    tf.zeros_like(self.image[0]),
                    self._array(self.text, self.across),
                    *sums,
                ],
            )
            return i + 1, rows.write(i, image), texts + parts.stack(), *added

        _, rows, texts, *of_weights = _loop(
            self.down,
            row,
            [
                self._array(self.image, self.down),
                tf.zeros_like(self.text),
                *(tf.zeros_like(each) for each in weights),
            ],
        )
        return [
            _joined(rows.stack(), self.images),
            _joined(texts, self.texts),
            *of_weights,
        ]

    def _blocks_of_images(self, x: Tensor) -> Tensor:
        x = _padded(x, self.down * self.high - self.images, axis=0)
        return tf.reshape(x, (self.down, self.high, *_sizes(x)[1:]))

    def _blocks_of_texts(self, x: Tensor) -> Tensor:
        x = _padded(x, self.across * self.wide - self.texts, axis=0)
        return tf.reshape(x, (self.across, self.wide, *_sizes(x)[1:]))

    def _split(self, x: Tensor) -> Tensor:
        """`(B, ..., C)` to `(down, across, high, ..., wide)`."""
        x = _padded(x, self.down * self.high - self.images, axis=0)
        x = _padded(x, self.across * self.wide - self.texts, axis=-1)
        inner = _sizes(x)[1:-1]
        x = tf.reshape(
            x, (self.down, self.high, *inner, self.across, self.wide)
        )
        last = len(x.shape) - 1
        return tf.transpose(x, (0, last - 1, *range(1, last - 1), last))

    def _joined(self, x: Tensor) -> Tensor:
        """The inverse of `_split`, of `(down * across, high, ..., wide)`."""
        inner = _sizes(x)[2:-1]
        x = tf.reshape(
            x, (self.down, self.across, self.high, *inner, self.wide)
        )
        last = len(x.shape) - 1
        x = tf.transpose(x, (0, *range(2, last), 1, last))
        x = tf.reshape(
            x, (self.down * self.high, *inner, self.across * self.wide)
        )
        return x[: self.images, ..., : self.texts]

    def _array(self, x: Tensor, size: Size) -> Any:
        return tf.TensorArray(x.dtype, size=size, element_shape=x.shape[1:])


def _loop(
    turns: Size, body: Callable[..., Any], state: list[Any]
) -> tuple[Any, ...]:
    """Calls `body(k, *state)`, which returns `k + 1` and the new state."""
    result: tuple[Any, ...] = tf.while_loop(
        lambda k, *_: k < turns,
        body,
        [tf.constant(0), *state],
        parallel_iterations=1,  # or the blocks would be in memory together
    )
    return result


def _joined(x: Tensor, number: Size) -> Tensor:
    """`(blocks, each, ...)` to `(number, ...)`."""
    first, second, *rest = _sizes(x)
    return tf.reshape(x, (first * second, *rest))[:number]


def _cut(number: Size, most: Size) -> tuple[Size, Size]:
    """Blocks, and their size: as equal as can be, and at most `most`."""
    blocks = -(-number // most)
    return blocks, -(-number // blocks)


def _quotient(most: int, wide: Size) -> Size:
    if isinstance(wide, int):
        return max(1, most // wide)
    return tf.maximum(1, most // wide)


def _padded(x: Tensor, more: Size, axis: int) -> Tensor:
    if isinstance(more, int) and more == 0:
        return x
    paddings = [[0, 0] for _ in x.shape]
    paddings[axis][1] = more
    return tf.pad(x, paddings)


def _size(x: Tensor, axis: int) -> Size:
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else int(known)


def _sizes(x: Tensor) -> list[Size]:
    return [_size(x, axis) for axis in range(len(x.shape))]


def _static(size: Size) -> int | None:
    return size if isinstance(size, int) else None
