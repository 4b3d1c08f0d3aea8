"""The image encoder: local and global features of one network."""

import os
from typing import Any

import keras
from keras import ops

from kerasmi.models import (
    freezing,
    image_networks,
    image_preset,
    pair_inputs,
    saving,
)
from kerasmi.models.cloning import NotCloned
from kerasmi.models.image_networks import PRESETS
from kerasmi.models.residual import residual_network
from kerasmi.types import Tensor

LEVELS = ("local", "global")

# mean and standard deviation of ImageNet's channels, for values in [0, 1]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="kerasmi")
class ImageEncoder(NotCloned, saving.SavedInParts, keras.Model):
    """Images to one feature vector per region, at one of two levels.

    `lower` maps an image to its local features, a grid of regions; `upper`
    maps those to the global feature. Both are always held, so that an encoder
    pre-trained at either level can be re-trained, and so that "the same lower
    level feature extractor" (the paper, Experimental Design) is `lower`.

    Args:
        lower: model from `(B, H, W, C)` to `(B, h, w, D_local)`.
        upper: model from `(B, h, w, D_local)` to `(B, u, v, D)`.
        level: `"local"` gives `N = h * w` regions of `D_local`; `"global"`
            gives one region, the whole image. At the local level `upper` is
            off the path and frozen, at the global one tuned: the constructor
            sets `trainable` of the `upper` it is given. For a second encoder
            that leaves the first as it is, copy it by `with_level`.
        pool: how the global feature is made: `"mean"` over the grid (`D`), or
            `"grid"`, 2x2 average pooling and flattening (as released).
        name: name of the model.

    Call arguments:
        images: `(B, H, W, C)` float in [0, 1].

    Output shape:
        `(B, N, D_image)`.
    """

    def __init__(
        self,
        lower: keras.Model,
        upper: keras.Model,
        level: str = "local",
        pool: str = "mean",
        name: str = "image_encoder",
        **kwargs: Any,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(
                f"`level`: expected one of {LEVELS}. Received: {level!r}"
            )
        if pool not in ("mean", "grid"):
            raise ValueError(
                f"`pool`: expected 'mean' or 'grid'. Received: {pool!r}"
            )
        _check_map("lower", lower, is_fixed=True)
        _check_map("upper", upper)
        # === Layers ===
        upper.trainable = level == "global"

        # === Functional Model ===
        images = keras.Input(lower.input_shape[1:], name="images")
        local_map = lower(images)
        outputs = _regions(local_map)
        if level == "global":
            outputs = _pooled(upper(local_map), pool)
        super().__init__(images, outputs, name=name, **kwargs)

        # === Config ===
        self.lower = lower
        self.upper = upper
        self.level = level
        self.pool = pool

    @property
    def trainable(self) -> bool:
        """Whether the path of the level is trained; `upper` off it never is."""
        return bool(self._trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Model.trainable.fset(self, value)
        # Keras hands the value on to all parts, and sets it before they are
        if getattr(self, "level", None) == "local":
            self.upper.trainable = False

    @classmethod
    def from_preset(
        cls,
        preset: str,
        level: str | None = None,
        image_size: int | None = None,
    ) -> "ImageEncoder":
        """A named network, freshly initialised, or one with its weights.

        Args:
            preset: `"resnet_paper"`, `"resnet_phantom"`,
                `"resnet256_6_2_1"`; or a folder that `save_to_preset` or
                `kerasmi export` wrote; or a KerasHub ResNet preset, whose
                weights are loaded and which gets grayscale images repeated to
                three channels, normalised with the preset's own constants,
                and a new sixth block of 768 on top.
            level: `"local"` or `"global"`; None: that of the folder, else
                local.
            image_size: pixels of the square image, or the preset's own; a
                folder has one size.

        Raises:
            CheckpointError: a file of the folder is missing, damaged or of
                something else; it is named.
            ValueError: an image too small for the strides of the network, or
                not of the folder's size.
        """
        level_or_local = level or "local"
        if preset not in PRESETS:
            if os.path.isdir(preset) and image_preset.is_ours(preset):
                return _from_folder(preset, level, image_size)
            backbone, mean, std = image_networks.of_hub(preset, image_size)
            return cls.from_backbone(backbone, level_or_local, mean, std)
        settings = dict(PRESETS[preset])
        size = settings["image_size"] if image_size is None else image_size
        lower, upper = image_networks.built(settings, size)
        return cls(lower, upper, level_or_local, settings["pool"])

    @classmethod
    def from_backbone(
        cls,
        backbone: keras.Model,
        level: str = "local",
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> "ImageEncoder":
        """An encoder over a KerasHub image backbone.

        A grayscale image is repeated to the channels of the backbone, and
        each channel normalised as in the backbone's own training:
        `(image - mean) / std`.

        Args:
            backbone: a `keras_hub.models.ResNetBackbone` with a fixed
                `image_shape`; its last feature map is the local level.
            level: `"local"` or `"global"`.
            mean: of each channel, for images in [0, 1].
            std: of each channel, for images in [0, 1].

        Raises:
            ValueError: not one constant for each channel, or a backbone of no
                fixed `image_shape` or of no feature maps.
        """
        if not hasattr(backbone, "image_shape"):
            raise ValueError(
                "`backbone`: expected a KerasHub image backbone. Received: "
                f"{type(backbone).__name__}; make ImageEncoder(lower, upper) "
                "of another network."
            )
        height, width, channels = backbone.image_shape
        if None in (height, width):
            raise ValueError(
                "`backbone`: expected one with a fixed image_shape, which "
                "tells the number of regions; give image_shape=(256, 256, "
                f"{channels}), for instance. Received: {backbone.image_shape}"
            )
        if not len(mean) == len(std) == channels:
            raise ValueError(
                f"`mean`, `std`: expected {channels} values, one for each "
                f"channel. Received: {mean}, {std}"
            )
        images = keras.Input((height, width, 1), name="gray")
        color = keras.layers.Concatenate(name="gray_to_color")
        x = color([images] * channels) if channels > 1 else images
        x = keras.layers.Normalization(
            mean=list(mean), variance=[s**2 for s in std], name="normalization"
        )(x)
        lower = keras.Model(images, backbone(x), name="lower")
        _check_map("backbone", lower, is_fixed=True)
        upper = residual_network(
            lower.output_shape[1:], (768,), (2,), name="upper"
        )
        return cls(lower, upper, level)

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Any = None
    ) -> Tensor:
        """As the functional model; refuses images of integers."""
        pair_inputs.check_images(inputs)
        features = super().call(inputs, training=training, mask=mask)
        return pair_inputs.unknown_where_unknown(inputs, features)

    def save_to_preset(self, folder: str) -> None:
        """Writes a folder that `from_preset` reads back, weights included."""
        image_preset.write(self, folder)

    def with_level(self, level: str) -> "ImageEncoder":
        """A copy of this encoder, weights included, read at `level`."""
        copy = type(self).from_config({**self.get_config(), "level": level})
        copy.set_weights(self.get_weights())
        return copy

    def get_weights(self) -> list[Any]:
        """Weights of `lower`, then of `upper`, whichever level is read."""
        return self.lower.get_weights() + self.upper.get_weights()

    def set_weights(self, weights: list[Any]) -> None:
        """Sets what `get_weights` gave."""
        split = len(self.lower.weights)
        self.lower.set_weights(weights[:split])
        self.upper.set_weights(weights[split:])

    def from_local(
        self, local_map: Tensor, training: bool | None = None
    ) -> Tensor:
        """`(B, 1, D)` global feature of the map that `lower` gives."""
        return _pooled(self.upper(local_map, training=training), self.pool)

    @property
    def grid(self) -> tuple[int, int]:
        """`(h, w)` of the regions: `(1, 1)` at the global level."""
        if self.level == "global":
            return (1, 1)
        return tuple(self.lower.output_shape[1:3])

    def get_config(self) -> dict[str, Any]:
        """Parts serialised, as KerasHub's composite models do."""
        config = {
            "name": self.name,
            **saving.serialized(self, ["lower", "upper"]),
            "level": self.level,
            "pool": self.pool,
        }
        frozen = self._frozen()
        return {**config, "frozen": frozen} if frozen else config

    def _frozen(self) -> dict[str, list[int]]:
        """Frozen layers of each part, where its own config loses them."""
        found = {"lower": freezing.frozen(self.lower)}
        if freezing.is_frozen(self.lower):
            # a network keeps that itself
            found["lower"] = []
        if self.level == "global":
            found["upper"] = freezing.frozen(self.upper)
        return {name: places for name, places in found.items() if places}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageEncoder":
        """Rebuilds the parts, then the encoder; what was frozen is."""
        config = saving.rebuilt(config, ["lower", "upper"], custom_objects)
        frozen = config.pop("frozen", {})
        encoder = cls(**config)
        # `with_level` may have left `upper` off the path
        on_path = {"lower"} if encoder.level == "local" else {"lower", "upper"}
        for part in on_path & set(frozen):
            freezing.freeze(getattr(encoder, part), frozen[part])
        return encoder


def _check_map(name: str, model: Any, is_fixed: bool = False) -> None:
    shape = getattr(model, "output_shape", None)
    if (
        not isinstance(shape, tuple)
        or len(shape) != 4
        or (is_fixed and None in shape[1:])
    ):
        fixed = " of a fixed size" if is_fixed else ""
        raise ValueError(
            f"`{name}`: expected a model whose output is feature maps{fixed} "
            "(images, rows, columns, features). Received: "
            f"{type(model).__name__} of output_shape {shape}"
        )


def _from_folder(
    folder: str, level: str | None, image_size: int | None
) -> ImageEncoder:
    encoder = image_preset.read(folder)
    size = encoder.input_shape[1]
    if image_size not in (None, size):
        raise ValueError(
            f"`image_size`: {folder} was trained on images of {size} pixels. "
            f"Received: {image_size}"
        )
    if level in (None, encoder.level):
        return encoder
    return encoder.with_level(level)


def _regions(feature_map: Tensor) -> Tensor:
    """`(B, h, w, D)` -> `(B, h * w, D)`, row by row."""
    height, width, dim = feature_map.shape[1:]
    # not ops.reshape to -1 images, which would cut a map of another size into
    # regions of several images; a layer would round to the session's precision
    reshape = keras.layers.Reshape(
        (height * width, dim), dtype=feature_map.dtype, name="regions"
    )
    return reshape(feature_map)


def _pooled(feature_map: Tensor, pool: str) -> Tensor:
    """`(B, u, v, D)` -> `(B, 1, D)`, or `(B, 1, (u // 2) * (v // 2) * D)`."""
    if pool == "mean":
        return ops.mean(feature_map, axis=(1, 2))[:, None, :]
    grid = ops.average_pool(
        feature_map, 2, strides=2, data_format="channels_last"
    )
    size = grid.shape[1] * grid.shape[2] * grid.shape[3]
    return ops.reshape(grid, (-1, 1, size))
