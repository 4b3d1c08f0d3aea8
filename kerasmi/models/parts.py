"""What an `ImageTextModel` is made of: encoders and a critic that fit it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasmi import regions
from kerasmi.critics import Critic
from kerasmi.types import Tensor

NEGATIVES = ("global", "replica")
PARTS = ("image_encoder", "text_encoder", "critic")

# of the largest score: what half precision and TF32 may change
_ROUNDING = 0.02


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
    if isinstance(shape, tuple) and len(shape) != 3:
        raise ValueError(
            "`text_encoder`: expected an output_shape (images, texts, "
            f"features). Received: {type(text_encoder).__name__} of "
            f"output_shape {shape}"
        )
    if not isinstance(critic, Critic):
        raise ValueError(
            "`critic`: expected a kerasmi.critics.Critic, such as "
            f"ConcatCritic(). Received: {type(critic).__name__}"
        )


def build_critic(
    critic: Critic, image_encoder: keras.Model, text_encoder: keras.Model
) -> None:
    """Builds a critic for two encoders, if it is not yet, and tries it.

    Scores of a large batch are made block by block, with gradients of
    `head_weights` alone: a critic that reads others would train in small
    batches, and fail in large ones. There the gradient is that of
    `row_scores`, where `region_scores` made the value.

    Raises:
        ValueError: the critic and the weight are named, or the method of it
            whose scores are not those of the others.
    """
    number, image_dim = image_encoder.output_shape[1:]
    words_dim = text_dim(text_encoder)
    if not critic.built:
        critic.build((None, number, image_dim), (None, words_dim))
    images, texts = _random(2, number or 2, image_dim), _random(3, words_dim)
    name = type(critic).__name__
    try:
        image, text = critic.project(images, texts, False)
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        # such as Keras's, of a critic that was built for other encoders
        raise ValueError(
            f"`critic`: {name} takes no features of {image_dim} for an image "
            f"and {words_dim} for a text: {error} Give it a new one, or "
            "encoders of the widths that it was built for."
        ) from error
    weights = [tf.convert_to_tensor(each) for each in critic.head_weights()]
    remedy = (
        "Make layers in `build`, return their weights from `head_weights`, "
        "and compute the scores with the `weights` that are given."
    )
    try:
        with tf.GradientTape() as tape:
            scores = critic.region_scores(image, text, weights)
            rows = critic.row_scores(image[:, :, None], text, weights)
    except ValueError as error:
        # such as Keras's, of a layer that is made after `build`
        raise ValueError(
            f"`critic`: {name} makes no scores: {error} {remedy}"
        ) from error
    read = [
        variable.name.split(":")[0] for variable in tape.watched_variables()
    ]
    if read:
        raise ValueError(
            f"`critic`: the scores of {name} read {read[0]!r}, which is none "
            f"of the weights that `row_scores` is given. {remedy}"
        )
    _check_alike(name, "row_scores", rows, scores)
    called = critic(images, texts, training=False)
    _check_alike(name, "call", called, scores)


def _random(*shape: int) -> Tensor:
    # zeros would hide most differences
    values = np.random.default_rng(0).standard_normal(shape)
    return tf.constant(values, tf.float32)


def _check_alike(name: str, method: str, found: Any, expected: Any) -> None:
    """Refuses scores that are not those of `region_scores`."""
    found, expected = np.asarray(found), np.asarray(expected)
    most = _ROUNDING * np.abs(expected).max()
    if found.shape == expected.shape:
        near = np.isclose(found, expected, rtol=0, atol=most, equal_nan=True)
        if near.all():
            return
    raise ValueError(
        f"`critic`: `{method}` and `region_scores` of {name} make other scores "
        "of the same features, so that it would be trained on one and read by "
        "the other. Override `row_scores`, from which `Critic` makes the "
        "others; where one of them is overridden too, change both alike."
    )


def check_rules(region: str, temperature: float, negatives: str) -> None:
    """Refuses rules of regions and negatives that there are not.

    Raises:
        TypeError: a temperature that is no number.
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
    regions.check_temperature(temperature)
