"""Images and sentences of discrete statuses: truth log K (5), and 0 (6)."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from benchmarks.mi_rows import FREE, Check, Row, within
from benchmarks.mi_samplers import Statuses
from benchmarks.mi_training import (
    Budget,
    Features,
    Scorer,
    held_out,
    one_region,
    train,
)
from kerasmi.evaluation import mutual_information as mi
from kerasmi.evaluation.held_out import HeldOut

CANDIDATES = 128
BOUNDS = ("mine", "cpc", "nwj", "jensen_shannon", "smile", "cpc_pooled")


def _budget(quick: bool) -> Budget:
    return Budget(60 if quick else 1000, 64, 3e-3, (64, 64))


def statuses(quick: bool = False) -> Iterator[Row]:
    """Item 5: one sentence, local and global, a channel, whole reports."""
    exact, noisy = Statuses(), Statuses(flip=0.1)
    for task, case in (
        (exact, "one sentence, local"),
        (noisy, "told wrong 1 in 10, local"),
    ):
        for bound in ("mine", "cpc"):
            bar = within(task.truth, 0.03)
            yield _estimate(5, case, task, bound, bar, quick)
    for bound in ("mine", "cpc"):
        case = "one sentence, global"
        yield _estimate(5, case, exact, bound, FREE, quick, is_global=True)
    # Two: a bar holds up to log(batch) - 1 = 3.16 nats.
    task = Statuses(sentences=2)
    case = "report of 2 sentences, local"
    bar = within(task.truth, 0.05 * task.sentences)
    yield _estimate(5, case, task, "mine", bar, quick)


def statuses_checks(rows: list[Row]) -> list[Check]:
    """Item 5: local against global, with the same budget."""
    values = {(r.case, r.trained): r.found.value for r in rows if r.item == 5}
    return [
        Check(
            5,
            f"{bound}: local at least global - 0.02, same budget",
            f"{local:.3f} against {whole:.3f}",
            local >= whole - 0.02,
        )
        for bound in ("mine", "cpc")
        for local in [values["one sentence, local", bound]]
        for whole in [values["one sentence, global", bound]]
    ]


def null(quick: bool = False) -> Iterator[Row]:
    """Item 6: image and text independent; every bound and read-out."""
    task = Statuses(related=False)
    for is_global in (False, True):
        case = f"independent, {'global' if is_global else 'local'}"
        for bound in BOUNDS:
            pairs = _held_out(task, bound, quick, is_global=is_global)
            for name in mi.read_outs_for(bound):
                if name in ("infonce_text_to_image", "infonce_symmetric"):
                    continue
                yield _row(6, case, task, bound, (-0.02, 0.02), pairs, name)
    yield matched(quick)


def matched(quick: bool = False) -> Row:
    """The selected region, which is no bound: what it claims, without a bar."""
    task = Statuses(related=False)
    pairs = _held_out(task, "mine", quick, rule="matched", number=2048)
    case = "independent, local, region rule matched (no bound)"
    row = _row(6, case, task, "mine", FREE, pairs, "donsker_varadhan")
    found = dataclasses.replace(row.found, lower_bound=False)
    return dataclasses.replace(row, found=found)


def null_checks(rows: list[Row]) -> list[Check]:
    """Item 6: the literal reading of Fig. 2 fails, as is documented."""
    return [
        Check(
            6,
            "the rule matched fails the null test, as documented (up to log 4)",
            f"{row.found.value:.3f}",
            0.02
            < row.found.value
            <= math.log(4) + 3 * row.found.standard_error,
        )
        for row in rows
        if "matched" in row.case
    ]


def _estimate(
    item: int,
    case: str,
    task: Statuses,
    bound: str,
    bar: tuple[float, float],
    quick: bool,
    is_global: bool = False,
) -> Row:
    pairs = _held_out(task, bound, quick, is_global=is_global)
    name = mi.read_outs_for(bound)[0]
    return _row(item, case, task, bound, bar, pairs, name)


def _row(
    item: int,
    case: str,
    task: Statuses,
    bound: str,
    bar: tuple[float, float],
    pairs: HeldOut,
    name: str,
) -> Row:
    found = mi.read_out(name, pairs, bound=bound, candidates=CANDIDATES)
    # Independent pairs weigh all alike; else 1 of K in each sentence counts.
    share = task.statuses**-task.sentences if task.related else 1.0
    number = len(pairs.scores)
    return Row(item, case, bound, task.truth, found, number, bar, share, seed=0)


def _held_out(
    task: Statuses,
    bound: str,
    quick: bool,
    *,
    rule: str = "max",
    is_global: bool = False,
    number: int = 4096,
) -> HeldOut:
    def drawn(count: int, generator: np.random.Generator) -> Features:
        image, text = task.sample(count, generator)
        return (one_region(image) if is_global else image), text

    def batches() -> Iterator[Features]:
        generator = np.random.default_rng([5, 1])
        while True:
            yield drawn(budget.batch, generator)

    budget = _budget(quick)
    scorer: Scorer = train(
        bound, batches(), budget, seed=0, rule=rule, sentences=task.sentences
    )
    count = 256 if quick else number
    return held_out(scorer, *drawn(count, np.random.default_rng([5, 0])))
