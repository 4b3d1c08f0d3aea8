"""Ctrl-C, SIGTERM, SIGHUP: a training saves at its next step, then stops."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclasses.dataclass(frozen=True, eq=False)
class _Block:
    """What is done within `deferred`."""

    tell: Callable[[str], None]
    in_threads: bool


_waiting: list[_Block] = []
_noted: list[str] = []


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop; the text says what was saved."""


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Turns these signals into `Interrupted`, in the main thread.

    A SIGHUP (the terminal was closed) that is ignored, as under nohup, stays
    so.
    """
    ours = [
        number
        for number in SIGNALS
        if number != signal.SIGHUP
        or signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, _handle) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred(
    tell: Callable[[str], None], in_threads: bool = False
) -> Iterator[None]:
    """Notes the first signal instead of raising it; the second raises.

    But for a second that is a SIGHUP: one terminal may end in two of them.

    Blocks may lie in one another, and in other threads than the main one: a
    signal is noted until all of them are left.

    Args:
        tell: called with a line when a signal comes.
        in_threads: the work is done by other threads, which nothing stops
            before they have saved: no signal raises.

    Raises:
        Interrupted: at the end, where a signal was noted and not acted on.
    """
    block = _Block(tell, in_threads)
    _waiting.append(block)
    try:
        yield
        if _noted:
            raise Interrupted
    finally:
        _waiting.remove(block)
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
    if number == signal.SIGHUP and _noted:
        return  # of one terminal both the kernel and a shell may tell
    in_threads = any(block.in_threads for block in _waiting)
    if not _waiting or (_noted and not in_threads):
        raise Interrupted
    name = signal.Signals(number).name
    again = bool(_noted)
    _noted.append(name)
    if not in_threads:
        words = "stops when this step is saved; once more stops at once"
    elif again:
        words = "waits for steps that are under way; SIGKILL ends them unsaved"
    else:
        words = "stops when the step of each stage is saved"
    # nobody hears it where the terminal is gone
    with contextlib.suppress(OSError):
        _waiting[0].tell(f"{name}: {words}")
