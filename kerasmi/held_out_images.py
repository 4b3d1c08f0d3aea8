"""Validation and test images of a run, decoded once, and frozen features."""

import threading
from collections.abc import Callable, Iterable, Iterator

import keras
import tensorflow as tf

from kerasmi import round_numbers
from kerasmi.data import kept, pipeline
from kerasmi.data.dataset import Dataset
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.recipe import Recipe
from kerasmi.types import Tensor

IMAGES_AT_ONCE = 64


class HeldOutImages:
    """Images that are predicted again and again, as a classifier takes them.

    They are never augmented, so what a frozen network makes of them does not
    change either: both are worked out once and kept, where they fit in
    `kept.KEPT_BYTES`, for all tasks and epochs of a run. Threads may share
    one: what the first of them asks for, the others wait for.

    Args:
        recipe: says how large images are.
        dataset: the records.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self._images: dict[str, list[Tensor]] = {}
        self._features: dict[str, list[Tensor]] = {}
        self._encoder: ImageEncoder | None = None
        self._lock = threading.RLock()

    def images(self, split: str) -> Iterable[Tensor]:
        """Blocks `(b, H, W, 1)` of a split, in the order of the data set."""
        with self._lock:
            if split not in self._images:
                size = self.recipe.data.image_size
                if not _fits(self.dataset, split, size**2):
                    return self._read(split)
                self._images[split] = list(self._read(split))
            return self._images[split]

    def features(self, split: str, encoder: ImageEncoder) -> Iterable[Tensor]:
        """Blocks `(b, h, w, D_local)` of a split, by `encoder.lower`.

        Args:
            split: the split.
            encoder: its weights must not change while features of it are
                asked for.
        """
        with self._lock:
            if self._encoder is not encoder:
                self._encoder, self._features = encoder, {}
            if split not in self._features:
                blocks = local_maps(encoder, self.images(split))
                height, width, dim = encoder.lower.output_shape[1:]
                if not _fits(self.dataset, split, height * width * dim):
                    return blocks
                self._features[split] = list(blocks)
            return self._features[split]

    def _read(self, split: str) -> Iterator[Tensor]:
        batches, _ = pipeline.images(
            self.dataset,
            split,
            batch_size=IMAGES_AT_ONCE,
            image_size=self.recipe.data.image_size,
        )
        return iter(batches)


def local_maps(
    encoder: ImageEncoder, images: Iterable[Tensor]
) -> Iterator[Tensor]:
    """Yields `(b, h, w, D_local)`: what `encoder.lower` makes of each block."""
    lower = compiled(encoder.lower)
    # float32 of half precision too: what reads them casts them back, exactly
    return (tf.cast(lower(block), tf.float32) for block in images)


def compiled(network: keras.Model) -> Callable[[Tensor], Tensor]:
    """A network in inference, traced once for blocks of any number."""
    shape = (None, *network.input_shape[1:])
    inputs = tf.TensorSpec(shape, network.inputs[0].dtype)
    traced = round_numbers.traced(
        lambda block: network(block, training=False), inputs
    )
    return round_numbers.of_rows(traced)


def _fits(dataset: Dataset, split: str, floats: int) -> bool:
    return 4 * floats * len(dataset.rows(split)) <= kept.KEPT_BYTES
