"""What an `ImageTextModel` is made of: encoders and a critic that fit it."""

from typing import Any

import keras

from kerasmi.critics import Critic


def text_dim(text_encoder: keras.Model) -> int:
    """Length of a text's features, `D_text`."""
    if hasattr(text_encoder, "dim"):
        return int(text_encoder.dim)
    return int(text_encoder.output_shape[-1])


def check_optimizer(optimizer: Any) -> None:
    """Refuses to compile without an optimizer, which Keras would not miss yet.

    Raises:
        ValueError: there is none.
    """
    if optimizer is None:
        raise ValueError(
            "`optimizer`: expected one of Keras, such as 'adam', or "
            "kerasmi.optimizers.paper(model). Received: None. Leave it out "
            "where nothing is trained; `predict` needs no `compile`."
        )


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
