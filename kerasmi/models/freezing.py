"""Which layers of a part are frozen, where its own config would not say.

Keras keeps it for the layers of a plain network. KerasHub's backbones keep
whether they are frozen as a whole alone, and a constructor that freezes or
tunes a part overrules what was read.
"""

from collections.abc import Iterable

import keras


def frozen(part: keras.layers.Layer) -> list[int]:
    """Places of the frozen layers among those with weights, itself first."""
    layers = enumerate(_layers(part))
    return [place for place, layer in layers if not layer.trainable]


def is_frozen(part: keras.layers.Layer) -> bool:
    """Whether it and every layer of it with weights is frozen."""
    return not any(layer.trainable for layer in (part, *_layers(part)))


def freeze(part: keras.layers.Layer, places: Iterable[int]) -> None:
    """Freezes the layers that `frozen` named, and tunes the others.

    Raises:
        ValueError: a place that the part has no layer at.
    """
    layers, places = _layers(part), set(places)
    if not places <= set(range(len(layers))):
        raise ValueError(
            f"`frozen`: {part.name!r} has {len(layers)} layers with weights. "
            f"Received: {sorted(places)}"
        )
    # parents first: they hand what they are given on to all below
    for place, layer in enumerate(layers):
        layer.trainable = place not in places


def _layers(part: keras.layers.Layer) -> list[keras.layers.Layer]:
    # not by names, which Keras counts up where none is given
    return [layer for layer in part._flatten_layers() if layer.weights]
