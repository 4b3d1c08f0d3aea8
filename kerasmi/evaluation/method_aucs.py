"""The AUC of each method on each label, over its seeds."""

import math

import numpy as np
import pandas as pd

from kerasmi.evaluation import paired, paired_tests, statistics
from kerasmi.evaluation.variants import Method

COLUMNS = (
    "source",
    "task",
    "label",
    "variant",
    "encoder",
    "mean",
    "sd",
    "low",
    "high",
    "n_seeds",
    "n_positive",
    "n_negative",
    "n_subjects",
    "best",
    "note",
)
OURS = "kerasmi"


def method_aucs(
    task: paired.Task, best: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """The AUC of each method and label: mean and spread over seeds, interval.

    Args:
        task: runs that `paired.score` has evaluated.
        best: of `leaders`; says which values are bold.
        confidence: of the intervals, which are those of the seeds' mean.

    Returns:
        Frame with the columns `COLUMNS`; where a class is absent the AUC is
        NaN and `note` says so.
    """
    surely = {(row.label, row.a) for row in best[best["resolved"]].itertuples()}
    rows = []
    for method in task.methods:
        for label, labels in paired_tests.columns(task):
            row = {
                "source": OURS,
                "task": task.name,
                "label": label,
                "variant": method.variant,
                "encoder": method.encoder,
                "n_seeds": len(task.seeds(method)),
                "best": (label, str(method)) in surely,
                **paired_tests.counts(task, label),
            }
            rows.append(row | _value(task, labels, method, confidence))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = [column for column in COLUMNS if column.startswith("n_")]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _value(
    task: paired.Task,
    labels: list[paired.Label],
    method: Method,
    confidence: float,
) -> dict:
    if not labels:
        return {"mean": math.nan, "note": "not defined: a class is absent"}
    runs = task.columns(method, task.seeds(method))
    each = [paired.estimate(labels, [run]).value for run in runs]
    together = paired.estimate(labels, runs)
    interval = statistics.percentile_interval(together.draws, confidence)
    return {
        "mean": together.value,
        "sd": float(np.std(each, ddof=1)) if len(each) > 1 else math.nan,
        "low": interval.low,
        "high": interval.high,
        "note": interval.note,
    }
