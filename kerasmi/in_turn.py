"""Work that is begun ahead of being asked for, and given in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_turn(
    begin: Callable[[Task], Callable[[], Result]],
    tasks: Iterable[Task],
    ahead: int,
) -> Iterator[Result]:
    """Yields the result of each task, in order.

    Args:
        begin: Starts a task, and gives what waits for its result.
        tasks: Read no further ahead than they are begun; may be without end.
        ahead: Tasks begun before the first result is waited for.
    """
    waiting: deque[Callable[[], Result]] = deque()
    for task in tasks:
        waiting.append(begin(task))
        if len(waiting) > ahead:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
