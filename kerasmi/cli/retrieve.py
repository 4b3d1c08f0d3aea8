"""`kerasmi retrieve`: the images that a sentence fits best."""

from pathlib import Path

import click

from kerasmi.cli import starting
from kerasmi.cli.base import Verb
from kerasmi.reporter import counted


@click.command(
    cls=Verb,
    examples="""
        kerasmi retrieve runs/local_mine "The heart is large."
        kerasmi retrieve runs/own "Left effusion." --count 4 --output four.png
        kerasmi retrieve runs/own "Edema." --csv edema.csv --show-text
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("sentence")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="The images to choose from.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 64),
    default=12,
    show_default=True,
    help="Images on the sheet.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The picture, a PNG file.  [default: RUN/retrieved/SENTENCE.png]",
)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path),
    help="Also a table of their ids and scores.",
)
@click.option(
    "--show-text",
    is_flag=True,
    help="Show reports that may be of people; those of the phantom are always"
    " shown.",
)
@click.option("--force", is_flag=True, help="Overwrite the files.")
def retrieve(
    run: Path,
    sentence: str,
    split: str,
    count: int,
    output: Path | None,
    table: Path | None,
    show_text: bool,
    force: bool,
) -> None:
    """Draw the images that a sentence fits best, on one sheet.

    The score is in nats above the average image of the split: 0 is an average
    one, and no image can exceed the log of their number.
    """
    from kerasmi import output_files, runs
    from kerasmi.cli.console import ConsoleReporter
    from kerasmi.evaluation import drawing

    opened = runs.Run.open(run)
    if output is None:
        output = run / "retrieved" / f"{output_files.slug(sentence)}.png"
        output_files.check_within(output, run)
    output_files.check_file(output, (".png",), force)
    if table is not None:
        output_files.check_file(table, (".csv",), force)
    retrieving = starting.library("retrieving")
    with ConsoleReporter() as reporter:
        found = retrieving.retrieve(
            opened,
            sentence,
            split=split,
            count=count,
            show_text=show_text,
            reporter=reporter,
        )
        ids = found.table.drop(columns="report", errors="ignore")
        reporter.table(
            f"Best of {counted(found.candidates, f'{split} image')} for"
            f" {found.sentence!r} (nats above the average image)",
            ids,
        )
    drawing.save_asked(found.draw(), output)
    if table is not None:
        rows = found.table
        output_files.write(table, lambda file: rows.to_csv(file, index=False))
    click.echo(output)
    if table is not None:
        click.echo(table)
