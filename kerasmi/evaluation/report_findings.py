"""What a reader must know before the numbers of a run: failures, warnings."""

import dataclasses
import itertools
import re
from collections.abc import Iterator

import pandas as pd

from kerasmi.evaluation import tables, trouble, untaught
from kerasmi.evaluation.drawing import plain
from kerasmi.evaluation.report_folder import LogLine, RunFolder, plain_time

FAILURE, WARNING = "failure", "warning"
_REMEDY = untaught.REMEDY[0].lower() + untaught.REMEDY[1:]
LEAST = 0.01  # nats: a bound that stays below has not taken off
ERRORS = 3  # standard errors that make a difference
_STOP = re.compile(
    "(?:(?P<stage>[^:]*): )?(?:Interrupted|KeyboardInterrupt):(?P<saved>.*)"
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A failure or a warning, in one sentence.

    Attributes:
        level: `FAILURE` or `WARNING`.
        text: The sentence.
        time: When the log told it; empty of what no log told. The same told
            at another time is the same.
    """

    level: str
    text: str
    time: str = dataclasses.field(default="", compare=False)

    @property
    def told(self) -> str:
        """The sentence after its time."""
        return (
            f"{plain_time(self.time)}: {self.text}" if self.time else self.text
        )


@dataclasses.dataclass(frozen=True)
class Stop:
    """An interruption that a later start went on from.

    Attributes:
        stopped: When, as in the log.
        stage: In which stage, one of those at work; empty between them.
        saved: How far it had come, such as `epoch 6, step 5 of 6`; empty
            where nothing was saved.
        resumed: When the log goes on.
    """

    stopped: str
    stage: str
    saved: str
    resumed: str


def stops(run: RunFolder) -> list[Stop]:
    """The interruptions that are history, in order: one of each stage."""
    found = []
    for line, after in itertools.pairwise(run.log):
        told = _interruption(line)
        if told is not None:
            for stage in (told["stage"] or "").split(", "):
                where = _saved(stage, told["saved"])
                found.append(Stop(line.time, stage, where, after.time))
    return found


def _saved(stage: str, told: str) -> str:
    """Where a stage was saved, of what is told of all: by its folder."""
    for part in re.split("(?:^ |; )saved in ", told):
        folder, at, where = part.rpartition(" at ")
        if at and stage and folder.endswith(f"/{stage}"):
            return where
    return ""


def _interruption(line: LogLine) -> re.Match[str] | None:
    return _STOP.fullmatch(line.text) if line.level == "ERROR" else None


def findings(run: RunFolder) -> list[Finding]:
    """All of a run, failures first.

    From its log, its unfinished stages, its read-outs of mutual information
    and the notes of its results.
    """
    return list(dict.fromkeys([*_failures(run), *_warnings(run)]))


def chance(run: RunFolder) -> float | None:
    """What the run's bound reads where there is nothing to find, in nats.

    None where that is not known.
    """
    return trouble.CHANCE.get(run.recipe.get("objective.bound", ""))


def _failures(run: RunFolder) -> Iterator[Finding]:
    for stage in run.expected():
        if run.finished(stage) is None:
            text = (
                f"{stage} is not finished; what it would add is missing here."
            )
            yield Finding(FAILURE, text)
    if run.results is None:
        text = "The run has no results.csv: it was not evaluated."
        yield Finding(FAILURE, text)
    for line in run.log[-1:]:
        if line.level == "ERROR":
            yield Finding(FAILURE, line.text, line.time)


def _warnings(run: RunFolder) -> Iterator[Finding]:
    # An error that a later start went past is no failure any more, and an
    # interruption is history.
    past = [
        line
        for line in run.log[:-1]
        if line.level == "ERROR" and _interruption(line) is None
    ]
    told = [line for line in run.log if line.level == "WARNING"]
    foretold = [line for line in told if untaught.warned(line.text)]
    if run.results is not None:
        # the results tell what came of them
        told = [line for line in told if line not in foretold]
    # what every start says is told once, with its first time
    for line in sorted(past + told, key=lambda line: line.time):
        yield Finding(WARNING, line.text, line.time)
    for text in _of_information(run):
        yield Finding(WARNING, text)
    if run.results is not None:
        for text in _of_results(run.results):
            yield Finding(WARNING, text)
        if foretold:
            yield Finding(WARNING, f"Labels that lack a class: {_REMEDY}")


def _of_information(run: RunFolder) -> Iterator[str]:
    rows = run.table("pretrain/mutual_information.csv")
    history = run.table("pretrain/history.csv")
    if run.recipe.get("objective.region") == "matched":
        yield (
            "The region rule `matched` gives no bound on the mutual "
            "information: its values may train, but are none to report."
        )
    if rows is None:
        return
    if history is not None:
        unit = trouble.in_nats(run.recipe.get("objective.bound", ""))
        yield from _of_bound(rows, history, chance(run), " nats" * unit)
    yield from _unreliable(rows)
    for row in rows.to_dict("records"):
        name = f"{row['name']} of the {row['pairs']} pairs"
        if row.get("calibrated_reliable", True) and not row["lower_bound"]:
            yield f"{name}: {_note(row) or 'not a lower bound'}."
        if row["pairs"] == "shuffled" and _above(row, 0.0):
            yield (
                f"{name} is {row['calibrated']:.3f} nats, more than {ERRORS} "
                "standard errors above 0, though shuffled pairs share nothing."
            )


def _unreliable(rows: pd.DataFrame) -> Iterator[str]:
    """A sentence for all read-outs that one reason makes unreliable."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for row in rows.to_dict("records"):
        if not row.get("calibrated_reliable", True):
            reason = _note(row) or "too few negatives"
            pairs.setdefault((row["name"], reason), []).append(row["pairs"])
    names: dict[tuple[str, str], list[str]] = {}
    for (name, reason), kinds in pairs.items():
        names.setdefault((" and ".join(kinds), reason), []).append(name)
    for (of, reason), found in names.items():
        verb = "is" if len(found) == 1 and " " not in of else "are"
        told = ", ".join(found)
        yield f"{told} of the {of} pairs {verb} unreliable: {reason}."


def _note(row: dict) -> str:
    note = row.get("calibrated_note")
    return note if isinstance(note, str) else ""


def _of_bound(
    rows: pd.DataFrame,
    history: pd.DataFrame,
    chance: float | None,
    unit: str,
) -> Iterator[str]:
    """The bound that training maximised, at its best validation epoch.

    Of a bound whose chance is not known nothing can be told.
    """
    matched = rows[rows["pairs"] == "matched"]
    known = "val_mutual_information" in history and not matched.empty
    if not known or chance is None:
        return
    best = float(history["val_mutual_information"].max())
    error = float(matched.iloc[0]["standard_error"])
    least = max(LEAST, ERRORS * error)
    if not best - chance >= least:
        gap = f"below {least:.4f}"
        if chance:
            gap = f"less than {least:.4f} above chance, {chance:.4f}"
        yield (
            f"The bound never took off: its best validation value is "
            f"{best:.4f}{unit}, {gap} ({LEAST}{unit}, or {ERRORS} "
            "standard errors where that is more). It does not show that "
            "anything was learned from the reports; try more "
            "pretrain.epochs or other learning rates."
        )


def _above(row: dict, value: float) -> bool:
    error = row["calibrated_error"]
    return bool(row["calibrated"] - ERRORS * error > value)


def _of_results(results: pd.DataFrame) -> Iterator[str]:
    for (task, label), rows in results.groupby(["task", "label"], sort=False):
        if told := tables.notes(rows):
            yield f"{plain(str(task))}, {label}: {told}."
