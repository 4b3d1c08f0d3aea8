"""From an error of TensorFlow's readers to the file at fault."""

import tensorflow as tf

from kerasmi.data import images, wire
from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read_serialized
from kerasmi.errors import DataError

_READING = (tf.errors.DataLossError, tf.errors.NotFoundError)
_SIGNS = ("PNG", "expected to contain", "parse_example", "ParseExample")


def explain_data_error(
    error: BaseException, dataset: Dataset
) -> DataError | None:
    """Finds the damage behind an error met while reading batches.

    TensorFlow names neither the file nor the record. This reads the data set
    once more, until the first fault.

    Args:
        error: What was raised, for example by `keras.Model.fit`.
        dataset: What was being read.

    Returns:
        An error that names the file and the record or image, or None where
        the data are not at fault.
    """
    if isinstance(error, DataError):
        return error
    message = str(error)
    misread = isinstance(error, tf.errors.InvalidArgumentError) and any(
        sign in message for sign in _SIGNS
    )
    if not (misread or isinstance(error, _READING)):
        return None
    for full in (False, True):
        for shard in dataset.index:
            fault = dataset.fault(shard, full)
            if fault is not None:
                return DataError(fault)
    return _broken_image(dataset) if misread else None


def _broken_image(dataset: Dataset) -> DataError | None:
    """Returns an error naming the first image that cannot be decoded."""
    for split in dataset.counts:
        image_ids = dataset.rows(split)["image_id"]
        serialized = read_serialized(dataset, split)
        for image_id, record in zip(image_ids, serialized, strict=True):
            try:
                images.decode(wire.parse([record], ("image",))["image"][0])
            except tf.errors.InvalidArgumentError:
                return DataError(
                    f"{dataset.path}: {split} image {image_id!r} is not a "
                    "PNG that can be decoded. Repair it in the source and "
                    "make the data set again."
                )
    return None
