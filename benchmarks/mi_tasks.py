"""Four tasks of benchmark-mi, against that package's estimators (item 4)."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import mi_peer
from benchmarks.mi_rows import FREE, Check, Row, within
from benchmarks.mi_samplers import BENCHMARK_MI, Task
from benchmarks.mi_training import (
    Budget,
    Features,
    held_out,
    one_region,
    train,
)
from kerasmi.evaluation import mutual_information as mi

# Below and above the truth; the spiral's bar is the peer's error.
BARS = {
    "1v1-normal-0.75": (0.03, 0.03),
    "multinormal-dense-25-25-0.5": (0.12, 0.05),
    "1v1-additive-0.1": (0.15, 0.03),
}
READ_OUTS = {"mine": "donsker_varadhan", "cpc": "infonce_image_to_text"}
SAMPLE, VALIDATION, TEST = 10_000, 1536, 4096


def tasks(peer: Path | None, quick: bool = False) -> Iterator[Row]:
    """Item 4: both train on the same 10,000 pairs, ours is read on others.

    Args:
        peer: folder of the peer's environment; None does not run it.
        quick: fewer steps and pairs.
    """
    budget = Budget(100 if quick else 1200, 64, 2e-3, (64, 64))
    for number, task in enumerate(BENCHMARK_MI):
        generator = np.random.default_rng([4, number])
        drawn = task.sample(SAMPLE + TEST, generator)
        x, y = (values.astype("float32") for values in drawn)
        theirs = {}
        if peer is not None:
            theirs = mi_peer.estimates(task.name, x[:SAMPLE], y[:SAMPLE], peer)
        rest, validation, test = _split(x, y)
        if quick:
            test = test[0][:512], test[1][:512]
        for bound, name in READ_OUTS.items():
            scorer = train(
                bound,
                _batches(*rest, budget.batch),
                budget,
                seed=0,
                validation=validation,
            )
            pairs = held_out(scorer, *test)
            found = mi.read_out(name, pairs, bound=bound, candidates=256)
            value = theirs.get(name.removesuffix("_image_to_text"))
            yield Row(
                4,
                task.name,
                bound,
                task.truth,
                found,
                len(pairs.scores),
                _bar(task, value),
                math.exp(-2 * task.truth),
                value,
                seed=0,
            )


def tasks_checks(peer: Path | None) -> list[Check]:
    """Item 4: the package states the same truths."""
    if peer is None:
        return []
    checks = []
    for number, task in enumerate(BENCHMARK_MI):
        generator = np.random.default_rng([4, number])
        drawn = task.sample(SAMPLE + TEST, generator)
        x, y = (values.astype("float32")[:SAMPLE] for values in drawn)
        truth = mi_peer.estimates(task.name, x, y, peer)["truth"]
        checks.append(
            Check(
                4,
                f"{task.name}: the package's truth is ours",
                f"{truth:.4f} and {task.truth:.4f}",
                abs(truth - task.truth) < 1e-4,
            )
        )
    return checks


def _bar(task: Task, theirs: float | None) -> tuple[float, float]:
    if task.name in BARS:
        return within(task.truth, *BARS[task.name])
    if theirs is None:
        return FREE
    return within(task.truth, abs(theirs - task.truth) + 0.02)


def _split(x: np.ndarray, y: np.ndarray) -> list[Features]:
    """Training, validation and test; standardised on training alone."""
    first = SAMPLE - VALIDATION
    x, y = ((v - v[:first].mean(0)) / v[:first].std(0) for v in (x, y))
    parts = slice(0, first), slice(first, SAMPLE), slice(SAMPLE, None)
    return [(one_region(x[part]), y[part]) for part in parts]


def _batches(x: np.ndarray, y: np.ndarray, batch: int) -> Iterator[Features]:
    generator = np.random.default_rng([4, 1])
    while True:
        rows = generator.permutation(len(x))
        for first in range(0, len(rows) - batch + 1, batch):
            chosen = rows[first : first + batch]
            yield x[chosen], y[chosen]
