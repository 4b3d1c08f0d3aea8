"""Keras losses: minus a bound, from pair labels and critic scores."""

import abc
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerasmi import bounds, masked
from kerasmi import pairs as pair_labels
from kerasmi.types import Tensor

_serializable = keras.saving.register_keras_serializable(package="kerasmi")


class BoundLoss(keras.losses.Loss, abc.ABC):
    """Minus a bound of the whole batch: one scalar, not one per image.

    Called with `(pairs, scores)`, both `(B, C)`: the labels of
    `pairs.label_pairs` and the scores of every image and text. As Keras scales
    per-example losses alone, the scalar is never divided by the number of
    replicas; `ImageTextModel` does what that needs.
    """

    def __init__(self, name: str | None = None) -> None:
        # float32 whatever the precision policy: a bound is a difference of
        # large numbers.
        super().__init__(name=name, reduction=None, dtype="float32")

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> Tensor:
        """The loss of a batch; refuses sample weights, as no pair has one."""
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} takes no `sample_weight`: a bound is "
                "of the whole batch. Label the pairs to leave out -1 instead."
            )
        return super().__call__(y_true, y_pred)

    @abc.abstractmethod
    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The value to report.

        Args:
            pairs: `(B, C)` labels, 1 matched, 0 negative, -1 ignored.
            scores: `(B, C)` float.

        Returns:
            Scalar float32, in nats; NaN for a batch without negatives.
        """

    def is_defined(self, pairs: Tensor) -> Tensor:
        """Whether a batch has the pairs that the bound is a mean over.

        Args:
            pairs: `(B, C)` labels, 1 matched, 0 negative, -1 ignored.

        Returns:
            Scalar bool. Training refuses a batch where it is not, and what is
            held out leaves it out.
        """
        positives, negatives = _masks(pairs)
        return ops.logical_and(ops.any(positives), ops.any(negatives))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Minus the bound, scalar float32."""
        return -self.bound(y_true, y_pred)

    def update(self, pairs: Tensor, scores: Tensor) -> None:
        """Once per training step: moves what the loss keeps between batches.

        Only `MINE` keeps anything.
        """
        del pairs, scores

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name}


@_serializable
class MINE(BoundLoss):
    """Minus the Donsker-Varadhan bound (Eq. 3) with the gradient of MINE.

    The value is that of `bounds.donsker_varadhan`; the gradient divides by a
    moving average of the partition. Computing the loss does not move the
    average, so that validation leaves it alone: a training step calls
    `update` once, after its gradient. The average is saved with the model.
    `ImageTextModel` does so. In a model of your own, call `update` once a
    step, or the average stays empty and the gradient is that of Eq. 3 itself,
    as with `momentum=0`.

    Args:
        momentum: Weight of the past in the moving average, in `[0, 1)`.
        name: Name of the loss.

    Raises:
        ValueError: If the momentum is outside `[0, 1)`.
    """

    def __init__(
        self, momentum: float = 0.99, name: str | None = "mine"
    ) -> None:
        super().__init__(name=name)
        if not 0 <= momentum < 1:
            raise ValueError(
                "Expected `momentum` to be at least 0 and below 1. "
                f"Received: momentum={momentum}"
            )
        self.momentum = momentum
        # Every replica sees the scores of the whole batch, so all agree.
        self.log_average = keras.Variable(
            float("-inf"),
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="log_average",
        )

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """Eq. 3, in nats: see `BoundLoss.bound`."""
        return bounds.donsker_varadhan(scores, *_masks(pairs))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Minus Eq. 3, whose gradient is that of MINE's surrogate."""
        value, surrogate, _ = self._mine(y_true, y_pred)
        return -masked.with_gradient_of(value, surrogate)

    def update(self, pairs: Tensor, scores: Tensor) -> None:
        """Moves the average by one training batch.

        Scores that are not finite leave it as it was: a scaled loss skips
        their step, and the next step needs an average.

        Args:
            pairs: `(B, C)` labels, of the whole batch on every replica.
            scores: `(B, C)` float.
        """
        _, _, moved = self._mine(pairs, scores)
        before = ops.convert_to_tensor(self.log_average)
        # before the first batch it is -inf itself
        self.log_average.assign(ops.where(ops.isfinite(moved), moved, before))

    def save_own_variables(self, store: Any) -> None:
        """Saves the moving average into the file of the model that owns it."""
        store["log_average"] = ops.convert_to_numpy(self.log_average)

    def load_own_variables(self, store: Any) -> None:
        """Restores the moving average; the next batch begins one without it.

        Weights may come of a model that was trained on another bound.
        """
        there = "log_average" in store
        self.log_average.assign(
            store["log_average"] if there else float("-inf")
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "momentum": self.momentum}

    def _mine(self, pairs: Tensor, scores: Tensor) -> tuple[Tensor, ...]:
        log_average = ops.convert_to_tensor(self.log_average)
        return bounds.mine(
            scores, *_masks(pairs), log_average, momentum=self.momentum
        )


@_serializable
class CPC(BoundLoss):
    """Minus InfoNCE (Eq. 4 in nats: with the log of the candidates added).

    Args:
        direction: What the softmax runs over: `image_to_text` (Eq. 4: texts),
            `text_to_image` (images), or `symmetric`, the mean of both.
        name: Name of the loss.

    Raises:
        ValueError: If the direction is unknown.
    """

    def __init__(
        self, direction: str = "image_to_text", name: str | None = "cpc"
    ) -> None:
        super().__init__(name=name)
        bounds.anchor_axes(direction)
        self.direction = direction

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """InfoNCE, in nats: see `BoundLoss.bound`."""
        return _INFONCE[self.direction](scores, *_masks(pairs))

    def is_defined(self, pairs: Tensor) -> Tensor:
        """Whether each direction has an anchor with a negative."""
        found = [
            ops.any(bounds.ceiling_terms(*_masks(pairs), axis)[1])
            for axis in bounds.anchor_axes(self.direction)
        ]
        return ops.all(ops.stack(found))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "direction": self.direction}


@_serializable
class NWJ(BoundLoss):
    """Minus the bound of Nguyen, Wainwright and Jordan: `bounds.nwj`."""

    def __init__(self, name: str | None = "nwj") -> None:
        super().__init__(name=name)

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The NWJ bound, in nats: see `BoundLoss.bound`."""
        return bounds.nwj(scores, *_masks(pairs))


@_serializable
class JensenShannon(BoundLoss):
    """Minus the Jensen-Shannon objective: `bounds.jensen_shannon`, not nats."""

    def __init__(self, name: str | None = "jensen_shannon") -> None:
        super().__init__(name=name)

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The Jensen-Shannon objective, at most `2 JSD - log 4`."""
        return bounds.jensen_shannon(scores, *_masks(pairs))


@_serializable
class SMILE(BoundLoss):
    """Minus SMILE: a clipped Eq. 3 with the gradient of Jensen-Shannon.

    Args:
        clip: Scores of negatives are clipped to `[-clip, clip]`, in nats.
        name: Name of the loss.

    Raises:
        ValueError: If `clip` is not above 0.
    """

    def __init__(self, clip: float = 5.0, name: str | None = "smile") -> None:
        super().__init__(name=name)
        # NaN is not above 0 either
        if not clip > 0:
            raise ValueError(
                f"Expected `clip` to be positive. Received: clip={clip}"
            )
        self.clip = clip

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The SMILE estimate, in nats; not a lower bound."""
        return bounds.smile(scores, *_masks(pairs), clip=self.clip)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "clip": self.clip}


@_serializable
class CPCPooled(BoundLoss):
    """Minus the authors' released InfoNCE: `bounds.infonce_pooled`."""

    def __init__(self, name: str | None = "cpc_pooled") -> None:
        super().__init__(name=name)

    def bound(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The released form, Eq. 3 minus the log of the negatives' number."""
        return bounds.infonce_pooled(scores, *_masks(pairs))


LOSSES: dict[str, type[BoundLoss]] = {
    "mine": MINE,
    "cpc": CPC,
    "nwj": NWJ,
    "jensen_shannon": JensenShannon,
    "smile": SMILE,
    "cpc_pooled": CPCPooled,
}

_INFONCE: dict[str, Callable[..., Tensor]] = {
    "image_to_text": bounds.infonce,
    "text_to_image": bounds.infonce_text_to_image,
    "symmetric": bounds.infonce_symmetric,
}


def get(identifier: Any) -> BoundLoss:
    """A loss from its name, its class or its serialised form, or itself.

    Args:
        identifier: A name in `LOSSES` or a class, for default arguments; what
            `keras.saving.serialize_keras_object` makes of a `BoundLoss`; or
            one.

    Returns:
        The loss.

    Raises:
        ValueError: If it is none of these.
    """
    loss = identifier
    if isinstance(loss, dict):
        loss = keras.saving.deserialize_keras_object(loss)
    elif isinstance(loss, str):
        loss = LOSSES.get(loss)
    if isinstance(loss, type) and issubclass(loss, BoundLoss):
        loss = loss()
    if not isinstance(loss, BoundLoss):
        raise ValueError(
            f"Expected a BoundLoss or one of {tuple(LOSSES)}. "
            f"Received: {identifier!r}"
        )
    return loss


def _masks(pairs: Tensor) -> tuple[Tensor, Tensor]:
    return pair_labels.positives(pairs), pair_labels.negatives(pairs)
