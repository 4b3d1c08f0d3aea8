"""Batch normalisation of feature maps in one kernel, as TensorFlow can.

Keras makes it of some thirty operations and as many for their gradients:
several passes over each feature map, and most of the time of a small one.
"""

from typing import Any

import keras
import tensorflow as tf

from kerasmi import distribute
from kerasmi.types import Tensor


@keras.saving.register_keras_serializable(package="kerasmi")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of feature maps, in one kernel.

    The same function and the same moving statistics, of the biased variance,
    up to rounding; config, weights and files are those of Keras. What the
    kernel does not know (several replicas, a dtype other than float32, masks)
    is left to Keras.
    """

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Any = None
    ) -> Tensor:
        """`(B, H, W, C)` normalised over all but its last axis."""
        if not self._is_fusible(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        inputs = tf.convert_to_tensor(inputs)
        gamma, beta = tf.convert_to_tensor(self.gamma), self.beta
        beta = tf.convert_to_tensor(beta)
        if not (training and self.trainable):
            return tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=gamma,
                offset=beta,
                mean=tf.convert_to_tensor(self.moving_mean),
                variance=tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=False,
            ).y
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        # the kernel tells the unbiased variance, Keras keeps the biased one
        shape = tf.shape(inputs)
        count = tf.cast(shape[0] * shape[1] * shape[2], tf.float32)
        biased = result.batch_variance * ((count - 1.0) / count)
        self._move(self.moving_mean, result.batch_mean)
        self._move(self.moving_variance, biased)
        return result.y

    def _move(self, average: Any, value: Tensor) -> None:
        value = tf.stop_gradient(value)
        before = tf.convert_to_tensor(average)
        average.assign(before + (value - before) * (1.0 - self.momentum))

    def _is_fusible(self, inputs: Tensor, mask: Any) -> bool:
        return (
            mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not getattr(self, "renorm", False)
            and keras.backend.standardize_dtype(inputs.dtype) == "float32"
            and self.compute_dtype == "float32"
            and distribute.num_replicas() == 1
        )
