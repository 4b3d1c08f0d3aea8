"""Ctrl-C and SIGTERM: a training saves at its next step, then stops."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_waiting: list[Callable[[str], None]] = []
_noted: list[str] = []


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop; the text says what was saved."""


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Turns both signals into `Interrupted`, in the main thread."""
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred(tell: Callable[[str], None]) -> Iterator[None]:
    """Notes the first signal instead of raising it; the second raises.

    Blocks may lie in one another, and in other threads than the main one: a
    signal is noted until all of them are left.

    Args:
        tell: called with a line when a signal is noted.

    Raises:
        Interrupted: at the end, where a signal was noted and not acted on.
    """
    _waiting.append(tell)
    try:
        yield
        if _noted:
            raise Interrupted
    finally:
        _waiting.remove(tell)
        if not _waiting:
            _noted.clear()


def request() -> None:
    """Asks what is done within `deferred` to stop, as a signal does."""
    if _waiting:
        _noted.append("request")


def requested() -> bool:
    """Whether a signal was noted, or `request` was called."""
    return bool(_noted)


def _handle(number: int, _: FrameType | None) -> None:
    if not _waiting or _noted:
        raise Interrupted
    name = signal.Signals(number).name
    _noted.append(name)
    _waiting[0](
        f"{name}: stops when this step is saved; once more stops at once"
    )
