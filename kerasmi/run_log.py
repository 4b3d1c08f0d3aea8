"""The log of a run: what was told while it worked, with its time."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kerasmi import environment
from kerasmi.reporter import Reporter, counted

if TYPE_CHECKING:
    import pandas as pd

LOG = "log.txt"


class RunLog(Reporter):
    """Tells another reporter everything, and writes most of it to a file.

    A line is a time, a level (`INFO`, `WARNING`, `ERROR`) and a text. Lines
    are added: a resumed run goes on in the log of its earlier starts. What
    ends the `with` block by an exception is the last line.

    Args:
        path: the file.
        reporter: whom to tell.
    """

    def __init__(
        self, path: str | os.PathLike[str], reporter: Reporter
    ) -> None:
        self._path = Path(path)
        self._reporter = reporter
        self._stage = ""
        self._at_work: list[str] = []  # stages, shared with those beside

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            where = ", ".join(self._at_work) + ": " if self._at_work else ""
            # on a full disk the error itself is what counts
            with contextlib.suppress(OSError):
                self._write("ERROR", f"{where}{kind.__name__}: {error}")

    def message(self, text: str) -> None:
        """A line."""
        self._write("INFO", text)
        self._reporter.message(text)

    def warning(self, text: str) -> None:
        """A line."""
        self._write("WARNING", text)
        self._reporter.warning(text)

    def start(
        self,
        stage: str,
        total: int,
        unit: str = "step",
        detail: str = "",
        epochs: int | None = None,
    ) -> None:
        """A line."""
        self._leave()
        self._stage = stage
        self._at_work.append(stage)
        self._write(
            "INFO", f"{stage}: starts: {detail or counted(total, unit)}"
        )
        self._reporter.start(stage, total, unit, detail, epochs)

    def advance(self, steps: int = 1, **values: float) -> None:
        """Passed on only."""
        self._reporter.advance(steps, **values)

    def epoch(self, epoch: int, epochs: int, **values: float) -> None:
        """Passed on only: `history.csv` has the epochs."""
        self._reporter.epoch(epoch, epochs, **values)

    def finish(self, **values: float) -> None:
        """A line."""
        told = "".join(
            f", {name} {value:.6g}" for name, value in values.items()
        )
        self._write("INFO", f"{self._stage}: done{told}")
        self._leave()
        self._reporter.finish(**values)

    def table(self, title: str, frame: "pd.DataFrame") -> None:
        """Passed on only: the run folder has the tables."""
        self._reporter.table(title, frame)

    def beside(self) -> "RunLog":
        """Of the same file, for a stage that is done while others are."""
        log = RunLog(self._path, self._reporter.beside())
        log._at_work = self._at_work
        return log

    def _leave(self) -> None:
        if self._stage:
            self._at_work.remove(self._stage)
        self._stage = ""

    def _write(self, level: str, text: str) -> None:
        line = f"{environment.now()} {level} {' '.join(text.split())}\n"
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(line)
