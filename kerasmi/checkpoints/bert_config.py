"""What the configuration of a BERT says: sizes, dropout and GELU."""

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_hub

from kerasmi.checkpoints import sources, vocabulary
from kerasmi.errors import CheckpointError
from kerasmi.models.exact_bert import ExactBertBackbone

# the same functions under the names that configurations use
_GELUS = {
    "gelu": "exact",
    "gelu_python": "exact",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_pytorch_tanh": "tanh",
}
_LARGEST = 1_000_000
_HIDDEN = "hidden_dropout_prob"
_ATTENTION = "attention_probs_dropout_prob"
_CONFIGS = ("config.json", "bert_config.json")
_SIZES = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
}


@dataclass(frozen=True)
class Config:
    """What a configuration file says.

    Attributes:
        path: the file.
        sizes: arguments of the backbone.
        gelu: `"exact"` or `"tanh"`.
        gelu_reason: who says so.
        warning: on what it says that a backbone cannot have; may be empty.
    """

    path: Path
    sizes: dict[str, Any]
    gelu: str
    gelu_reason: str
    warning: str = ""

    @classmethod
    def read(cls, source: sources.Source, gelu: str | None) -> "Config":
        """The configuration beside the weights.

        Args:
            source: where the weights lie.
            gelu: `"exact"`, `"tanh"`, or None: as the source computed it.

        Raises:
            CheckpointError: no configuration, or one of another architecture.
        """
        path = _config_file(source)
        config = vocabulary.read_json(path)
        _refuse_other_architectures(path, config)
        reason = "as asked for"
        if gelu is None:
            gelu, reason = _gelu(path, config, source.form)
        sizes: dict[str, Any] = {
            ours: config.get(theirs) for theirs, ours in _SIZES.items()
        }
        for theirs, ours in _SIZES.items():
            # a bound, so that no loop over layers goes on without end
            if type(sizes[ours]) is not int or not 0 < sizes[ours] <= _LARGEST:
                raise CheckpointError(
                    f"{path}: {theirs}: expected a whole number from 1 to"
                    f" {_LARGEST}. Received: {reprlib.repr(sizes[ours])}"
                )
        if sizes["hidden_dim"] % sizes["num_heads"]:
            raise CheckpointError(
                f"{path}: hidden_size {sizes['hidden_dim']} cannot be shared"
                f" by {sizes['num_heads']} heads"
            )
        dropout = _dropout(path, config, _HIDDEN)
        attention = _dropout(path, config, _ATTENTION)
        warning = ""
        if attention != dropout:
            warning = (
                f"{path}: {_HIDDEN} is {dropout} and {_ATTENTION}"
                f" {attention}; KerasHub's BERT has one rate: {dropout} is"
                " used for both in training"
            )
        sizes["dropout"] = dropout
        return cls(path, sizes, gelu, reason, warning)

    def backbone(self) -> keras.Model:
        """A new BERT of these sizes."""
        if self.gelu == "exact":
            return ExactBertBackbone(**self.sizes)
        return keras_hub.models.BertBackbone(**self.sizes)


def _config_file(source: sources.Source) -> Path:
    names = _CONFIGS
    if source.form == sources.TENSORFLOW1:
        names = _CONFIGS[::-1]
    for name in names:
        if (source.folder / name).is_file():
            return source.folder / name
    raise CheckpointError(
        f"{source.folder}: no configuration: expected {' or '.join(names)}"
    )


def _refuse_other_architectures(path: Path, config: dict[str, Any]) -> None:
    # absent, as in files of 2019, each means what BERT always was
    wanted = {
        "model_type": "bert",
        "position_embedding_type": "absolute",
        "layer_norm_eps": 1e-12,
        "is_decoder": False,
    }
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise CheckpointError(
                f"{path}: {key}: expected {value!r}, the BERT of Devlin et al."
                f" Received: {config[key]!r}"
            )


def _dropout(path: Path, config: dict[str, Any], key: str) -> float:
    # where a file leaves it out, Hugging Face and TensorFlow 1 use 0.1
    rate: Any = config.get(key, 0.1)
    if type(rate) not in (int, float) or not 0 <= rate < 1:
        raise CheckpointError(
            f"{path}: {key}: expected a number from 0 to below 1. Received:"
            f" {reprlib.repr(rate)}"
        )
    return float(rate)


def _gelu(path: Path, config: dict[str, Any], form: str) -> tuple[str, str]:
    name = config.get("hidden_act", "gelu")
    if name not in _GELUS:
        raise CheckpointError(
            f"{path}: hidden_act: expected one of {', '.join(_GELUS)}."
            f" Received: {name!r}"
        )
    if form == sources.TENSORFLOW1:
        return "tanh", "as the TensorFlow 1 code computes it"
    return _GELUS[name], f"{path.name}: hidden_act is {name}"


def check_vocabulary(
    source: sources.Source, config: Config, pieces: list[str]
) -> None:
    """Raises `CheckpointError` for more word pieces than embeddings."""
    rows = config.sizes["vocabulary_size"]
    # some pad the embeddings to a round number of rows; ids stay below
    if len(pieces) > rows:
        raise CheckpointError(
            f"{source.folder}: a vocabulary of {len(pieces)} word pieces does"
            f" not belong to {config.path.name} with {rows}"
        )
