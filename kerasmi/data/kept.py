"""What batches are made of, read once and kept, where it is small enough."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerasmi.data import images, stream, wire
from kerasmi.data.dataset import Dataset
from kerasmi.types import Tensor

# Below this size the squares of a split are decoded once and kept.
KEPT_BYTES = 256 * 2**20
_AT_ONCE = 256

Content = dict[str, Any]


def fits(dataset: Dataset, split: str, rows: np.ndarray, side: int) -> bool:
    """Whether the squares of the rows wanted, and their records, are kept.

    Not where servers prepare the batches: they have the work and the memory.

    Args:
        dataset: The data set.
        split: One of its splits.
        rows: The records wanted, as numbers within the split.
        side: Of the squares, in pixels.
    """
    small = 4 * len(rows) * side**2 <= KEPT_BYTES
    here = not dataset.services
    return here and small and stream.is_small(dataset, split, rows)


def gather(serialized: Tensor, read: Callable[[Tensor], Content]) -> Content:
    """Reads records in blocks, over all cores.

    Args:
        serialized: `(n,)` strings.
        read: From some of them to what they hold, `(b, ...)` each.

    Returns:
        The same of all, `(n, ...)` each.
    """
    records = tf.data.Dataset.from_tensor_slices(serialized).batch(_AT_ONCE)
    blocks = list(stream.ahead(stream.mapped(records, read)))
    return {
        name: tf.concat([block[name] for block in blocks], axis=0)
        for name in blocks[0]
    }


def margin(serialized: Tensor, size: int, most: int) -> int:
    """Returns the pixels beside the central square that hold any image.

    Args:
        serialized: `(n,)` strings, records of images of the right size.
        size: Side of the square: the shorter side of every image.
        most: The most that are needed.
    """
    pngs = wire.parse(serialized, ("image",))["image"].numpy()
    longest = max(max(images.png_size(png)) for png in pngs)
    return min(most, -(-(longest - size) // 2))
