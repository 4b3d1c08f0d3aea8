"""Batch normalisation of feature maps in one kernel, as TensorFlow can.

Keras makes it of some thirty operations and as many for their gradients:
several passes over each feature map, and most of the time of a small one.

oneDNN's kernel takes sixteen channels at once where their number is a multiple
of that, and is several times slower where it is not. Such a map is folded for
its forward pass in training: pixels side by side are read as one, of a multiple
of sixteen channels.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasmi import distribute
from kerasmi.types import Tensor

# floats of the widest vectors that the kernel is written for
_CHANNELS = 16


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
            mean = tf.convert_to_tensor(self.moving_mean)
            variance = tf.convert_to_tensor(self.moving_variance)
            return _applied(inputs, gamma, beta, mean, variance, self.epsilon)
        y, mean, variance = _normalised(inputs, gamma, beta, self.epsilon)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return y

    def _moments(self, inputs: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
        """Mean and biased variance `(C,)` of the images of all replicas.

        As Keras has them to the last bit. Its sums are traced in a time that
        grows with the square of the number of layers.
        """
        is_own = (
            mask is None
            and self.synchronized
            and inputs.dtype in (tf.float32, tf.float64)
            and distribute.num_replicas() > 1
            and distribute.in_replica()
        )
        if not is_own:
            return super()._moments(inputs, mask)
        total, squares, count = (
            distribute.reduce_sum(
                [tf.reduce_sum(x, self._reduction_axes, keepdims=True)]
            )[0]
            for x in (inputs, tf.square(inputs), tf.ones_like(inputs))
        )
        mean = tf.math.divide_no_nan(total, count)
        variance = tf.math.divide_no_nan(squares, count) - tf.square(mean)
        variance = tf.maximum(variance, 0.0)
        axes = self._reduction_axes
        return tf.squeeze(mean, axes), tf.squeeze(variance, axes)

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


def _normalised(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised by its own statistics; the mean and the biased variance."""
    folds = _folds(x)
    if folds > 1:
        return _folded(x, gamma, beta, epsilon, folds)
    result = _of_batch(x, gamma, beta, epsilon)
    return result.y, result.batch_mean, _biased(result.batch_variance, x)


def _folded(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, folds: int
) -> tuple[Tensor, Tensor, Tensor]:
    @tf.custom_gradient
    def apply(
        x: Tensor, gamma: Tensor, beta: Tensor
    ) -> tuple[Any, Callable[..., Any]]:
        height, width, channels = x.shape[1:]
        wide = tf.reshape(x, (-1, height, width // folds, channels * folds))
        ones = tf.ones(channels * folds)
        parts = _of_batch(wide, ones, tf.zeros_like(ones), epsilon)
        means = tf.reshape(parts.batch_mean, (folds, channels))
        spread = _biased(parts.batch_variance, wide)
        spread = tf.reshape(spread, (folds, channels))
        mean = tf.reduce_mean(means, axis=0)
        # the variance is that within the parts and that of their means
        spread += tf.math.squared_difference(means, mean)
        variance = tf.reduce_mean(spread, axis=0)
        gammas, betas, centres, variances = (
            tf.tile(each, [folds]) for each in (gamma, beta, mean, variance)
        )
        y = _applied(wide, gammas, betas, centres, variances, epsilon)
        y = tf.reshape(y, tf.shape(x))

        def grad(g: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
            # on a CPU and in XLA it takes the biased variance, see `_folds`
            found = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=g,
                x=x,
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.constant([], tf.float32),
                epsilon=epsilon,
                is_training=True,
            )
            slopes = found.x_backprop, found.scale_backprop
            return (*slopes, found.offset_backprop)

        return (y, mean, variance), grad

    y, mean, variance = apply(x, gamma, beta)
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


def _folds(x: Tensor) -> int:
    """How many pixels of a row are read as one; 1 where it stays as it is."""
    width, channels = x.shape[2:]
    folds = _CHANNELS // math.gcd(_CHANNELS, channels)
    # what a GPU's kernel keeps for the gradient is not the variance
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if None in x.shape[1:] or width % folds or has_gpu:
        return 1
    return folds


def _of_batch(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Any:
    none = tf.constant([], tf.float32)
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=none,
        variance=none,
        epsilon=epsilon,
        is_training=True,
    )


def _applied(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
) -> Tensor:
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=False,
    ).y


def _biased(variance: Tensor, x: Tensor) -> Tensor:
    # the kernel tells the unbiased variance, Keras keeps the biased one
    shape = tf.shape(x)
    count = tf.cast(shape[0] * shape[1] * shape[2], tf.float32)
    return variance * ((count - 1.0) / count)
