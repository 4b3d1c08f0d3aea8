"""Gaussians of 20 dimensions: the true critic (item 2), trained ones (3)."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from benchmarks.mi_rows import FREE, Check, Row, within
from benchmarks.mi_samplers import (
    channel_information,
    correlated,
    log_ratio,
)
from benchmarks.mi_training import (
    Budget,
    Features,
    held_out,
    one_region,
    train,
)
from kerasmi import bounds
from kerasmi.evaluation import mutual_information as mi
from kerasmi.evaluation.estimates import ENOUGH_NEGATIVES, ReadOut
from kerasmi.types import Tensor

# Bars of the oracle: (nats, batch, bound, low, high).
ORACLE = (
    (1, 64, "infonce", *within(0.958, 0.04)),
    (1, 64, "donsker_varadhan", *within(1.0, 0.05)),
    (1, 64, "nwj", *within(1.0, 0.05)),
    (2, 64, "infonce", *within(1.807, 0.06)),
    (2, 64, "donsker_varadhan", *within(2.0, 0.08)),
    (2, 64, "nwj", *within(2.0, 0.08)),
    (2, 256, "infonce", *within(1.932, 0.05)),
    (3, 64, "infonce", *within(2.51, 0.06)),
    (3, 64, "donsker_varadhan", *within(3.02, 0.10)),
    (10, 64, "infonce", 4.104, math.log(64)),
)


def oracle(quick: bool = False) -> tuple[list[Row], list[Check]]:
    """Item 2: `log p/q` itself through the bounds, without any training."""
    rows = []
    for information, size, name, low, high in ORACLE:
        scores = _gaussian_batches(information, size, 50 if quick else 200)
        case = f"Gaussian d=20, {information} nats"
        share = math.exp(-2 * information)
        found = _mean_of_batches(name, scores)
        rows.append(_row(case, information, found, scores, (low, high), share))
    # The bar is 0.01 wide on each side: three standard errors of 2000 batches.
    scores = _channel_batches(2000)
    truth = channel_information(4, 0.1)
    for name, low, high in (
        ("donsker_varadhan", 0.94, 0.96),
        ("infonce", *within(0.92, 0.03)),
    ):
        found = _mean_of_batches(name, scores)
        case = "status of 4, told wrong 1 in 10"
        rows.append(_row(case, truth, found, scores, (low, high), 1 / 4))
    return rows, [_effective_share(quick)]


def _row(
    case: str,
    truth: float,
    found: ReadOut,
    scores: np.ndarray,
    bar: tuple[float, float],
    share: float,
) -> Row:
    pairs = scores.shape[0] * scores.shape[1]
    return Row(2, case, "none", truth, found, pairs, bar, share)


@functools.cache
def _gaussian_batches(information: int, size: int, number: int) -> np.ndarray:
    generator = np.random.default_rng([2, information, size])
    task = correlated(information)
    drawn = (task.sample(size, generator) for _ in range(number))
    return np.stack([log_ratio(x, y, information) for x, y in drawn])


def _channel_batches(
    number: int, statuses: int = 4, flip: float = 0.1
) -> np.ndarray:
    generator = np.random.default_rng(2)
    x = generator.integers(statuses, size=(number, 64))
    wrong = x + generator.integers(1, statuses, x.shape)
    y = np.where(generator.random(x.shape) < flip, wrong % statuses, x)
    told = math.log(statuses * (1 - flip))
    other = math.log(statuses * flip / (statuses - 1))
    return np.where(x[:, :, None] == y[:, None, :], told, other)


def _mean_of_batches(name: str, scores: np.ndarray) -> ReadOut:
    own = np.eye(scores.shape[1], dtype=bool)
    # NWJ's optimum is 1 + log p/q.
    shift = 1.0 if name == "nwj" else 0.0
    bound = _graph(getattr(bounds, name))
    values = np.array([float(bound(tf.constant(f + shift))) for f in scores])
    is_infonce = name == "infonce"
    effective = math.nan if is_infonce else _effective(scores)
    count = len(own) - 1 if is_infonce else own.size - len(own)
    expected = count * math.exp(-max(values.mean(), 0))
    return ReadOut(
        name=f"{name}, mean of batches of {len(own)}",
        value=float(values.mean()),
        standard_error=float(values.std(ddof=1) / math.sqrt(len(values))),
        ceiling=math.log(len(own)) if is_infonce else math.inf,
        n_positives=scores.shape[0] * scores.shape[1],
        n_negatives=count,
        effective_negatives=effective,
        expected_effective=expected,
        reliable=np.nanmin([expected, effective]) >= ENOUGH_NEGATIVES,
        # A mean of DV's batch values is biased upwards.
        lower_bound=name != "donsker_varadhan",
    )


def _effective(scores: np.ndarray) -> float:
    count = _graph(_effective_negatives)
    return float(np.mean([count(tf.constant(f)) for f in scores[:200]]))


def _effective_negatives(
    scores: Tensor, _: Tensor, negatives: Tensor
) -> Tensor:
    return bounds.effective_negatives(scores, negatives)


@functools.cache
def _graph(bound: Callable) -> Callable:
    def of_square(scores: Tensor) -> Tensor:
        own = tf.eye(tf.shape(scores)[0], dtype=tf.bool)
        return bound(scores, own, ~own)

    # One graph for all sizes of batches.
    square = tf.TensorSpec((None, None), tf.float64)
    return tf.function(of_square, input_signature=[square], autograph=False)


def _effective_share(quick: bool) -> Check:
    scores = _gaussian_batches(1, 256, 5 if quick else 20)
    share, truth = _effective(scores) / (256 * 255), math.exp(-2)
    return Check(
        2,
        "effective share of negatives at 1 nat within 15 % of e^-2 = 0.135",
        f"{share:.3f}",
        abs(share / truth - 1) <= 0.15,
    )


# Bars of the trained critics: (bound, read-out, candidates, low, high).
TRAINED = {
    2: (
        ("jensen_shannon", "donsker_varadhan", None, 1.80, 2.05),
        ("jensen_shannon", "smile", None, -math.inf, 2.05),
        ("jensen_shannon", "nwj", None, *FREE),
        ("jensen_shannon", "infonce_image_to_text", 256, *FREE),
        ("mine", "donsker_varadhan", None, 1.80, 2.05),
        ("mine", "infonce_image_to_text", 256, *FREE),
        ("cpc", "infonce_image_to_text", 64, *FREE),
        ("cpc", "infonce_image_to_text", 256, 1.80, 2.05),
    ),
    4: (
        ("jensen_shannon", "donsker_varadhan", None, 3.5, 4.15),
        ("jensen_shannon", "smile", None, *FREE),
        ("jensen_shannon", "nwj", None, *FREE),
        ("jensen_shannon", "infonce_image_to_text", 256, *FREE),
        ("mine", "donsker_varadhan", None, 3.5, 4.15),
        ("mine", "infonce_image_to_text", 256, *FREE),
        ("cpc", "infonce_image_to_text", 64, *FREE),
        ("cpc", "infonce_image_to_text", 256, *FREE),
    ),
    10: (
        ("jensen_shannon", "donsker_varadhan", None, 8.0, 10.5),
        ("jensen_shannon", "smile", None, *FREE),
        ("jensen_shannon", "nwj", None, *FREE),
        ("jensen_shannon", "infonce_image_to_text", 256, *FREE),
        ("mine", "donsker_varadhan", None, 7.0, math.inf),
        ("mine", "infonce_image_to_text", 256, *FREE),
        ("cpc", "infonce_image_to_text", 64, 4.0, 4.159),
        ("cpc", "infonce_image_to_text", 256, 5.2, math.inf),
    ),
}
SEEDS = (0, 1)


def trained(quick: bool = False) -> Iterator[Row]:
    """Item 3: concat critics of 128-128 units on fresh batches of 64."""
    budget = Budget(steps=100 if quick else 2500)
    for information, bars in TRAINED.items():
        test = _pairs(information, 512 if quick else 4096, 3, 0)
        for bound in dict.fromkeys(bar[0] for bar in bars):
            for seed in SEEDS[: 1 if quick else None]:
                scorer = train(
                    bound, _batches(information, budget, seed), budget, seed
                )
                pairs = held_out(scorer, *test)
                for _, name, candidates, low, high in (
                    bar for bar in bars if bar[0] == bound
                ):
                    found = mi.read_out(
                        name, pairs, bound=bound, candidates=candidates
                    )
                    yield Row(
                        3,
                        f"Gaussian d=20, {information} nats",
                        bound,
                        information,
                        found,
                        len(pairs.scores),
                        (low, high),
                        math.exp(-2 * information),
                        seed=seed,
                    )


def trained_checks(rows: list[Row]) -> list[Check]:
    """The bars of item 3 on seeds and on flags."""
    checks = []
    barred = [
        r for r in rows if r.item == 3 and r.truth == 2 and r.met is not None
    ]
    for key in dict.fromkeys((r.trained, r.found.name) for r in barred):
        values = [
            r.found.value for r in barred if (r.trained, r.found.name) == key
        ]
        spread = max(values) - min(values)
        claim = f"2 nats, {key[0]} read by {key[1]}: seeds differ by ≤ 0.1"
        checks.append(Check(3, claim, f"{spread:.3f}", spread <= 0.1))
    for row in rows:
        if (
            row.item == 3
            and row.truth == 10
            and row.found.name == "donsker_varadhan"
        ):
            flag = f"{row.found.value:.3f}, {row.found.note or 'no flag'}"
            claim = f"10 nats, {row.trained}, seed {row.seed}: finite, flagged"
            met = math.isfinite(row.found.value) and not row.found.reliable
            checks.append(Check(3, claim, flag, met))
    return checks


def _pairs(information: float, number: int, *seed: int) -> Features:
    x, y = correlated(information).sample(number, np.random.default_rng(seed))
    return one_region(x), y.astype("float32")


def _batches(
    information: float, budget: Budget, seed: int
) -> Iterator[Features]:
    generator = np.random.default_rng([3, 1, seed])
    task = correlated(information)
    while True:
        x, y = task.sample(budget.batch, generator)
        yield one_region(x), y.astype("float32")
