"""Sums of scores under a mask: the parts that the bounds are made of.

What is outside a mask has no influence on a value or on a gradient, whatever
its score: masks, not large constants. All in float64: a bound is a small
difference of large sums, and the matrix of scores is small beside the critic.
"""

from keras import ops

from kerasmi.types import Tensor


def only(values: Tensor, mask: Tensor) -> Tensor:
    """The values under a mask, zero elsewhere, with a gradient of zero."""
    return ops.where(mask, ops.cast(values, "float64"), 0.0)


def count(mask: Tensor, axis: int | None = None) -> Tensor:
    """How many are under a mask, float64: scalar, or one per row or column."""
    keepdims = axis is not None
    return ops.sum(ops.cast(mask, "float64"), axis=axis, keepdims=keepdims)


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values under a mask: scalar; NaN under an empty one."""
    return ops.sum(only(values, mask)) / count(mask)


def log_mean_exp(scores: Tensor, mask: Tensor) -> Tensor:
    """`log mean exp` of the scores under a mask: scalar; NaN if empty."""
    return logsumexp(scores, mask) - ops.log(count(mask))


def logsumexp(scores: Tensor, mask: Tensor, axis: int | None = None) -> Tensor:
    """`logsumexp` of the scores under a mask.

    Args:
        scores: `(B, C)` float.
        mask: `(B, C)` bool.
        axis: The axis to sum, or None for both.

    Returns:
        float64, a scalar for both axes, `(B, 1)` or `(1, C)` for one: `-inf`,
        with a gradient of zero, where the mask is empty.
    """
    keepdims = axis is not None
    is_any = ops.any(mask, axis=axis, keepdims=keepdims)
    masked = ops.where(mask, ops.cast(scores, "float64"), float("-inf"))
    # log(0) has no gradient but NaN, so an empty row never comes to it.
    safe = ops.where(is_any, masked, 0.0)
    total = ops.logsumexp(safe, axis=axis, keepdims=keepdims)
    return ops.where(is_any, total, float("-inf"))


def with_gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """A tensor with exactly this value and the gradient of another one."""
    # What is added is an exact zero: the value is not rounded.
    return ops.stop_gradient(value) + (source - ops.stop_gradient(source))
