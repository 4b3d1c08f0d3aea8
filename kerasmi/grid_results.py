"""What the runs of a grid say together: tables, tests, figures."""

import pandas as pd

from kerasmi import grid_tables, stages, written_tables
from kerasmi.evaluation import (
    figures,
    label_efficiency,
    methods_figure,
    report,
)
from kerasmi.evaluation.auc import MEAN
from kerasmi.grid_folder import RESULTS, GridFolder
from kerasmi.reporter import Reporter
from kerasmi.runs import Run, write_text

_SHOWN = 8
_COUNTS = ("n_positive", "n_negative", "n_subjects")


def write(folder: GridFolder, reporter: Reporter) -> None:
    """Writes the tables, tests and figures of all that is finished.

    results.csv, comparisons.csv, tables/, figures/ and report.html, and with
    numbers of labels label_efficiency.csv. Tells what is still missing.

    Args:
        folder: the grid's folder.
        reporter: gets the table of means.
    """
    missing = folder.missing()
    if missing:
        more = f" and {len(missing) - _SHOWN} more" * (len(missing) > _SHOWN)
        names = ", ".join(missing[:_SHOWN])
        reporter.warning(f"not finished, not in the tables: {names}{more}")
    if not folder.with_results():
        return
    found = results(folder)
    _write_csv(folder, RESULTS, found)
    grid_tables.write(folder, reporter)
    pictures = folder.path / "figures"
    if "labels" in found:
        efficiency = label_efficiency.table(found)
        _write_csv(folder, "label_efficiency.csv", efficiency)
        curves = label_efficiency.figure(efficiency)
        figures.save(curves, pictures / "label_efficiency.png")
    else:
        figures.save(methods_figure.figure(found), pictures / "auc.png")
    report.write(folder.path)
    reporter.table("Mean AUC on the test set, over seeds", means(found))


def _write_csv(folder: GridFolder, name: str, frame: pd.DataFrame) -> None:
    write_text(folder.path / name, frame.to_csv(index=False))


def results(folder: GridFolder) -> pd.DataFrame:
    """The results of all members that have some, in the grid's order.

    Returns:
        `variant`, `labels` (labelled images of the task, where the grid says
        how many) and the columns of a run's results.csv.
    """
    frames = []
    for member, run in folder.with_results():
        whole = dict.fromkeys(_COUNTS, "Int64")
        frame = written_tables.read(run.path / RESULTS, whole)
        frame.insert(0, "variant", member.variant)
        if member.labels is not None:
            frame.insert(1, "labels", _labels(run, frame))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _labels(run: Run, frame: pd.DataFrame) -> pd.Series:
    """The number of labelled images behind each row of a run's results."""
    numbers = {}
    for task in stages.tasks(run.recipe):
        for encoder in run.recipe.retrain.encoders:
            if run.is_done(task.stage(encoder)):
                facts = run.facts(task.stage(encoder))
                numbers[task.name, encoder] = facts["labelled_images"]
    rows = zip(frame["task"], frame["encoder"], strict=True)
    return pd.Series([numbers[row] for row in rows], index=frame.index)


def means(found: pd.DataFrame) -> pd.DataFrame:
    """The mean AUC of each method and task, mean ± sd over its seeds.

    Args:
        found: what `results` returns.

    Returns:
        Frame of text: variant, encoder and a column for each task, `"-"` where
        nothing is finished; with numbers of labels, a row for each of them.
    """
    rows = found[found["label"] == MEAN]
    keys = ["variant", "encoder"]
    if "labels" in rows:
        # the tasks of one run may have other numbers of labelled images
        keys += ["task", "labels"]
        cells = rows.groupby(keys, sort=False)["value"].agg(_cell)
        return cells.rename("mean AUC (seeds)").reset_index()
    cells = rows.groupby([*keys, "task"], sort=False)["value"].agg(_cell)
    table = cells.unstack("task", fill_value="-", sort=False)
    return table.rename_axis(columns=None).reset_index()


def _cell(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return "not defined"
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread} ({len(values)})"
