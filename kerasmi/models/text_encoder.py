"""The text encoder: BERT, one feature vector per sentence or report."""

import functools
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras
import keras_hub
from keras import ops

from kerasmi.models import (
    freezing,
    lean_bert,
    packing,
    pair_inputs,
    saving,
)
from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.first_token import first_token
from kerasmi.models.tokenizer import Tokenizer
from kerasmi.types import Tensor

POOLINGS = ("cls", "pooler", "mean")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@keras.saving.register_keras_serializable(package="kerasmi")
class TextEncoder(saving.SavedInParts, keras.Model):
    """Token ids to one feature vector per text.

    In training, and in `ImageTextModel.evaluate`, each distinct text of a batch
    is encoded once and padding is left out (`kerasmi.models.lean_bert`);
    features and gradients are the same, but texts that are alike share their
    dropout. Where XLA compiles the step, and for all else, KerasHub's own
    layers do the work.

    Args:
        backbone: a `keras_hub.models.BertBackbone`, whose GELU is the tanh
            approximation, or `ExactBertBackbone`. The constructor sets
            `trainable` of its pooler, by `pooling`; a second encoder of the
            same backbone changes the first, one of a `copy.deepcopy` does not.
        tokenizer: the `keras_hub.tokenizers.BertTokenizer` that goes with it,
            saved inside the `.keras` file; None if token ids come from
            elsewhere.
        pooling: `"cls"` is the last layer's feature of [CLS] (the paper);
            `"pooler"` is BERT's tanh pooler over it (the released code);
            `"mean"` averages the features of all tokens.
        name: name of the model.

    Call arguments:
        inputs: dict of `token_ids` `(..., L)` int and `padding_mask`
            `(..., L)` int or bool, 0 where padded; leading axes are kept, so
            `(B, K, L)` holds K texts per image. The first place of a text
            counts as a token whatever the mask says: one of padding alone is
            read as the token 0.

    Output shape:
        `(..., D_text)`.

    Raises:
        ValueError: if texts have more tokens than BERT has positions.
    """

    def __init__(
        self,
        backbone: keras.Model,
        tokenizer: Any = None,
        pooling: str = "cls",
        name: str = "text_encoder",
        **kwargs: Any,
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(
                f"`pooling`: expected one of {POOLINGS}. Received: {pooling!r}"
            )
        if not isinstance(backbone, keras_hub.models.BertBackbone):
            raise ValueError(
                "`backbone`: expected a keras_hub.models.BertBackbone, whose "
                "[CLS] and pooler are read. Received: "
                f"{type(backbone).__name__}"
            )
        super().__init__(name=name, **kwargs)
        # off the path, the pooler would be a weight without a gradient; on it,
        # it is frozen with its backbone
        is_pooler_tuned = pooling == "pooler" and backbone.trainable
        backbone.pooled_dense.trainable = is_pooler_tuned
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.built = True

    @property
    def trainable(self) -> bool:
        """Whether it is trained; the pooler only where it is read."""
        return bool(self._trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Model.trainable.fset(self, value)
        # Keras hands the value on to all parts, and sets it before they are
        if getattr(self, "pooling", "pooler") != "pooler":
            self.backbone.pooled_dense.trainable = False

    @functools.cached_property
    def word_pieces(self) -> Tokenizer:
        """The tokenizer as the data pipeline takes it, traced once."""
        return Tokenizer(self.tokenizer)

    @classmethod
    def from_preset(
        cls, preset: str, pooling: str | None = None
    ) -> "TextEncoder":
        """A KerasHub BERT preset, or a folder of weights.

        Args:
            preset: a name such as `"bert_base_en"`, or a folder or file that
                `kerasmi.checkpoints.bert.read` knows.
            pooling: see the class; None: as a `.keras` file was saved, and
                `"cls"` for all else.

        Returns:
            The encoder with its tokenizer; weights are trainable.

        Raises:
            CheckpointError: a folder or file that cannot be read.
        """
        if os.path.exists(preset):
            # here, since it makes text encoders itself
            from kerasmi.checkpoints import bert

            return bert.read(preset, pooling)
        return cls(
            keras_hub.models.BertBackbone.from_preset(preset),
            keras_hub.tokenizers.BertTokenizer.from_preset(preset),
            "cls" if pooling is None else pooling,
        )

    @classmethod
    def phantom(
        cls,
        vocabulary: list[str],
        pooling: str = "cls",
        num_layers: int = 2,
        hidden_dim: int = 64,
        num_heads: int = 2,
        dropout: float = 0.1,
    ) -> "TextEncoder":
        """The preset `bert_phantom`: a small BERT for a small vocabulary.

        KerasHub's initialiser (standard deviation 0.02) is made for 768
        dimensions; at 64 the [CLS] features of different sentences would
        barely differ and training would not start. Every kernel is scaled to
        four times that.

        Args:
            vocabulary: word pieces, from `build_vocabulary`.
            pooling: see the class.
            num_layers: transformer layers.
            hidden_dim: `D_text`.
            num_heads: attention heads.
            dropout: dropout rate of BERT.

        Returns:
            An encoder of at most 512 tokens, with fresh weights.
        """
        backbone = keras_hub.models.BertBackbone(
            vocabulary_size=len(vocabulary),
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            intermediate_dim=4 * hidden_dim,
            dropout=dropout,
            max_sequence_length=512,
            name="bert_phantom",
        )
        for weight in backbone.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(4.0 * weight)
        tokenizer = keras_hub.tokenizers.BertTokenizer(
            vocabulary=vocabulary, lowercase=True
        )
        return cls(backbone, tokenizer, pooling)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Features of the texts; see the class."""
        token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
        self._check_length(token_ids.shape[-1])
        leading = ops.shape(token_ids)[:-1]
        length = ops.shape(token_ids)[-1]
        # small unsigned integers, too, which no kernel looks up
        token_ids = ops.cast(ops.reshape(token_ids, (-1, length)), "int32")
        mask = ops.cast(ops.reshape(mask, (-1, length)), "int32")
        if lean_bert.is_wanted(training) and lean_bert.fits(self.backbone):
            features = self._lean_features(token_ids, mask, training)
        else:
            features = self._features(token_ids, mask, training)
        return ops.reshape(features, (*leading, self.dim))

    def _check_length(self, length: int | None) -> None:
        longest = self.backbone.max_sequence_length
        if length is not None and length > longest:
            raise ValueError(
                f"`token_ids`: expected at most {longest} tokens in a text, "
                "for which this BERT has positions. Received: texts of "
                f"{length}. Cut them, [CLS] and [SEP] included."
            )

    def _lean_features(
        self, token_ids: Tensor, mask: Tensor, training: bool
    ) -> Tensor:
        token_ids, mask, which = packing.distinct(token_ids, mask)
        is_mean = self.pooling == "mean"
        pooled = lean_bert.means if is_mean else lean_bert.first_tokens
        features = pooled(self.backbone, token_ids, mask, training)
        if self.pooling == "pooler":
            features = self.backbone.pooled_dense(features)
        return ops.take(features, which, axis=0)

    def _features(
        self, token_ids: Tensor, mask: Tensor, training: bool
    ) -> Tensor:
        # as `packing` has it: texts of padding alone have the same features
        token_ids = ops.where(mask > 0, token_ids, 0)
        first_place = ops.arange(ops.shape(mask)[1]) == 0
        mask = ops.maximum(mask, ops.cast(first_place, mask.dtype))
        if self.pooling == "mean":
            outputs = self.backbone(
                {
                    "token_ids": token_ids,
                    "segment_ids": ops.zeros_like(token_ids),
                    "padding_mask": mask,
                },
                training=training,
            )
            sequence = outputs["sequence_output"]
            dtype = sequence.dtype
            # half precision cannot count to 300
            sums = "float64" if dtype == "float64" else "float32"
            weights = ops.cast(mask, sums)[:, :, None]
            total = ops.sum(weights * ops.cast(sequence, sums), axis=1)
            return ops.cast(total / ops.sum(weights, axis=1), dtype)
        first = first_token(self.backbone, token_ids, mask, training)
        if self.pooling == "pooler":
            return self.backbone.pooled_dense(first)
        return first

    @property
    def gelu(self) -> str:
        """`"exact"` or `"tanh"`, the form of BERT's activation."""
        exact = isinstance(self.backbone, ExactBertBackbone)
        return "exact" if exact else "tanh"

    @property
    def dim(self) -> int:
        """`D_text`, the length of a text's feature vector."""
        return int(self.backbone.hidden_dim)

    def compute_output_shape(
        self, input_shape: dict[str, tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """`(..., L)` -> `(..., D_text)`."""
        return (*input_shape["token_ids"][:-1], self.dim)

    @property
    def _export_signature(self) -> Any:
        return [pair_inputs.text_specs(axes=2)]

    def quantize(
        self,
        mode: Any = None,
        config: Any = None,
        filters: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.quantize`, of the backbone: a tokenizer is left out.

        Features are approximate after it, and weights no longer trained.
        """
        self.backbone.quantize(mode, config=config, filters=filters, **kwargs)
        self.train_function = None
        self.test_function = None
        self.predict_function = None

    def get_config(self) -> dict[str, Any]:
        """Parts serialised, as KerasHub's composite models do."""
        config = {
            "name": self.name,
            **saving.serialized(self, ["backbone", "tokenizer"]),
            "pooling": self.pooling,
        }
        frozen = self._frozen()
        return config if frozen is None else {**config, "frozen": frozen}

    def _frozen(self) -> list[int] | None:
        """Frozen layers of the backbone, where its own config loses them."""
        if freezing.is_frozen(self.backbone):
            # it keeps that itself
            return None
        places = freezing.frozen(self.backbone)
        off_path = 0 if self.pooling == "pooler" else 1
        return places if len(places) > off_path else None

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "TextEncoder":
        """Rebuilds the parts, then the encoder."""
        config = saving.rebuilt(
            config, ["backbone", "tokenizer"], custom_objects
        )
        frozen = config.pop("frozen", None)
        encoder = cls(**config)
        if frozen is not None:
            freezing.freeze(encoder.backbone, frozen)
        return encoder


def build_vocabulary(texts: Iterable[str], size: int = 2000) -> list[str]:
    """A word-piece vocabulary of a small corpus: its words and characters.

    Args:
        texts: sentences or reports.
        size: the most words to keep, by frequency (ties by spelling).

    Returns:
        Special tokens, punctuation, words, then single characters and their
        continuations, so that an unknown word is spelled out.
    """
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_words(text))
    characters = sorted({letter for word in words for letter in word})
    kept = sorted(words, key=lambda word: (-words[word], word))[:size]
    pieces = [*SPECIAL_TOKENS, *kept, *characters]
    pieces += [f"##{letter}" for letter in characters]
    return list(dict.fromkeys(pieces))


def _words(text: str) -> list[str]:
    spaced = "".join(
        letter if letter.isalnum() or letter.isspace() else f" {letter} "
        for letter in text.lower()
    )
    return spaced.split()
