"""Held-out mutual information in nats, read from a matrix of scores.

Donsker-Varadhan, NWJ and SMILE use one pooled mean over all negatives, never a
mean of batch values, which is biased upwards. InfoNCE is read in random blocks
of `candidates`, as it is trained, and never exceeds the log of their number.

Standard errors are by the delta method (infinitesimal jackknife) over subjects:
each subject's images and texts enter through the positives and the negatives.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from kerasmi.evaluation.estimates import ReadOut, blocked, blocked_value, pooled
from kerasmi.evaluation.held_out import HeldOut, permute_across_subjects

__all__ = [
    "HeldOut",
    "ReadOut",
    "donsker_varadhan",
    "infonce",
    "nwj",
    "permute_across_subjects",
    "read_out",
    "read_outs",
    "read_outs_for",
    "smile",
    "to_frame",
]

DIRECTIONS = ("image_to_text", "text_to_image", "symmetric")
CLIP = 5.0  # of SMILE, in nats: the default of its training too


def donsker_varadhan(
    pairs: HeldOut, *, calibrate: bool = False, seed: int = 0
) -> ReadOut:
    """`E_p[f] - log E_q[exp f]` over all held-out pairs (Eq. 3).

    With `calibrate` the critic becomes `s f`, 0 <= s <= 1: s is fitted on one
    half of the subjects, the value read on the other, both ways, averaged. A
    scaled critic is a critic, so the value is as much of a lower bound as that
    of any held-out critic (see `ReadOut.lower_bound`); at s = 0 it is exactly
    0, so independent pairs read about 0 where a confident critic alone reads
    far below.

    Args:
        pairs: the scores of held-out pairs.
        calibrate: whether to add the `calibrated` read-out.
        seed: of the division into halves.

    Returns:
        A `ReadOut`, `calibrated` filled in when asked for.
    """

    def estimate(part: HeldOut, scale: float) -> ReadOut:
        return pooled("donsker_varadhan", part, lambda f: scale * f)

    return _read(estimate, pairs, calibrate, seed)


def nwj(
    pairs: HeldOut,
    *,
    shift: float = 0.0,
    calibrate: bool = False,
    seed: int = 0,
) -> ReadOut:
    """`E_p[f] - E_q[exp(f - 1)]`: unbiased, with the critic's own offset.

    Args:
        pairs: the scores of held-out pairs.
        shift: added to the scores: 1 for critics trained by Jensen-Shannon or
            SMILE, whose optimum is `log p/q`, NWJ's being `1 + log p/q`.
        calibrate: as in `donsker_varadhan`, for the critics `1 + s (f - 1)`.
        seed: of the division into halves.

    Returns:
        A `ReadOut`, `calibrated` filled in when asked for.
    """

    def estimate(part: HeldOut, scale: float) -> ReadOut:
        return pooled("nwj", part, lambda f: 1 + scale * (f + shift - 1))

    return _read(estimate, pairs, calibrate, seed)


def smile(
    pairs: HeldOut,
    *,
    clip: float = CLIP,
    calibrate: bool = False,
    seed: int = 0,
) -> ReadOut:
    """`E_p[f] - log E_q[exp(clip(f, -c, c))]`: less variance, not a bound.

    Args:
        pairs: the scores of held-out pairs.
        clip: c, in nats.
        calibrate: as in `donsker_varadhan`, whose scale is used: SMILE's own
            maximum could gain from the clipping alone.
        seed: of the division into halves.

    Returns:
        A `ReadOut` with `lower_bound=False`.

    References:
        - Song & Ermon, 2020.
    """
    if clip <= 0:
        raise ValueError(f"clip must be positive, in nats. Received: {clip}.")

    def estimate(part: HeldOut, scale: float) -> ReadOut:
        return pooled("smile", part, lambda f: scale * f, clip)

    def objective(part: HeldOut) -> Value:
        return lambda scale: (
            pooled("donsker_varadhan", part, lambda f: scale * f).value
        )

    return _read(estimate, pairs, calibrate, seed, objective)


def infonce(
    pairs: HeldOut,
    *,
    direction: str = "image_to_text",
    candidates: int | None = None,
    rounds: int = 8,
    calibrate: bool = False,
    seed: int = 0,
) -> ReadOut:
    """InfoNCE (Eq. 4 with `log|C|` added) in blocks of `candidates`.

    In each round the images are dealt at random into blocks, each image with
    one text of its study; an anchor's candidates are its own text and those of
    other subjects in its block. The value is the mean over anchors and rounds.

    Args:
        pairs: the scores of held-out pairs.
        direction: the anchor is the image (`"image_to_text"`), the text
            (`"text_to_image"`), or each half the time (`"symmetric"`).
        candidates: block size |C|; use the training batch to compare with the
            training curve, more for a higher ceiling. None: 64, or all images
            where there are fewer (in a half, if calibrating).
        rounds: deals of the images.
        calibrate: as in `donsker_varadhan`.
        seed: of the deals and the division into halves.

    Returns:
        A `ReadOut`; its value is at most its `ceiling`.

    Raises:
        ValueError: fewer images than candidates (in a half, if calibrating).
    """
    if direction not in DIRECTIONS:
        raise ValueError(
            f"direction must be one of {DIRECTIONS}. Received: {direction!r}."
        )
    parts = pairs.halves(seed) if calibrate else (pairs,)
    size = candidates or min(64, *(len(part.scores) for part in parts))

    def estimate(part: HeldOut, scale: float) -> ReadOut:
        return blocked(part, scale, direction, size, rounds, seed)

    def objective(part: HeldOut) -> Value:
        return blocked_value(part, direction, size, rounds, seed)

    return _read(estimate, pairs, calibrate, seed, objective)


# What each training bound determines of the critic, and so what may be read.
_INFONCE = tuple(f"infonce_{direction}" for direction in DIRECTIONS)
_GAUGES = {
    "mine": ("log p/q up to a constant", ("donsker_varadhan", *_INFONCE)),
    "cpc_pooled": ("log p/q up to a constant", ("donsker_varadhan", *_INFONCE)),
    "nwj": ("1 + log p/q", ("nwj", "donsker_varadhan", *_INFONCE)),
    "jensen_shannon": (
        "log p/q",
        ("donsker_varadhan", "smile", "nwj", *_INFONCE),
    ),
    "smile": ("log p/q", ("smile", "donsker_varadhan", "nwj", *_INFONCE)),
    "cpc_image_to_text": (
        "log p/q up to a function of the image",
        ("infonce_image_to_text",),
    ),
    "cpc_text_to_image": (
        "log p/q up to a function of the text",
        ("infonce_text_to_image",),
    ),
    "cpc_symmetric": ("log p/q up to what InfoNCE ignores", _INFONCE[::-1]),
}


def read_outs_for(
    bound: str, direction: str = "image_to_text"
) -> tuple[str, ...]:
    """Names of the read-outs that a critic trained on `bound` allows.

    A bound determines its critic only up to what it ignores (its gauge). Read
    by another bound the same critic is badly low: an InfoNCE critic that reads
    1.76 nats by InfoNCE reads 0.56 by DV.

    Args:
        bound: mine, cpc, nwj, jensen_shannon, smile or cpc_pooled.
        direction: of a critic trained by cpc.

    Returns:
        The names, the one closest to the training bound first.
    """
    return _gauge(bound, direction)[1]


def read_out(
    name: str,
    pairs: HeldOut,
    *,
    bound: str,
    direction: str = "image_to_text",
    candidates: int | None = None,
    clip: float = CLIP,
    calibrate: bool = False,
    seed: int = 0,
) -> ReadOut:
    """The read-out `name` of a critic that was trained on `bound`.

    Args:
        name: one of `read_outs_for(bound, direction)`.
        pairs: the scores of held-out pairs.
        bound: the bound the critic was trained on.
        direction: of a critic trained by cpc.
        candidates: block size of the InfoNCE read-outs, see `infonce`.
        clip: of the read-out `smile`, in nats; that of training, where the
            bound is smile.
        calibrate: whether to add the calibrated read-out.
        seed: of the deals and the division into halves.

    Raises:
        ValueError: the read-out does not fit the gauge of the bound.
    """
    gauge, allowed = _gauge(bound, direction)
    if name not in allowed:
        raise ValueError(
            f"A critic trained by {bound} cannot be read by {name!r}: training "
            f"fixes it as {gauge}, and this read-out would report something "
            f"else. Use one of: {', '.join(allowed)}."
        )
    settings: dict[str, Any] = {"calibrate": calibrate, "seed": seed}
    if name == "donsker_varadhan":
        return donsker_varadhan(pairs, **settings)
    if name == "smile":
        return smile(pairs, clip=clip, **settings)
    if name == "nwj":
        shift = 0.0 if bound == "nwj" else 1.0
        return nwj(pairs, shift=shift, **settings)
    way = name.removeprefix("infonce_")
    return infonce(pairs, direction=way, candidates=candidates, **settings)


def read_outs(
    pairs: HeldOut,
    *,
    bound: str,
    direction: str = "image_to_text",
    candidates: int | None = None,
    clip: float = CLIP,
    calibrate: bool = True,
    seed: int = 0,
) -> list[ReadOut]:
    """Every read-out that a critic trained on `bound` allows."""
    return [
        read_out(
            name,
            pairs,
            bound=bound,
            direction=direction,
            candidates=candidates,
            clip=clip,
            calibrate=calibrate,
            seed=seed,
        )
        for name in read_outs_for(bound, direction)
    ]


def to_frame(read_outs: list[ReadOut]) -> pd.DataFrame:
    """One row per read-out; of the calibrated one, what tells it apart.

    `reliable` and the counts are of the value as trained, and
    `calibrated_reliable` and the like of the calibrated one.
    """
    rows = []
    for one in read_outs:
        row = {
            field.name: getattr(one, field.name)
            for field in dataclasses.fields(one)
            if field.name not in ("calibrated", "scale")
        }
        other = one.calibrated
        row["calibrated"] = other.value if other else np.nan
        row["calibrated_error"] = other.standard_error if other else np.nan
        for name in ("n_negatives", "effective_negatives", "reliable", "note"):
            row[f"calibrated_{name}"] = getattr(other, name) if other else None
        row["scale"] = other.scale if other else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _gauge(bound: str, direction: str) -> tuple[str, tuple[str, ...]]:
    key = f"cpc_{direction}" if bound == "cpc" else bound
    bounds = ("mine", "cpc", "nwj", "jensen_shannon", "smile", "cpc_pooled")
    if bound not in bounds or key not in _GAUGES:
        raise ValueError(
            f"bound must be one of {bounds}, direction one of {DIRECTIONS}. "
            f"Received: {bound!r}, {direction!r}."
        )
    return _GAUGES[key]


Estimate = Callable[[HeldOut, float], ReadOut]
Value = Callable[[float], float]  # nats, of a scale


def _read(
    estimate: Estimate,
    pairs: HeldOut,
    calibrate: bool,
    seed: int,
    objective: Callable[[HeldOut], Value] | None = None,
) -> ReadOut:
    """The read-out; calibrated by the scale with the largest `objective`."""
    raw = estimate(pairs, 1.0)
    if not calibrate:
        return raw
    parts = pairs.halves(seed)

    def own(part: HeldOut) -> Value:
        return lambda scale: estimate(part, scale).value

    scales = [_best_scale((objective or own)(part)) for part in parts]
    # Each half is read with the scale fitted on the other.
    halves = [estimate(parts[0], scales[1]), estimate(parts[1], scales[0])]
    images = np.array([len(part.scores) for part in parts])
    shares = images / images.sum()
    calibrated = dataclasses.replace(
        halves[0],
        value=float(shares @ [h.value for h in halves]),
        standard_error=float(
            np.linalg.norm(shares * [h.standard_error for h in halves])
        ),
        ceiling=float(shares @ [h.ceiling for h in halves]),
        n_positives=sum(h.n_positives for h in halves),
        n_negatives=min(h.n_negatives for h in halves),
        effective_negatives=min(h.effective_negatives for h in halves),
        expected_effective=min(h.expected_effective for h in halves),
        reliable=all(h.reliable for h in halves),
        scale=float(np.mean(scales)),
        note=halves[0].note or halves[1].note,
    )
    return dataclasses.replace(raw, calibrated=calibrated)


def _best_scale(value: Value) -> float:
    """Golden-section search: the bounds are concave in the scale."""
    # Searched in the fourth root, so that tiny scales are found as finely.
    low, high, ratio = 0.0, 1.0, (math.sqrt(5) - 1) / 2
    left, right = 1 - ratio, ratio
    at_left, at_right = value(left**4), value(right**4)
    while high - low > 2e-3:
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = value(right**4)
        else:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = value(left**4)
    return max((0.0, ((low + high) / 2) ** 4, 1.0), key=value)
