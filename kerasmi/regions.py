"""Region rules: the scores of an image's regions become the image's score."""

import math
import numbers
from typing import Any

import keras
from keras import ops

from kerasmi.types import Tensor

REGION_RULES = ("max", "matched", "logsumexp", "mean")


def reduce_regions(
    scores: Tensor,
    rule: str = "max",
    temperature: float | Tensor = 1.0,
    texts_per_image: int = 1,
) -> Tensor:
    """Scores of (image, region, text) to scores of (image, text), Eq. 5.

    - `max`: the best region of every pair, matched or not. A function of image
      and text alone, so every bound on it is a bound on I(image; text).
    - `logsumexp`: `T log sum_n exp(score_n / T)`, the smooth maximum and as
      valid; `max` is its limit for a small `temperature` T.
    - `mean`: the mean over the regions.
    - `matched`: the region that the image's own text selects, reused for the
      texts of others (the literal reading of Fig. 2). Warning: this is **not**
      a bound on I(image; text). The choice leaks the text: on independent data
      it reports up to `log N` nats. It may train a model; never report it.

    Args:
        scores: `(B, N, C)` float, of image `i`, region `n`, text `c`.
        rule: One of `REGION_RULES`.
        temperature: Of `logsumexp`, in the unit of the scores; a scalar
            tensor where it changes in training.
        texts_per_image: `K`, with `C = B * K`. Read by `matched` alone: text
            `k` of image `i` selects the region for text `k` of all others.

    Returns:
        `(B, C)` float32, or float64 where the scores are.

    Raises:
        TypeError: If the temperature is no number.
        ValueError: If the rule is unknown, the temperature not above 0 and
            finite, or the scores not of rank 3.
    """
    _check(scores, rule, temperature)
    scores = _wide(scores)
    if rule == "max":
        return ops.max(scores, axis=1)
    if rule == "logsumexp":
        temperature = ops.cast(temperature, scores.dtype)
        return temperature * ops.logsumexp(scores / temperature, axis=1)
    if rule == "mean":
        return ops.mean(scores, axis=1)
    chosen = _matched_one_hot(scores, texts_per_image)
    return ops.sum(ops.where(chosen > 0, scores, 0.0), axis=1)


def region_weights(
    scores: Tensor,
    rule: str = "max",
    temperature: float | Tensor = 1.0,
    texts_per_image: int = 1,
) -> Tensor:
    """How much each region counts in `reduce_regions`, for maps and entropy.

    Args:
        scores: `(B, N, C)` float.
        rule: One of `REGION_RULES`.
        temperature: Of `logsumexp`.
        texts_per_image: As in `reduce_regions`.

    Returns:
        `(B, N, C)` float32 that sums to one over the regions: the softmax of
        the scores (`logsumexp`), the selected region (`max`, `matched`), or
        equal weights (`mean`).

    Raises:
        TypeError: As `reduce_regions`.
        ValueError: As `reduce_regions`.
    """
    _check(scores, rule, temperature)
    scores = _wide(scores)
    if rule == "max":
        return _one_hot_maximum(scores)
    if rule == "logsumexp":
        temperature = ops.cast(temperature, scores.dtype)
        # not ops.softmax, which warns of an axis of one region (global MI)
        total = ops.logsumexp(scores / temperature, axis=1, keepdims=True)
        return ops.exp(scores / temperature - total)
    if rule == "mean":
        return ops.ones_like(scores) / scores.shape[1]
    return _matched_one_hot(scores, texts_per_image)


def check_temperature(temperature: Any, name: str = "temperature") -> None:
    """Refuses what scores cannot be divided by.

    Args:
        temperature: Any value.
        name: Of the argument, for the message.

    Raises:
        TypeError: No number.
        ValueError: Not above 0, or not finite.
    """
    if isinstance(temperature, bool) or not isinstance(
        temperature, numbers.Real
    ):
        raise TypeError(
            f"`{name}`: expected a number. Received: {temperature!r} "
            f"({type(temperature).__name__})"
        )
    # NaN is not above 0 either
    if not 0 < float(temperature) < math.inf:
        raise ValueError(
            f"`{name}`: expected a finite number above 0. "
            f"Received: {temperature}"
        )


def _wide(scores: Tensor) -> Tensor:
    dtype = keras.backend.standardize_dtype(scores.dtype)
    return ops.cast(scores, "float64" if dtype == "float64" else "float32")


def _one_hot_maximum(scores: Tensor) -> Tensor:
    best = ops.argmax(scores, axis=1)
    return ops.one_hot(best, scores.shape[1], axis=1, dtype="float32")


def _matched_one_hot(scores: Tensor, texts_per_image: int) -> Tensor:
    """The one-hot region of each image's own text k, for all texts k."""
    B, N, K = ops.shape(scores)[0], scores.shape[1], texts_per_image
    by_owner = ops.reshape(scores, (B, N, B, K))
    is_own = ops.eye(B, dtype="bool")[:, None, :, None]
    own = ops.sum(ops.where(is_own, by_owner, 0.0), axis=2)  # (B, N, K)
    chosen = _one_hot_maximum(own)[:, :, None, :]
    return ops.reshape(ops.broadcast_to(chosen, (B, N, B, K)), (B, N, B * K))


def _check(scores: Tensor, rule: str, temperature: float | Tensor) -> None:
    if rule not in REGION_RULES:
        raise ValueError(
            f"Expected `rule` to be one of {REGION_RULES}. "
            f"Received: rule={rule!r}"
        )
    # of a tensor the value need not be known
    if isinstance(temperature, numbers.Real) or not hasattr(
        temperature, "shape"
    ):
        check_temperature(temperature)
    if len(scores.shape) != 3:
        raise ValueError(
            "Expected scores of shape (images, regions, texts). "
            f"Received: shape {tuple(scores.shape)}. One region is an axis of "
            "length 1."
        )
