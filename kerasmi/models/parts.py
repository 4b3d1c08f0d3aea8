"""What an `ImageTextModel` is made of: encoders and a critic that fit it."""

import math
from typing import Any

import keras

from kerasmi import regions
from kerasmi.critics import Critic

NEGATIVES = ("global", "replica")


def text_dim(text_encoder: keras.Model) -> int:
    """Length of a text's features, `D_text`."""
    if hasattr(text_encoder, "dim"):
        return int(text_encoder.dim)
    return int(text_encoder.output_shape[-1])


def check(image_encoder: Any, text_encoder: Any, critic: Any) -> None:
    """Refuses parts that the joint model cannot call.

    Raises:
        ValueError: the part is named, with what was expected.
    """
    shape = getattr(image_encoder, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise ValueError(
            "`image_encoder`: expected a kerasmi.ImageEncoder, or a model with "
            "an `output_shape` (images, regions, features); the whole image "
            f"is one region. Received: {type(image_encoder).__name__}"
            + (f" of output_shape {shape}" if shape else "")
        )
    shape = getattr(text_encoder, "output_shape", None)
    if not hasattr(text_encoder, "dim") and not isinstance(shape, tuple):
        raise ValueError(
            "`text_encoder`: expected a kerasmi.TextEncoder, or a model with "
            "an `output_shape` or the attribute `dim`, the length of a text's "
            f"features. Received: {type(text_encoder).__name__}"
        )
    if not isinstance(critic, Critic):
        raise ValueError(
            "`critic`: expected a kerasmi.critics.Critic, such as "
            f"ConcatCritic(). Received: {type(critic).__name__}"
        )


def check_rules(region: str, temperature: float, negatives: str) -> None:
    """Refuses rules of regions and negatives that there are not.

    Raises:
        ValueError: the argument is named, with what was expected.
    """
    if region not in regions.REGION_RULES:
        raise ValueError(
            f"`region`: expected one of {regions.REGION_RULES}. "
            f"Received: {region!r}"
        )
    if negatives not in NEGATIVES:
        raise ValueError(
            f"`negatives`: expected one of {NEGATIVES}. Received: {negatives!r}"
        )
    if not 0 < temperature < math.inf:
        raise ValueError(
            "`temperature`: expected a number above 0; near 0 the rule is "
            f"'max'. Received: {temperature}"
        )
