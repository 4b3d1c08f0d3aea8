"""Bounds on the mutual information of image and text, from critic scores.

One equation, one function. Each takes `(B, C)` scores of images and texts and
the masks of positive pairs (samples of the joint) and negative pairs (samples
of the product of the marginals), and returns one float32 number in nats,
computed in float64 whatever the precision of the scores.
Whatever the scores of pairs in neither mask are, they have no influence on a
value or a gradient. Without a negative the value is NaN, never 0.
"""

import math

from keras import ops

from kerasmi import masked
from kerasmi.types import Tensor

DIRECTIONS = ("image_to_text", "text_to_image", "symmetric")

# The largest exponent e**x of float32 that leaves room for a sum.
_LARGEST_EXPONENT = 127 * math.log(2.0)


def donsker_varadhan(
    scores: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """The Donsker-Varadhan bound, Eq. 3.

    `mean over positives of F - log mean over negatives of exp(F)`. A lower
    bound of the mutual information for one pooled set of negatives that is
    large enough; a mean of the values of small batches is biased upwards.

    Args:
        scores: `(B, C)` float, image `i` and text `c`.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if there is no positive or no negative.

    References:
        Donsker and Varadhan, 1983; Belghazi et al., 2018 (MINE).
    """
    joint = masked.mean(scores, positives)
    return _nats(joint - masked.log_mean_exp(scores, negatives))


def infonce(scores: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """InfoNCE with the image as anchor and texts as candidates, Eq. 4.

    `mean over positives (i, c) of F_ic - log mean exp(F_ij)` over the
    candidates `j`: the text `c` itself and the negatives of image `i`. It is
    Eq. 4 plus `log |candidates|`, so it is in nats and never above that
    logarithm (`infonce_ceiling`). Other texts of image `i` are no candidates;
    an anchor without negatives is left out (`anchors_without_negatives`).

    Args:
        scores: `(B, C)` float, image `i` and text `c`.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if no anchor has a negative.

    References:
        van den Oord et al., 2018 (CPC).
    """
    terms = infonce_terms(scores, positives, negatives, axis=1)
    return _nats(masked.mean(*terms))


def infonce_text_to_image(
    scores: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """InfoNCE with the text as anchor and images as candidates.

    As `infonce`, with the softmax over the images of each column.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if no anchor has a negative.
    """
    terms = infonce_terms(scores, positives, negatives, axis=0)
    return _nats(masked.mean(*terms))


def infonce_symmetric(
    scores: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """The mean of both directions of InfoNCE; each is a bound, so this is one.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if in one direction no anchor has a
        negative.
    """
    rows, columns = (
        masked.mean(*infonce_terms(scores, positives, negatives, axis=axis))
        for axis in (1, 0)
    )
    return _nats((rows + columns) / 2)


def nwj(scores: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """The bound of Nguyen, Wainwright and Jordan (f-GAN's KL).

    `mean over positives of F - mean over negatives of exp(F - 1)`. A lower
    bound without bias for any number of negatives, at most the
    Donsker-Varadhan value, and of large variance. It alone is exponential in
    the scores: the second term stops growing at `exp(88)`, float32's end.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if there is no positive or no negative.

    References:
        Nguyen et al., 2010; Nowozin et al., 2016.
    """
    exponent = masked.log_mean_exp(scores, negatives) - 1.0
    largest = ops.minimum(ops.stop_gradient(exponent), _LARGEST_EXPONENT)
    # The value stops at float32's end; the gradient keeps its direction.
    partition = ops.exp(masked.with_gradient_of(largest, exponent))
    return _nats(masked.mean(scores, positives) - partition)


def jensen_shannon(
    scores: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """The Jensen-Shannon objective (f-GAN's): not nats of information.

    `-mean over positives of softplus(-F) - mean over negatives of
    softplus(F)`, at most `2 JSD - log 4`; a critic of zeros has `-log 4`.
    Smooth and of low variance: train with it, read out with another bound.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32. NaN if there is no positive or no negative.

    References:
        Nowozin et al., 2016; Hjelm et al., 2019.
    """
    # softplus is of the masked scores, so that an ignored one cannot matter.
    joint = ops.softplus(-masked.only(scores, positives))
    marginal = ops.softplus(masked.only(scores, negatives))
    value = -masked.mean(joint, positives) - masked.mean(marginal, negatives)
    return _nats(value)


def smile(
    scores: Tensor, positives: Tensor, negatives: Tensor, clip: float = 5.0
) -> Tensor:
    """SMILE: the value of a clipped Donsker-Varadhan, the gradient of JS.

    `mean over positives of F - log mean over negatives of exp(clip(F))`, of
    low variance. Not a lower bound: it overestimates at high information.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        clip: Scores of negatives are clipped to `[-clip, clip]`, in nats.

    Returns:
        Scalar float32, in nats. NaN if there is no positive or no negative.

    References:
        Song and Ermon, 2020.
    """
    clipped = ops.clip(ops.cast(scores, "float64"), -clip, clip)
    marginal = masked.log_mean_exp(clipped, negatives)
    value = _nats(masked.mean(scores, positives) - marginal)
    source = jensen_shannon(scores, positives, negatives)
    return masked.with_gradient_of(value, source)


def infonce_pooled(
    scores: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """The form that the paper's authors released as InfoNCE.

    `mean over positives of F - logsumexp over all negatives`: one sum for all
    anchors, without the positive. It differs from `donsker_varadhan` by the
    constant `log(number of negatives)`, so both have one gradient. For
    reproduction only; it is not Eq. 4 and no estimate of information.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32, in nats. NaN if there is no positive or no negative.
    """
    count = masked.count(negatives)
    log_mean = masked.log_mean_exp(scores, negatives)
    return _nats(masked.mean(scores, positives) - log_mean - ops.log(count))


def mine(
    scores: Tensor,
    positives: Tensor,
    negatives: Tensor,
    log_average: Tensor,
    momentum: float = 0.99,
) -> tuple[Tensor, Tensor, Tensor]:
    """Donsker-Varadhan with the moving-average gradient of MINE.

    The gradient of the log of a batch mean is biased. MINE divides by a
    moving average of `mean over negatives of exp(F)` instead, which is kept
    here in log space: `surrogate = mean over positives of F -
    exp(l - log_average)`, `l` the batch's log mean exp.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        log_average: Scalar, the log of the moving average so far: `-inf`
            before the first batch, which initialises it.
        momentum: Weight of the past, in `[0, 1)`. At 0 the surrogate has the
            gradient of `donsker_varadhan`.

    Returns:
        Three scalars, float32: the value (Eq. 3, in nats), the surrogate whose
        gradient trains, and the log of the new moving average.

    References:
        Belghazi et al., 2018, Eq. 12.
    """
    log_average = ops.cast(log_average, "float64")
    joint = masked.mean(scores, positives)
    marginal = masked.log_mean_exp(scores, negatives)
    batch = ops.stop_gradient(marginal)
    updated = ops.logaddexp(
        log_average + ops.log(ops.cast(momentum, "float64")),
        batch + math.log1p(-momentum),
    )
    is_first = ops.equal(log_average, float("-inf"))
    new_log_average = ops.where(is_first, batch, updated)
    # At most 1 / (1 - momentum), since the average holds this batch.
    weight = ops.exp(batch - new_log_average)
    surrogate = joint - masked.with_gradient_of(weight, weight * marginal)
    return _nats(joint - marginal), _nats(surrogate), _nats(new_log_average)


def anchors_without_negatives(
    positives: Tensor, negatives: Tensor, direction: str = "image_to_text"
) -> Tensor:
    """How many positive pairs InfoNCE has to leave out.

    Args:
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        direction: One of `DIRECTIONS`; `symmetric` counts both.

    Returns:
        Scalar int32.
    """
    left_out = [
        ops.logical_and(positives, masked.count(negatives, axis=axis) < 1)
        for axis in anchor_axes(direction)
    ]
    return sum(ops.sum(ops.cast(mask, "int32")) for mask in left_out)


def infonce_ceiling(
    positives: Tensor, negatives: Tensor, direction: str = "image_to_text"
) -> Tensor:
    """The largest value that InfoNCE can have: the mean of `log |candidates|`.

    Args:
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        direction: One of `DIRECTIONS`.

    Returns:
        Scalar float32, in nats: the mean over the anchors with a negative.
    """
    ceilings = [
        masked.mean(*ceiling_terms(positives, negatives, axis))
        for axis in anchor_axes(direction)
    ]
    return _nats(sum(ceilings) / len(ceilings))


def effective_negatives(scores: Tensor, negatives: Tensor) -> Tensor:
    """The effective sample size of the negatives under weights `exp(F)`.

    `(sum exp F)^2 / sum exp 2F`: how many negatives carry the partition of
    Donsker-Varadhan. Below about ten its value is not to be trusted.

    Args:
        scores: `(B, C)` float.
        negatives: `(B, C)` bool, the pairs of different studies.

    Returns:
        Scalar float32 between 1 and the number of negatives; NaN without any.
    """
    log_total = masked.logsumexp(scores, negatives)
    weights = 2.0 * (masked.only(scores, negatives) - log_total)
    effective = ops.exp(-masked.logsumexp(weights, negatives))
    return _nats(ops.where(ops.any(negatives), effective, float("nan")))


def anchor_axes(direction: str) -> tuple[int, ...]:
    """The axes of the candidates of a direction: 1 texts, 0 images.

    Args:
        direction: One of `DIRECTIONS`.

    Returns:
        One axis, or both for `symmetric`.

    Raises:
        ValueError: If the direction is unknown.
    """
    axes = dict(zip(DIRECTIONS, ((1,), (0,), (1, 0)), strict=True))
    if direction not in axes:
        raise ValueError(
            f"Expected `direction` to be one of {DIRECTIONS}. "
            f"Received: direction={direction!r}"
        )
    return axes[direction]


def infonce_terms(
    scores: Tensor, positives: Tensor, negatives: Tensor, axis: int
) -> tuple[Tensor, Tensor]:
    """One InfoNCE term for each positive pair; their mean is the bound.

    Args:
        scores: `(B, C)` float.
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        axis: The axis of the candidates: 1 texts, 0 images.

    Returns:
        `(B, C)` float64 terms in nats, and the `(B, C)` bool mask of the
        positive pairs whose anchor has a negative: only there they count.
    """
    ceilings, anchors = ceiling_terms(positives, negatives, axis)
    rivals = masked.logsumexp(scores, negatives, axis=axis)
    # F - log(exp(F) + sum of rivals) = -softplus(log sum of rivals - F).
    margins = rivals - masked.only(scores, anchors)
    return ceilings - ops.softplus(margins), anchors


def ceiling_terms(
    positives: Tensor, negatives: Tensor, axis: int
) -> tuple[Tensor, Tensor]:
    """The log of the number of candidates of each positive pair.

    Args:
        positives: `(B, C)` bool, the matched pairs.
        negatives: `(B, C)` bool, the pairs of different studies.
        axis: The axis of the candidates: 1 texts, 0 images.

    Returns:
        `(B, C)` float64 in nats, and the mask of anchors of `infonce_terms`.
    """
    counts = masked.count(negatives, axis=axis)
    anchors = ops.logical_and(positives, counts > 0)
    shape = ops.shape(positives)
    return ops.broadcast_to(ops.log1p(counts), shape), anchors


def _nats(value: Tensor) -> Tensor:
    # Half-precision scores leave as float32 too, their sums being of float64.
    return ops.cast(value, "float32")
