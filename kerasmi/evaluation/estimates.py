"""The arithmetic of read-outs: pooled over all negatives, or in blocks."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from kerasmi.evaluation.held_out import HeldOut

# With fewer effective negatives than this a log-mean-exp is not trustworthy.
ENOUGH_NEGATIVES = 10


@dataclasses.dataclass(frozen=True)
class ReadOut:
    """A held-out value and everything needed to judge it.

    Attributes:
        name: the read-out, such as `"donsker_varadhan"`.
        value: nats; may be negative.
        standard_error: nats, clustered by subject.
        ceiling: nats, `mean log|C|` of InfoNCE; infinite for the others.
        n_positives: matched pairs read (InfoNCE: anchors, over all rounds).
        n_negatives: usable negatives (InfoNCE: mean number per anchor).
        effective_negatives: effective sample size of `exp(score)` over them.
        expected_effective: `n_negatives * exp(-2 value)`, for the share at the
            optimum is e^-2I of Gaussians; what the sample's own effective size
            cannot see is the tail that was never drawn. With N pairs and their
            N^2 negatives it falls below 10 at `log N - 1.15`: no lower bound
            that holds with confidence exceeds about log N (McAllester and
            Stratos, 2020). InfoNCE: `n_negatives * exp(-value)`.
        reliable: False when either is below 10 (InfoNCE: the latter; its value
            is then held down by the number of candidates).
        lower_bound: whether it estimates a lower bound. The expected value is
            at most the information for NWJ and InfoNCE; for DV, the log of a
            finite mean, it lies up to about `1 / (2 effective negatives)` nats
            above it, of a critic near log p/q.
        scale: factor put on the scores (1 for the critic as it is).
        note: why it is not reliable or not a bound, or `""`.
        calibrated: the same read-out of the rescaled critic, cross-fitted, when
            asked for; its negatives are those of the poorer half.
    """

    name: str
    value: float
    standard_error: float
    ceiling: float
    n_positives: int
    n_negatives: int
    effective_negatives: float
    expected_effective: float
    reliable: bool
    lower_bound: bool
    scale: float = 1.0
    note: str = ""
    calibrated: "ReadOut | None" = None


@dataclasses.dataclass(frozen=True)
class Partition:
    """`log E_q[exp g]` and how much each image and text adds to it.

    Attributes:
        log_mean: nats.
        image_parts: `(I,)` derivative by the weight of each image.
        text_parts: `(T,)` derivative by the weight of each text.
        count: negatives.
        effective: effective sample size of `exp g` over them.
    """

    log_mean: float
    image_parts: np.ndarray
    text_parts: np.ndarray
    count: int
    effective: float


def pooled(
    name: str,
    pairs: HeldOut,
    rescale: Callable,
    clip: float = math.inf,
) -> ReadOut:
    """DV, SMILE or NWJ from one mean over all held-out negatives.

    Args:
        name: `"donsker_varadhan"`, `"smile"` or `"nwj"`.
        pairs: the scores of held-out pairs.
        rescale: increasing affine function put on the scores.
        clip: limit of the negatives' scores (SMILE).

    Returns:
        A `ReadOut` in nats.
    """
    matched = rescale(pairs.matched)
    rest = partition(pairs, lambda f: np.clip(rescale(f), -clip, clip))
    if name == "nwj":
        with np.errstate(over="ignore"):
            penalty = slope = float(np.exp(rest.log_mean - 1))
    else:
        penalty, slope = rest.log_mean, 1.0
    value = float(matched.mean() - penalty)
    error = math.inf
    if math.isfinite(slope):
        images = (matched - matched.mean()) / len(matched)
        images = images - slope * rest.image_parts
        texts = -slope * rest.text_parts
        error = clustered_error(pairs, images, texts)
    return _judge(
        name,
        value,
        error,
        math.inf,
        pairs.n_positives,
        rest.count,
        rest.effective,
    )


def partition(pairs: HeldOut, rescale: Callable) -> Partition:
    """One pass over the negatives, in blocks of rows and in log space."""
    images, texts = pairs.scores.shape
    weights = pairs.text_weights
    peak = rescale(pairs.largest_negative)
    sums, weight = np.zeros(images), np.zeros(images)
    text_sums, text_weight = np.zeros(texts), np.zeros(texts)
    squares, count = 0.0, 0
    for rows, scores, negatives in pairs.blocks():
        with np.errstate(under="ignore"):
            terms = np.exp(np.where(negatives, rescale(scores) - peak, -np.inf))
            sums[rows] = terms @ weights
            text_sums += terms.sum(axis=0) * weights
            squares += float(np.sum((terms * weights) ** 2))
        weight[rows] = negatives @ weights
        text_weight += negatives.sum(axis=0) * weights
        count += int(np.count_nonzero(negatives))
    total = sums.sum()
    return Partition(
        float(peak + np.log(total / weight.sum())),
        sums / total - weight / weight.sum(),
        text_sums / total - text_weight / weight.sum(),
        count,
        float(total**2 / squares),
    )


def clustered_error(
    pairs: HeldOut, images: np.ndarray, texts: np.ndarray
) -> float:
    """Delta-method standard error with subjects as the independent units.

    Args:
        pairs: says whose each image and text is.
        images: `(I,)` influence of each image on the value.
        texts: `(T,)` influence of each text.

    Returns:
        `sqrt(G / (G - 1) sum_g influence_g^2)` over G subjects, in nats.
    """
    subjects, rows = np.unique(pairs.subjects, return_inverse=True)
    columns = np.searchsorted(subjects, pairs.text_subjects)
    groups = len(subjects)
    if groups < 2:
        return math.inf
    of_subject = np.bincount(rows, images, groups)
    of_subject += np.bincount(columns, texts, groups)
    of_subject -= of_subject.mean()
    return math.sqrt(groups / (groups - 1) * float(of_subject @ of_subject))


def blocked_value(
    pairs: HeldOut, direction: str, candidates: int, rounds: int, seed: int
) -> Callable[[float], float]:
    """From a scale to the value of `blocked`, in nats, and nothing more.

    The blocks are dealt once for all scales.
    """
    _check_candidates(pairs, candidates)
    blocks = [
        _sides(*_scored(pairs, rows, columns), direction)
        for rows, columns in _dealt(pairs, candidates, rounds, seed)
    ]

    def value(scale: float) -> float:
        values, sizes = [], []
        for scores, negatives in itertools.chain(*blocks):
            found, size = _gain(scale * scores, negatives)[:2]
            values.append(found)
            sizes.append(size)
        used = np.concatenate(sizes) > 1
        _check_used(used)
        return float(np.concatenate(values)[used].mean())

    return value


def blocked(
    pairs: HeldOut,
    scale: float,
    direction: str,
    candidates: int,
    rounds: int,
    seed: int,
) -> ReadOut:
    """InfoNCE in random blocks; see `mutual_information.infonce`."""
    images = len(pairs.scores)
    _check_candidates(pairs, candidates)
    found = [
        _block(pairs, rows, columns, scale, direction)
        for rows, columns in _dealt(pairs, candidates, rounds, seed)
    ]
    rows, values, sizes, influence, effective = map(
        np.concatenate, zip(*found, strict=True)
    )
    used = sizes > 1
    _check_used(used)
    value = float(values[used].mean())
    seen = np.bincount(rows, minlength=images)
    parts = np.bincount(rows, influence - influence.mean(), images)
    parts = parts / (np.maximum(seen, 1) * np.count_nonzero(seen))
    return _judge(
        f"infonce_{direction}",
        value,
        clustered_error(pairs, parts, np.zeros(len(pairs.text_studies))),
        float(np.log(sizes[used]).mean()),
        int(used.sum()),
        round(float(sizes[used].mean() - 1)),
        float(effective[used].mean()),
    )


def _check_candidates(pairs: HeldOut, candidates: int) -> None:
    images = len(pairs.scores)
    if not 2 <= candidates <= images:
        raise ValueError(
            f"candidates must lie between 2 and the number of images, {images} "
            f"(half of the set when calibrating). Received: {candidates}."
        )


def _check_used(used: np.ndarray) -> None:
    if not used.any():
        raise ValueError(
            "No block holds two subjects: no anchor has negatives."
        )


def _dealt(
    pairs: HeldOut, candidates: int, rounds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The blocks of all rounds."""
    generator = np.random.default_rng(seed)
    for _ in range(rounds):
        yield from _deal(pairs, candidates, generator)


def _deal(
    pairs: HeldOut, candidates: int, generator: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Blocks of images, each with one text of its study; the rest sits out."""
    images = generator.permutation(len(pairs.scores))
    order = np.argsort(pairs.text_studies, kind="stable")
    studies = pairs.image_studies[images]
    ranked = pairs.text_studies[order]
    first = np.searchsorted(ranked, studies, side="left")
    count = np.searchsorted(ranked, studies, side="right") - first
    texts = order[first + generator.integers(0, count)]
    blocks = len(images) // candidates
    split = np.arange(1, blocks + 1) * candidates
    return list(
        zip(
            np.split(images, split)[:blocks],
            np.split(texts, split)[:blocks],
            strict=True,
        )
    )


def _block(
    pairs: HeldOut,
    rows: np.ndarray,
    columns: np.ndarray,
    scale: float,
    direction: str,
) -> tuple[np.ndarray, ...]:
    """Image, value, |C|, influence and effective negatives of each anchor."""
    scores, negatives = _scored(pairs, rows, columns)
    sides = _sides(scale * scores, negatives, direction)
    found = zip(*(_anchors(*side) for side in sides), strict=True)
    of_rows = np.tile(rows, len(sides))
    return (of_rows, *(np.concatenate(parts) for parts in found))


def _scored(
    pairs: HeldOut, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and negatives of a block, `(c, c)`."""
    scores = pairs.scores[np.ix_(rows, columns)].astype(float)
    return scores, pairs.negatives(rows, columns)


def _sides(
    scores: np.ndarray, negatives: np.ndarray, direction: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """A block with its anchors as rows: images, texts, or first those."""
    forward, backward = (scores, negatives), (scores.T, negatives.T)
    return {
        "image_to_text": [forward],
        "text_to_image": [backward],
        "symmetric": [forward, backward],
    }[direction]


def _anchors(
    scores: np.ndarray, negatives: np.ndarray
) -> tuple[np.ndarray, ...]:
    values, sizes, shares = _gain(scores, negatives)
    # Without candidate k an anchor would gain about p_k - 1/|C|.
    loss = np.where(negatives, shares - 1 / sizes[:, None], 0.0)
    influence = values - loss.sum(axis=0)
    return values, sizes, influence, _effective(scores, negatives)


def _gain(
    scores: np.ndarray, negatives: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value and |C| of each anchor, and the shares of its candidates."""
    own = np.eye(len(scores), dtype=bool)
    kept = np.where(negatives | own, scores, -np.inf)
    peak = kept.max(axis=1, keepdims=True)
    terms = np.exp(kept - peak)
    total = terms.sum(axis=1, keepdims=True)
    sizes = negatives.sum(axis=1) + 1
    log_sum = (peak + np.log(total))[:, 0]
    values = np.diagonal(scores) - log_sum + np.log(sizes)
    return values, sizes, terms / total


def _effective(scores: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    kept = np.where(negatives, scores, -np.inf)
    peak = kept.max(axis=1, keepdims=True)
    terms = np.exp(kept - np.where(np.isfinite(peak), peak, 0.0))
    squares = (terms**2).sum(axis=1)
    return terms.sum(axis=1) ** 2 / np.where(squares > 0, squares, 1.0)


def _judge(
    name: str,
    value: float,
    error: float,
    ceiling: float,
    n_positives: int,
    n_negatives: int,
    effective: float,
) -> ReadOut:
    """Adds the flags: is it a bound, and does it rest on enough negatives?"""
    of_infonce = name.startswith("infonce")
    exponent = 1 if of_infonce else 2
    expected = n_negatives * math.exp(-exponent * max(value, 0.0))
    enough = expected >= ENOUGH_NEGATIVES
    if not of_infonce:
        enough = enough and effective >= ENOUGH_NEGATIVES
    notes = [] if name != "smile" else ["not a lower bound"]
    if not enough and of_infonce:
        # the log of 10, and what rounding adds to it
        notes.append(
            f"less than 2.5 nats below the ceiling of its {n_negatives + 1} "
            "candidates, which may hold it down: "
            "`kerasmi evaluate --mi --candidates` takes more, up to half of "
            "the images"
        )
    elif not enough:
        notes.append("too few effective negatives: not to be trusted")
    return ReadOut(
        name,
        value,
        error,
        ceiling,
        n_positives,
        n_negatives,
        effective,
        expected,
        enough,
        name != "smile",
        note="; ".join(notes),
    )
