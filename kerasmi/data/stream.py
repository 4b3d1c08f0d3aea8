"""The order of records: which epoch, which batch, keyed by the seed alone.

Nothing here keeps state: epoch e of a run that was resumed is epoch e of one
that was not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read_serialized
from kerasmi.errors import DataError
from kerasmi.reporter import counted
from kerasmi.types import Tensor

# Fixed numbers, not AUTOTUNE's: they decide the order, which must not depend
# on the machine.
SHUFFLE_BUFFER = 2048
INTERLEAVED_SHARDS = 16
# Batches that are made ahead.
AHEAD = 4
# Below this size a split is read once and kept, still compressed.
IN_MEMORY_BYTES = 256 * 2**20

_SHARDS, _BUFFER, _BATCH = range(3)


@dataclass(frozen=True)
class Order:
    """Which records make a batch.

    Attributes:
        batch_size: Records in a batch.
        shuffle: Draw a new order each epoch; else the data set's.
        seed: All randomness follows from it.
        epochs: Where the run ends.
        first_epoch: Where it begins: above 0 in a resumed run.
        first_step: The batch of that epoch that it begins with.
        drop_remainder: Leave out the records of an epoch that do not fill a
            batch.
    """

    batch_size: int
    shuffle: bool
    seed: int = 0
    epochs: int = 1
    first_epoch: int = 0
    first_step: int = 0
    drop_remainder: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(
                f"batch_size must be at least 1, received {self.batch_size}."
            )
        if not 0 <= self.first_epoch < self.epochs:
            raise ValueError(
                "expected 0 <= first_epoch < epochs, received first_epoch="
                f"{self.first_epoch}, epochs={self.epochs}."
            )
        if self.first_step < 0:
            raise ValueError(
                f"first_step must not be negative, received {self.first_step}."
            )
        if self.seed < 0:
            raise ValueError(
                f"seed must not be negative, received {self.seed}."
            )

    def steps(self, records: int) -> int:
        """Returns the number of batches in an epoch."""
        whole, rest = divmod(records, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)


def batches(
    dataset: Dataset, split: str, rows: np.ndarray, order: Order
) -> tf.data.Dataset:
    """Streams the serialised records of a run, all epochs in one.

    Args:
        dataset: The data set.
        split: One of its splits.
        rows: The records wanted, as numbers within the split, ascending.
        order: How they make batches.

    Returns:
        A dataset of `(seed, rows, serialized)`: `(2,)` int64, different for
        every batch of every epoch; `(B,)` int64; `(B,)` strings.

    Raises:
        DataError: There are too few records for one batch.
        ValueError: An epoch has no batch `first_step`.
    """
    check(dataset, split, len(rows), order)
    if not is_small(dataset, split, rows):
        return _epochs(order, _from_shards(dataset, split, rows, order))
    serialized = in_memory(dataset, split, rows)
    numbers = tf.constant(rows, tf.int64)
    return mapped(
        places(len(rows), order),
        lambda seed, place: (
            seed,
            tf.gather(numbers, place),
            tf.gather(serialized, place),
        ),
    )


def places(records: int, order: Order) -> tf.data.Dataset:
    """Streams which records make each batch of a run, where all are at hand.

    Args:
        records: Their number.
        order: How they make batches.

    Returns:
        A dataset of `(seed, places)`: as of `batches`; `(B,)` int64 numbers
        below `records`.
    """

    def of_epoch(seed: Tensor) -> tf.data.Dataset:
        numbers = tf.range(records, dtype=tf.int64)
        if order.shuffle:
            numbers = _permute(numbers, fold_in(seed, _SHARDS))
        return tf.data.Dataset.from_tensor_slices(numbers)

    return _epochs(order, of_epoch)


def is_small(dataset: Dataset, split: str, rows: np.ndarray) -> bool:
    """Whether the records wanted are read once and kept."""
    share = len(rows) / sum(dataset.shard_sizes(split))
    return bool(dataset.num_bytes(split) * share <= IN_MEMORY_BYTES)


def in_memory(dataset: Dataset, split: str, rows: np.ndarray) -> Tensor:
    """Returns the serialised records wanted, `(n,)` strings.

    Raises:
        DataError: A file has changed since the data set was opened.
    """
    if dataset.num_bytes(split) <= IN_MEMORY_BYTES:
        # Whole files are read with their checksums, picked records are not.
        dataset.verify(full=True, split=split)
    ids = dataset.rows(split)["image_id"].iloc[rows]
    return tf.constant(list(read_serialized(dataset, split, ids)))


def check(dataset: Dataset, split: str, records: int, order: Order) -> None:
    """Raises where there is no batch.

    Raises:
        DataError: There are too few records for one.
    """
    if not order.steps(records):
        raise DataError(
            f"{dataset.path}: {counted(records, f'{split} image')}, too few "
            f"for one batch of {order.batch_size}: take a smaller batch_size."
        )
    if order.first_step >= order.steps(records):
        raise ValueError(
            f"expected first_step below the {order.steps(records)} batches "
            f"of an epoch, received {order.first_step}."
        )


def _epochs(
    order: Order, records: Callable[[Tensor], tf.data.Dataset]
) -> tf.data.Dataset:
    """Epoch seed -> records, in batches that begin with their own seed."""

    def epoch_batches(epoch: Tensor) -> tf.data.Dataset:
        # Seeds this function's graph alone: `shuffle` mixes the graph's seed
        # in, and the caller's global seed must not change the order.
        tf.random.set_seed(0x6B65726173)
        seed = fold_in(tf.constant([order.seed, 0], tf.int64), epoch)
        batched = records(seed).batch(
            order.batch_size, drop_remainder=order.drop_remainder
        )
        batch_seed = fold_in(seed, _BATCH)
        return batched.enumerate().map(
            as_written(
                lambda step, *batch: (fold_in(batch_seed, step), *_flat(batch))
            )
        )

    epochs = tf.data.Dataset.range(order.first_epoch, order.epochs)
    made = epochs.flat_map(as_written(epoch_batches))
    return made.skip(order.first_step)


def mapped(
    batches: tf.data.Dataset, function: Callable[..., object]
) -> tf.data.Dataset:
    """Applies a function to several batches at once, in their order."""
    return batches.map(
        as_written(function),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Makes some batches ahead, in their order, shared among devices."""
    options = tf.data.Options()
    options.deterministic = True
    # Workers share batches, not files: the batch is that of all devices.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    # An iterator that is tuned may take a minute to go: TensorFlow 2.16 waits
    # for the tuner, which sleeps longer and longer.
    options.autotune.enabled = False
    return batches.with_options(options).prefetch(AHEAD)


def as_written(function: Callable[..., object]) -> Callable[..., object]:
    """A function that TensorFlow traces without rewriting its Python first.

    Nothing here branches on a tensor in Python, and the rewriting costs more
    than all the batches of a short run.
    """
    converted: Callable[..., object] = tf.autograph.experimental.do_not_convert(
        function
    )
    return converted


def _flat(batch: tuple) -> tuple:
    (only,) = batch
    return only if isinstance(only, tuple) else batch


def _from_shards(
    dataset: Dataset, split: str, rows: np.ndarray, order: Order
) -> Callable[[Tensor], tf.data.Dataset]:
    """Returns epoch seed -> `(row, serialized)`, read from the files."""
    sizes = dataset.shard_sizes(split)
    files = tf.constant([str(file) for file in dataset.shards(split)])
    starts = tf.constant(np.cumsum([0, *sizes[:-1]]), tf.int64)
    wanted = np.zeros(sum(sizes), bool)
    wanted[rows] = True
    keep = tf.constant(wanted)

    def read(shard: Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(files[shard])
        return records.enumerate(starts[shard])

    def records(seed: Tensor) -> tf.data.Dataset:
        shards = tf.range(len(sizes), dtype=tf.int64)
        if order.shuffle:
            shards = _permute(shards, fold_in(seed, _SHARDS))
        stream = tf.data.Dataset.from_tensor_slices(shards).interleave(
            as_written(read),
            cycle_length=INTERLEAVED_SHARDS if order.shuffle else 1,
            block_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        if not wanted.all():
            stream = stream.filter(as_written(lambda row, _: keep[row]))
        if order.shuffle:
            stream = stream.shuffle(
                SHUFFLE_BUFFER,
                seed=_integer(fold_in(seed, _BUFFER)),
                reshuffle_each_iteration=False,
            )
        return stream

    return records


def fold_in(seed: Tensor, number: Tensor | int) -> Tensor:
    """Returns the seed of one use, `(2,)` int64, from a common one."""
    return tf.random.experimental.stateless_fold_in(
        seed, tf.cast(number, tf.int64)
    )


def _permute(values: Tensor, seed: Tensor) -> Tensor:
    return tf.random.experimental.stateless_shuffle(values, seed)


def _integer(seed: Tensor) -> Tensor:
    return tf.random.stateless_uniform((), seed, None, None, tf.int64)
