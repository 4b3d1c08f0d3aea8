"""The paper's pair of optimizers, packed as one Keras optimizer."""

import math
import numbers
import re
from typing import Any

import keras
from keras import ops

from kerasmi.fused_adam import FusedAdam, FusedAdamW
from kerasmi.types import Tensor

SCHEDULES = ("constant", "cosine", "linear")


@keras.saving.register_keras_serializable(package="kerasmi")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a constant, a cosine or a linear decay to zero.

    Args:
        peak: learning rate after the warm-up.
        warmup_steps: optimizer steps until the peak.
        total_steps: steps until zero; unused by `"constant"`.
        schedule: `"constant"`, `"cosine"` or `"linear"`.

    Raises:
        ValueError: no such schedule, a rate or warm-up below 0 or no number,
            or a decay that is over with the warm-up.
    """

    def __init__(
        self,
        peak: float,
        warmup_steps: int = 0,
        total_steps: int | None = None,
        schedule: str = "constant",
    ) -> None:
        super().__init__()
        for name, value in (("peak", peak), ("warmup_steps", warmup_steps)):
            if not isinstance(value, numbers.Real) or not value >= 0:
                raise ValueError(
                    f"`{name}`: expected a number of at least 0; the schedule "
                    f"is WarmUp's own. Received: {value!r}"
                )
        if schedule not in SCHEDULES:
            raise ValueError(
                f"`schedule`: expected one of {SCHEDULES}. "
                f"Received: {schedule!r}"
            )
        if schedule != "constant" and (total_steps or 0) <= warmup_steps:
            raise ValueError(
                f"`total_steps`: a {schedule} decay needs more steps than its "
                f"warm-up of {warmup_steps}. Received: {total_steps}"
            )
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.schedule = schedule

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate at `step`, the number of updates made so far."""
        step = ops.cast(step, "float32")
        # the first update already moves: (step + 1) / warmup
        warm = (step + 1.0) / max(self.warmup_steps, 1)
        return self.peak * ops.minimum(1.0, warm) * self._decay(step)

    def _decay(self, step: Tensor) -> Tensor | float:
        if self.schedule == "constant":
            return 1.0
        left = float((self.total_steps or 0) - self.warmup_steps)
        done = ops.clip((step - self.warmup_steps) / left, 0.0, 1.0)
        if self.schedule == "linear":
            return 1.0 - done
        return 0.5 * (1.0 + ops.cos(math.pi * done))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "schedule": self.schedule,
        }


@keras.saving.register_keras_serializable(package="kerasmi")
class BertAdamW(FusedAdamW):
    """AdamW that decays neither biases nor layer normalisation.

    Keras forgets `exclude_from_weight_decay` when an optimizer is saved; here
    it is part of the class.
    """

    def build(self, variables: list[Any]) -> None:
        """Excludes, then makes the slots."""
        if not self.built:
            self.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        super().build(variables)


def paper(
    model: keras.Model,
    learning_rate: float = 5e-4,
    text_learning_rate: float | None = None,
    weight_decay: float = 0.01,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    schedule: str = "constant",
) -> keras.optimizers.Optimizer:
    """AdamW for the text encoder, Adam for the rest, as one optimizer.

    Source: the paper, Implementation Details (AdamW for BERT, Adam for the
    other parts, initial learning rate 5e-4).

    Args:
        model: the `ImageTextModel` to train; its `text_encoder` is what
            AdamW gets, with what of it is frozen now and tuned later.
        learning_rate: of the image encoder and the critic.
        text_learning_rate: of the text encoder; default `learning_rate`.
        weight_decay: of the text encoder's kernels and embeddings, per step,
            times its learning rate.
        warmup_steps: of both, linear.
        total_steps: where `"cosine"` and `"linear"` reach zero.
        schedule: `"constant"`, `"cosine"` or `"linear"`, of both.

    Returns:
        A `keras.optimizers.MultiOptimizer`, saved and restored as any other.

    Raises:
        ValueError: a variable of another part bears the path of one of the
            text encoder, so that the two could not be told apart.
    """
    if text_learning_rate is None:
        text_learning_rate = learning_rate
    timing = (warmup_steps, total_steps, schedule)
    # names of their own: Keras would count up, and so rename the logged tags
    text = BertAdamW(
        WarmUp(text_learning_rate, *timing),
        weight_decay=weight_decay,
        name="bert_adam_w",
    )
    rest = FusedAdam(WarmUp(learning_rate, *timing), name="adam")
    pattern = _pattern(model)
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(rest, {pattern: text})
    )


def _pattern(model: keras.Model) -> str:
    """A pattern that the paths of the text encoder's variables match."""
    text = {v.path for v in model.text_encoder.weights}
    tops = sorted({path.split("/")[0] for path in text})
    pattern = "(?:" + "|".join(map(re.escape, tops)) + ")/.*"
    for variable in model.weights:
        path = variable.path
        if path not in text and re.fullmatch(pattern, path):
            raise ValueError(
                f"The variable {path!r} is not the text encoder's, but its "
                "path starts like one. Give its layer another name."
            )
    return pattern


def text_key(
    optimizer: keras.optimizers.Optimizer, model: keras.Model
) -> str | None:
    """The one key of a map that tells the text encoder from the rest.

    Args:
        optimizer: any Keras optimizer.
        model: the `ImageTextModel` that it trains.

    Returns:
        The key; None where the optimizer is none that `paper` makes, or not
        one for the whole text encoder and another for all else.
    """
    chosen = _map(optimizer)
    text = {id(v) for v in model.text_encoder.weights}
    if chosen is None or len(chosen) != 1 or not text:
        return None
    (key,) = chosen
    is_told = all(
        (chosen(variable) is chosen[key]) is (id(variable) in text)
        for variable in model.weights
    )
    return key if is_told else None


def renew_text_key(
    optimizer: keras.optimizers.Optimizer, model: keras.Model, key: str
) -> None:
    """Finds the text encoder again where its layers have other names now.

    Keras counts up the names of layers that are made without one, so that
    they are others in a copy, and in another process.

    Args:
        optimizer: not built yet; read from the config of one of `paper`.
        model: the `ImageTextModel` that it is to train.
        key: what `text_key` gave of the model that was saved.

    Raises:
        ValueError: as `paper`.
    """
    chosen = _map(optimizer)
    if chosen is not None and text_key(optimizer, model) is None:
        text = chosen[key]
        del chosen[key]
        chosen[_pattern(model)] = text


def _map(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.OptimizerMap | None:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    found = getattr(optimizer, "_optimizer_map", None)
    # `MultiOptimizer` takes a function instead
    return found if isinstance(found, keras.optimizers.OptimizerMap) else None


def learning_rates(optimizer: keras.optimizers.Optimizer) -> dict[str, float]:
    """Present learning rate of each part of an optimizer, by its name.

    Args:
        optimizer: any Keras optimizer, or a `MultiOptimizer` of several.

    Returns:
        One rate for each part, in the order of the parts.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    parts = getattr(optimizer, "optimizers", [optimizer])
    # a rate that several devices hold is no number until it is read
    return {
        part.name: float(ops.convert_to_numpy(part.learning_rate))
        for part in parts
    }
