"""Blocks of work side by side, where an operation leaves cores idle."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import tensorflow as tf

from kerasmi.in_turn import in_turn

Block = TypeVar("Block")
Result = TypeVar("Result")

MOST = 8  # blocks at once: each holds its memory


def at_once() -> int:
    """How many calls of TensorFlow keep all cores busy; 1 with a GPU.

    More than one where `intra_op_threads` gives an operation fewer threads
    than there are cores.
    """
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    if not threads or tf.config.list_physical_devices("GPU"):
        return 1
    cores = len(os.sched_getaffinity(0))
    return max(1, min(MOST, cores // threads))


def each(
    function: Callable[[Block], Result], blocks: Iterable[Block]
) -> Iterator[Result]:
    """Yields `function(block)` of each block, in order.

    Args:
        function: called from several threads, if there are cores for that.
        blocks: read no further ahead than is worked on.
    """
    number = at_once()
    if number == 1:
        yield from map(function, blocks)
        return
    with ThreadPoolExecutor(number) as pool:

        def begin(block: Block) -> Callable[[], Result]:
            return pool.submit(function, block).result

        yield from in_turn(begin, blocks, number)
