"""A row of the table: an estimate beside its truth and its bar."""

import dataclasses
import math

import pandas as pd

from kerasmi.evaluation import tables
from kerasmi.evaluation.estimates import ENOUGH_NEGATIVES, ReadOut

FREE = (-math.inf, math.inf)


@dataclasses.dataclass(frozen=True)
class Row:
    """One estimate.

    Attributes:
        item: of the list of bars.
        case: the task.
        trained: the bound the critic was trained on.
        truth: nats.
        found: the read-out.
        pairs: how many matched pairs it was read on.
        bar: lowest and highest value that meet it; `FREE` for no bar.
        share: of the negatives that are effective at the optimum: e^-2I of
            Gaussians, 1/K of a status.
        theirs: the peer's estimate of the same sample, nats, if it ran.
        seed: of the training.
    """

    item: int
    case: str
    trained: str
    truth: float
    found: ReadOut
    pairs: int
    bar: tuple[float, float] = FREE
    share: float = 1.0
    theirs: float | None = None
    seed: int | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value is inside its bar; None without one."""
        if self.bar == FREE:
            return None
        return self.bar[0] <= self.found.value <= self.bar[1]

    @property
    def can_be_read(self) -> bool:
        """Whether DV has enough effective negatives at the optimum."""
        return self.found.n_negatives * self.share >= ENOUGH_NEGATIVES


@dataclasses.dataclass(frozen=True)
class Check:
    """A bar on several rows at once, or on a flag: what was found, and met."""

    item: int
    claim: str
    found: str
    met: bool


def within(
    truth: float, below: float, above: float | None = None
) -> tuple[float, float]:
    """The bar `[truth - below, truth + above]`."""
    return truth - below, truth + (below if above is None else above)


def table(rows: list[Row]) -> str:
    """The rows as markdown."""
    return tables.markdown(pd.DataFrame([_cells(row) for row in rows]))


def checks_table(checks: list[Check]) -> str:
    """The checks as markdown."""
    return tables.markdown(
        pd.DataFrame(
            [
                dataclasses.asdict(one) | {"met": _word(one.met)}
                for one in checks
            ]
        )
    )


def line(row: Row) -> str:
    """The row in one line, for the progress."""
    return " ".join(f"{key}={value}" for key, value in _cells(row).items())


def _cells(row: Row) -> dict[str, str]:
    found = row.found
    is_read_out = found.name.startswith("infonce_")
    candidates = f"@{found.n_negatives + 1}" if is_read_out else ""
    reading = found.name.replace("_image_to_text", "") + candidates
    return {
        "item": str(row.item),
        "case": row.case,
        "trained on": row.trained,
        "read by": reading,
        "seed": "-" if row.seed is None else str(row.seed),
        "truth": f"{row.truth:.3f}",
        "ours": f"{found.value:.3f}",
        "theirs": "-" if row.theirs is None else f"{row.theirs:.3f}",
        "s.e.": f"{found.standard_error:.3f}",
        "pairs": f"{row.pairs:,}",
        "negatives": f"{found.n_negatives:,}",
        "effective": _count(found.effective_negatives),
        "reliable": _word(found.reliable),
        "bar": _bar(row.bar),
        "met": _word(row.met),
    }


def _count(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f}"


def _bar(bar: tuple[float, float]) -> str:
    low, high = bar
    if bar == FREE:
        return "-"
    if high == math.inf:
        return f"≥ {low:.3f}"
    if low == -math.inf:
        return f"≤ {high:.3f}"
    return f"{low:.3f} to {high:.3f}"


def _word(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "no"
