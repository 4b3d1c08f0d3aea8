"""What a model is compiled with: refused where Keras would not say it first."""

import numbers
from typing import Any

import keras

from kerasmi import distribute
from kerasmi.models import loss_scale

# of an optimizer, where Keras fails under a strategy or, for the last two,
# clips each replica's share of the gradient, before the sum
_BROKEN_UNDER_STRATEGY = (
    "gradient_accumulation_steps",
    "ema_overwrite_frequency",
    "clipnorm",
    "global_clipnorm",
)


def check_optimizer(optimizer: Any) -> None:
    """Refuses to compile without an optimizer, which Keras would not miss yet.

    Raises:
        ValueError: there is none.
    """
    if optimizer is None:
        raise ValueError(
            "`optimizer`: expected one of Keras, such as 'adam', or "
            "kerasmi.optimizers.paper(model). Received: None. Leave it out "
            "where nothing is trained; `predict` needs no `compile`."
        )


def check_accumulate(parts: Any) -> None:
    """Refuses a number of parts of a batch that is none.

    Raises:
        ValueError: it is no integer of at least 1.
    """
    if not isinstance(parts, numbers.Integral) or parts < 1:
        raise ValueError(
            "Expected `accumulate` to be an integer of at least 1. "
            f"Received: accumulate={parts}"
        )


def check_unshared(critic: Any, encoders: list[Any], parts: int) -> None:
    """Refuses parts of a batch where the critic shares a weight.

    Its gradient would be that of the critic's scores alone.

    Raises:
        ValueError: parts, and a trainable weight of the critic that is one of
            an encoder too; it is named.
    """
    own = {id(weight) for part in encoders for weight in part.weights}
    shared = [
        weight.path
        for weight in critic.trainable_variables
        if id(weight) in own
    ]
    if parts > 1 and shared:
        raise ValueError(
            "`accumulate`: expected 1 where critic and encoder share a weight, "
            f"here {shared[0]!r}. Received: accumulate={parts}. Give the "
            "critic a layer of its own, or train on whole batches."
        )


def paths(variables: list[Any]) -> tuple[str, ...]:
    """What variables are called, of a copy of their model too."""
    return tuple(variable.path for variable in variables)


def check_variables(variables: list[Any], compiled: tuple[str, ...]) -> None:
    """Refuses to train other weights than a model was compiled for, or none.

    Args:
        variables: trainable by now.
        compiled: `paths` of those that were when the optimizer was built.

    Raises:
        ValueError: there is none, or one was frozen or tuned since.
    """
    if not variables:
        raise ValueError(
            "Every layer is frozen: there is nothing to train. Set "
            "`trainable = True` of the part that should learn, and "
            "compile again."
        )
    if (found := paths(variables)) != tuple(compiled):
        changed = sorted(set(found) ^ set(compiled))
        raise ValueError(
            "`trainable` was changed after `compile`, as of "
            f"{', '.join(changed[:1])!r}: the optimizer was made for "
            f"{len(compiled)} weights, and {len(found)} are trainable. Compile "
            "again, with a new optimizer."
        )


def check_added_losses(model: keras.Model) -> None:
    """Refuses losses that layers add, which a step on the bound would drop.

    Those of a frozen part move no weight, and are let be.

    Args:
        model: a joint model whose parts were called for this step.

    Raises:
        ValueError: there is one; its weight or layer is named.
    """
    found: list[str] = []
    for part in model._flatten_layers(include_self=False, recursive=False):
        tuned = [weight for weight in part.weights if weight.trainable]
        found += [w.path for w in tuned if w.regularizer is not None]
        if tuned:
            layers = part._flatten_layers()
            found += [each.path for each in layers if each._get_own_losses()]
    if found:
        more = f" and {len(found) - 1:,} more" if found[1:] else ""
        raise ValueError(
            f"{found[0]}{more}: a regularizer or `add_loss`, which `fit` "
            "would leave out: its loss is the bound alone. Make the layer "
            "without it; weights are decayed by the optimizer, as by "
            "`weight_decay` of keras.optimizers.AdamW."
        )


def optimizer_for(
    model: keras.Model, optimizer: Any, one_device: dict[str, bool]
) -> Any:
    """The optimizer of a joint model: with a scale of the loss for float16.

    Args:
        model: what it trains.
        optimizer: what `compile` was given.
        one_device: whether each option of `compile` that one device alone can
            do is asked for, by its name in the message.

    Raises:
        ValueError: no optimizer, or what several devices cannot do.
    """
    check_optimizer(optimizer)
    is_float16 = loss_scale.is_float16(model)
    if distribute.num_replicas() > 1:
        asked = {**one_device, "mixed_float16": is_float16}
        _check_under_strategy(optimizer, asked)
    elif is_float16:
        return loss_scale.scaled(optimizer, "loss_scale")
    return optimizer


def _check_under_strategy(optimizer: Any, asked: dict[str, bool]) -> None:
    named = [name for name, is_asked in asked.items() if is_asked]
    parts = _with_inner(optimizer)
    named += [
        name
        for name in _BROKEN_UNDER_STRATEGY
        if any(getattr(part, name, None) for part in parts)
    ]
    named += ["LossScaleOptimizer"] * any(map(loss_scale.is_scaled, parts))
    if named:
        raise ValueError(
            f"{', '.join(named)}: not possible on several devices, where "
            "Keras fails or computes something else. Leave it out, or train "
            "on one device."
        )


def _with_inner(optimizer: Any) -> list[Any]:
    """An optimizer and all that it is made of."""
    inner = list(getattr(optimizer, "optimizers", ()))
    if hasattr(optimizer, "inner_optimizer"):
        inner.append(optimizer.inner_optimizer)
    return [optimizer, *(each for part in inner for each in _with_inner(part))]
