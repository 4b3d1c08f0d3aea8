"""Residual networks as functional Keras models (He et al., 2016)."""

import keras
from keras import layers

from kerasmi.models.fused_normalization import FusedBatchNormalization

# whatever the session's format: the axes of images and features are fixed
LAST = "channels_last"

# Unlike Keras's 0.99, the statistics settle within a short pre-training.
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": True}


def residual_network(
    input_shape: tuple[int | None, int | None, int],
    filters: tuple[int, ...],
    strides: tuple[int, ...],
    blocks: int = 2,
    stem: tuple[int, int, int] | None = None,
    name: str = "residual_network",
) -> keras.Model:
    """Stages of basic residual blocks, with an optional stem.

    Args:
        input_shape: `(H, W, C)`.
        filters: channels of each stage.
        strides: stride of each stage's first block.
        blocks: basic blocks per stage.
        stem: `(filters, kernel, stride)` of a first convolution, or None.
        name: name of the model.

    Returns:
        A model from `(B, H, W, C)` to `(B, h, w, filters[-1])`.

    References:
        - [He et al., 2016](https://arxiv.org/abs/1512.03385)
    """
    inputs = keras.Input(input_shape, name="feature_map")
    x = inputs
    if stem is not None:
        stem_filters, kernel, stride = stem
        x = _conv(x, stem_filters, kernel, stride, "stem")
        x = layers.ReLU(name="stem_relu")(x)
    for stage, (width, stride) in enumerate(
        zip(filters, strides, strict=True), start=1
    ):
        for block in range(1, blocks + 1):
            x = _basic_block(
                x, width, stride if block == 1 else 1, f"stage{stage}_{block}"
            )
    return keras.Model(inputs, x, name=name)


def _basic_block(
    x: keras.KerasTensor, width: int, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _shortcut(x, width, stride, name)
    x = _conv(x, width, 3, stride, f"{name}_a")
    x = layers.ReLU(name=f"{name}_a_relu")(x)
    x = _conv(x, width, 3, 1, f"{name}_b")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def _shortcut(
    x: keras.KerasTensor, width: int, stride: int, name: str
) -> keras.KerasTensor:
    if stride != 1:
        # Every stride-th pixel, then a 1x1 convolution of stride 1: the same
        # function as a strided 1x1 convolution, whose filter gradient aborts
        # in TensorFlow on CPUs at some even sizes.
        x = layers.AveragePooling2D(
            1, stride, data_format=LAST, name=f"{name}_subsample"
        )(x)
    return _conv(x, width, 1, 1, f"{name}_shortcut")


def _conv(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    # Symmetric, as the released networks: "same" pads one side only where the
    # stride is 2, and TensorFlow's own explicit padding has slow gradients.
    padding = "same" if stride == 1 else "valid"
    if kernel > 1 and stride > 1:
        x = layers.ZeroPadding2D(
            kernel // 2, data_format=LAST, name=f"{name}_pad"
        )(x)
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        data_format=LAST,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal"
        ),
        name=f"{name}_conv",
    )(x)
    return FusedBatchNormalization(**BATCH_NORM, name=f"{name}_norm")(x)
