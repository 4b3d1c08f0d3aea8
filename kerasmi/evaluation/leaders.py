"""The best method of each column of the tables, and whether it surely is."""

import pandas as pd

from kerasmi.evaluation import paired, paired_tests
from kerasmi.evaluation.variants import Method


def leaders(task: paired.Task, confidence: float = 0.95) -> pd.DataFrame:
    """The best method of each column of a table against the second best.

    A two-sided test of the winner against the runner-up holds its level
    although both were picked by looking (Hung and Fithian 2019).

    Args:
        task: runs that `paired.score` has evaluated.
        confidence: of the intervals.

    Returns:
        Frame with the columns `paired_tests.COLUMNS` and `resolved`: whether
        the interval lies above 0 and `p_holm`, corrected over the labels of
        the table, is below `1 - confidence`. Only the columns that have both
        classes and two methods.
    """
    rows = []
    for label, labels in paired_tests.columns(task):
        if labels and len(task.methods) > 1:
            best, second = _ranked(task, labels)[:2]
            column = (task, label, labels, best, second)
            rows.append(paired_tests.row("best vs second", *column, confidence))
    frame = paired_tests.corrected(rows)
    surely = frame["p_holm"] < 1 - confidence
    return frame.assign(resolved=surely & (frame["low"] > 0))


def _ranked(task: paired.Task, labels: list[paired.Label]) -> list[Method]:
    values = {
        method: paired.estimate(
            labels, task.columns(method, task.seeds(method))
        ).value
        for method in task.methods
    }
    return sorted(values, key=lambda method: -values[method])
