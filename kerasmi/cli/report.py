"""`kerasmi report`: a run or a grid on one page."""

from pathlib import Path

import click

from kerasmi.cli.base import Verb


@click.command(
    cls=Verb,
    examples="""
        kerasmi report runs/local_mine
        kerasmi report runs/tables --output tables.html
        kerasmi report runs/own --show-text
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: RUN/report.html]",
)
@click.option(
    "--show-text",
    is_flag=True,
    help="Show images and sentences of reports that may be of people; those"
    " of the phantom are always shown.",
)
def report(run: Path, output: Path | None, show_text: bool) -> None:
    """Write the page of a run or of a grid, finished or not.

    The page needs no network and nothing beside it. `kerasmi run` writes it
    at its end; this command writes it again, of what is there now.
    """
    from kerasmi.evaluation import report as reports

    click.echo(reports.write(run, output, show_text))
