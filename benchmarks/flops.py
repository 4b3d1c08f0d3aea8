"""Floating point operations of a training step, counted by formula.

A multiplication with its addition counts as two. Only matrix products and
convolutions are counted; a training step is three times its forward pass, but
where only some of what is scored has a gradient (`critic_step`).
"""

import itertools
from collections.abc import Mapping
from typing import Any

TRAINING = 3  # forward, and the gradients of both factors


def dense(rows: int, inputs: int, outputs: int) -> int:
    """Of a matrix product."""
    return 2 * rows * inputs * outputs


def bert(
    texts: int,
    tokens: int,
    layers: int,
    dim: int = 768,
    inner: int = 3072,
    first_only: bool = False,
) -> int:
    """Of BERT's layers.

    Args:
        texts: number of texts.
        tokens: length they are padded to.
        layers: transformer layers.
        dim: width.
        inner: width of the feed-forward part.
        first_only: whether the last layer is asked for its first token only.
    """
    whole = layers - 1 if first_only else layers
    total = whole * _layer(texts, tokens, tokens, dim, inner)
    if first_only:
        total += _layer(texts, 1, tokens, dim, inner)
    return total


def _layer(texts: int, asking: int, tokens: int, dim: int, inner: int) -> int:
    rows, keys = texts * asking, texts * tokens
    projections = 2 * dense(rows, dim, dim) + 2 * dense(keys, dim, dim)
    attention = 2 * dense(rows, dim, tokens)
    forward = dense(rows, dim, inner) + dense(rows, inner, dim)
    return projections + attention + forward


def residual(
    images: int, size: int, settings: Mapping[str, Any], upper: bool
) -> int:
    """Of the convolutions of a preset of `ImageEncoder`.

    Args:
        images: number of images.
        size: side of an image in pixels.
        settings: as in `kerasmi.models.image_encoder.PRESETS`.
        upper: whether the last stage is computed (the global level).
    """
    channels, kernel, stride = settings["stem"]
    size //= stride
    total = dense(images * size**2, kernel**2, channels)
    stages = list(zip(settings["filters"], settings["strides"], strict=True))
    for width, stride in stages if upper else stages[:-1]:
        for block in range(settings["blocks"]):
            stride = stride if block == 0 else 1
            size //= stride
            pixels = images * size**2
            total += dense(pixels, 9 * channels, width)
            total += dense(pixels, 9 * width, width)
            if stride != 1 or channels != width:
                total += dense(pixels, channels, width)
            channels = width
    return total


def critic_of_pairs(
    pairs: int, image_dim: int, text_dim: int, hidden: tuple[int, ...]
) -> int:
    """Of the critic on concatenations, one row for each pair."""
    widths = (image_dim + text_dim, *hidden, 1)
    return sum(
        dense(pairs, one, two) for one, two in itertools.pairwise(widths)
    )


def critic(
    regions: int,
    texts: int,
    image_dim: int,
    text_dim: int,
    hidden: tuple[int, ...],
) -> int:
    """Of the critic with its first layer split, all regions with all texts."""
    projections = dense(regions, image_dim, hidden[0])
    projections += dense(texts, text_dim, hidden[0])
    return projections + _head(regions * texts, hidden)


def critic_step(
    images: int,
    regions: int,
    texts: int,
    image_dim: int,
    text_dim: int,
    hidden: tuple[int, ...],
    winners: bool,
) -> int:
    """Of a training step of the split critic by Eq. 5's maximum.

    The scores of an image with its own texts, made once more for diagnostics,
    are not counted.

    Args:
        images: number of images.
        regions: of each image.
        texts: number of texts.
        image_dim: width of a region's feature.
        text_dim: width of a text's feature.
        hidden: widths of the hidden layers.
        winners: whether all regions are scored without a gradient, and the
            best of each pair alone is made again with one.
    """
    rows = images * regions
    forward = critic(rows, texts, image_dim, text_dim, hidden)
    if not winners:
        return TRAINING * forward
    scored = _head(rows * texts, hidden)
    best = _head(images * texts, hidden)
    return TRAINING * (forward - scored + best) + scored


def _head(rows: int, hidden: tuple[int, ...]) -> int:
    """Of what follows the projections, for rows of a region and a text."""
    widths = itertools.pairwise((*hidden, 1))
    return sum(dense(rows, one, two) for one, two in widths)
