"""`kerasmi embed`: the features of a split, for use elsewhere."""

from pathlib import Path

import click

from kerasmi.cli import starting
from kerasmi.cli.base import Verb

_FORMATS = {"npz": ("npz",), "csv": ("csv",), "both": ("npz", "csv")}


@click.command(
    cls=Verb,
    examples="""
        kerasmi embed runs/local_mine
        kerasmi embed runs/local_mine --split train --format npz
        kerasmi embed runs/own --show-text --output features
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="The images to encode, all of them.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: RUN/embeddings/SPLIT]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="both",
    show_default=True,
    help="Of the files.",
)
@click.option(
    "--show-text",
    is_flag=True,
    help="Write sentences of reports that may be of people; those of the"
    " phantom are always written.",
)
def embed(
    run: Path, split: str, output: Path | None, form: str, show_text: bool
) -> None:
    """Write features of images, regions and sentences, with their ids.

    \b
    The array `features` of each npz, float32:
      images     (I, D)                 mean of the regions; global
                                        scope: the global feature
      regions    (I, rows, columns, D)  local scope only
      sentences  (S, E)                 of every image's report; local
      reports    (R, E)                 of every image that has one;
                                        global

    Beside it, one value a row, stand image_id, study_id, subject_id, for
    sentences also their number in the report from 0. Where it may be shown,
    text is in a .jsonl, a line for each row. Rows 0 and columns 0 of the
    regions are the upper left.

    A CSV has the same columns and text, then f0, f1, ... of one feature a
    line; lines of regions.csv also have row and column.
    """
    from kerasmi import runs
    from kerasmi.cli.console import ConsoleReporter

    opened = runs.Run.open(run)
    embedding = starting.library("embedding")
    with ConsoleReporter() as reporter:
        folder = embedding.embed(
            opened,
            split=split,
            output=output,
            formats=_FORMATS[form],
            show_text=show_text,
            reporter=reporter,
        )
    click.echo(folder)
