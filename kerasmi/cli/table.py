"""`kerasmi table`: finished runs as the tables of the paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmi.cli.base import Verb
from kerasmi.errors import RunError

if TYPE_CHECKING:
    from kerasmi.data.dataset import Dataset
    from kerasmi.evaluation.markup import Table
    from kerasmi.evaluation.paired import Task
    from kerasmi.runs import Run

_FORMATS = ("markdown", "csv", "latex", "html")
# What `--table` takes beside 1 and all: the tables of AUCs, and their tasks.
_TASKS = {"2": "edema_severity", "3": "pathology9", "findings": "findings"}
_NUMBERS = ("1", *_TASKS, "all")


@click.command(
    cls=Verb,
    examples="""
        kerasmi table runs/tables
        kerasmi table runs/image_only runs/local_mine --table 3 --with-paper
        kerasmi table runs/open_i_tables --table findings
        kerasmi table runs/tables --format latex --output tables.tex
        kerasmi table runs/tables --format csv --show-comparisons > all.csv
    """,
)
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--table",
    "number",
    type=click.Choice(_NUMBERS),
    default="all",
    show_default=True,
    help="1: images with each label; 2: edema severity; 3: nine findings;"
    " findings: labels of your own, of the task `findings`.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="markdown",
    show_default=True,
    help="csv holds each number in full, in a column of its own.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: standard output]",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option(
    "--with-paper",
    is_flag=True,
    help="Also the numbers that the paper published, of MIMIC-CXR.",
)
@click.option(
    "--show-comparisons",
    is_flag=True,
    help="Also the paired tests: local against global, tuned and frozen"
    " against image-only, CPC against MINE.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Resamples of the subjects, for the intervals.",
)
def table(
    runs: tuple[Path, ...],
    number: str,
    form: str,
    output: Path | None,
    force: bool,
    with_paper: bool,
    show_comparisons: bool,
    resamples: int,
) -> None:
    """Print the paper's Tables 1 to 3 of finished runs.

    RUNS are run folders, or folders that hold run folders, such as that of a
    grid. Runs of one variant with several seeds make one row. Runs of
    different data, labels or tasks are refused, and runs of one variant that
    were trained otherwise than in the seed. The task `findings` has a table
    of its own, in the form of Table 3.
    """
    from kerasmi import collection, comparable

    if output is not None and output.exists() and not force:
        raise RunError(f"{output}: exists; --force overwrites it")
    found, unfinished = collection.find(runs)
    for path in unfinished:
        click.echo(f"{path}: not finished, left out", err=True)
    comparable.check(found)
    for line in comparable.unlike(found):
        click.echo(line, err=True)
    made = _tables(found, number, with_paper, show_comparisons, resamples)
    text = _text(made, form)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)


def _tables(
    runs: "list[Run]",
    number: str,
    with_paper: bool,
    show_comparisons: bool,
    resamples: int,
) -> "list[Table]":
    from kerasmi import collection, table_data
    from kerasmi.evaluation import comparison_table, comparisons, paper_tables

    data = table_data.dataset(runs[0])
    source = table_data.source(runs[0], data)
    above = table_data.described(runs[0], source)
    remark = "" if source == "mimic-cxr" else paper_tables.OTHER_DATA
    confidence = runs[0].recipe.evaluate.confidence
    made = []
    if number in ("1", "all"):
        if data is not None:
            made.append(_table1(runs[0], data, above, remark, with_paper))
        elif number == "1":
            raise RunError(f"{_no_data(runs[0])}; put it back there")
        else:
            click.echo(f"Table 1 left out: {_no_data(runs[0])}", err=True)
    if number == "1" and not show_comparisons:
        return made
    wanted = [_TASKS[number]] if number in _TASKS else list(_TASKS.values())
    # Holm's correction is over all tests, whichever of them are printed.
    tasks = _evaluated(runs, None if show_comparisons else wanted, resamples)
    chosen = [task for task in tasks if task.name in wanted]
    if not chosen and not made:
        raise RunError(_no_predictions(runs, wanted))
    if number != "1":
        paper = remark if with_paper else None
        told = collection.untaught(runs)
        made += paper_tables.of_tasks(chosen, confidence, above, paper, told)
    if show_comparisons:
        found = comparisons.judge(tasks, confidence)
        found = found[found["task"].isin(wanted)]
        made.append(
            comparison_table.comparison_table(
                found, above=above, confidence=confidence
            )
        )
    return made


def _table1(
    run: "Run",
    data: "Dataset",
    above: list[str],
    remark: str,
    with_paper: bool,
) -> "Table":
    from kerasmi import table_data
    from kerasmi.data.sources.mimic_cxr_table1 import TABLE1
    from kerasmi.evaluation.count_table import count_table

    return count_table(
        table_data.counts(data, run.recipe),
        above=above,
        published_counts=TABLE1 if with_paper else None,
        remark=remark,
    )


def _no_data(run: "Run") -> str:
    return f"{run.path}: its data is no longer where it was"


def _no_predictions(runs: "list[Run]", wanted: list[str]) -> str:
    from kerasmi import collection

    there = set(collection.predictions(runs)["task"])
    tables = [number for number, task in _TASKS.items() if task in there]
    others = [f"--table {number}, for {_TASKS[number]}" for number in tables]
    added = "findings" if "findings" in wanted else wanted[0]
    asked = f"retrain.tasks='[{added}]'"
    if added == "findings":
        asked += " retrain.findings='[LABEL]'"
    return (
        f"{runs[0].path}: the runs have no predictions of"
        f" {' or '.join(wanted)}. "
        + (f"Ask for {' or '.join(others)}, or train" if others else "Train")
        + f" with {asked}"
    )


def _evaluated(
    runs: "list[Run]", wanted: list[str] | None, resamples: int
) -> "list[Task]":
    """The test predictions of the runs; of all tasks, or of those wanted."""
    from kerasmi import collection
    from kerasmi.evaluation import paired

    predictions = collection.predictions(runs)
    if wanted is not None:
        predictions = predictions[predictions["task"].isin(wanted)]
    if predictions.empty:
        return []
    try:
        return paired.score(predictions, resamples=resamples)
    except ValueError as error:
        raise RunError(
            f"{collection.PREDICTIONS} of these runs: {error}"
        ) from error


def _text(made: "list[Table]", form: str) -> str:
    from kerasmi.evaluation import markup

    if form == "html":
        return markup.html_page(made)
    write = {
        "markdown": markup.markdown,
        "csv": markup.csv,
        "latex": markup.latex,
    }
    return write[form](made)


def _write(output: Path, text: str) -> None:
    from kerasmi import output_files, runs

    remedy = "give another place, or make its folder"
    with output_files.written(output, remedy=remedy):
        runs.write_text(output, text)
    click.echo(output)
