"""From records to batches: decode, augment, draw text, tokenise, prefetch.

A batch is a function of (seed, epoch, its number in the epoch): the same run
makes the same batches, and a resumed run continues them. Every dataset knows
its number of batches: `keras.Model.fit` takes one step too many on one that
does not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from kerasmi.data import stream, texts, wire
from kerasmi.data.augment import Augmentation, draw, load
from kerasmi.data.dataset import Dataset
from kerasmi.data.labels import Blank, Uncertain, targets
from kerasmi.data.stream import Order
from kerasmi.data.texts import BUCKETS, Tokenizer
from kerasmi.errors import DataError
from kerasmi.types import Tensor

__all__ = ["Augmentation", "images", "labelled", "pairs"]

# Below this size the images of `keep` are decoded once.
KEPT_BYTES = 256 * 2**20

_MOTION, _SENTENCES = range(2)


def pairs(
    dataset: Dataset,
    split: str,
    *,
    tokenizer: Tokenizer,
    scope: Literal["local", "global"],
    batch_size: int,
    image_size: int,
    shuffle: bool,
    sentences: int = 1,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_epoch: int = 0,
    max_tokens: int = 320,
    buckets: Sequence[int] = BUCKETS,
    drop_remainder: bool = True,
) -> tuple[tf.data.Dataset, int]:
    """Images with text of their reports.

    Images whose report has no sentence are left out; `Dataset.counts` tells
    how many have one (`with_text`). Unshuffled, images come in the order of
    `Dataset.rows(split)`.

    Args:
        dataset: The data set.
        split: One of its splits.
        tokenizer: See `kerasmi.data.texts.Tokenizer`.
        scope: `"local"` takes random sentences, `"global"` the whole report.
        batch_size: Images in a batch (over all devices).
        image_size: Side of the images, in pixels.
        shuffle: Draw a new order each epoch.
        sentences: K, the sentences drawn of each report (local; Fig. 2: 1).
        augmentation: Ranges of the random affine map; None for none.
        seed: All randomness follows from it.
        epochs: Where the run ends.
        first_epoch: Where it begins: above 0 in a resumed run.
        max_tokens: Longest text in tokens, `[CLS]` and `[SEP]` counted.
        buckets: Lengths that batches may have, in tokens.
        drop_remainder: Leave out the images of an epoch that do not fill a
            batch.

    Returns:
        A dataset over all epochs left, and the batches in one epoch. A batch
        is a dict: `images` `(B, H, W, 1)` float32 in [0, 1], `token_ids` and
        `padding_mask` `(B, K, L)` int32 and bool, `study_ids` `(B,)` int64.

    Raises:
        DataError: No image of the split has text, or too few for a batch.
    """
    if scope not in ("local", "global"):
        raise ValueError(f"scope must be local or global, received {scope!r}.")
    if sentences < 1 or (scope == "global" and sentences != 1):
        raise ValueError(
            "sentences must be at least 1, and 1 where scope is 'global' (a "
            f"report is one text), received {sentences}."
        )
    texts.bucket_sizes(max_tokens, buckets)
    rows = dataset.rows(split)
    rows = rows[rows["sentences"] > 0]
    if rows.empty:
        raise DataError(
            f"{dataset.path}: no {split} image has a report with a sentence; "
            "learning from image-report pairs needs text."
        )

    def prepare(seed: Tensor, _: Tensor, serialized: Tensor) -> dict:
        record = wire.parse(serialized, ("image", "study_number", "sentences"))
        if scope == "local":
            key = stream.fold_in(seed, _SENTENCES)
            text = texts.draw_sentences(record["sentences"], sentences, key)
        else:
            text = texts.join_sentences(record["sentences"])
        token_ids, mask = texts.pack(text, tokenizer, max_tokens, buckets)
        return {
            "images": _images(record["image"], image_size, augmentation, seed),
            "token_ids": token_ids,
            "padding_mask": mask,
            "study_ids": record["study_number"],
        }

    order = Order(
        batch_size, shuffle, seed, epochs, first_epoch, drop_remainder
    )
    return _pipeline(dataset, split, rows, order, prepare)


def labelled(
    dataset: Dataset,
    split: str,
    *,
    labels: Sequence[str],
    batch_size: int,
    image_size: int,
    shuffle: bool,
    image_ids: Iterable[str] | None = None,
    truth: bool = False,
    uncertain: Uncertain | Mapping[str, Uncertain] = "ignore",
    blank: Blank = "ignore",
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_epoch: int = 0,
    drop_remainder: bool = False,
    inputs: np.ndarray | None = None,
) -> tuple[tf.data.Dataset, int]:
    """Images with their targets.

    Images whose every target is ignored are left out: they say nothing.

    Args:
        dataset: The data set.
        split: One of its splits.
        labels: The `L` labels wanted.
        batch_size: Images in a batch (over all devices).
        image_size: Side of the images, in pixels.
        shuffle: Draw a new order each epoch.
        image_ids: The images wanted; None is all of the split.
        truth: Take the known answers instead of the labels (phantom only).
        uncertain: See `kerasmi.data.labels.apply_policy`.
        blank: See `kerasmi.data.labels.apply_policy`.
        augmentation: Ranges of the random affine map; None for none.
        seed: All randomness follows from it.
        epochs: Where the run ends.
        first_epoch: Where it begins: above 0 in a resumed run.
        drop_remainder: Leave out the images of an epoch that do not fill a
            batch: several devices need batches that divide.
        inputs: `(n, ...)`, given in place of the images wanted, one for each
            in the order of the data set; not with an augmentation.

    Returns:
        A dataset over all epochs left, and the batches in one epoch. A batch
        is `(images, targets)`: `(B, H, W, 1)` float32 in [0, 1] and `(B, L)`
        float32, -1 where ignored.

    Raises:
        DataError: The data set lacks a label or an image, or no image has a
            target.
    """
    if inputs is not None and augmentation is not None:
        raise ValueError("inputs cannot be augmented: leave one of both out.")
    rows = dataset.rows(split, image_ids)
    values = targets(
        rows, labels, truth=truth, uncertain=uncertain, blank=blank
    )
    used = (values >= 0).any(axis=1)
    if not used.any():
        raise DataError(
            f"{dataset.path}: none of the {len(rows)} {split} images has a "
            f"value of {', '.join(labels)} under uncertain={uncertain!r}, "
            f"blank={blank!r}."
        )
    rows, values = rows[used], values[used]
    numbers = tf.constant(rows.index, tf.int64)
    given = None if inputs is None else tf.constant(inputs[used])

    def prepare(seed: Tensor, row: Tensor, serialized: Tensor) -> tuple:
        place = tf.searchsorted(numbers, row)
        if given is not None:
            return tf.gather(given, place), tf.gather(values, place)
        png = wire.parse(serialized, ("image",))["image"]
        return (
            _images(png, image_size, augmentation, seed),
            tf.gather(values, place),
        )

    order = Order(
        batch_size, shuffle, seed, epochs, first_epoch, drop_remainder
    )
    return _pipeline(dataset, split, rows, order, prepare)


def images(
    dataset: Dataset,
    split: str,
    *,
    batch_size: int,
    image_size: int,
    image_ids: Iterable[str] | None = None,
    keep: bool = False,
) -> tuple[tf.data.Dataset, pd.DataFrame]:
    """Images alone, for prediction, in the order of the data set.

    Args:
        dataset: The data set.
        split: One of its splits.
        batch_size: Images in a batch; the last may have fewer.
        image_size: Side of the images, in pixels.
        image_ids: The images wanted; None is all of the split.
        keep: Decode them once and keep them, if they fit in `KEPT_BYTES`: for
            images that are predicted again and again.

    Returns:
        A dataset of `(B, H, W, 1)` float32 in [0, 1], and the matching rows
        of `Dataset.images`, one for each image in the same order.

    Raises:
        DataError: The split has no image, or not an image wanted.
    """
    rows = dataset.rows(split, image_ids)

    def prepare(seed: Tensor, _: Tensor, serialized: Tensor) -> Tensor:
        png = wire.parse(serialized, ("image",))["image"]
        return _images(png, image_size, None, seed)

    order = Order(batch_size, shuffle=False, drop_remainder=False)
    batches, _ = _pipeline(dataset, split, rows, order, prepare)
    if keep and 4 * len(rows) * image_size**2 <= KEPT_BYTES:
        batches = batches.cache()
    return batches, rows


def _images(
    png: Tensor, size: int, augmentation: Augmentation | None, seed: Tensor
) -> Tensor:
    if augmentation is None:
        return load(png, size)
    key = stream.fold_in(seed, _MOTION)
    return load(png, size, draw(augmentation, key, tf.shape(png)[0]))


def _pipeline(
    dataset: Dataset,
    split: str,
    rows: pd.DataFrame,
    order: Order,
    prepare: Callable[..., object],
) -> tuple[tf.data.Dataset, int]:
    steps = order.steps(len(rows))
    batches = stream.batches(dataset, split, rows.index.to_numpy(), order)
    batches = batches.map(
        prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    total = steps * (order.epochs - order.first_epoch)
    batches = batches.apply(tf.data.experimental.assert_cardinality(total))
    options = tf.data.Options()
    options.deterministic = True
    # Workers share batches, not files: the batch is that of all devices.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE), steps
