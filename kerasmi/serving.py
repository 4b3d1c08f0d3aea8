"""What an exported model serves: inputs and an output by name, in float32."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.text_encoder import TextEncoder

FEATURES, PROBABILITIES = "features", "probabilities"

Serve = Callable[..., dict[str, Any]]


def endpoint(model: keras.Model) -> tuple[Serve, list[tf.TensorSpec]]:
    """The function that is served, and its inputs by name.

    The output is float32 whatever the model computes in: NumPy's files, and
    so most readers, know no bfloat16.
    """
    if isinstance(model, TextEncoder):

        def encode(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
            inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
            features = model(inputs, training=False)
            return {FEATURES: tf.cast(features, tf.float32)}

        return encode, [
            tf.TensorSpec((None, None), "int32", name)
            for name in ("token_ids", "padding_mask")
        ]
    output = FEATURES
    if isinstance(model, ImageClassifier):
        output = PROBABILITIES

    def serve(images: Any) -> dict[str, Any]:
        found = model(images, training=False)
        return {output: tf.cast(found, tf.float32)}

    shape = (None, *model.input_shape[1:])
    return serve, [tf.TensorSpec(shape, "float32", "images")]


def outputs(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the model serves for inputs, compiled as in a SavedModel.

    TensorFlow rounds in other places where it does not compile; a deep
    network in half precision makes of that more than any tolerance allows.
    """
    serve, signature = endpoint(model)
    compiled = tf.function(serve, input_signature=signature, autograph=False)
    (found,) = compiled(**inputs).values()
    return np.asarray(found)
