"""Targets of a classifier that are no targets, and weights of their classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from kerasmi.types import Tensor

LEVELS = {"multilabel": 2, "softmax": 4, "cumulative": 4}


def check(name: str, targets: Any, head: str) -> None:
    """Refuses targets that a loss of `heads` would have to guess at.

    Args:
        name: the argument that they came in, for the message.
        targets: `(B, L)` or `(B,)`; what is no array, such as a data set,
            passes.
        head: the classifier's.

    Raises:
        ValueError: one that is neither a class nor negative (ignored), such
            as NaN, 0.7 or a severity of 4.
    """
    if not (hasattr(targets, "__array__") or isinstance(targets, list)):
        return
    values = np.asarray(targets)
    if values.dtype.kind not in "biuf":
        return
    wrong = ~((values < 0) | np.isin(values, np.arange(LEVELS[head])))
    if wrong.any():
        at = tuple(int(each[0]) for each in np.nonzero(wrong))
        classes = ", ".join(map(str, range(LEVELS[head])))
        raise ValueError(
            f"`{name}`: expected {classes}, or a negative number where a label "
            f"is unknown. Received: {values[at]:g} at {list(at)}, and "
            f"{int(wrong.sum()) - 1} more such. Write -1 for what is unknown."
        )


def check_weights(weights: Mapping[int, float], labels: int, head: str) -> None:
    """Refuses weights of classes that could not weigh an image.

    Args:
        weights: class to weight, as Keras's `class_weight`.
        labels: how many the classifier has.
        head: the classifier's.

    Raises:
        ValueError: several labels, of which an image has a class each, or a
            class that the head does not have.
    """
    if labels > 1:
        raise ValueError(
            "`class_weight`: an image has a class of each of the "
            f"{labels} labels, so that none weighs the image. "
            "Give `sample_weight`, or train a classifier for each label."
        )
    classes = range(LEVELS[head])
    others = [each for each in weights if each not in classes]
    if others:
        raise ValueError(
            f"`class_weight`: expected classes of {list(classes)}; ignored "
            f"labels weigh nothing anyway. Received: {others}"
        )


def weighted(data: tf.data.Dataset, weights: Mapping[int, float]) -> Any:
    """Adds the weight of each image to a data set of images and targets.

    Keras looks weights up at the place of the class: an ignored label, -1,
    is at none, which stops a training on a CPU.

    Args:
        data: of pairs `(images, targets)`, targets `(B, 1)` or `(B,)`.
        weights: class to weight; of a class not named, 1.

    Returns:
        A data set of `(images, targets, weights)`, weights `(B,)` float32.

    Raises:
        ValueError: it has weights already.
    """
    if not isinstance(data.element_spec, tuple) or len(data.element_spec) != 2:
        raise ValueError(
            "`class_weight`: expected a data set of (images, targets). "
            f"Received: {data.element_spec}"
        )
    return data.map(lambda x, y: (x, y, of_images(y, weights)))


def of_images(targets: Tensor, weights: Mapping[int, float]) -> Tensor:
    """`(B,)` float32 weights of images by the class of their only label."""
    level = ops.reshape(ops.cast(targets, "float32"), (-1,))
    found = ops.ones_like(level)
    for each, weight in weights.items():
        found = ops.where(level == float(each), float(weight), found)
    return found


def number_known(targets: Tensor) -> Tensor:
    """How many labels of a batch of targets are not ignored, float32."""
    # of bool, too
    known = ops.cast(targets, "float32") >= 0
    return ops.sum(ops.cast(known, "float32"))


def known_weights(targets: Tensor, weights: Tensor | None) -> Tensor:
    """`(B,)` float32 weights of images, 0 where their only label is ignored.

    Args:
        targets: `(B, 1)` or `(B,)`.
        weights: `(B,)` or `(B, 1)`; None: 1 each.
    """
    flat = ops.cast(ops.reshape(targets, (-1,)), "float32")
    known = ops.cast(flat >= 0, "float32")
    if weights is None:
        return known
    return known * ops.cast(ops.reshape(weights, (-1,)), "float32")
