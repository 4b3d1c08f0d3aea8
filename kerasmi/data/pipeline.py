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

from kerasmi.data import augment, kept, service, stream, texts, wire
from kerasmi.data.augment import Augmentation
from kerasmi.data.dataset import Dataset
from kerasmi.data.kept import Content
from kerasmi.data.labels import Blank, Uncertain, targets
from kerasmi.data.stored_png import Rows, of_squares
from kerasmi.data.stream import Order
from kerasmi.data.texts import BUCKETS, Tokenizer
from kerasmi.errors import DataError
from kerasmi.types import Tensor

__all__ = ["Augmentation", "images", "labelled", "pairs"]

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
    first_step: int = 0,
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
        first_step: The batch of that epoch that it begins with.
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

    pictures = _Pictures(dataset, image_size, augmentation)
    written = _Texts(tokenizer, scope, sentences, max_tokens, buckets)

    def read(serialized: Tensor) -> Content:
        record = wire.parse(serialized, ("image", "study_number", "sentences"))
        return {
            "images": pictures.read(record["image"]),
            "study_ids": record["study_number"],
            "texts": written.read(record["sentences"]),
        }

    def hold(content: Content) -> Content:
        return {**content, "texts": written.hold(content["texts"])}

    def make(seed: Tensor, _: Tensor, content: Content) -> dict[str, Tensor]:
        token_ids, mask = written.make(seed, content["texts"])
        # what is ragged forgets how many images a batch has
        shape = (content["study_ids"].shape[0], sentences, None)
        return {
            "images": pictures.make(seed, content["images"]),
            "token_ids": tf.ensure_shape(token_ids, shape),
            "padding_mask": tf.ensure_shape(mask, shape),
            "study_ids": content["study_ids"],
        }

    order = Order(
        batch_size,
        shuffle,
        seed,
        epochs,
        first_epoch,
        first_step,
        drop_remainder,
    )
    stream.check(dataset, split, len(rows), order)
    numbers = rows.index.to_numpy()
    if not kept.fits(dataset, split, numbers, pictures.side):
        batches = _streamed(dataset, split, numbers, order, read, make)
    else:
        records = stream.in_memory(dataset, split, numbers)
        pictures.hold(records)
        content = hold(kept.gather(records, read))
        batches = _kept(numbers, order, content, make)
    return _finished(batches, order, len(rows))


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
    first_step: int = 0,
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
        first_step: The batch of that epoch that it begins with.
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
    pictures = _Pictures(dataset, image_size, augmentation)

    def read(serialized: Tensor) -> Content:
        return {"images": pictures.read(_png(serialized))}

    def make(seed: Tensor, row: Tensor, content: Content) -> tuple:
        made = content.get("given")
        if made is None:
            made = pictures.make(seed, content["images"])
        return made, tf.gather(values, tf.searchsorted(places, row))

    order = Order(
        batch_size,
        shuffle,
        seed,
        epochs,
        first_epoch,
        first_step,
        drop_remainder,
    )
    stream.check(dataset, split, len(rows), order)
    numbers = rows.index.to_numpy()
    places = tf.constant(numbers, tf.int64)
    if inputs is not None:
        content = {"given": tf.constant(inputs[used])}
        batches = _kept(numbers, order, content, make)
    elif kept.fits(dataset, split, numbers, pictures.side):
        records = stream.in_memory(dataset, split, numbers)
        pictures.hold(records)
        batches = _kept(numbers, order, kept.gather(records, read), make)
    else:
        batches = _streamed(dataset, split, numbers, order, read, make)
    return _finished(batches, order, len(rows))


def images(
    dataset: Dataset,
    split: str,
    *,
    batch_size: int,
    image_size: int,
    image_ids: Iterable[str] | None = None,
) -> tuple[tf.data.Dataset, pd.DataFrame]:
    """Images alone, for prediction, in the order of the data set.

    Args:
        dataset: The data set.
        split: One of its splits.
        batch_size: Images in a batch; the last may have fewer.
        image_size: Side of the images, in pixels.
        image_ids: The images wanted; None is all of the split.

    Returns:
        A dataset of `(B, H, W, 1)` float32 in [0, 1], and the matching rows
        of `Dataset.images`, one for each image in the same order.

    Raises:
        DataError: The split has no image, or not an image wanted.
    """
    rows = dataset.rows(split, image_ids)

    pictures = _Pictures(dataset, image_size, None)

    def read(serialized: Tensor) -> Content:
        return {"images": pictures.read(_png(serialized))}

    def make(seed: Tensor, _: Tensor, content: Content) -> Tensor:
        return pictures.make(seed, content["images"])

    order = Order(batch_size, shuffle=False, drop_remainder=False)
    numbers = rows.index.to_numpy()
    batches = _streamed(dataset, split, numbers, order, read, make)
    return _finished(batches, order, len(rows))[0], rows


def _png(serialized: Tensor) -> Tensor:
    return wire.parse(serialized, ("image",))["image"]


class _Pictures:
    """The images of batches: read without chance, then moved at random."""

    def __init__(
        self, dataset: Dataset, size: int, augmentation: Augmentation | None
    ) -> None:
        self.size = size
        self.augmentation = augmentation
        self.margin = augment.margin(augmentation, size)
        self.resize = dataset.image_size != size
        self.held = False

    @property
    def side(self) -> int:
        return self.size + 2 * self.margin

    def hold(self, serialized: Tensor) -> None:
        """Reads no more around the squares than these records have."""
        self.held = True
        if not self.resize:
            self.margin = kept.margin(serialized, self.size, self.margin)

    def read(self, pngs: Tensor) -> Tensor | Rows:
        if self.augmentation is None or self.resize or self.held:
            return augment.read(pngs, self.size, self.margin, self.resize)
        return augment.read_rows(pngs, self.size, self.margin)

    def make(self, seed: Tensor, found: Tensor | Rows) -> Tensor:
        if self.augmentation is None:
            return augment.as_float(found)[..., None]
        rows = found if isinstance(found, Rows) else of_squares(found)
        batch = rows.places.shape[0]
        key = stream.fold_in(seed, _MOTION)
        motions = augment.draw(self.augmentation, key, tf.shape(rows.places)[0])
        made = augment.warp(rows, motions, self.size)
        return tf.ensure_shape(made, (batch, self.size, self.size, 1))


class _Texts:
    """The texts of batches: read without chance, then drawn and packed."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        scope: str,
        sentences: int,
        max_tokens: int,
        buckets: Sequence[int],
    ) -> None:
        self.local = scope == "local"
        self.sentences = sentences
        self.packing = (tokenizer, max_tokens, buckets)
        self.pack: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda text: (
            texts.pack(text, *self.packing)
        )

    def read(self, sentences: Tensor) -> Tensor:
        return sentences if self.local else texts.join_sentences(sentences)

    def hold(self, found: Tensor) -> Tensor:
        """Packs each text once; from now on texts are told by number."""
        numbers, distinct = texts.number(found)
        self.pack = texts.Packed(distinct, *self.packing).take
        return numbers

    def make(self, seed: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        if self.local:
            key = stream.fold_in(seed, _SENTENCES)
            found = texts.draw_sentences(found, self.sentences, key)
        return self.pack(found)


def _streamed(
    dataset: Dataset,
    split: str,
    numbers: np.ndarray,
    order: Order,
    read: Callable[[Tensor], Content],
    make: Callable[[Tensor, Tensor, Content], object],
) -> tf.data.Dataset:
    """Batches whose records are read when they are wanted."""

    def work(batches: tf.data.Dataset) -> tf.data.Dataset:
        return stream.mapped(
            batches,
            lambda seed, row, serialized: make(seed, row, read(serialized)),
        )

    batches = stream.batches(dataset, split, numbers, order)
    return service.spread(batches, work, dataset.services)


def _kept(
    numbers: np.ndarray,
    order: Order,
    content: Content,
    make: Callable[[Tensor, Tensor, Content], object],
) -> tf.data.Dataset:
    """Batches whose records have been read: the same ones, sooner."""
    rows = tf.constant(numbers, tf.int64)

    def batch(seed: Tensor, place: Tensor) -> object:
        own = {name: tf.gather(all_, place) for name, all_ in content.items()}
        return make(seed, tf.gather(rows, place), own)

    return stream.mapped(stream.places(len(numbers), order), batch)


def _finished(
    batches: tf.data.Dataset, order: Order, records: int
) -> tuple[tf.data.Dataset, int]:
    steps = order.steps(records)
    total = steps * (order.epochs - order.first_epoch) - order.first_step
    batches = batches.apply(tf.data.experimental.assert_cardinality(total))
    return stream.ahead(batches), steps
