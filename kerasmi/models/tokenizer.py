"""What the data pipeline needs of a KerasHub BERT tokenizer."""

from typing import Any

import tensorflow as tf

from kerasmi.types import Tensor


class Tokenizer:
    """Strings to ragged word pieces, in a graph or eagerly.

    Args:
        tokenizer: a `keras_hub.tokenizers.BertTokenizer`.

    Attributes:
        cls_id: id of [CLS].
        sep_id: id of [SEP].
        pad_id: id of [PAD].
        vocabulary_size: number of word pieces.
    """

    def __init__(self, tokenizer: Any) -> None:
        # a graph, since KerasHub hands out Python lists when run eagerly
        strings = tf.TensorSpec((None,), tf.string)
        # not rewritten by AutoGraph, whose code TensorFlow keeps for ever
        self._pieces = tf.function(
            tokenizer, input_signature=[strings], autograph=False
        )
        self.cls_id = int(tokenizer.cls_token_id)
        self.sep_id = int(tokenizer.sep_token_id)
        self.pad_id = int(tokenizer.pad_token_id)
        self.vocabulary_size = int(tokenizer.vocabulary_size())

    def __call__(self, texts: Tensor) -> Tensor:
        """`(n,)` strings -> `(n, None)` ragged int32 word pieces."""
        return self._pieces(texts)
