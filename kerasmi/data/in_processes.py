"""Work without TensorFlow, in processes of its own."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kerasmi.in_turn import in_turn

# A function and its tasks, which may be without end, to the results in order.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
# What a process reads as it starts: the processes share the cores already, so
# that threads of NumPy would only wait for one another; and memory that is
# freed is soon asked for again, so that it need not go back to the system.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
}


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
    with _environment():
        processes = multiprocessing.get_context("spawn").Pool(workers)
    with processes as pool:

        def each(
            function: Callable[[Any], Any], tasks: Iterable[Any]
        ) -> Iterator[Any]:
            def begin(task: Any) -> Callable[[], Any]:
                return pool.apply_async(function, (task,)).get

            return in_turn(begin, tasks, 2 * workers)

        yield each


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Sets what processes that begin in the block read, unless it is set."""
    added = {k: v for k, v in _ENVIRONMENT.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
