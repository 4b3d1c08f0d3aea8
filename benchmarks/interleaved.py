"""Sides of a comparison in one process, in turn."""

import statistics
import time
from collections.abc import Callable, Mapping


def processor_seconds(
    sides: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """What one call of each side costs, `rounds` times.

    Processor time of this process, so that other load counts little; every
    round calls each side once, after two calls that are not counted.

    Args:
        sides: functions that return when their work is done.
        rounds: at least 1.

    Returns:
        Seconds of each side, in the order of the rounds.
    """
    for side in sides.values():
        side()
        side()
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            begun = time.process_time()
            side()
            spent[name].append(time.process_time() - begun)
    return spent


def cells(seconds: list[float]) -> str:
    """`median (least-most)` in milliseconds."""
    low, middle, high = (
        1e3 * value
        for value in (min(seconds), statistics.median(seconds), max(seconds))
    )
    return f"{middle:.1f} ({low:.1f}-{high:.1f})"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times faster, in each round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def ratio(slow: list[float], fast: list[float]) -> str:
    """Median of the ratios of the rounds, and their range."""
    found = ratios(slow, fast)
    middle = statistics.median(found)
    return f"{middle:.2f} ({min(found):.2f}-{max(found):.2f})"
