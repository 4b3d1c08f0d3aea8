"""What `ImageTextModel` reports at each step beside its loss."""

from typing import Any

import keras
from keras import ops

from kerasmi import losses, metrics
from kerasmi.types import Tensor


class Diagnostics:
    """The metrics of a training or test step.

    - `mutual_information`: the bound, pooled over batches, in nats.
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
        self.loss = keras.metrics.Mean(name="loss")
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
        self, loss: Tensor, pairs: Tensor, scores: Tensor, weights: Tensor
    ) -> None:
        """Adds a batch.

        Args:
            loss: scalar.
            pairs: `(B, C)` labels.
            scores: `(B, C)`.
            weights: `(B, N, K)` of the regions of each image for its own
                texts.
        """
        # the weight depends on the data, so that a step on an exhausted
        # iterator cannot dilute the mean
        self.loss.update_state(loss, ops.shape(pairs)[0])
        for metric in self.of_scores:
            metric.update_state(pairs, scores)
        matched = ops.ones_like(weights[:, 0], dtype="int32")
        for metric in self.of_weights:
            metric.update_state(matched, weights)


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


class _BatchMean(keras.metrics.Mean):
    def __init__(self, objective: losses.BoundLoss, **kwargs: Any) -> None:
        super().__init__(name="mutual_information", dtype="float32", **kwargs)
        self.objective = objective

    def update_state(self, pairs: Tensor, scores: Tensor) -> None:
        bound = self.objective.bound(pairs, scores)
        super().update_state(bound, ops.shape(pairs)[0])
