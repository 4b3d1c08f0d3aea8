"""What a run tells while it works; the base class is silent."""

import typing

if typing.TYPE_CHECKING:
    import pandas as pd


class Reporter:
    """Progress of a run. Silent: a place to hear it overrides the methods.

    A stage is `start`, then `advance` for its steps and `epoch` for its
    epochs, then `finish`. Values are numbers under the name they are shown
    by; a `bound` and a `ceiling` are in nats.
    """

    def message(self, text: str) -> None:
        """Something worth knowing."""

    def warning(self, text: str) -> None:
        """Something that may make the result worse than it could be."""

    def start(
        self,
        stage: str,
        total: int,
        unit: str = "step",
        detail: str = "",
        epochs: int | None = None,
    ) -> None:
        """A stage of `total` units begins, in `epochs` if it has them."""

    def advance(self, steps: int = 1, **values: float) -> None:
        """Some units of the stage are done; the values are shown live."""

    def epoch(self, epoch: int, epochs: int, **values: float) -> None:
        """Epoch `epoch` of `epochs`, the first is 1, is done."""

    def finish(self, **values: float) -> None:
        """The stage is done."""

    def table(self, title: str, frame: "pd.DataFrame") -> None:
        """Results."""

    def beside(self) -> "Reporter":
        """Gives a reporter for a stage that is done while others are.

        Each is called from a thread of its own.
        """
        return self


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number of things: `1 row`, `2,000 rows`.

    Args:
        number: how many.
        one: the word for one of them.
        several: the word for several; None adds an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def percent(share: float) -> str:
    """A share as it was given, not rounded to whole percent: 95%, 99.9%."""
    # ten digits leave out what binary fractions add, as to 100 * .07
    return f"{100 * share:.10g}%"


def clock(seconds: float) -> str:
    """Seconds as 1:12 or 2:03:04."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return (
        f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
    )
