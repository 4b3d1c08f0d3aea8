"""Keras metrics: what to report of a critic, pooled over the batches seen.

Each is updated with `(pairs, scores)`, both `(B, C)`. Every replica sees the
scores of the whole batch, so the state is that of the first replica.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kerasmi import bounds, masked
from kerasmi import pairs as pair_labels
from kerasmi.losses import LOSSES
from kerasmi.types import Tensor

_serializable = keras.saving.register_keras_serializable(package="kerasmi")


class _Pooled(keras.metrics.Metric):
    """A metric in float32 with variables that the replicas agree on."""

    def __init__(self, name: str | None = None) -> None:
        # float32 whatever the precision policy.
        super().__init__(name=name, dtype="float32")

    def _add_state(self, name: str, initializer: Any = "zeros") -> Tensor:
        return self.add_variable(
            shape=(),
            initializer=initializer,
            dtype="float32",
            aggregation="only_first_replica",
            name=name,
        )

    def _refuse_weights(self, sample_weight: Any) -> None:
        # Keras hands over None of a model that is compiled with the metric
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} takes no `sample_weight`: no pair has "
                "one. Label the pairs to leave out -1 instead."
            )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name}


class _PooledMean(_Pooled):
    """The mean of all values added; NaN before the first one."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.total = self._add_state("total")
        self.count = self._add_state("count")

    def add(self, values: Tensor, mask: Tensor) -> None:
        """Adds the values under a mask."""
        total = ops.sum(masked.only(values, mask))
        self.total.assign_add(ops.cast(total, "float32"))
        self.count.assign_add(ops.cast(masked.count(mask), "float32"))

    def result(self) -> Tensor:
        """The mean, scalar float32."""
        return self.total / self.count


class _PooledLogMeanExp(_Pooled):
    """The log of the mean of `exp` of all values added; NaN before any."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        nothing = keras.initializers.Constant(float("-inf"))  # log 0
        self.log_total = self._add_state("log_total", nothing)
        self.count = self._add_state("count")

    def add(self, values: Tensor, mask: Tensor) -> None:
        """Adds the values under a mask."""
        batch = ops.cast(masked.logsumexp(values, mask), "float32")
        self.log_total.assign(ops.logaddexp(self.log_total, batch))
        self.count.assign_add(ops.cast(masked.count(mask), "float32"))

    def result(self) -> Tensor:
        """The log of the mean, scalar float32."""
        return self.log_total - ops.log(self.count)

    def reset_state(self) -> None:
        """Forgets all values."""
        self.log_total.assign(float("-inf"))
        self.count.assign(0.0)


def _same(x: Tensor) -> Tensor:
    return x


def _difference(joint: Tensor, marginal: Tensor, _: Tensor) -> Tensor:
    return joint - marginal


@dataclass(frozen=True)
class _ReadOut:
    """A bound as a mean of positives and a log mean exp of negatives."""

    joint: Callable[[Tensor], Tensor] = _same
    marginal: Callable[[Tensor], Tensor] = _same
    # Of the mean, the log mean exp and the number of negatives.
    value: Callable[[Tensor, Tensor, Tensor], Tensor] = _difference


def _read_out(bound: str, clip: float) -> _ReadOut:
    if bound == "smile":
        return _ReadOut(marginal=lambda f: ops.clip(f, -clip, clip))
    if bound == "nwj":
        return _ReadOut(value=lambda joint, m, _: joint - ops.exp(m - 1.0))
    if bound == "cpc_pooled":
        return _ReadOut(value=lambda joint, m, n: joint - m - ops.log(n))
    if bound == "jensen_shannon":
        return _ReadOut(
            joint=lambda f: -ops.softplus(-f),
            marginal=lambda f: ops.log(ops.softplus(f)),
            value=lambda joint, m, _: joint - ops.exp(m),
        )
    return _ReadOut()


@_serializable
class MutualInformation(_Pooled):
    """A bound over all pairs of the batches seen, in nats.

    Pooled, never a mean of the values of batches: the value is that of the
    bound on one large matrix in which the pairs across batches are ignored.
    For `mine`, one log mean exp over the negatives of all batches (a mean of
    Donsker-Varadhan values of small batches is biased upwards); for `cpc`, the
    mean over the anchors of all batches. NaN before the first negative.

    Args:
        bound: A name in `losses.LOSSES`, that of the loss trained on: a critic
            can only be read out by a bound of its own gauge.
        direction: Of `cpc`, one of `bounds.DIRECTIONS`; by default
            `image_to_text`.
        clip: Of `smile`, in nats; by default 5.
        name: Name of the metric.

    Raises:
        ValueError: If the bound or direction is unknown, or an argument of
            another bound is given.
    """

    def __init__(
        self,
        bound: str = "mine",
        direction: str | None = None,
        clip: float | None = None,
        name: str | None = "mutual_information",
    ) -> None:
        super().__init__(name=name)
        _check(bound, direction, clip)
        self.bound, self.direction, self.clip = bound, direction, clip
        self._read_out = _read_out(bound, 5.0 if clip is None else clip)
        self._axes = bounds.anchor_axes(direction or "image_to_text")
        self._anchors = [_PooledMean(f"anchors_{axis}") for axis in self._axes]
        self._joint = _PooledMean("joint")
        self._marginal = _PooledLogMeanExp("marginal")

    def update_state(
        self, pairs: Tensor, scores: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Adds a batch.

        Args:
            pairs: `(B, C)` labels, 1 matched, 0 negative, -1 ignored.
            scores: `(B, C)` float.
        """
        self._refuse_weights(sample_weight)
        scores = ops.cast(scores, "float32")
        masks = pair_labels.positives(pairs), pair_labels.negatives(pairs)
        if self.bound == "cpc":
            for mean, axis in zip(self._anchors, self._axes, strict=True):
                mean.add(*bounds.infonce_terms(scores, *masks, axis=axis))
            return
        self._joint.add(self._read_out.joint(scores), masks[0])
        self._marginal.add(self._read_out.marginal(scores), masks[1])

    def result(self) -> Tensor:
        """The bound over all pairs seen, scalar float32."""
        if self.bound == "cpc":
            means = [mean.result() for mean in self._anchors]
            return sum(means) / len(means)
        return self._read_out.value(
            self._joint.result(), self._marginal.result(), self._marginal.count
        )

    def reset_state(self) -> None:
        """Forgets all batches."""
        for metric in (*self._anchors, self._joint, self._marginal):
            metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config = {"direction": self.direction, "clip": self.clip}
        return {**super().get_config(), "bound": self.bound, **config}


@_serializable
class Ceiling(_Pooled):
    """The largest value that InfoNCE can have: the mean of `log |candidates|`.

    Args:
        direction: One of `bounds.DIRECTIONS`.
        name: Name of the metric.

    Raises:
        ValueError: If the direction is unknown.
    """

    def __init__(
        self, direction: str = "image_to_text", name: str | None = "ceiling"
    ) -> None:
        super().__init__(name=name)
        self.direction = direction
        self._axes = bounds.anchor_axes(direction)
        self._anchors = [_PooledMean(f"anchors_{axis}") for axis in self._axes]

    def update_state(
        self, pairs: Tensor, scores: Tensor = None, sample_weight: Tensor = None
    ) -> None:
        """Adds a batch of `(B, C)` labels, whatever the scores."""
        self._refuse_weights(sample_weight)
        masks = pair_labels.positives(pairs), pair_labels.negatives(pairs)
        for mean, axis in zip(self._anchors, self._axes, strict=True):
            mean.add(*bounds.ceiling_terms(*masks, axis=axis))

    def result(self) -> Tensor:
        """The mean over directions, as of the bound itself; float32."""
        means = [mean.result() for mean in self._anchors]
        return sum(means) / len(means)

    def reset_state(self) -> None:
        """Forgets all batches."""
        for mean in self._anchors:
            mean.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "direction": self.direction}


@_serializable
class AnchorsWithoutNegatives(_Pooled):
    """How many anchors InfoNCE had to leave out, over the batches seen.

    Above 0, whole batches or large parts of them are of one study.

    Args:
        direction: One of `bounds.DIRECTIONS`; `symmetric` counts both.
        name: Name of the metric.

    Raises:
        ValueError: If the direction is unknown.
    """

    def __init__(
        self,
        direction: str = "image_to_text",
        name: str | None = "anchors_without_negatives",
    ) -> None:
        super().__init__(name=name)
        bounds.anchor_axes(direction)
        self.direction = direction
        self.count = self._add_state("count")

    def update_state(
        self, pairs: Tensor, scores: Tensor = None, sample_weight: Tensor = None
    ) -> None:
        """Adds a batch of `(B, C)` labels, whatever the scores."""
        self._refuse_weights(sample_weight)
        masks = pair_labels.positives(pairs), pair_labels.negatives(pairs)
        left_out = bounds.anchors_without_negatives(*masks, self.direction)
        self.count.assign_add(ops.cast(left_out, "float32"))

    def result(self) -> Tensor:
        """The count, scalar float32."""
        return ops.convert_to_tensor(self.count)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "direction": self.direction}


@_serializable
class EffectiveNegatives(_PooledMean):
    """The mean over batches of `bounds.effective_negatives`: a count.

    Below about ten, a value of Donsker-Varadhan is not to be trusted.
    """

    def __init__(self, name: str | None = "effective_negatives") -> None:
        super().__init__(name=name)

    def update_state(
        self, pairs: Tensor, scores: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Adds a batch of `(B, C)` labels and scores, if it has a negative."""
        self._refuse_weights(sample_weight)
        negatives = pair_labels.negatives(pairs)
        value = bounds.effective_negatives(scores, negatives)
        self.add(value, ops.any(negatives))


@_serializable
class ScoreMean(_PooledMean):
    """The mean score of the positive or of the negative pairs.

    Args:
        pairs: `"positives"` or `"negatives"`.
        name: Name of the metric; by default `mean_score_positives` or
            `mean_score_negatives`.

    Raises:
        ValueError: If `pairs` is neither.
    """

    def __init__(
        self, pairs: str = "positives", name: str | None = None
    ) -> None:
        super().__init__(name=name or f"mean_score_{pairs}")
        if pairs not in ("positives", "negatives"):
            raise ValueError(
                "Expected `pairs` to be 'positives' or 'negatives'. "
                f"Received: pairs={pairs!r}"
            )
        self.pairs = pairs

    def update_state(
        self, pairs: Tensor, scores: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Adds a batch of `(B, C)` labels and scores."""
        self._refuse_weights(sample_weight)
        is_positive = self.pairs == "positives"
        select = pair_labels.positives if is_positive else pair_labels.negatives
        self.add(ops.cast(scores, "float32"), select(pairs))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "pairs": self.pairs}


@_serializable
class RegionEntropy(_PooledMean):
    """How spread the weights of the regions are, on the matched pairs.

    The mean entropy in nats: 0 if one region counts alone, `log N` if all of
    `N` count alike.
    """

    def __init__(self, name: str | None = "region_entropy") -> None:
        super().__init__(name=name)

    def update_state(self, pairs: Tensor, weights: Tensor) -> None:
        """Adds a batch.

        Args:
            pairs: `(B, C)` labels.
            weights: `(B, N, C)` of `regions.region_weights`.
        """
        weights = ops.cast(weights, "float32")
        logs = ops.log(ops.where(weights > 0, weights, 1.0))  # 0 log 0 = 0
        entropy = -ops.sum(weights * logs, axis=1)
        self.add(entropy, pair_labels.positives(pairs))


def _check(bound: str, direction: str | None, clip: float | None) -> None:
    if bound not in LOSSES:
        raise ValueError(
            f"Expected `bound` to be one of {tuple(LOSSES)}. "
            f"Received: bound={bound!r}"
        )
    for name, value, owner in (
        ("direction", direction, "cpc"),
        ("clip", clip, "smile"),
    ):
        if value is not None and bound != owner:
            raise ValueError(
                f"Expected `{name}` with the bound {owner!r} only. Received: "
                f"{name}={value!r}, bound={bound!r}. Leave `{name}` out."
            )
