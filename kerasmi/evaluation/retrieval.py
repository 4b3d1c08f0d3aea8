"""Retrieval both ways: the report of an image, and the image of a report.

Reports that say the same are one candidate; an image is right for a report
when its own report says that.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kerasmi.evaluation import ranking
from kerasmi.evaluation.clusters import Clusters
from kerasmi.evaluation.held_out import BLOCK_ENTRIES

AT = (1, 5, 10)
MEDIAN = "median rank"
DIRECTIONS = ("image to report", "report to image")


def distinct_reports(
    texts: Sequence[np.ndarray],
) -> tuple[list[np.ndarray], np.ndarray]:
    """Puts reports that say the same together.

    Args:
        texts: for each image the numbers of its report's sentences among the
            distinct sentences; one number where the report is one text.

    Returns:
        The distinct reports, each the numbers of its sentences, and `(I,)`
        the report of each image. The order of the sentences does not count.
    """
    keys = [tuple(np.sort(numbers).tolist()) for numbers in texts]
    numbered = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return (
        [np.array(key) for key in numbered],
        np.array([numbered[key] for key in keys]),
    )


def report_scores(
    scores: np.ndarray,
    reports: Sequence[np.ndarray],
    written: np.ndarray,
    by_text: bool = False,
) -> np.ndarray:
    """Scores of reports: the sum over their sentences (Eq. 5), normalised.

    A critic is `log p/q` only up to a constant (MINE) or a function of the
    image (CPC), its gauge. A plain sum counts it once for every sentence: the
    longest or the shortest reports would come first whatever they say. So the
    log-mean-exp over all sentences of the split is taken off first, image by
    image: what the softmax of InfoNCE does. The mean instead of the sum would
    also be free of the gauge, but a log density ratio adds up over sentences;
    on the phantom the mean was worse (R@1 .036 against .066).

    Args:
        scores: `(I, U)`, images with distinct sentences.
        reports: R times the numbers of a report's sentences.
        written: `(U,)` how often each sentence was written in the split.
        by_text: take off the log-mean-exp over the images, sentence by
            sentence, instead: for critics trained by CPC from text to image,
            whose gauge is a function of the text.

    Returns:
        `(I, R)` float32, nats.
    """
    lengths = [len(numbers) for numbers in reports]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    flat = np.concatenate(reports)
    of_text = _log_mean_exp(scores.T, np.ones(len(scores))) if by_text else 0.0
    sums = np.empty((len(scores), len(reports)), np.float32)
    step = max(1, BLOCK_ENTRIES // len(flat))
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        block = scores[rows].astype(float) - of_text
        if not by_text:
            block -= _log_mean_exp(scores[rows], written)[:, None]
        sums[rows] = np.add.reduceat(block[:, flat], starts, axis=1)
    return sums


def _log_mean_exp(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`(rows,)` log of the weighted mean of `exp(scores)` of each row."""
    peak = scores.max(axis=1).astype(float)
    means = np.empty(len(scores))
    step = max(1, BLOCK_ENTRIES // scores.shape[1])
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        terms = np.exp(scores[rows] - peak[rows, None])
        means[rows] = terms @ weights / weights.sum()
    return peak + np.log(means)


def evaluate(
    scores: np.ndarray,
    report_of_image: np.ndarray,
    subjects: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """R@1, R@5, R@10 and median rank, both ways, with what chance gives.

    Ties stand in random order, see `ranking`. Intervals resample the subjects
    of the queries; the candidates stay. A report that several subjects share
    belongs to each in part. Shares that are all 0 or all 1 have the interval
    of `Clusters.share`.

    Args:
        scores: `(I, R)`, images with distinct reports.
        report_of_image: `(I,)` int, the report of each image.
        subjects: `(I,)` int, the subject of each image.
        resamples: number of resamples of subjects.
        confidence: of the intervals.
        seed: of the resampling.

    Returns:
        A row per direction and metric: value, low, high, chance, note,
        n_queries, n_candidates, n_subjects. R@k are shares, the rank counts
        from 1; NaN for low and high where the note says that there is none.
    """
    right = report_of_image[:, None] == np.arange(scores.shape[1])
    owners = (
        list(subjects[:, None]),
        [subjects[column] for column in right.T],
    )
    sides = ((scores, right), (scores.T, right.T))
    rows = []
    for direction, side, owner in zip(DIRECTIONS, sides, owners, strict=True):
        clusters = Clusters.of(owner, resamples, confidence, seed)
        found = ranking.rank(*side)
        by_chance = ranking.chance(side[1].sum(axis=1), side[0].shape[1])
        common = {
            "n_queries": side[0].shape[0],
            "n_candidates": side[0].shape[1],
            "n_subjects": clusters.n_subjects,
        }
        metrics = [
            clusters.share_row(f"R@{k}", found.hits(k), by_chance.hits(k))
            for k in AT
        ]
        metrics.append(clusters.median_row(MEDIAN, found.rank, by_chance.rank))
        rows += [{"direction": direction, **row, **common} for row in metrics]
    return pd.DataFrame(rows)
