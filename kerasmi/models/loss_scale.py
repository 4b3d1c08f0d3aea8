"""The scale of the loss that training in float16 needs."""

from typing import Any

import keras


def is_float16(model: keras.Model) -> bool:
    """Whether a layer computes in float16, whatever the global policy is.

    A file keeps the policy of each layer, not that of the session.
    """
    layers = model._flatten_layers()
    return any(layer.compute_dtype == "float16" for layer in layers)


def scaled(optimizer: Any, name: str) -> keras.optimizers.Optimizer:
    """One scale for all of a step, or small gradients would be zero.

    Args:
        optimizer: what `compile` was given; one with a scale is kept.
        name: of the optimizer around it.
    """
    optimizer = keras.optimizers.get(optimizer)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name=name)


def is_scaled(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the optimizer scales the loss, and skips what overflows."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
