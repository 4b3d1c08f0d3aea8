"""The tensors of a BERT: their names, their shapes, and where they belong."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerasmi.checkpoints.bert_config import Config
from kerasmi.checkpoints.sources import Source
from kerasmi.errors import CheckpointError

# computed from the architecture, not learned
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
POOLER = ("pooler.dense.weight", "pooler.dense.bias")


def own(
    tensors: dict[str, np.ndarray], source: Source
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The encoder's tensors without their prefix, and the names of others."""
    last = "embeddings.word_embeddings.weight"
    prefixes = [n.removesuffix(last) for n in tensors if n.endswith(last)]
    if len(prefixes) != 1:
        raise CheckpointError(
            f"{source.weights}: expected one tensor {last}, of BERT."
            f" Received: {listed(sorted(tensors))}"
        )
    (prefix,) = prefixes
    own, others = {}, []
    for name, value in tensors.items():
        short = name.removeprefix(prefix)
        inside = short.startswith(("embeddings.", "encoder.", "pooler."))
        if name.startswith(prefix) and inside and short not in _BUFFERS:
            own[short] = value
        elif short not in _BUFFERS:
            others.append(name)
    return own, sorted(others)


def check(
    source: Source, config: Config, tensors: dict[str, np.ndarray]
) -> bool:
    """Raises unless all tensors fit; tells whether there is a pooler."""
    wanted = dict(_shapes(config.sizes))
    has_pooler = any(name in tensors for name in POOLER)
    if not has_pooler:
        for name in POOLER:
            del wanted[name]
    missing = [name for name in wanted if name not in tensors]
    # a file keeps its tensors in an order of its own
    unexpected = sorted(name for name in tensors if name not in wanted)
    wrong = [
        f"{name} {tensors[name].shape} instead of {shape}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    broken = [
        name
        for name in wanted
        if name in tensors and not _is_finite(tensors[name])
    ]
    found = {
        "missing": missing,
        "unexpected": unexpected,
        "of a wrong shape": wrong,
        "not finite numbers": broken,
    }
    told = [
        f"{what}: {listed(names)}" for what, names in found.items() if names
    ]
    if told:
        raise CheckpointError(
            f"{source.weights}: tensors {'; '.join(told)} (by"
            f" {config.path.name})"
        )
    return has_pooler


def _is_finite(value: np.ndarray) -> bool:
    return value.dtype.kind == "f" and bool(np.isfinite(value).all())


def listed(names: list[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    text = ", ".join(names[:most])
    return text if rest <= 0 else f"{text} and {rest} more"


def _shapes(sizes: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors, as PyTorch has them."""
    dim, inner = sizes["hidden_dim"], sizes["intermediate_dim"]
    for name, rows in (
        ("word", sizes["vocabulary_size"]),
        ("position", sizes["max_sequence_length"]),
        ("token_type", sizes["num_segments"]),
    ):
        yield f"embeddings.{name}_embeddings.weight", (rows, dim)
    yield from _norm("embeddings", dim)
    for layer in range(sizes["num_layers"]):
        prefix = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _dense(f"{prefix}.attention.{part}", dim, dim)
        yield from _norm(f"{prefix}.attention.output", dim)
        yield from _dense(f"{prefix}.intermediate.dense", inner, dim)
        yield from _dense(f"{prefix}.output.dense", dim, inner)
        yield from _norm(f"{prefix}.output", dim)
    yield from _dense("pooler.dense", dim, dim)


def _dense(name: str, units: int, inputs: int) -> Iterator[Any]:
    yield f"{name}.weight", (units, inputs)
    yield f"{name}.bias", (units,)


def _norm(name: str, dim: int) -> Iterator[Any]:
    yield f"{name}.LayerNorm.weight", (dim,)
    yield f"{name}.LayerNorm.bias", (dim,)


def variables(
    backbone: keras.Model,
) -> Iterator[tuple[keras.Variable, str, bool]]:
    """Each variable, its name at Hugging Face, and whether it is transposed."""
    embeddings = (
        (backbone.token_embedding.embeddings, "word"),
        (backbone.position_embedding.position_embeddings, "position"),
        (backbone.segment_embedding.embeddings, "token_type"),
    )
    for variable, name in embeddings:
        yield variable, f"embeddings.{name}_embeddings.weight", False
    yield from _layer(backbone.embeddings_layer_norm, "embeddings.LayerNorm")
    for index, layer in enumerate(backbone.transformer_layers):
        prefix = f"encoder.layer.{index}"
        attention = layer._self_attention_layer
        parts = {
            "attention.self.query": attention.query_dense,
            "attention.self.key": attention.key_dense,
            "attention.self.value": attention.value_dense,
            "attention.output.dense": attention.output_dense,
            "attention.output.LayerNorm": layer._self_attention_layer_norm,
            "intermediate.dense": layer._feedforward_intermediate_dense,
            "output.dense": layer._feedforward_output_dense,
            "output.LayerNorm": layer._feedforward_layer_norm,
        }
        for name, part in parts.items():
            yield from _layer(part, f"{prefix}.{name}")
    yield from _layer(backbone.pooled_dense, "pooler.dense")


def _layer(
    layer: keras.layers.Layer, name: str
) -> Iterator[tuple[keras.Variable, str, bool]]:
    if isinstance(layer, keras.layers.LayerNormalization):
        yield layer.gamma, f"{name}.weight", False
        yield layer.beta, f"{name}.bias", False
    else:
        yield layer.kernel, f"{name}.weight", True
        yield layer.bias, f"{name}.bias", False
