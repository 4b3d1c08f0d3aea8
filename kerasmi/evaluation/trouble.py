"""Signs that a training learns nothing, in words. Numpy only."""

import math

import numpy as np

# What each bound reads, in nats, where images and texts are independent.
CHANCE = {
    "mine": 0.0,
    "cpc": 0.0,
    "nwj": 0.0,
    "smile": 0.0,
    "jensen_shannon": -math.log(4),
}

_NOT_NATS = "not nats of information"
# What the values of some bounds are not; the others are lower bounds in nats.
CAVEATS = {
    "smile": "no lower bound",
    "jensen_shannon": _NOT_NATS,
    "cpc_pooled": _NOT_NATS,
}

# Spread over a batch, relative to the length of a vector, below which vectors
# count as one and the same: float32 has 7 digits, trained features about 0.3.
SAME = 1e-3
# Share of its ceiling at which a bound can hardly grow any more.
SATURATED = 0.95


def spread(vectors: np.ndarray) -> np.ndarray:
    """How far vectors lie from their mean, relative to their length.

    Args:
        vectors: `(n, ..., D)`; compared along the first axis.

    Returns:
        `(...)`: root of the mean squared distance to the mean over that of
        the squared length; in [0, 1], 0 where all are equal or zero.
    """
    vectors = np.asarray(vectors, "float64")
    about = np.square(vectors - vectors.mean(axis=0)).sum(axis=-1).mean(axis=0)
    length = np.square(vectors).sum(axis=-1).mean(axis=0)
    return np.sqrt(about / np.where(length > 0, length, 1.0))


def dead_regions(features: np.ndarray) -> list[int]:
    """Regions with the same features in every image, counted from 1.

    Args:
        features: `(n, N, D)` region features of n images.
    """
    return [int(k) + 1 for k in np.flatnonzero(spread(features) < SAME)]


def of_features(images: np.ndarray, texts: np.ndarray) -> list[str]:
    """What is wrong with the features of a batch.

    Args:
        images: `(n, N, D)` region features; at least two images.
        texts: `(m, D')` text features; at least two texts.

    Returns:
        One sentence for each trouble.
    """
    found = []
    dead, regions = dead_regions(images), images.shape[1]
    if len(dead) == regions:
        found.append(
            "the image features have collapsed: they are the same for every"
            " image"
        )
    elif dead:
        found.append(
            "dead regions, with the same features for every image:"
            f" {len(dead)} of {regions}, number {', '.join(map(str, dead))}"
        )
    if spread(texts) < SAME:
        found.append(
            "the text features have collapsed: they are the same for every text"
        )
    return found


def of_bound(value: float, ceiling: float) -> list[str]:
    """What is wrong with a bound.

    Args:
        value: in nats.
        ceiling: the most that it can be, in nats; infinite for none.

    Returns:
        One sentence for each trouble.
    """
    if not np.isfinite(ceiling) or value < SATURATED * ceiling:
        return []
    return [
        f"the bound is saturated: {value:.3f} nats of the {ceiling:.3f} that"
        " its batches allow; only larger batches, or more sentences, can show"
        " more"
    ]


def in_nats(bound: str) -> bool:
    """Whether the values of a bound are nats of information."""
    return CAVEATS.get(bound) != _NOT_NATS


def told(bound: str, value: float) -> str:
    """A value of a bound with its unit, and what it is not."""
    number = f"{value:z.3f} nats" if in_nats(bound) else f"{value:z.3f}"
    return ", ".join([number, *_caveat(bound)])


def axis(bound: str) -> str:
    """What is drawn of a bound, with its unit, and what it is not."""
    name = bound if bound in CAVEATS else "bound"
    unit = f"{name} (nats)" if in_nats(bound) else name
    return ", ".join([unit, *_caveat(bound)])


def _caveat(bound: str) -> list[str]:
    return [CAVEATS[bound]] if bound in CAVEATS else []


def level(bound: str, value: float, ceiling: float) -> str:
    """A line that says what a bound is to be held against.

    Args:
        bound: its name in a recipe.
        value: the best validation value.
        ceiling: the most that it can be, in nats; infinite for none.
    """
    name = f"value of {bound}" if bound in CAVEATS else "bound"
    parts = [f"the best validation {name} is {told(bound, value)}"]
    if bound in CHANCE:
        parts.append(f"chance is {CHANCE[bound]:.3g}")
    if math.isfinite(ceiling):
        parts.append(f"the ceiling is {ceiling:.3f}")
    return "; ".join(parts)
