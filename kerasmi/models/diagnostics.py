"""What `ImageTextModel` reports at each step beside its loss."""

from typing import Any

import keras
from keras import ops

from kerasmi import distribute, losses, metrics
from kerasmi.types import Tensor


class Diagnostics:
    """The metrics of a training or test step.

    - `mutual_information`: the bound, pooled over batches, in nats; of the
      region rule `matched`, which is none, that of `max`.
    - `ceiling`: the mean `log |C|`, the most InfoNCE can read, in nats.
    - `anchors_without_negatives`: left out by InfoNCE (`cpc` only), a count.
    - `effective_negatives`: effective sample size of `exp(score)` over the
      negatives of a batch.
    - `mean_score_positives`, `mean_score_negatives`: of the critic.
    - `region_entropy`: of the region weights of matched pairs, in nats; from
      0 (one region) to `log N`.

    Args:
        objective: the loss that is trained.
    """

    def __init__(self, objective: losses.BoundLoss) -> None:
        direction = getattr(objective, "direction", "image_to_text")
        self._objective = objective
        self.loss = _Mean(name="loss")
        self.of_scores = [
            bound_metric(objective),
            metrics.Ceiling(direction),
            metrics.EffectiveNegatives(),
            metrics.ScoreMean("positives"),
            metrics.ScoreMean("negatives"),
        ]
        if isinstance(objective, losses.CPC):
            self.of_scores.append(metrics.AnchorsWithoutNegatives(direction))
        self.of_weights = [metrics.RegionEntropy()]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All of them, the loss first."""
        return [self.loss, *self.of_scores, *self.of_weights]

    def update(
        self,
        loss: Tensor,
        pairs: Tensor,
        scores: Tensor,
        weights: Tensor,
        held_out: bool = False,
    ) -> None:
        """Adds a batch.

        Args:
            loss: scalar.
            pairs: `(B, C)` labels.
            scores: `(B, C)`, of a rule that a bound may be read by.
            weights: `(B, N, K)` of the regions of each image for its own
                texts.
            held_out: whether a batch whose bound is not defined, as without
                a negative, is left out of the mean loss; training refuses it.
        """
        # the weight depends on the data, so that a step on an exhausted
        # iterator cannot dilute the mean
        images = ops.shape(pairs)[0]
        if held_out:
            loss, images = _if_defined(self._objective, loss, pairs)
        self.loss.update_state(loss, images)
        for metric in self.of_scores:
            metric.update_state(pairs, scores)
        # of each image's own texts, 1 or, where ignored, -1
        matched = ops.reshape(ops.max(pairs, axis=0), ops.shape(weights[:, 0]))
        for metric in self.of_weights:
            metric.update_state(matched, weights)


def logs(metrics: list[keras.metrics.Metric]) -> dict[str, Tensor]:
    """Results by name, as a step returns them."""
    return distribute.rank_one({m.name: m.result() for m in metrics})


def bound_metric(objective: losses.BoundLoss) -> keras.metrics.Metric:
    """The pooled metric of a loss; for a user's own, the mean over batches."""
    names = {kind: name for name, kind in losses.LOSSES.items()}
    name = names.get(type(objective))
    if name is None:
        return _BatchMean(objective)
    settings = {
        key: getattr(objective, key)
        for key in ("direction", "clip")
        if hasattr(objective, key)
    }
    return metrics.MutualInformation(name, **settings)


def _if_defined(
    objective: losses.BoundLoss, value: Tensor, pairs: Tensor
) -> tuple[Tensor, Tensor]:
    """The value of a batch and its weight: none where it is not defined."""
    is_there, images = objective.is_defined(pairs), ops.shape(pairs)[0]
    return ops.where(is_there, value, 0.0), ops.where(is_there, images, 0)


class _Mean(keras.metrics.Mean):
    """NaN where there was no batch to take the mean of, not 0."""

    def result(self) -> Tensor:
        return self.total / self.count


class _BatchMean(_Mean):
    def __init__(self, objective: losses.BoundLoss, **kwargs: Any) -> None:
        super().__init__(name="mutual_information", dtype="float32", **kwargs)
        self.objective = objective

    def update_state(self, pairs: Tensor, scores: Tensor) -> None:
        bound = self.objective.bound(pairs, scores)
        super().update_state(*_if_defined(self.objective, bound, pairs))
