"""What a process holds after each loop of a soak, and whether it grows."""

import contextlib
import gc
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import heap

WARM_UP = 8  # loops
GROWTH = 50.0  # MiB an hour that the fitted line of memory may rise
ALLOCATED = 20.0  # the same of what is allocated


@dataclass(frozen=True)
class Loop:
    """What the process holds after a loop.

    Attributes:
        hours: since the start.
        rss: resident memory, MiB.
        used: of it, what is allocated and not freed, MiB.
        handles: open file handles.
        threads: names of the process's threads.
        disk: MiB in the work folder before it was removed.
    """

    hours: float
    rss: float
    used: float
    handles: int
    threads: Counter[str]
    disk: float


@dataclass(frozen=True)
class Bar:
    """A bar, in words, and whether it is met."""

    words: str
    met: bool


def growth(loops: list[Loop], name: str = "rss") -> float:
    """Slope of memory over time by least squares, in MiB an hour."""
    hours = [loop.hours for loop in loops]
    return float(np.polyfit(hours, [getattr(k, name) for k in loops], 1)[0])


def verdict(loops: list[Loop], warm_up: int = WARM_UP) -> list[Bar]:
    """Holds the loops after the first `warm_up` to the bars.

    Args:
        loops: all of them, in order; three more than `warm_up` at least.
        warm_up: loops that only set what handles and threads may be.

    Raises:
        ValueError: too few loops to tell.
    """
    first, counted = loops[:warm_up], loops[warm_up:]
    if not first or len(counted) < 3:
        raise ValueError(
            f"{len(loops)} loops are too few: {warm_up} warm up, 1 at least,"
            " and 3 more are needed"
        )
    bars = []
    for name, of, most in (
        ("memory", "rss", GROWTH),
        ("allocated", "used", ALLOCATED),
    ):
        slope = growth(counted, of)
        words = f"{name} {slope:+.1f} MiB an hour, <= {most:.0f}"
        bars.append(Bar(words, slope <= most))
    for name in ("handles", "threads"):
        before = max(_number(getattr(loop, name)) for loop in first)
        after = max(_number(getattr(loop, name)) for loop in counted)
        words = f"{name} {after} at most, {before} while warming up"
        if name == "threads" and after > before:
            words += f" (more of: {', '.join(_more(first, counted))})"
        bars.append(Bar(words, after <= before))
    return bars


def _number(held: int | Counter[str]) -> int:
    return held if isinstance(held, int) else held.total()


def _more(first: list[Loop], counted: list[Loop]) -> list[str]:
    """Names of which there came to be more threads."""
    before, after = Counter[str](), Counter[str]()
    for loop in first:
        before |= loop.threads
    for loop in counted:
        after |= loop.threads
    return sorted(after - before)


def _thread_names() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        # a thread may end meanwhile
        with contextlib.suppress(OSError):
            yield (task / "comm").read_text("utf-8").strip()


def held(begun: float, disk: float) -> Loop:
    """What this process holds now."""
    gc.collect()
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text("utf-8").splitlines()
    )
    return Loop(
        hours=(time.monotonic() - begun) / 3600,
        rss=int(status["VmRSS"].split()[0]) / 1024,
        used=heap.in_use(),
        handles=len(os.listdir("/proc/self/fd")),
        threads=Counter(_thread_names()),
        disk=disk,
    )
