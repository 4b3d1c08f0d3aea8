"""Critics: score every region of every image against every text."""

import math
from typing import Any

import keras
from keras import ops

from kerasmi.types import Tensor

_serializable = keras.saving.register_keras_serializable(package="kerasmi")

SIMILARITIES = ("cosine", "inner")

Shape = tuple[Any, ...]


class _Critic(keras.layers.Layer):
    """The part that critics share: optional normalisation of their inputs."""

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        # No autocast: every layer inside casts what it is given.
        super().__init__(autocast=False, **kwargs)
        self.normalize = normalize
        if normalize:
            self.image_norm = _normalization("image_norm")
            self.text_norm = _normalization("text_norm")

    def build(
        self, region_features_shape: Shape, text_features_shape: Shape
    ) -> None:
        """Creates all weights, from the shapes of the arguments of `call`."""
        _check_shapes(region_features_shape, text_features_shape)
        if self.normalize:
            self.image_norm.build(region_features_shape)
            self.text_norm.build(text_features_shape)

    def normalized(
        self, image: Tensor, text: Tensor, training: bool | None
    ) -> tuple[Tensor, Tensor]:
        """Both inputs, normalised if the critic is to: same shapes."""
        if not self.normalize:
            return image, text
        return (
            self.image_norm(image, training=training),
            self.text_norm(text, training=training),
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "normalize": self.normalize}


@_serializable
class ConcatCritic(_Critic):
    """An MLP on the concatenation (region, text): the paper's critic.

    The first layer of an MLP on a concatenation is a sum of two projections,
    `W [x; y] + b = (W_x x + b) + W_y y`, so every feature is projected once,
    not once per pair. Exactly the same function, and it starts as the same:
    both kernels are Glorot uniform with the fans of the concatenation.

    Args:
        hidden_dims: Widths of the hidden layers, ReLU.
        normalize: Whether to batch-normalise both inputs, over batch and
            regions, and over texts. Decisive when encoders start from scratch.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        region_features: `(B, N, D_image)` float.
        text_features: `(C, D_text)` float.
        training: Whether normalisation uses the statistics of the batch.

    Returns:
        `(B, N, C)` float32 scores, whatever the precision policy.

    Raises:
        ValueError: If there is no hidden layer.
    """

    def __init__(
        self,
        hidden_dims: tuple[int, ...] = (1024, 512),
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize=normalize, **kwargs)
        if not hidden_dims:
            raise ValueError(
                "Expected at least one hidden layer. "
                f"Received: hidden_dims={hidden_dims!r}"
            )
        self.hidden_dims = tuple(hidden_dims)
        first, *rest = self.hidden_dims
        dense, dtype = keras.layers.Dense, self.dtype_policy
        self.image_projection = dense(
            first, dtype=dtype, name="image_projection"
        )
        self.text_projection = dense(
            first, use_bias=False, dtype=dtype, name="text_projection"
        )
        self.hidden = [
            dense(dim, activation="relu", dtype=dtype, name=f"hidden_{n}")
            for n, dim in enumerate(rest, start=2)
        ]
        # A sum of half-precision products would round away small bounds.
        self.score = dense(1, dtype="float32", name="score")

    def build(
        self, region_features_shape: Shape, text_features_shape: Shape
    ) -> None:
        """Creates all weights, from the shapes of the arguments of `call`."""
        super().build(region_features_shape, text_features_shape)
        projections = self.image_projection, self.text_projection
        shapes = tuple(region_features_shape), tuple(text_features_shape)
        fans = shapes[0][-1] + shapes[1][-1] + self.hidden_dims[0]
        limit = math.sqrt(6 / fans)
        for layer, shape in zip(projections, shapes, strict=True):
            uniform = keras.initializers.RandomUniform(-limit, limit)
            layer.kernel_initializer = uniform
            layer.build(shape)
        following = (*self.hidden, self.score)
        for dim, layer in zip(self.hidden_dims, following, strict=True):
            layer.build((None, None, None, dim))

    def call(
        self,
        region_features: Tensor,
        text_features: Tensor,
        training: bool | None = None,
    ) -> Tensor:
        """Scores, `(B, N, C)` float32."""
        image, text = self.normalized(region_features, text_features, training)
        image = self.image_projection(image)[:, :, None, :]
        text = self.text_projection(text)[None, None, :, :]
        x = ops.relu(image + text)  # (B, N, C, hidden_dims[0])
        for layer in self.hidden:
            x = layer(x)
        return ops.squeeze(self.score(x), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "hidden_dims": self.hidden_dims}


@_serializable
class SeparableCritic(_Critic):
    """A similarity of projections over a learned temperature.

    `score = <u, v> / temperature` of linear projections `u`, `v` of region and
    text, of unit length for `cosine`. The scores are one matrix product, but
    the critic is less expressive than `ConcatCritic`.

    Args:
        dim: Dimension of the projections.
        similarity: `"cosine"` or `"inner"`.
        temperature: Its initial value, by default 0.07 for `cosine` and
            `sqrt(dim)` for `inner`.
        normalize: Whether to batch-normalise both inputs, as `ConcatCritic`.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        region_features: `(B, N, D_image)` float.
        text_features: `(C, D_text)` float.
        training: Whether normalisation uses the statistics of the batch.

    Returns:
        `(B, N, C)` float32 scores, whatever the precision policy.

    Raises:
        ValueError: If the similarity is unknown or the temperature not
            positive.
    """

    def __init__(
        self,
        dim: int = 128,
        similarity: str = "cosine",
        temperature: float | None = None,
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize=normalize, **kwargs)
        if similarity not in SIMILARITIES:
            raise ValueError(
                f"Expected `similarity` to be one of {SIMILARITIES}. "
                f"Received: similarity={similarity!r}"
            )
        if temperature is None:
            temperature = 0.07 if similarity == "cosine" else math.sqrt(dim)
        if temperature <= 0:
            raise ValueError(
                "Expected `temperature` to be positive. "
                f"Received: temperature={temperature}"
            )
        self.dim, self.similarity, self.temperature = (
            dim,
            similarity,
            temperature,
        )
        dense, dtype = keras.layers.Dense, self.dtype_policy
        self.image_projection = dense(dim, dtype=dtype, name="image_projection")
        self.text_projection = dense(dim, dtype=dtype, name="text_projection")

    def build(
        self, region_features_shape: Shape, text_features_shape: Shape
    ) -> None:
        """Creates all weights, from the shapes of the arguments of `call`."""
        super().build(region_features_shape, text_features_shape)
        self.image_projection.build(region_features_shape)
        self.text_projection.build(text_features_shape)
        self.log_temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.temperature)),
            dtype="float32",
            autocast=False,
            name="log_temperature",
        )

    def call(
        self,
        region_features: Tensor,
        text_features: Tensor,
        training: bool | None = None,
    ) -> Tensor:
        """Scores, `(B, N, C)` float32."""
        image, text = self.normalized(region_features, text_features, training)
        image = ops.cast(self.image_projection(image), "float32")
        text = ops.cast(self.text_projection(text), "float32")
        if self.similarity == "cosine":
            image, text = ops.normalize(image), ops.normalize(text)
        products = ops.matmul(image, ops.transpose(text))  # (B, N, C)
        return products * ops.exp(-self.log_temperature)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "similarity": self.similarity,
            "temperature": self.temperature,
        }


def _normalization(name: str) -> keras.layers.Layer:
    # Synchronised: the same under one and several replicas. float32: half
    # precision is too coarse for the statistics.
    return keras.layers.BatchNormalization(
        momentum=0.9, synchronized=True, dtype="float32", name=name
    )


def _check_shapes(region_shape: Shape, text_shape: Shape) -> None:
    if len(region_shape) != 3 or len(text_shape) != 2:
        raise ValueError(
            "Expected region features (B, N, D_image) and text features "
            f"(C, D_text). Received: shapes {tuple(region_shape)} and "
            f"{tuple(text_shape)}. A global feature is one region."
        )
