"""BERT from the files of others: Hugging Face, PyTorch, TensorFlow 1."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np

from kerasmi.checkpoints import bert_tensors, sources, vocabulary
from kerasmi.checkpoints.bert_config import Config, check_vocabulary
from kerasmi.checkpoints.bert_tensors import POOLER
from kerasmi.errors import CheckpointError
from kerasmi.models import loading
from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.text_encoder import TextEncoder

GELUS = ("exact", "tanh")


def read(
    path: str | Path,
    pooling: str | None = None,
    lower_case: bool | None = None,
    gelu: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> TextEncoder:
    """A text encoder with its tokenizer from a folder of weights.

    Args:
        path: one of
            a Hugging Face folder (`config.json`, `vocab.txt` and
            `model.safetensors` or `pytorch_model.bin`);
            a folder of the original TensorFlow 1 code (`bert_config.json`,
            `vocab.txt`, `model.ckpt-*`);
            one file of weights in such a folder, where it holds several;
            a KerasHub preset folder, as `kerasmi encoder convert` writes it;
            a `.keras` file of a `TextEncoder`.
        pooling: see `TextEncoder`; None: as a `.keras` file was saved, and
            `"cls"` for the others, which keep none.
        lower_case: whether text is lower-cased; None: as the files say.
        gelu: `"exact"` or `"tanh"`; None: as the source computed it, which is
            exact for `gelu` of Hugging Face and tanh in TensorFlow 1.
        tell: called with lines on what was found: casing, GELU, a saved
            pooling, a dropout that it cannot have, what was ignored.

    Raises:
        CheckpointError: no such checkpoint, a damaged or foreign one, or
            tensors that are missing, unexpected or of a wrong shape: all are
            named.
        ValueError: an unknown `pooling` or `gelu`.
    """
    if gelu is not None and gelu not in GELUS:
        raise ValueError(f"`gelu`: expected one of {GELUS}. Received: {gelu!r}")
    path = Path(path)
    if path.suffix == ".keras" or (path / "tokenizer.json").is_file():
        config = vocabulary.read_json(path / "config.json")
        if path.suffix == ".keras" or "registered_name" in config:
            return _from_keras(path, pooling, lower_case, gelu, tell)
    pooling = "cls" if pooling is None else pooling
    return _convert(path, pooling, lower_case, gelu, tell)


def _convert(
    path: Path,
    pooling: str,
    lower_case: bool | None,
    gelu: str | None,
    tell: Callable[[str], None],
) -> TextEncoder:
    source = sources.find(path)
    tell(f"weights: {source.form}, {source.weights}")
    config = Config.read(source, gelu)
    pieces = vocabulary.pieces(source.folder)
    check_vocabulary(source, config, pieces)
    casing = vocabulary.casing(source.folder, pieces, lower_case)
    tell(f"casing: {casing}")
    if casing.warning:
        tell(f"warning: {casing.warning}")
    tell(f"GELU: {config.gelu} ({config.gelu_reason})")
    if config.warning:
        tell(f"warning: {config.warning}")
    tensors, ignored = bert_tensors.own(sources.tensors(source), source)
    has_pooler = bert_tensors.check(source, config, tensors)
    if pooling == "pooler" and not has_pooler:
        raise CheckpointError(
            f"{source.weights}: it has no {POOLER[0]}; use pooling cls or mean"
        )
    if ignored:
        tell(f"not of the encoder, ignored: {bert_tensors.listed(ignored)}")
    if not has_pooler:
        tell("no pooler: set to zero, of no use with pooling cls and mean")
    backbone = config.backbone()
    for variable, name, turned in bert_tensors.variables(backbone):
        if name in POOLER and not has_pooler:
            variable.assign(np.zeros(variable.shape))
            continue
        value = tensors[name].astype("float32")
        value = value.T if turned else value
        variable.assign(value.reshape(variable.shape))
    tokenizer = keras_hub.tokenizers.BertTokenizer(
        vocabulary=pieces,
        lowercase=casing.lower_case,
        strip_accents=vocabulary.strips_accents(
            source.folder, casing.lower_case
        ),
    )
    return TextEncoder(backbone, tokenizer, pooling)


# === KerasHub's and our own files ===


def _from_keras(
    path: Path,
    pooling: str | None,
    lower_case: bool | None,
    gelu: str | None,
    tell: Callable[[str], None],
) -> TextEncoder:
    backbone, tokenizer, saved = _loaded(path)
    kind = "exact" if isinstance(backbone, ExactBertBackbone) else "tanh"
    if gelu not in (None, kind):
        raise CheckpointError(
            f"{path}: its GELU is {kind}; convert the original files anew for"
            " the other"
        )
    used = next(p for p in (pooling, saved, "cls") if p is not None)
    if used == "pooler" and not np.any(backbone.pooled_dense.kernel):
        raise CheckpointError(
            f"{path}: it has no pooler; use pooling cls or mean"
        )
    reason = "as it was saved"
    if lower_case not in (None, tokenizer.lowercase):
        reason = "as asked for"
        tokenizer = keras_hub.tokenizers.BertTokenizer(
            vocabulary=tokenizer.get_vocabulary(),
            lowercase=lower_case,
            strip_accents=lower_case,
        )
    tell(f"weights: KerasHub, {path}")
    tell(f"casing: {vocabulary.Casing(tokenizer.lowercase, reason)}")
    tell(f"GELU: {kind} (as it was saved)")
    if saved is not None:
        kept = "as it was saved"
        if used != saved:
            kept = f"as the recipe or --pooling says; saved with {saved}"
        tell(f"pooling: {used} ({kept})")
    return TextEncoder(backbone, tokenizer, used)


def _loaded(path: Path) -> tuple[keras.Model, Any, str | None]:
    """Backbone, tokenizer, and the pooling where one was saved."""
    pooling = None
    try:
        if path.suffix == ".keras":
            model = loading.load(path)
            backbone = getattr(model, "backbone", None)
            tokenizer = getattr(model, "tokenizer", None)
            if isinstance(model, TextEncoder):
                pooling = model.pooling
        else:
            preset = str(path)
            backbone = keras_hub.models.BertBackbone.from_preset(preset)
            tokenizer = keras_hub.tokenizers.BertTokenizer.from_preset(preset)
    except (
        ValueError,
        OSError,
        TypeError,
        KeyError,
        json.JSONDecodeError,
    ) as e:
        raise CheckpointError(
            f"{path}: not a text encoder that KerasHub reads:"
            f" {str(e).splitlines()[0]}; get it again, or convert its source"
        ) from None
    if tokenizer is None or not isinstance(
        backbone, keras_hub.models.BertBackbone
    ):
        raise CheckpointError(f"{path}: no BERT with a tokenizer")
    return backbone, tokenizer, pooling
