"""One paired test: two methods on one column of the tables, judged twice.

By a bootstrap of subjects and by DeLong's components summed over subjects. The
seeds' models are taken as they are: a test is about other patients, the spread
over seeds stands beside it.
"""

import math

import numpy as np
import pandas as pd

from kerasmi.evaluation import delong, paired, statistics
from kerasmi.evaluation.auc import MEAN
from kerasmi.evaluation.holm import holm
from kerasmi.evaluation.variants import Method

COLUMNS = (
    "comparison",
    "a",
    "b",
    "task",
    "label",
    "value_a",
    "value_b",
    "difference",
    "sd",
    "low",
    "high",
    "p_bootstrap",
    "p_delong",
    "p_holm",
    "n_seeds",
    "n_positive",
    "n_negative",
    "n_subjects",
    "note",
)
_WHOLE = ("n_seeds", "n_positive", "n_negative", "n_subjects")


def columns(task: paired.Task) -> list[tuple[str, list[paired.Label]]]:
    """Each column of a task's table and the labels that it averages.

    One for each label (an empty list where it lacks a class), and the mean
    over those that have both classes.
    """
    alone = [
        (one.name, [one] if one.parts is not None else [])
        for one in task.labels
    ]
    return [*alone, (MEAN, task.defined)]


def counts(task: paired.Task, label: str) -> dict[str, int]:
    """Positives, negatives and subjects of a column."""
    for one in task.labels:
        if one.name == label:
            return {
                "n_positive": one.n_positive,
                "n_negative": one.n_negative,
                "n_subjects": one.n_subjects,
            }
    return {"n_subjects": task.n_subjects}


def row(
    comparison: str,
    task: paired.Task,
    label: str,
    labels: list[paired.Label],
    a: Method,
    b: Method,
    confidence: float,
) -> dict:
    """Method a against method b on one column, but for Holm's correction.

    Args:
        comparison: what the test is called.
        task: what both were evaluated on.
        label: name of the column.
        labels: what it averages, see `columns`.
        a: the one method.
        b: the other.
        confidence: of the interval.
    """
    seeds = [one for one in task.seeds(a) if one in task.seeds(b)]
    found = {
        "comparison": comparison,
        "a": str(a),
        "b": str(b),
        "task": task.name,
        "label": label,
        "n_seeds": len(seeds),
        **counts(task, label),
    }
    if not labels:
        return found | {"note": "not defined: a class is absent"}
    if not seeds:
        return found | {"note": "not tested: no seed in common"}
    mine, other = task.columns(a, seeds), task.columns(b, seeds)
    both = paired.estimate(labels, mine, other)
    each = [
        paired.estimate(labels, [one], [two]).value
        for one, two in zip(mine, other, strict=True)
    ]
    interval = statistics.percentile_interval(both.draws, confidence)
    return found | {
        "value_a": paired.estimate(labels, mine).value,
        "value_b": paired.estimate(labels, other).value,
        "difference": both.value,
        "sd": float(np.std(each, ddof=1)) if len(each) > 1 else math.nan,
        "low": interval.low,
        "high": interval.high,
        "p_bootstrap": p_bootstrap(both.draws),
        "p_delong": delong.p_value(both.value, both.variance),
        "note": _note(task, label, a, b, len(seeds), interval.note),
    }


def p_bootstrap(draws: np.ndarray) -> float:
    """Two-sided p of a resampled difference: twice the smaller tail.

    Each tail counts the difference itself, `(1 + count) / (R + 1)`, so p is
    never 0; it agrees with the percentile interval on whether 0 is inside.

    Args:
        draws: `(R,)`; NaN marks a resample that has no value.

    Returns:
        A number in (0, 1]; NaN where no resample has a value.
    """
    kept = draws[~np.isnan(draws)]
    if not len(kept):
        return math.nan
    tail = min((kept <= 0).sum(), (kept >= 0).sum())
    return float(min(1.0, 2 * (1 + tail) / (len(kept) + 1)))


def corrected(rows: list[dict]) -> pd.DataFrame:
    """The rows as a frame with `COLUMNS`, `p_holm` filled in by `with_holm`."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = frame.columns.drop(["comparison", "a", "b", "task", "label"])
    frame = frame.astype(dict.fromkeys(numbers.drop("note"), "float64"))
    return with_holm(frame.astype(dict.fromkeys(_WHOLE, "Int64")))


def with_holm(tests: pd.DataFrame) -> pd.DataFrame:
    """The tests of one table with `p_holm`, whatever it was before.

    Holm's correction of `p_delong`, over the means as one family and over the
    labels as another. `p_bootstrap` is at least 2 / (resamples + 1), which no
    correction for many tests survives.

    Args:
        tests: columns label and p_delong; all that is shown together.
    """
    tests = tests.copy()
    means = tests["label"] == MEAN
    for family in (means, ~means):
        p = tests.loc[family, "p_delong"].to_numpy()
        tests.loc[family, "p_holm"] = holm(p)
    return tests


def _note(
    task: paired.Task, label: str, a: Method, b: Method, n_seeds: int, rest: str
) -> str:
    notes = []
    if label == MEAN and len(task.defined) < len(task.labels):
        notes.append(
            f"mean of {len(task.defined)} of {len(task.labels)} labels"
        )
    most = max(len(task.seeds(a)), len(task.seeds(b)))
    if n_seeds < most:
        notes.append(f"{n_seeds} of {most} seeds in common")
    return "; ".join(filter(None, [*notes, rest]))
