"""Critics: score every region of every image against every text."""

import abc
import math
import numbers
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from kerasmi.regions import check_temperature
from kerasmi.types import Tensor

_serializable = keras.saving.register_keras_serializable(package="kerasmi")

SIMILARITIES = ("cosine", "inner")

Shape = tuple[Any, ...]


class Critic(keras.layers.Layer, abc.ABC):
    """A critic in two steps: projections of both inputs, then their scores.

    The first step is of every feature once, the second of every pair and so
    of most of the work: it is a pure function of projections and weights,
    which `kerasmi.pair_scores` calls block by block.

    Args:
        normalize: Whether to batch-normalise both inputs.
        **kwargs: Of `keras.layers.Layer`.
    """

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

    def call(
        self,
        region_features: Tensor,
        text_features: Tensor,
        training: bool | None = None,
    ) -> Tensor:
        """Scores, `(B, N, C)` float32 (float64 under that policy)."""
        projections = self.project(region_features, text_features, training)
        return self.region_scores(*projections, self.head_weights())

    def project(
        self,
        region_features: Tensor,
        text_features: Tensor,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What the scores are of: `(B, N, H)` and `(C, H)`.

        Both are float32 or wider, so that gradients add up in it.
        """
        image, text = region_features, text_features
        if self.normalize:
            image = self.image_norm(image, training=training)
            text = self.text_norm(text, training=training)
        return (
            ops.cast(self.image_projection(image), self.score_dtype),
            ops.cast(self.text_projection(text), self.score_dtype),
        )

    @abc.abstractmethod
    def head_weights(self) -> list[Tensor]:
        """The weights of the second step, in the precision of variables."""

    @abc.abstractmethod
    def row_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """Scores of projections `(..., H)` and `(..., H)`, broadcast: `(...)`.

        Args:
            image: of regions, as `project` gives them.
            text: of texts, as `project` gives them.
            weights: of `head_weights`.
        """

    def region_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """Scores of `(B, N, H)` with `(C, H)` projections: `(B, N, C)`."""
        return self.row_scores(image[:, :, None], text, weights)

    @property
    def score_dtype(self) -> str:
        """float32 under every policy, float64 under that one."""
        return "float64" if self.variable_dtype == "float64" else "float32"

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "normalize": self.normalize}


@_serializable
class ConcatCritic(Critic):
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

    Output shape:
        `(B, N, C)` float32 scores, whatever the precision policy.

    Raises:
        TypeError: If `hidden_dims` is no sequence of integers, such as a
            single number.
        ValueError: If there is no hidden layer, or one of no width.
    """

    def __init__(
        self,
        hidden_dims: tuple[int, ...] = (1024, 512),
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize=normalize, **kwargs)
        self.hidden_dims = _widths(hidden_dims)
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
        self.score = dense(1, dtype=self.score_dtype, name="score")

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
        _freeze_if_asked(self)

    def head_weights(self) -> list[Tensor]:
        """Kernel and bias of each layer after the projections."""
        return [
            _unrounded(variable)
            for layer in (*self.hidden, self.score)
            for variable in (layer.kernel, layer.bias)
        ]

    def row_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """See `Critic.row_scores`."""
        *hidden, kernel, bias = weights
        image = ops.cast(image, self.compute_dtype)
        x = ops.relu(image + ops.cast(text, self.compute_dtype))
        shape = ops.shape(x)
        x = ops.reshape(x, (-1, shape[-1]))
        for W, b in zip(hidden[::2], hidden[1::2], strict=True):
            W, b = (ops.cast(each, self.compute_dtype) for each in (W, b))
            x = ops.relu(ops.matmul(x, W) + b)
        x = ops.matmul(ops.cast(x, self.score_dtype), kernel) + bias
        return ops.reshape(x, shape[:-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "hidden_dims": self.hidden_dims}


@_serializable
class SeparableCritic(Critic):
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

    Output shape:
        `(B, N, C)` float32 scores, whatever the precision policy.

    Raises:
        TypeError: If the temperature is no number.
        ValueError: If the similarity is unknown or the temperature not
            positive and finite.
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
        check_temperature(temperature)
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
            dtype=self.score_dtype,
            autocast=False,
            name="log_temperature",
        )
        _freeze_if_asked(self)

    def project(
        self,
        region_features: Tensor,
        text_features: Tensor,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See `Critic.project`; of unit length for `cosine`."""
        image, text = super().project(region_features, text_features, training)
        if self.similarity == "cosine":
            image, text = ops.normalize(image), ops.normalize(text)
        return image, text

    def head_weights(self) -> list[Tensor]:
        """The log of the temperature."""
        return [_unrounded(self.log_temperature)]

    def row_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """See `Critic.row_scores`."""
        return ops.sum(image * text, axis=-1) * ops.exp(-weights[0])

    def region_scores(
        self, image: Tensor, text: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """See `Critic.region_scores`: one matrix product."""
        products = ops.matmul(image, ops.transpose(text))
        return products * ops.exp(-weights[0])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "similarity": self.similarity,
            "temperature": self.temperature,
        }


def _widths(hidden_dims: Any) -> tuple[int, ...]:
    if isinstance(hidden_dims, str) or not isinstance(hidden_dims, Iterable):
        raise TypeError(
            "`hidden_dims`: expected the width of each hidden layer, as in "
            f"hidden_dims=(1024, 512). Received: {hidden_dims!r}"
        )
    widths = tuple(hidden_dims)
    if not all(isinstance(each, numbers.Integral) for each in widths):
        raise TypeError(
            f"`hidden_dims`: expected integers. Received: {hidden_dims!r}"
        )
    widths = tuple(map(int, widths))
    if not widths or min(widths) < 1:
        raise ValueError(
            "`hidden_dims`: expected at least one hidden layer, each of a "
            f"width of at least 1. Received: {hidden_dims!r}"
        )
    return widths


def _normalization(name: str) -> keras.layers.Layer:
    # Synchronised: the same under one and several replicas. float32: half
    # precision is too coarse for the statistics.
    return keras.layers.BatchNormalization(
        momentum=0.9, synchronized=True, dtype="float32", name=name
    )


def _freeze_if_asked(critic: keras.layers.Layer) -> None:
    # `trainable=False` of the constructor, as of a saved frozen critic, does
    # not reach layers that are made after it
    if not critic.trainable:
        # Keras passes on a change only
        critic.trainable = True
        critic.trainable = False


def _unrounded(variable: keras.Variable) -> Tensor:
    # `value` rounds to half precision inside a layer of mixed precision
    return ops.convert_to_tensor(getattr(variable, "_value", variable))


def _check_shapes(region_shape: Shape, text_shape: Shape) -> None:
    if len(region_shape) != 3 or len(text_shape) != 2:
        raise ValueError(
            "Expected region features (B, N, D_image) and text features "
            f"(C, D_text). Received: shapes {tuple(region_shape)} and "
            f"{tuple(text_shape)}. A global feature is one region."
        )
