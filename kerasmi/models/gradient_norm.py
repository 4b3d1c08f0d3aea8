"""The norm of a step's gradient: of all replicas, without the loss's scale."""

import keras
import tensorflow as tf
from keras import ops

from kerasmi import distribute
from kerasmi.models import loss_scale
from kerasmi.types import Tensor


def of_step(
    gradients: list[Tensor], optimizer: keras.optimizers.Optimizer
) -> Tensor:
    """The norm of the whole gradient, scalar float32.

    Args:
        gradients: of this replica's share of the loss, as `optimizer` scales
            it; None where there is none.
        optimizer: what takes the step.
    """
    # adds up the rows of an embedding that a batch meets more than once
    dense = [
        tf.cast(tf.convert_to_tensor(gradient), tf.float32)
        for gradient in gradients
        if gradient is not None  # the optimizer warns of these
    ]
    norm = tf.linalg.global_norm(distribute.reduce_sum(dense))
    return norm / optimizer.scale_loss(tf.ones(()))


def update(
    metric: keras.metrics.Mean,
    norm: Tensor,
    images: Tensor,
    optimizer: keras.optimizers.Optimizer,
) -> None:
    """Adds a step to the mean norm, if it is taken.

    Args:
        metric: the mean.
        norm: of `of_step`.
        images: of the batch, a count: its weight.
        optimizer: what takes the step.
    """
    if loss_scale.is_scaled(optimizer):
        # a gradient that overflows is scaled anew, and its step skipped
        taken = ops.isfinite(norm)
        norm = ops.where(taken, norm, 0.0)
        images = ops.where(taken, images, 0)
    metric.update_state(norm, images)
