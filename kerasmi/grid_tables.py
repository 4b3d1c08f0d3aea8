"""A grid's tables in the paper's layout, and its paired tests."""

import pandas as pd

from kerasmi import collection, comparable, output_files, table_data
from kerasmi.errors import RunError
from kerasmi.evaluation import (
    comparisons,
    markup,
    paired,
    paired_tests,
    paper_tables,
)
from kerasmi.evaluation.count_table import count_table
from kerasmi.evaluation.paired import PairingError
from kerasmi.grid_folder import GridFolder
from kerasmi.reporter import Reporter
from kerasmi.runs import Run, write_text

COMPARISONS = "comparisons.csv"
_FORMS = {"md": markup.markdown, "html": markup.html_page}


def write(folder: GridFolder, reporter: Reporter) -> None:
    """Writes comparisons.csv, and tables/ where there is one number of labels.

    `p_holm` is corrected over the tests of all numbers of labels together.
    Where the runs cannot stand in one table (two recipes of one variant, or of
    different data) there are none, those of before are removed, and the
    reporter is told why.

    Args:
        folder: the grid's folder, with results.
        reporter: told what is left out.

    Raises:
        OutputError: `tables/` is a link out of the grid.
    """
    tests = []
    for labels, runs in _by_labels(folder).items():
        settings = runs[0].recipe.evaluate
        try:
            comparable.check(runs)
            tasks = paired.score(
                collection.predictions(runs), resamples=settings.bootstrap
            )
        except (RunError, PairingError) as error:
            _remove(folder)
            reporter.warning(
                f"no paired tests, no tables as in the paper: {error}"
            )
            return
        found = comparisons.judge(tasks, settings.confidence)
        if folder.plan.grid.labels is None:
            _write_tables(folder, runs, tasks)
        else:
            found.insert(0, "labels", labels)
        tests.append(found)
    # the tests of all numbers of labels are one table, so one correction
    found = paired_tests.with_holm(pd.concat(tests, ignore_index=True))
    write_text(folder.path / COMPARISONS, found.to_csv(index=False))


def _remove(folder: GridFolder) -> None:
    """Removes the tables of an earlier start, which are not of these runs."""
    tables = folder.path / "tables"
    output_files.check_within(tables, folder.path)
    old = [tables / f"tables.{form}" for form in _FORMS]
    for path in (folder.path / COMPARISONS, *old):
        path.unlink(missing_ok=True)


def _by_labels(folder: GridFolder) -> dict[str, list[Run]]:
    """The runs with results, by the number of labels that the grid asks for."""
    found: dict[str, list[Run]] = {}
    for member, run in folder.with_results():
        found.setdefault(str(member.labels), []).append(run)
    return found


def _write_tables(
    folder: GridFolder, runs: list[Run], tasks: list[paired.Task]
) -> None:
    run = runs[0]
    data = table_data.dataset(run)
    above = table_data.described(run, table_data.source(run, data))
    made = paper_tables.of_tasks(
        tasks,
        run.recipe.evaluate.confidence,
        above=above,
        told=collection.untaught(runs),
    )
    if data is not None:
        counts = table_data.counts(data, run.recipe)
        made.insert(0, count_table(counts, above=above))
    for form, text in _FORMS.items():
        path = folder.path / "tables" / f"tables.{form}"
        path.parent.mkdir(exist_ok=True)
        write_text(path, text(made))
