"""Small models and batches, the same on every call with the same seed."""

import keras
import numpy as np

from kerasmi.critics import ConcatCritic
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.residual import residual_network
from kerasmi.models.text_encoder import TextEncoder

WORDS = ["heart", "lung", "clear", "large", "left", "right", "no", "effusion"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


def image_encoder(level="local"):
    """16 pixels to 4x4 regions of 6; two stages below, one above."""
    lower = residual_network((16, 16, 1), (4, 6), (2, 2), 1, name="lower")
    upper = residual_network((4, 4, 6), (8,), (2,), 1, name="upper")
    return ImageEncoder(lower, upper, level)


def model(
    scope="local",
    region="max",
    temperature=1.0,
    seed=0,
    dropout=0.0,
    **critic,
):
    keras.utils.set_random_seed(seed)
    critic = {"hidden_dims": (8, 4), **critic}
    return ImageTextModel(
        image_encoder(scope),
        TextEncoder.phantom(
            VOCABULARY,
            num_layers=1,
            hidden_dim=8,
            num_heads=1,
            dropout=dropout,
        ),
        ConcatCritic(**critic),
        region=region,
        temperature=temperature,
    )


def batch(size=8, texts=1, length=6, seed=0, studies=None):
    rng = np.random.default_rng(seed)
    mask = np.arange(length) < rng.integers(3, length + 1, (size, texts, 1))
    tokens = rng.integers(5, len(VOCABULARY), (size, texts, length))
    if studies is None:
        studies = np.arange(size)
    return {
        "images": rng.random((size, 16, 16, 1), np.float32),
        "token_ids": np.where(mask, tokens, 0).astype("int32"),
        "padding_mask": mask.astype("int32"),
        "study_ids": np.asarray(studies, "int64"),
    }
