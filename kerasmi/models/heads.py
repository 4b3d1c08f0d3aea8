"""What a classifier predicts: outputs, loss and ignored labels of each head."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from kerasmi import distribute
from kerasmi.types import Tensor


@keras.saving.register_keras_serializable(package="kerasmi")
def masked_binary_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Binary cross-entropy over the labels that are known.

    Args:
        y_true: `(B, L)`: 1, 0, or negative where the label is ignored. Any
            other value, NaN too, makes the loss NaN.
        y_pred: `(B, L)` probabilities.

    Returns:
        `(B,)` nats: the sum over known labels, divided by the mean number of
        known labels of an image in the batch, so that the mean over the batch
        is the mean over its known labels.
    """
    _check_width(y_true, y_pred.shape[-1])
    known = ops.cast(y_true >= 0, "float32")
    y_pred = _inside(y_pred)
    log_likelihood = ops.where(
        y_true > 0.5, ops.log(y_pred), ops.log(1.0 - y_pred)
    )
    log_likelihood = _of_classes(y_true, 2, log_likelihood)
    return -ops.sum(known * log_likelihood, axis=1) / _mean_count(known)


@keras.saving.register_keras_serializable(package="kerasmi")
def severity_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Cross-entropy of a 4-way softmax over severity 0-3 (the authors').

    Args:
        y_true: `(B, 1)` or `(B,)`: severity, or negative where ignored. Any
            other value, NaN too, makes the loss NaN.
        y_pred: `(B, 4)` probabilities.

    Returns:
        `(B,)` nats, scaled as in `masked_binary_crossentropy`.
    """
    y_true = _column(y_true)
    known = ops.cast(y_true >= 0, "float32")
    level = ops.cast(ops.maximum(y_true[:, 0], 0.0), "int32")
    chosen = ops.one_hot(level, y_pred.shape[-1], dtype="float32")
    log_likelihood = ops.sum(chosen * ops.log(_inside(y_pred)), axis=1)
    log_likelihood = _of_classes(y_true[:, 0], y_pred.shape[-1], log_likelihood)
    return -known[:, 0] * log_likelihood / _mean_count(known)


@keras.saving.register_keras_serializable(package="kerasmi")
def cumulative_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Binary cross-entropy of severity >= 1, >= 2, >= 3 (ordinal).

    Args:
        y_true: `(B, 1)` or `(B,)`: severity, or negative where ignored. Any
            other value, NaN too, makes the loss NaN.
        y_pred: `(B, 3)` probabilities of each cut.

    Returns:
        `(B,)` nats, scaled as in `masked_binary_crossentropy`.
    """
    y_true = ops.cast(_column(y_true), "float32")
    cuts = ops.arange(1, y_pred.shape[-1] + 1, dtype="float32")
    above = ops.cast(y_true >= cuts[None, :], "float32")
    above = ops.where(y_true >= 0, above, -1.0)
    above = _of_classes(y_true, y_pred.shape[-1] + 1, above)
    return masked_binary_crossentropy(above, y_pred)


def _of_classes(y_true: Tensor, number: int, values: Tensor) -> Tensor:
    """The values, NaN where the target is none of the classes and not ignored.

    In a compiled step nothing can be refused in words; a loss of 0 would hide
    that such a target teaches nothing.
    """
    classes = ops.arange(number, dtype="float32")
    target = ops.cast(y_true, "float32")[..., None]
    known = ops.any(target == classes, axis=-1) | (target[..., 0] < 0)
    return ops.where(known, values, float("nan"))


def _column(y_true: Tensor) -> Tensor:
    """`(B, 1)`, also of a vector, which would meet the cuts as a row."""
    if len(y_true.shape) == 1:
        return ops.reshape(y_true, (-1, 1))
    _check_width(y_true, 1)
    return y_true


def _check_width(y_true: Tensor, expected: int) -> None:
    # else a vector or a single column would be repeated for every label
    shape = tuple(y_true.shape)
    if len(shape) != 2 or shape[1] not in (None, expected):
        raise ValueError(
            f"Expected targets of shape (images, {expected}), a column for "
            f"each label. Received: shape {shape}"
        )


def _inside(probability: Tensor) -> Tensor:
    epsilon = keras.backend.epsilon()
    probability = ops.cast(probability, "float32")
    return ops.clip(probability, epsilon, 1.0 - epsilon)


def _mean_count(known: Tensor) -> Tensor:
    # Of all replicas, whose shares of a batch differ: Keras divides the loss
    # of each by its own images and by the number of replicas.
    (total,) = distribute.reduce_sum([ops.sum(known)])
    share = ops.shape(known)[0] * distribute.num_replicas()
    # an all-ignored batch gives 0 / 1, a loss of zero without a gradient
    return ops.where(total > 0, total / ops.cast(share, "float32"), 1.0)


@dataclass(frozen=True)
class Head:
    """Outputs of a classifier.

    Attributes:
        activation: of the last layer.
        units: outputs, given the number of labels.
        loss: called with targets and probabilities; `(B,)` nats.
    """

    activation: str
    units: Callable[[int], int]
    loss: Callable[[Tensor, Tensor], Tensor]


HEADS = {
    "multilabel": Head("sigmoid", lambda n: n, masked_binary_crossentropy),
    "softmax": Head("softmax", lambda n: 4, severity_crossentropy),
    "cumulative": Head("sigmoid", lambda n: 3, cumulative_crossentropy),
}
