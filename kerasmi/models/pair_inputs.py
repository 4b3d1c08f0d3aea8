"""What `ImageTextModel` is called with: named where it does not fit."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kerasmi.types import Tensor

TEXTS = ("token_ids", "padding_mask")
FEATURES = ("images", *TEXTS)


def unpacked(data: Any) -> dict[str, Tensor]:
    """The dict of a batch; targets have no say, weights are refused.

    Raises:
        ValueError: see `check` and `refuse_weights`.
    """
    inputs, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    refuse_weights({"sample_weight": sample_weight})
    check(inputs, study_ids=True)
    return inputs


def text_specs(axes: int) -> dict[str, keras.InputSpec]:
    """What a network of texts takes: int32 of any size, by name."""
    shape = (None,) * axes
    return {
        name: keras.InputSpec(dtype="int32", shape=shape, name=name)
        for name in TEXTS
    }


def specs(image_shape: tuple[int, ...]) -> dict[str, keras.InputSpec]:
    """What the joint model takes to score: images `(H, W, C)` and texts."""
    shape = (None, *image_shape)
    images = keras.InputSpec(dtype="float32", shape=shape, name="images")
    return {"images": images, **text_specs(axes=3)}


def is_text(inputs: dict[str, Tensor]) -> Tensor:
    """Which texts are more than padding, `(B, K)` int32 in {0, 1}."""
    mask = ops.cast(inputs["padding_mask"], "bool")
    return ops.cast(ops.any(mask, axis=-1), "int32")


def refuse_weights(given: Mapping[str, Any]) -> None:
    """Refuses weights of classes and samples, by their names in Keras.

    Raises:
        ValueError: there is one.
    """
    for name in ("class_weight", "sample_weight"):
        if given.get(name) is not None:
            raise ValueError(
                f"`{name}`: a bound is of the whole batch, so that no image "
                "has a weight. Leave it out; images that should not count "
                "are left out of the data."
            )


def check(inputs: Any, study_ids: bool = False) -> None:
    """Refuses inputs that do not fit each other, as far as shapes are known.

    Args:
        inputs: see `ImageTextModel`.
        study_ids: whether they are needed, as in training.

    Raises:
        ValueError: the input is named, with what was expected.
    """
    names = (*FEATURES, "study_ids") if study_ids else FEATURES
    if not isinstance(inputs, Mapping):
        raise ValueError(
            f"Expected inputs in a dict: {', '.join(names)}. Received: "
            f"{type(inputs).__name__}"
        )
    missing = [name for name in names if name not in inputs]
    if missing:
        raise ValueError(
            f"`{missing[0]}`: expected among the inputs. Received: "
            f"{', '.join(inputs)}"
        )
    if study_ids:
        check_ids(inputs["study_ids"])
    check_images(inputs["images"])
    _check_texts(inputs["token_ids"], inputs["padding_mask"])
    sizes = {name: inputs[name].shape[0] for name in names}
    if len(set(sizes.values()) - {None}) > 1:
        raise ValueError(
            "Expected inputs of the same number of images. Received: "
            + ", ".join(f"{name} of {size}" for name, size in sizes.items())
        )


def check_ids(study_ids: Any) -> None:
    """Refuses study ids that are no integers.

    Raises:
        ValueError: what they are, and how to number them.
    """
    dtype = getattr(study_ids, "dtype", type(study_ids).__name__)
    name = getattr(dtype, "name", None) or str(dtype)
    if "int" not in name or not hasattr(study_ids, "dtype"):
        raise ValueError(
            "`study_ids`: expected an array of integers, one for each image; "
            f"float32 cannot tell neighbouring ids apart. Received: {name}. "
            "Names are numbered by np.unique(ids, return_inverse=True)[1]."
        )


def check_images(images: Any) -> None:
    """Refuses images of integers, which are not in [0, 1].

    Raises:
        ValueError: the dtype, and what to do.
    """
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "int" in dtype:
        raise ValueError(
            f"`images`: expected floats in [0, 1]. Received: {dtype}. Divide "
            "by the largest value that a pixel can have, 255 of uint8."
        )


def unknown_where_unknown(images: Tensor, features: Tensor) -> Tensor:
    """The features, NaN for an image of which a number is NaN.

    On a CPU a ReLU makes 0 of NaN, and so features like any other.

    Args:
        images: `(B, ...)`, such as pixels or features of regions.
        features: `(B, ...)`, such as features or scores.
    """
    axes = tuple(range(1, len(images.shape)))
    is_unknown = ops.any(ops.isnan(images), axis=axes)
    shape = (-1, *(1 for _ in features.shape[1:]))
    nan = ops.cast(float("nan"), features.dtype)
    return ops.where(ops.reshape(is_unknown, shape), nan, features)


def _check_texts(token_ids: Any, padding_mask: Any) -> None:
    dtype = keras.backend.standardize_dtype(token_ids.dtype)
    if len(token_ids.shape) != 3 or "int" not in dtype:
        raise ValueError(
            "`token_ids`: expected integers (images, texts, tokens); one text "
            "for each image is an axis of length 1. Received: shape "
            f"{tuple(token_ids.shape)}, dtype {dtype}"
        )
    if 0 in token_ids.shape[1:]:
        raise ValueError(
            "`token_ids`: expected a text for each image, and a token of each."
            f" Received: shape {tuple(token_ids.shape)}. Leave images without "
            "a report out of the data, as kerasmi.data.pairs does."
        )
    one, other = tuple(token_ids.shape), tuple(padding_mask.shape)
    known = zip(one, other, strict=False)
    if len(one) != len(other) or any(
        a != b for a, b in known if None not in (a, b)
    ):
        raise ValueError(
            "`padding_mask`: expected the shape of `token_ids`, "
            f"{one}. Received: {other}"
        )
