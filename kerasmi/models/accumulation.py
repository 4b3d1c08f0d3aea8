"""The gradient of a large batch in the memory of a part of it.

A bound is of all pairs of a batch, so gradients of parts do not add up to that
of the whole. Features do not need a gradient to be scored: they are made part
by part and kept, the gradient of the bound on all of them is taken, and then
each part is encoded again to carry its share of it into the encoder's weights
(Gao et al., 2021, "Scaling deep contrastive learning batch size").
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kerasmi.types import Tensor

Inputs = dict[str, Tensor]
Encode = Callable[[Inputs], Sequence[Tensor]]


def differentiated(
    encode: Encode,
    bound: Callable[..., tuple[Tensor, Any]],
    inputs: Inputs,
    parts: int,
    shapes: Sequence[tuple[int, ...]],
    state: Sequence[Any],
    variables: Sequence[Any],
    own: Sequence[Any],
) -> tuple[Any, list[Tensor | None]]:
    """What a bound gives of a whole batch, and the gradient of its share.

    Args:
        encode: from the inputs of a part to float32 features.
        bound: from the features of the whole batch to the scalar that is
            differentiated, and anything else.
        inputs: of the whole batch, of `B` images.
        parts: number of parts, a divisor of `B`.
        shapes: of each of the features, without the first axis.
        state: variables that encoding moves, see `features_in_parts`.
        variables: all trainable weights.
        own: those that `bound` reads; `encode` reads the others.

    Returns:
        What else `bound` gives, and a gradient for each of `variables`; None
        for one of `own` that the share does not depend on.
    """
    features = features_in_parts(encode, inputs, parts, shapes, state)
    with tf.GradientTape() as tape:
        tape.watch(features)
        share, found = bound(*features)
    *upstream, of_own = tape.gradient(share, [*features, own])
    names = {id(variable) for variable in own}
    others = [each for each in variables if id(each) not in names]
    of_others = gradients_in_parts(encode, inputs, parts, upstream, others)
    gradients = {
        id(variable): gradient
        for variable, gradient in zip(
            [*own, *others], [*of_own, *of_others], strict=True
        )
    }
    return found, [gradients[id(variable)] for variable in variables]


def features_in_parts(
    encode: Encode,
    inputs: Inputs,
    parts: int,
    shapes: Sequence[tuple[int, ...]],
    state: Sequence[Any],
) -> list[Tensor]:
    """Features of a batch, encoded part by part without a gradient.

    Args:
        encode: from the inputs of a part to float32 features.
        inputs: of the whole batch, of `B` images.
        parts: number of parts, a divisor of `B`.
        shapes: of each of the features, without the first axis.
        state: variables that encoding moves (statistics of batches, seeds of
            dropout). They are put back, so that encoding again draws the same
            dropout and moves each statistic once.

    Returns:
        Features of the whole batch, `(B, *shape)` each.
    """
    split = _split(inputs, parts)
    before = [tf.identity(variable) for variable in state]

    def body(k: Tensor, *arrays: Any) -> tuple[Any, ...]:
        features = encode(_part(split, k))
        pairs = zip(arrays, features, strict=True)
        return k + 1, *(array.write(k, each) for array, each in pairs)

    arrays = [
        tf.TensorArray(tf.float32, parts, element_shape=(None, *shape))
        for shape in shapes
    ]
    _, *arrays = _loop(parts, body, arrays)
    for variable, value in zip(state, before, strict=True):
        variable.assign(value)
    return [array.concat() for array in arrays]


def gradients_in_parts(
    encode: Encode,
    inputs: Inputs,
    parts: int,
    upstream: Sequence[Tensor],
    variables: Sequence[Any],
) -> list[Tensor]:
    """Gradients of the encoders' weights from those of their features.

    Args:
        encode: as in `features_in_parts`.
        inputs: of the whole batch.
        parts: number of parts.
        upstream: gradient of each of the features, of its shape.
        variables: trainable weights of the encoders.

    Returns:
        A dense gradient for each of the variables.
    """
    split = _split(inputs, parts)
    shares = [_rows_in_parts(each, parts) for each in upstream]

    def body(k: Tensor, *sums: Tensor) -> tuple[Tensor, ...]:
        with tf.GradientTape() as tape:
            features = encode(_part(split, k))
        gradients = tape.gradient(
            features,
            variables,
            output_gradients=[share[k] for share in shares],
        )
        return k + 1, *(
            total if part is None else _sum(total, part)
            for total, part in zip(sums, gradients, strict=True)
        )

    zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
    _, *sums = _loop(parts, body, zeros)
    return sums


def _loop(
    turns: int, body: Callable[..., Any], state: list[Any]
) -> tuple[Any, ...]:
    result: tuple[Any, ...] = tf.while_loop(
        lambda k, *_: k < turns,
        body,
        [tf.constant(0), *state],
        parallel_iterations=1,  # or the parts would be in memory together
    )
    return result


def _split(inputs: Inputs, parts: int) -> Inputs:
    return {name: _rows_in_parts(x, parts) for name, x in inputs.items()}


def _rows_in_parts(x: Tensor, parts: int) -> Tensor:
    x = tf.convert_to_tensor(x)
    if x.shape[0] and x.shape[0] % parts:
        raise ValueError(
            "`accumulate`: expected a divisor of the images in a batch. "
            f"Received: accumulate={parts} and a batch of {x.shape[0]}"
        )
    check = tf.debugging.assert_equal(
        tf.shape(x)[0] % parts,
        0,
        message=f"`accumulate`: {parts} parts do not divide the images of "
        "this batch, such as a last one; drop the remainder.",
    )
    with tf.control_dependencies([] if check is None else [check]):
        x = tf.identity(x)
    size = x.shape[0] // parts if x.shape[0] else tf.shape(x)[0] // parts
    inner = [
        tf.shape(x)[axis] if known is None else known
        for axis, known in enumerate(x.shape)
    ][1:]
    return tf.reshape(x, (parts, size, *inner))


def _part(split: Inputs, k: Tensor) -> Inputs:
    return {name: x[k] for name, x in split.items()}


def _sum(total: Tensor, part: Tensor | tf.IndexedSlices) -> Tensor:
    """Their sum; what is known of its shape is that of `total`."""
    # adds up the rows of an embedding
    found = total + tf.convert_to_tensor(part)
    # a layer may make a gradient of a shape that its trace does not know
    found.set_shape(total.shape)
    return found
