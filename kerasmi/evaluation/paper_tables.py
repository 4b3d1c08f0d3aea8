"""Tables 2 and 3 of the paper, and one of labels of your own, of many runs."""

from collections.abc import Sequence

import pandas as pd

from kerasmi.evaluation import paired, published, untaught
from kerasmi.evaluation.auc import MEAN
from kerasmi.evaluation.leaders import leaders
from kerasmi.evaluation.markup import Table
from kerasmi.evaluation.method_aucs import COLUMNS, OURS, method_aucs
from kerasmi.evaluation.tables import cell
from kerasmi.evaluation.variants import IMAGE_ONLY, Method
from kerasmi.reporter import counted, percent

NONE = "-"
OTHER_DATA = "other data: not comparable"
# The paper's own headings of its Table 2.
_HEADINGS = {
    "Edema Severity 0|123": "Level 0 vs 1,2,3",
    "Edema Severity 01|23": "Level 0,1 vs 2,3",
    "Edema Severity 012|3": "Level 0,1,2 vs 3",
}
# Task to the number of its table in the paper, if it has one, and what that
# shows.
TABLES = {
    "edema_severity": ("Table 2", "AUC of edema severity"),
    "pathology9": ("Table 3", "AUC of nine findings"),
    "findings": ("Findings", "AUC of the findings"),
}


def tables(
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    above: Sequence[str] = (),
    paper: str | None = None,
) -> list[Table]:
    """Tables 2 and 3 and that of the task `findings`: those that are there.

    Args:
        predictions: the tables predictions.csv of all runs, stacked, with the
            columns `variant` (see `variants`) and `seed` beside theirs.
        split: the split to evaluate.
        resamples: number of resamples of subjects.
        confidence: of the intervals.
        seed: of the resampling.
        above: lines to print over each table, such as the label policies.
        paper: None leaves the published numbers out; else what to say of
            them, `OTHER_DATA` or, for MIMIC-CXR, `""`.

    Raises:
        PairingError: the runs differ in labels, images, subjects or targets.
        ValueError: a column is missing or holds what it must not.
    """
    tasks = paired.score(
        predictions, split=split, resamples=resamples, seed=seed
    )
    return of_tasks(tasks, confidence, above, paper)


def of_tasks(
    tasks: Sequence[paired.Task],
    confidence: float = 0.95,
    above: Sequence[str] = (),
    paper: str | None = None,
    told: pd.DataFrame | None = None,
) -> list[Table]:
    """The same, of runs that `paired.score` has evaluated.

    Args:
        tasks: of the runs.
        confidence: of the intervals.
        above: as of `tables`.
        paper: as of `tables`.
        told: what `collection.untaught` found in the runs.
    """
    return [
        _table(task, leaders(task, confidence), confidence, above, paper, told)
        for name in TABLES
        for task in tasks
        if task.name == name
    ]


def _table(
    task: paired.Task,
    best: pd.DataFrame,
    confidence: float,
    above: Sequence[str],
    paper: str | None,
    told: pd.DataFrame | None,
) -> Table:
    ours = method_aucs(task, best, confidence)
    if told is not None:
        ours = untaught.added(ours, told)
    below = _notes(task, ours, best, confidence, paper)
    if task.name not in published.AVERAGES:
        paper = None  # nothing to stand beside ours
    whole = ours if paper is None else _with_paper(ours, task.name, paper)
    rows, marks = [], []
    keys = ["variant", "encoder", "source"]
    groups = dict(tuple(whole.groupby(keys, sort=False)))
    for key in sorted(
        groups, key=lambda k: (Method(*k[:2]).order, k[2] != OURS)
    ):
        row = _first_cells(key, groups[key], paper)
        found = {one["label"]: one for one in groups[key].to_dict("records")}
        mark = dict.fromkeys(row, False)
        for label in dict.fromkeys(ours["label"]):
            heading = _heading(ours, label)
            one = found.get(label)
            row[heading] = NONE if one is None else _text(one)
            mark[heading] = one is not None and bool(one["best"])
        rows.append(row)
        marks.append(mark)
    name, title = TABLES[task.name]
    return Table(
        name,
        title,
        tuple(above),
        pd.DataFrame(rows),
        pd.DataFrame(marks),
        tuple(below),
        whole,
        keys=3 if paper is None else 4,
    )


def _with_paper(ours: pd.DataFrame, task: str, remark: str) -> pd.DataFrame:
    theirs = published.aucs(task).assign(
        source=published.SOURCE, task=task, best=False, note=remark
    )
    stacked = [ours.astype(object), theirs.astype(object)]
    return pd.concat(stacked, ignore_index=True)[list(COLUMNS)]


def _first_cells(
    key: tuple[str, str, str], group: pd.DataFrame, paper: str | None
) -> dict[str, str]:
    variant, encoder, source = key
    cells = {
        "method": variant,
        "encoder": NONE if variant == IMAGE_ONLY else encoder,
    }
    if paper is not None:
        remark = f"; {paper}" if paper and source != OURS else ""
        cells["source"] = f"{source}{remark}"
    seeds = group["n_seeds"].iloc[0]
    return cells | {"seeds": NONE if pd.isna(seeds) else str(seeds)}


def _heading(ours: pd.DataFrame, label: str) -> str:
    first = ours[ours["label"] == label].iloc[0]
    name = _HEADINGS.get(label, label)
    if pd.isna(first["n_positive"]):
        return name
    return f"{name} ({first['n_positive']:.0f}/{first['n_negative']:.0f})"


def _text(row: dict) -> str:
    if row["source"] != OURS:
        return f"{row['mean']:.2f}"
    return cell(row | {"value": row["mean"]}, counts=False)


def _notes(
    task: paired.Task,
    ours: pd.DataFrame,
    best: pd.DataFrame,
    confidence: float,
    paper: str | None,
) -> list[str]:
    resamples = task.labels[0].draws.shape[1]
    many = ours["n_seeds"].max() > 1
    value = "Mean AUC ± standard deviation over seeds" if many else "AUC"
    notes = [
        f"{value} [{percent(confidence)} interval: "
        f"{counted(resamples, 'resample')} of the "
        f"{counted(task.n_subjects, 'subject')} of the test set"
        f"{', of the mean' if many else ''}]; (positives/negatives).",
        _bold_note(best, confidence),
    ]
    if len(task.defined) < len(task.labels):
        notes.append(
            f"{MEAN}: over {len(task.defined)} of {len(task.labels)} labels, "
            "those with both classes."
        )
    told = ours[ours["note"].fillna("").astype(bool)]
    for (label, note), group in told.groupby(["label", "note"], sort=False):
        some = len(group) < len(task.methods)
        whom = f" ({len(group)} of {len(task.methods)} methods)" if some else ""
        notes.append(f"{label}{whom}: {note}.")
    if paper is None:
        return notes
    if task.name not in published.AVERAGES:
        notes.append(f"{published.SOURCE}: has no such table.")
    else:
        remark = f" {paper.capitalize()}." if paper else ""
        notes.append(
            f"{published.SOURCE}: {published.CITATION}, {TABLES[task.name][0]};"
            " as printed, the mean over labels is not. Averages in its"
            f" caption: {published.AVERAGES[task.name]}.{remark}"
        )
    return notes


def _bold_note(best: pd.DataFrame, confidence: float) -> str:
    tested = (
        "the paired difference from the second best is above 0 "
        f"({percent(confidence)} interval, and p < {1 - confidence:.2g} by "
        "DeLong with subjects as clusters and Holm's correction)"
    )
    if best["resolved"].any():
        return f"Bold: the best of the column, where {tested}."
    if best.empty:
        return "Nothing is bold: there is no second method."
    return f"Nothing is bold: in no column {tested}."
