"""The parts of a transformer with gradients of their own.

Same functions as KerasHub's layers, in fewer passes over memory: what a
gradient needs is kept, and nothing else. Under mixed precision the statistics
of normalisation and softmax are float32.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasmi.types import Tensor

_BITS = 16
_Gradient = Callable[[Tensor], Any]


def dropout_scale(rate: float) -> tuple[int, float]:
    """Of 2**16 draws, how many drop, and what the kept are multiplied by.

    The rate is rounded to 1 / 65536 (0.1 becomes 0.100006), and the scale is
    that of the rounded rate, so the expectation is exact.
    """
    dropped = min(round(rate * 2**_BITS), 2**_BITS - 1)
    return dropped, 2**_BITS / (2**_BITS - dropped)


def dropout_mask(
    shape: Tensor, rate: float, seed: Tensor | None, dtype: str
) -> Tensor | None:
    """0 where dropped, else the scale, drawn at 16 bits; or None.

    Args:
        shape: `(r,)` int32.
        rate: share to drop, in [0, 1).
        seed: `(2,)` int; the same seed draws the same mask. None: no dropout.
        dtype: of the mask.

    Returns:
        A tensor of `shape`.
    """
    if rate == 0.0 or seed is None:
        return None
    dropped, scale = dropout_scale(rate)
    count = tf.reduce_prod(shape)
    draws = tf.random.stateless_uniform(
        [(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint64
    )
    bits = tf.reshape(tf.bitcast(draws, tf.uint16), (-1,))[:count]
    kept = tf.reshape(bits >= tf.constant(dropped, tf.uint16), shape)
    return tf.cast(kept, dtype) * tf.constant(scale, dtype)


@tf.custom_gradient
def gelu_tanh(x: Tensor) -> tuple[Tensor, _Gradient]:
    """GELU by its tanh approximation (Hendrycks and Gimpel, 2016)."""
    # (1 + tanh(u)) / 2 is the logistic function of 2 u, in one pass
    a = 2.0 * math.sqrt(2.0 / math.pi)
    b = 0.044715 * a
    square = x * x
    share = tf.sigmoid(x * (a + b * square))

    def grad(g: Tensor) -> Tensor:
        inner = x * (a + 3.0 * b * square)
        return g * (share + tf.raw_ops.SigmoidGrad(y=share, dy=inner))

    return x * share, grad


@tf.custom_gradient
def gelu_exact(x: Tensor) -> tuple[Tensor, _Gradient]:
    """`x * Phi(x)`, the exact GELU."""
    phi = 0.5 + 0.5 * tf.math.erf(x * math.sqrt(0.5))

    def grad(g: Tensor) -> Tensor:
        density = tf.exp(-0.5 * x * x)
        return g * (phi + x * density * (1.0 / math.sqrt(2.0 * math.pi)))

    return x * phi, grad


def wide(dtype: tf.DType) -> tf.DType:
    """What sums of a dtype are kept in: float32, or float64 as it is."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def add_norm(
    x: Tensor,
    update: Tensor | None,
    mask: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    epsilon: float,
) -> Tensor:
    """Layer normalisation of `x + mask * update`, over the last axis.

    Args:
        x: `(T, D)`.
        update: `(T, D)`; None for none.
        mask: `(T, D)` of `dropout_mask`, or None for no dropout.
        gamma: `(D,)` scale.
        beta: `(D,)` shift.
        epsilon: added to the variance.

    Returns:
        `(T, D)` in the dtype of `x`.
    """
    if update is not None:
        x = x + (update if mask is None else update * mask)
    dtype, sums = x.dtype, wide(x.dtype)
    y = _norm(
        tf.cast(x, sums), tf.cast(gamma, sums), tf.cast(beta, sums), epsilon
    )
    return tf.cast(y, dtype)


def _norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    @tf.custom_gradient
    def apply(
        x: Tensor, gamma: Tensor, beta: Tensor
    ) -> tuple[Tensor, _Gradient]:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        scale = tf.math.rsqrt(variance + tf.constant(epsilon, x.dtype))
        unit = centred * scale

        def grad(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            inner = g * gamma
            mean = tf.reduce_mean(inner, axis=-1, keepdims=True)
            along = tf.reduce_mean(inner * unit, axis=-1, keepdims=True)
            return (
                scale * (inner - mean - unit * along),
                tf.reduce_sum(g * unit, axis=0),
                tf.reduce_sum(g, axis=0),
            )

        return unit * gamma + beta, grad

    return apply(x, gamma, beta)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    dropout: Tensor | None,
) -> Tensor:
    """Softmax attention of scaled queries.

    The gradient of the softmax needs the sum of `p * dp` over the keys, which
    is that of `output * d_output` over the features, the smaller of the two.

    Args:
        query: `(n, H, Q, d)`, divided by the root of `d`.
        key: `(n, H, L, d)`.
        value: `(n, H, L, d)`.
        mask: `(n, L)` bool, False where no query may look; each text has a
            True.
        dropout: `(n, H, Q, L)` of `dropout_mask` on the probabilities, or
            None.

    Returns:
        `(n, H, Q, d)`.
    """
    sums = wide(query.dtype)
    barred = tf.where(mask, tf.zeros((), sums), tf.constant(-math.inf, sums))

    @tf.custom_gradient
    def apply(
        query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, _Gradient]:
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), sums)
        shares = tf.nn.softmax(scores + barred[:, None, None, :])
        shares = tf.cast(shares, query.dtype)
        kept = shares if dropout is None else shares * dropout
        output = tf.matmul(kept, value)

        def grad(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            along = tf.reduce_sum(g * output, axis=-1, keepdims=True)
            inner = tf.matmul(g, value, transpose_b=True)
            if dropout is None:
                slope = shares * (inner - along)
            else:
                slope = kept * inner - shares * along
            return (
                tf.matmul(slope, key),
                tf.matmul(slope, query, transpose_a=True),
                tf.matmul(kept, g, transpose_a=True),
            )

        return output, grad

    return apply(query, key, value)
