"""Progress in the terminal: a live line there, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
import rich.console
import rich.live
import rich.progress
import rich.text

from kerasmi.reporter import Reporter, clock, counted

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {"bound": "nats", "ceiling": "nats"}
_RATE = "_per_second"
_BAR = 24
_LINES = 10


class ConsoleReporter(Reporter):
    """Tells of a run on stderr; tables go to stdout.

    On a terminal the last line is live: stage, epoch, values, throughput and
    time left; stages that are done beside each other have a line each. Epochs
    leave lines behind, on a terminal or not.
    """

    def __init__(
        self,
        console: rich.console.Console | None = None,
        screen: "_Screen | None" = None,
    ) -> None:
        self._screen = screen or _Screen(
            console
            or rich.console.Console(stderr=True, highlight=False, markup=False)
        )
        self._stage = ""
        self._total = self._done = 0
        self._epoch = ""
        # replaced, never changed: the live line reads it in its own thread
        self._values: dict[str, float] = {}
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._screen.clear()

    def message(self, text: str) -> None:
        """A line."""
        self._print(text)

    def warning(self, text: str) -> None:
        """A line that says so."""
        self._print(f"Warning: {text}")

    def start(
        self,
        stage: str,
        total: int,
        unit: str = "step",
        detail: str = "",
        epochs: int | None = None,
    ) -> None:
        """A line, and the live one where there is a terminal."""
        self._screen.hide(self._line)
        self._stage, self._total, self._done = stage, total, 0
        self._epoch = f"epoch 1/{epochs}" if epochs else ""
        self._values = {}
        self._start = time.monotonic()
        self._print(_joined([stage, detail, counted(total, unit)]))
        self._screen.show(self._line)

    def advance(self, steps: int = 1, **values: float) -> None:
        """Moves the live line."""
        self._done += steps
        self._values = {**self._values, **values}

    def epoch(self, epoch: int, epochs: int, **values: float) -> None:
        """A line for the epoch; of many epochs, for about one in ten."""
        name = f"epoch {epoch}/{epochs}"
        self._values = {**self._values, **values}
        left = self._left(epoch / epochs)
        if epoch % max(1, epochs // _LINES) == 0 or epoch == epochs:
            self._print(_joined([self._stage, name, *_words(values), left]))
        self._epoch = f"epoch {min(epoch + 1, epochs)}/{epochs}"

    def finish(self, **values: float) -> None:
        """A line with the time the stage took."""
        self._screen.hide(self._line)
        took = f"done in {clock(time.monotonic() - self._start)}"
        self._print(_joined([self._stage, took, *_words(values)]))

    def table(self, title: str, frame: "pd.DataFrame") -> None:
        """The table, aligned, on stdout; what its notes say, below it."""
        from kerasmi.evaluation import tables

        frame, notes = tables.footnotes(frame)
        text = frame.to_string(
            index=False, na_rep="-", float_format=lambda x: f"{x:z.3f}"
        )
        told = "".join(
            f"\nnote {number}: {note}" for number, note in enumerate(notes, 1)
        )
        click.echo(f"\n{title}\n\n{text}\n{told}{chr(10) * bool(told)}")

    def beside(self) -> "ConsoleReporter":
        """With a live line of its own, below those that are there."""
        return ConsoleReporter(screen=self._screen)

    def _print(self, text: str) -> None:
        self._screen.print(text)

    def _left(self, share: float) -> str:
        if not 0 < share < 1:
            return ""
        elapsed = time.monotonic() - self._start
        return f"{clock(elapsed * (1 - share) / share)} left"

    def _line(self) -> rich.text.Text:
        share = min(1.0, self._done / self._total) if self._total else 0.0
        filled = round(_BAR * share)
        bar = "=" * filled + "-" * (_BAR - filled)
        words = _words(self._values)
        text = [self._stage, self._epoch, bar, *words, self._left(share)]
        return rich.text.Text(_joined(text), no_wrap=True, overflow="ellipsis")


class _Screen:
    """The terminal: lines, and below them the live ones of stages at work."""

    def __init__(self, console: rich.console.Console) -> None:
        self._console = console
        self._live: rich.live.Live | None = None
        self._lines: list[Callable[[], rich.text.Text]] = []
        self._lock = threading.Lock()

    def print(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, soft_wrap=True)

    def show(self, line: Callable[[], rich.text.Text]) -> None:
        """Adds a live line, where there is a terminal."""
        with self._lock:
            if not self._console.is_terminal:
                return
            self._lines.append(line)
            if self._live is None:
                self._live = rich.live.Live(
                    get_renderable=self._shown,
                    console=self._console,
                    refresh_per_second=4,
                    transient=True,
                )
                self._live.start()

    def hide(self, line: Callable[[], rich.text.Text]) -> None:
        """Takes a live line away, if it is there."""
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)
            if not self._lines:
                self._stop()

    def clear(self) -> None:
        """Takes all live lines away."""
        with self._lock:
            self._lines.clear()
            self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _shown(self) -> rich.console.Group:
        # asked for by the thread of the live display, which may not wait
        return rich.console.Group(*[line() for line in tuple(self._lines)])


def _joined(parts: list[str]) -> str:
    return "  ".join(part for part in parts if part)


def _words(values: dict[str, float]) -> list[str]:
    return [_word(name, value) for name, value in values.items()]


def _word(name: str, value: float) -> str:
    if name.endswith(_RATE):
        return f"{value:.0f} {name.removesuffix(_RATE)}/s"
    number = str(value) if isinstance(value, int) else f"{value:z.3f}"
    unit = _UNITS.get(name, "")
    return f"{name.replace('_', ' ')} {number} {unit}".rstrip()
