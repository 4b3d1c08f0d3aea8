"""A joint model of dense layers: quick to run without a graph, or to trace."""

import keras

from kerasmi.critics import ConcatCritic
from kerasmi.models.image_text_model import ImageTextModel

TEXTS = 2


def dense_model(region="max", negatives="global"):
    """For the batches of `small_models.batch(size, TEXTS)`."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    images = keras.Input((16, 16, 1))
    regions = layers.Reshape((16, 1))(layers.AveragePooling2D(4)(images))
    tokens = keras.Input((TEXTS, 6), dtype="int32", name="token_ids")
    mask = keras.Input((TEXTS, 6), dtype="int32", name="padding_mask")
    words = layers.Embedding(13, 3)(tokens)
    weighted = words * keras.ops.cast(mask, "float32")[..., None]
    texts = keras.Model(
        {"token_ids": tokens, "padding_mask": mask},
        layers.Dense(3)(keras.ops.sum(weighted, axis=2)),
    )
    texts.dim = 3
    encoder = keras.Model(images, layers.Dense(3)(regions))
    critic = ConcatCritic((4, 3))
    return ImageTextModel(
        encoder, texts, critic, region=region, negatives=negatives
    )
