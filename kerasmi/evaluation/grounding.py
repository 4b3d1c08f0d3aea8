"""Whether the critic looks where the sentence is true.

The map of a sentence is the score of each region of its image. Pointing: the
best region lies in the true place (the pointing game). Rank: of the best true
region among all. CNR: how far the map stands out within boxes. Commonest
region: how often sentences of a finding are answered from the one region that
answers most of them, wherever the finding is; a network whose regions see the
whole image may do that.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kerasmi.evaluation import ranking
from kerasmi.evaluation.clusters import Clusters
from kerasmi.evaluation.region_maps import Box, seen_square

ALL = "all"
POINTING, RANK, CNR = "pointing", "rank of a true region", "CNR"
COMMONEST = "commonest region"
SHARES = (POINTING, COMMONEST)


@dataclasses.dataclass(frozen=True)
class Cases:
    """n sentences with a known place.

    Attributes:
        maps: `(n, rows, columns)` scores of the regions, in nats.
        true: `(n, rows, columns)` bool, the regions that the place overlaps.
        findings: n names, what each sentence tells of.
        images: `(n,)` image of each sentence, any ids.
        subjects: `(n,)` subject of each image, any ids.
        cnr: `(n,)` contrast-to-noise ratio, NaN where it is not defined; None
            without boxes.
    """

    maps: np.ndarray
    true: np.ndarray
    findings: Sequence[str]
    images: np.ndarray
    subjects: np.ndarray
    cnr: np.ndarray | None = None


def evaluate(
    cases: Cases,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Pointing, rank and the like of each finding and of all, with chance.

    Regions of equal score stand in random order, see `ranking`. Chance is the
    mean share of true regions (pointing), the expected rank of the first true
    one in random order, 1 of all regions (commonest region), and 0 (CNR).
    Intervals resample subjects; the commonest region is that of all other
    sentences of the finding, so that maps of noise are at chance.

    Args:
        cases: sentences; those without a true region, or with no other, are
            left out of pointing and rank: nothing could be told there. The
            only one of a finding has no commonest region.
        resamples: number of resamples of subjects.
        confidence: of the intervals.
        seed: of the resampling.

    Returns:
        A row per finding, "all" first, and metric: value, low, high, chance,
        note, n_sentences, n_images, n_subjects. Low and high are NaN where the
        note says that there is none, as for a single subject.

    Raises:
        ValueError: no sentence has a place that could be told.
    """
    regions = cases.maps[0].size if len(cases.maps) else 0
    flat = cases.true.reshape(len(cases.true), regions)
    known = flat.any(axis=1) & ~flat.all(axis=1)
    if not known.any():
        raise ValueError(
            f"None of {len(known)} sentences has a place that covers a part "
            "of the regions."
        )
    measured = {
        name: values
        for name, values in _measured(cases, flat, known).items()
        if len(values)
    }
    clusters = Clusters.of(
        [np.array([one]) for one in cases.subjects],
        resamples,
        confidence,
        seed,
    )
    rows = []
    findings = np.asarray(cases.findings, str)
    for finding in (ALL, *sorted(set(findings))):
        for metric, values in measured.items():
            mine = values[
                (finding == ALL) | (findings[values.index] == finding)
            ]
            if mine.empty:
                continue
            at = mine.index.to_numpy()
            part = clusters.some(at)
            row_of = part.share_row if metric in SHARES else part.mean_row
            row = row_of(
                metric, mine["value"].to_numpy(), mine["chance"].to_numpy()
            )
            rows.append(
                {
                    "finding": finding,
                    **row,
                    "n_sentences": len(at),
                    "n_images": len(np.unique(cases.images[at])),
                    "n_subjects": part.n_subjects,
                }
            )
    return pd.DataFrame(rows)


def _measured(
    cases: Cases, true: np.ndarray, known: np.ndarray
) -> dict[str, pd.DataFrame]:
    """For each metric the value of each sentence that has one, and chance."""
    scores = cases.maps.reshape(true.shape)[known]
    found = ranking.rank(scores, true[known])
    guessed = ranking.chance(true[known].sum(axis=1), true.shape[1])
    at = np.flatnonzero(known)
    frames = {
        POINTING: (found.hits(1), guessed.hits(1), at),
        RANK: (found.rank, guessed.rank, at),
    }
    common = _commonest(scores, np.asarray(cases.findings, str)[known])
    some = np.isfinite(common)
    chance = np.full(some.sum(), 1 / true.shape[1])
    frames[COMMONEST] = (common[some], chance, at[some])
    if cases.cnr is not None:
        at = np.flatnonzero(np.isfinite(cases.cnr))
        frames[CNR] = (cases.cnr[at], np.zeros(len(at)), at)
    return {
        name: pd.DataFrame({"value": value, "chance": chance}, index)
        for name, (value, chance, index) in frames.items()
    }


def _commonest(scores: np.ndarray, findings: np.ndarray) -> np.ndarray:
    """Whether the best region is the commonest of the finding's others.

    Args:
        scores: `(n, regions)`.
        findings: `(n,)` names.

    Returns:
        `(n,)` in [0, 1], ties shared; NaN where a finding has no other.
    """
    share = _highest(scores)
    found = np.full(len(scores), np.nan)
    for finding in np.unique(findings):
        mine = share[findings == finding]
        if len(mine) > 1:
            # rounded, since sums of shares that are equal may differ by 1e-16
            others = _highest(np.round(mine.sum(axis=0) - mine, 9))
            found[findings == finding] = (mine * others).sum(axis=1)
    return found


def _highest(values: np.ndarray) -> np.ndarray:
    """1 at the highest of each row, shared where several are; `(n, m)`."""
    highest = values == values.max(axis=1, keepdims=True)
    return highest / highest.sum(axis=1, keepdims=True)


def regions_of_cells(cells: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Regions of the network that a mask of coarse cells overlaps.

    Args:
        cells: square mask over the whole image, flat or not, of an image that
            the network sees whole (a square one, as the phantom's are).
        grid: rows and columns of the regions.

    Returns:
        `grid` bool.
    """
    mask = np.asarray(cells)
    side = round(mask.size**0.5)
    mask = mask.reshape(side, side) != 0
    rows, columns = (_overlaps(number, side) for number in grid)
    return rows @ mask @ columns.T


def _overlaps(regions: int, cells: int) -> np.ndarray:
    """`(regions, cells)` bool: which share a part of a line."""
    # In whole numbers, since edges that meet must not overlap.
    first, cell = (
        np.arange(regions)[:, None] * cells,
        np.arange(cells) * regions,
    )
    return (first < cell + regions) & (cell < first + cells)


def regions_of_boxes(
    boxes: Sequence[Box], square: Box, grid: tuple[int, int]
) -> np.ndarray:
    """Regions of the network that boxes overlap.

    Args:
        boxes: left, top, right, bottom, in pixels of the image.
        square: what the network sees of it, see `seen_square`.
        grid: rows and columns of the regions.

    Returns:
        `grid` bool.
    """
    left, top, right, bottom = square
    across = _edges(left, right, grid[1])
    down = _edges(top, bottom, grid[0])
    found = np.zeros(grid, bool)
    for one in boxes:
        rows = (down[:-1] < one[3]) & (down[1:] > one[1])
        columns = (across[:-1] < one[2]) & (across[1:] > one[0])
        found |= rows[:, None] & columns
    return found


def _edges(start: float, stop: float, regions: int) -> np.ndarray:
    # Divided last: linspace may miss a whole pixel that a box ends at.
    return start + np.arange(regions + 1) * (stop - start) / regions


def contrast_to_noise(
    scores: np.ndarray, boxes: Sequence[Box], shape: tuple[int, int], size: int
) -> float:
    """CNR: `(mean_in - mean_out) / sqrt(var_in + var_out)` over pixels.

    With its sign: a map that stands out beside the boxes is negative. Pixels
    that the network does not see are neither in nor out.

    Args:
        scores: `(rows, columns)` of the regions.
        boxes: left, top, right, bottom, in pixels of the image.
        shape: height and width of the image.
        size: side of the square that the network gets, in pixels.

    Returns:
        The ratio; NaN where no or every pixel is inside, or the map is flat.

    References:
        - Boecking et al., 2022, https://arxiv.org/abs/2204.09817
    """
    values, (top, left) = pixel_map(scores, shape, size)
    down = np.arange(values.shape[0]) + top + 0.5
    across = np.arange(values.shape[1]) + left + 0.5
    inside = np.zeros(values.shape, bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((down > y0) & (down < y1))[:, None] & (
            (across > x0) & (across < x1)
        )
    within, without = values[inside], values[~inside]
    # Of a flat map the pixels differ by rounding, which is no noise.
    if not within.size or not without.size or not np.ptp(scores):
        return np.nan
    noise = np.sqrt(within.var() + without.var())
    return float((within.mean() - without.mean()) / noise) if noise else np.nan


def pixel_map(
    scores: np.ndarray, shape: tuple[int, int], size: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """The map at the pixels of the image that the network sees, bilinear.

    Args:
        scores: `(rows, columns)` of the regions.
        shape: height and width of the image.
        size: side of the square that the network gets, in pixels.

    Returns:
        `(h, w)` float64, and the image's row and column of its first pixel.
    """
    left, top, right, bottom = seen_square(*shape, size)
    rows, first_row = _linear(top, bottom, scores.shape[0])
    columns, first_column = _linear(left, right, scores.shape[1])
    return rows @ scores @ columns.T, (first_row, first_column)


def _linear(start: float, stop: float, cells: int) -> tuple[np.ndarray, int]:
    """Weights of the cells at the pixels whose centre is between the edges."""
    first = int(np.ceil(start - 0.5))
    pixels = np.arange(first, int(np.ceil(stop - 0.5))) + 0.5
    at = (pixels - start) / (stop - start) * cells - 0.5
    at = np.clip(at, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells))), first
