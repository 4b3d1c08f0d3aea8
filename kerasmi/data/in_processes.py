"""Work without TensorFlow, in processes of its own."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kerasmi.in_turn import in_turn

# A function and its tasks, which may be without end, to the results in order.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextlib.contextmanager
def mapper(workers: int) -> Iterator[Mapper]:
    """Gives a `map` that many processes share for as long as the block lasts.

    Few tasks are worked on ahead of what was asked for.

    Args:
        workers: Processes; 1 stays in this one.

    Raises:
        ValueError: For fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"workers={workers}: expected 1 or more.")
    if workers == 1:
        yield map
        return
    # Spawned, since a process that holds TensorFlow must not be forked.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:

        def each(
            function: Callable[[Any], Any], tasks: Iterable[Any]
        ) -> Iterator[Any]:
            def begin(task: Any) -> Callable[[], Any]:
                return pool.apply_async(function, (task,)).get

            return in_turn(begin, tasks, 2 * workers)

        yield each
