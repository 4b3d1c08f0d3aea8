"""Networks of the image encoder: three of our own, and KerasHub's ResNets."""

from typing import Any

import keras
import numpy as np

from kerasmi.models.residual import residual_network

# filters, strides and stem of each preset; the last stage is the upper level
PRESETS: dict[str, dict[str, Any]] = {
    # Section 4 of the paper: 4x4x512 local, 768 global, at 256 pixels.
    "resnet_paper": {
        "image_size": 256,
        "stem": (32, 3, 2),
        "filters": (32, 64, 128, 256, 512, 768),
        "strides": (2, 2, 2, 2, 2, 2),
        "blocks": 2,
        "pool": "mean",
    },
    # The same shape for 64 pixels: 4x4x96 local, 128 global.
    "resnet_phantom": {
        "image_size": 64,
        "stem": (24, 5, 4),
        "filters": (24, 32, 48, 64, 96, 128),
        "strides": (1, 2, 1, 2, 1, 2),
        "blocks": 1,
        "pool": "mean",
    },
    # The authors' released network: 8x8x128 local, 2x2x192 = 768 global.
    "resnet256_6_2_1": {
        "image_size": 256,
        "stem": (8, 3, 1),
        "filters": (8, 16, 32, 64, 128, 192),
        "strides": (2, 2, 2, 2, 2, 2),
        "blocks": 2,
        "pool": "grid",
    },
}


def built(
    settings: dict[str, Any], size: int
) -> tuple[keras.Model, keras.Model]:
    """The lower and the upper network, freshly initialised.

    Args:
        settings: of `PRESETS`.
        size: pixels of the square image.

    Raises:
        ValueError: a size that the strides do not divide.
    """
    shrink = settings["stem"][2]
    for stride in settings["strides"]:
        shrink *= stride
    if size < 1 or size % shrink:
        raise ValueError(
            f"`image_size`: expected a multiple of {shrink} pixels, the "
            f"product of the network's strides. Received: {size}"
        )
    filters, strides = settings["filters"], settings["strides"]
    lower = residual_network(
        (size, size, 1),
        filters[:-1],
        strides[:-1],
        settings["blocks"],
        settings["stem"],
        name="lower",
    )
    upper = residual_network(
        lower.output_shape[1:],
        filters[-1:],
        strides[-1:],
        settings["blocks"],
        name="upper",
    )
    return lower, upper


def of_hub(
    preset: str, image_size: int | None
) -> tuple[keras.Model, tuple[float, ...], tuple[float, ...]]:
    """A KerasHub preset, and the mean and deviation it was trained with.

    Both are of each channel, for images in [0, 1].

    Args:
        preset: of a ResNet.
        image_size: pixels of the square image; None: 256.
    """
    import keras_hub  # costs seconds; only KerasHub presets need it here

    shape = (image_size or 256, image_size or 256, 3)
    backbone = keras_hub.models.ResNetBackbone.from_preset(
        preset, image_shape=shape
    )
    converter = keras_hub.layers.ImageConverter.from_preset(preset)
    # KerasHub computes `scale * image + offset`, of images in [0, 255]
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    scale, offset = (
        255.0 * np.broadcast_to(scale, 3),
        np.broadcast_to(offset, 3),
    )
    mean, std = -offset / scale, 1.0 / scale
    return backbone, tuple(mean.tolist()), tuple(std.tolist())
