"""BERT for training and held-out bounds: KerasHub's, with less work.

Tokens are kept without their padding (`packing`), the last layer is computed
for [CLS] alone where that is what is asked for, gradients are written out
(`lean_ops`), and dropout is drawn at 16 bits from one seed a step. Features
and gradients are those of KerasHub's network, but for the draws of dropout.

Tensors have as many rows as the batch has tokens, which XLA cannot compile:
inside `jit_compile=True` KerasHub's own layers are to be used (`fits`), and
outside of training, too, unless `held_out` says that nothing is exported.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator

import keras
import keras_hub
import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from kerasmi.models import lean_ops, packing
from kerasmi.types import Tensor

_ACTIVATIONS = {
    "gelu": lean_ops.gelu_exact,
    "gelu_approximate": lean_ops.gelu_tanh,
}
_is_held_out = contextvars.ContextVar("held_out", default=False)


@contextlib.contextmanager
def held_out() -> Iterator[None]:
    """Text encoders called within take this path outside of training, too.

    It is for `ImageTextModel.evaluate`: what is exported keeps to KerasHub's
    layers, which every format knows.
    """
    token = _is_held_out.set(True)
    try:
        yield
    finally:
        _is_held_out.reset(token)


def is_wanted(training: bool) -> bool:
    """Whether a text encoder is called in training, or within `held_out`."""
    return training or _is_held_out.get()


def fits(backbone: keras_hub.models.BertBackbone) -> bool:
    """Whether this path may compute a backbone here.

    Args:
        backbone: a BERT of KerasHub.

    Returns:
        False inside a function that XLA compiles, and for quantised weights.
    """
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        return False
    layers = backbone._flatten_layers()
    return all(layer.quantization_mode is None for layer in layers)


def first_tokens(
    backbone: keras_hub.models.BertBackbone,
    token_ids: Tensor,
    mask: Tensor,
    training: bool = True,
) -> Tensor:
    """The last layer's feature of [CLS].

    Args:
        backbone: a BERT of KerasHub.
        token_ids: `(n, L)` int.
        mask: `(n, L)` int or bool, 0 where padded; a text's first place is
            taken for a token in any case.
        training: whether dropout is applied.

    Returns:
        `(n, D)`: `backbone(...)["sequence_output"][:, 0]`.
    """
    layout = packing.packed(mask)
    return _network(backbone, token_ids, layout, training, only_first=True)


def means(
    backbone: keras_hub.models.BertBackbone,
    token_ids: Tensor,
    mask: Tensor,
    training: bool = True,
) -> Tensor:
    """The mean of the last layer's features over a text.

    Args:
        backbone: a BERT of KerasHub.
        token_ids: `(n, L)` int.
        mask: `(n, L)` int or bool, 0 where padded; a text's first place is
            taken for a token in any case.
        training: whether dropout is applied.

    Returns:
        `(n, D)`; under mixed precision a float32 mean, rounded once.
    """
    layout = packing.packed(mask)
    x = _network(backbone, token_ids, layout, training, only_first=False)
    x, texts = x[: layout.number], layout.texts[: layout.number]
    # in half precision hundreds of tokens would add up their roundings
    sums = lean_ops.wide(x.dtype)
    total = tf.math.segment_sum(tf.cast(x, sums), texts)
    count = tf.reduce_sum(tf.cast(layout.mask, sums), axis=1, keepdims=True)
    return tf.cast(total / count, x.dtype)


def _network(
    backbone: keras_hub.models.BertBackbone,
    token_ids: Tensor,
    layout: packing.Packing,
    training: bool,
    only_first: bool,
) -> Tensor:
    seeds = _seeds(backbone, training)
    x = _embedded(backbone, token_ids, layout, seeds)
    order = packing.heads(layout, backbone.num_heads)
    *layers, last = backbone.transformer_layers
    for layer in layers:
        x = _layer(layer, x, layout, order, seeds)
    return _layer(last, x, layout, order, seeds, only_first)


def _embedded(
    backbone: keras_hub.models.BertBackbone,
    token_ids: Tensor,
    layout: packing.Packing,
    seeds: Iterator[Tensor | None],
) -> Tensor:
    dtype = backbone.embeddings_layer_norm.compute_dtype
    places = tf.stack([layout.texts, layout.positions], axis=1)
    ids = tf.gather_nd(token_ids, places)
    x = tf.gather(_read(backbone.token_embedding.embeddings), ids)
    # a dense gradient: Keras's Adam takes a sparse one for something else
    positions = _read(backbone.position_embedding.position_embeddings)
    positions = positions[: tf.shape(layout.mask)[1]]
    segment = _read(backbone.segment_embedding.embeddings)[0]
    x = x + tf.gather(positions + segment, layout.positions)
    x = _normalised(backbone.embeddings_layer_norm, tf.cast(x, dtype))
    rate = backbone.embeddings_dropout.rate
    kept = lean_ops.dropout_mask(tf.shape(x), rate, next(seeds), x.dtype)
    return x if kept is None else x * kept


def _layer(
    layer: keras_hub.layers.TransformerEncoder,
    x: Tensor,
    layout: packing.Packing,
    order: packing.Heads,
    seeds: Iterator[Tensor | None],
    only_first: bool = False,
) -> Tensor:
    """One layer on `(T, D)`; its `(n, D)` of [CLS] if `only_first`."""
    attend = layer._self_attention_layer
    asking = tf.gather(x, layout.first) if only_first else x
    query = _dense(attend._query_dense, asking)
    query *= tf.constant(1.0 / math.sqrt(attend._key_dim), x.dtype)
    if only_first:
        query = tf.reshape(query, (-1, attend._num_heads, 1, attend._key_dim))
    else:
        query = packing.spread(query, order)
    key = packing.spread(_dense(attend._key_dense, x), order)
    value = packing.spread(_dense(attend._value_dense, x), order)
    shape = tf.concat([tf.shape(query)[:3], tf.shape(key)[2:3]], axis=0)
    rate = attend._dropout_layer.rate
    kept = lean_ops.dropout_mask(shape, rate, next(seeds), x.dtype)
    found = lean_ops.attention(query, key, value, layout.mask, kept)
    if only_first:
        found = tf.reshape(found, (-1, x.shape[-1]))
    else:
        found = packing.collect(found, order)
    found = _dense(attend._output_dense, found)
    rate = layer._self_attention_dropout.rate
    kept = lean_ops.dropout_mask(tf.shape(found), rate, next(seeds), x.dtype)
    x = _normalised(layer._self_attention_layer_norm, asking, found, kept)
    inner = layer._feedforward_intermediate_dense
    hidden = _activation(inner)(_dense(inner, x))
    hidden = _dense(layer._feedforward_output_dense, hidden)
    rate = layer._feedforward_dropout.rate
    kept = lean_ops.dropout_mask(tf.shape(hidden), rate, next(seeds), x.dtype)
    return _normalised(layer._feedforward_layer_norm, x, hidden, kept)


def _dense(layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Dense or EinsumDense on `(T, D)`, without its activation."""
    bias = tf.reshape(_read(layer.bias), (-1,))
    kernel = tf.reshape(_read(layer.kernel), (x.shape[-1], bias.shape[0]))
    product = tf.matmul(x, tf.cast(kernel, x.dtype))
    return tf.nn.bias_add(product, tf.cast(bias, x.dtype))


def _normalised(
    layer: keras.layers.LayerNormalization,
    x: Tensor,
    update: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    gamma, beta = _read(layer.gamma), _read(layer.beta)
    return lean_ops.add_norm(x, update, kept, gamma, beta, layer.epsilon)


def _activation(layer: keras.layers.Dense) -> Callable[[Tensor], Tensor]:
    name = getattr(layer.activation, "__name__", "")
    return _ACTIVATIONS.get(name, layer.activation)


def _read(variable: keras.Variable) -> Tensor:
    # `value` would round to half precision inside a model of mixed precision
    return tf.convert_to_tensor(getattr(variable, "_value", variable))


def _seeds(
    backbone: keras_hub.models.BertBackbone, training: bool
) -> Iterator[Tensor | None]:
    """A seed for each dropout of a step, all of one saved generator."""
    count = 1 + 3 * len(backbone.transformer_layers)
    if not training or backbone.dropout == 0.0:
        return iter([None] * count)
    seed = backbone.embeddings_dropout.seed_generator.next()
    seed = tf.cast(seed, tf.int64)
    splits = tf.random.split(seed, count)
    return iter(tf.unstack(splits))
