"""`kerasmi data`: images and reports, before training on them."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmi.cli import data_import, data_inspect, data_serve
from kerasmi.cli.base import Nouns, Verb
from kerasmi.cli.quiet import quiet
from kerasmi.data.schema import SPLITS
from kerasmi.errors import DataError

if TYPE_CHECKING:
    from kerasmi.data.schema import Record

PHANTOM = "phantom"


@click.group(
    cls=Nouns,
    commands={
        "import": data_import.import_,
        "inspect": data_inspect.inspect,
        "splits": data_inspect.splits,
        "serve": data_serve.serve,
    },
    examples="""
        kerasmi data import table own.csv OUT
        kerasmi data preview phantom --output phantom.png
        kerasmi data inspect runs/data/FOLDER
    """,
)
def data() -> None:
    """Bring in, and look at, images, reports and labels."""


@data.command(
    cls=Verb,
    examples="""
        kerasmi data preview --output phantom.png
        kerasmi data preview phantom --size 128 --seed 7 --output seven.png
        kerasmi data preview runs/data/FOLDER --count 8 --output eight.png
    """,
)
@click.argument("source", default=PHANTOM, metavar="[phantom|FOLDER]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The picture, a PNG file.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 64),
    default=12,
    show_default=True,
    help="Images on the sheet.",
)
@click.option(
    "--size",
    type=click.Choice(["64", "128", "256"]),
    help="Pixels of the phantom's images.  [default: 64]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Seed of the phantom, or of the choice among the records."
    "  [default: 0]",
)
@click.option(
    "--show-text",
    is_flag=True,
    help="Show reports that may be of people; those of the phantom are always"
    " shown.",
)
@click.option("--force", is_flag=True, help="Overwrite the picture.")
def preview(
    source: str,
    output: Path,
    count: int,
    size: str | None,
    seed: int | None,
    show_text: bool,
    force: bool,
) -> None:
    """Draw images with their findings and their reports on one sheet.

    Of the phantom, which is drawn on the spot, or of the images in a FOLDER
    of records: of training, or else of the first split that has images.
    """
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"--output: expected a .png file: {output}")
    if output.exists() and not force:
        raise DataError(f"{output}: exists; --force overwrites it")
    if source == PHANTOM and not Path(source).is_dir():
        if show_text:
            raise click.UsageError("--show-text has an effect on records only")
        shown = _phantom(count, int(size or 64), seed or 0)
    elif size is not None:
        raise click.UsageError("--size has an effect on the phantom only")
    else:
        shown = _records(source, count, seed or 0, show_text)
    _save(shown, output)
    click.echo(output)


def _save(records: list["Record"], output: Path) -> None:
    from kerasmi.evaluation import drawing
    from kerasmi.sheet import sheet

    drawing.save_asked(sheet(records), output)


def _phantom(count: int, size: int, seed: int) -> list["Record"]:
    from kerasmi.data.sources import phantom

    options = phantom.Phantom(
        train=count, validation=0, test=0, size=size, seed=seed
    )
    return list(phantom.generate(options))


def _records(
    folder: str, count: int, seed: int, show_text: bool
) -> list["Record"]:
    import numpy as np

    opened = data_inspect.open_dataset(folder)
    # a data set has images; it may be of a test set alone
    split = next(name for name in SPLITS if name in opened.counts)
    if split != SPLITS[0]:
        click.echo(
            f"{folder}: no training images; drawn are {split} images", err=True
        )
    images = opened.rows(split)["image_id"].to_numpy()
    count = min(count, len(images))
    chosen = np.random.default_rng(seed).choice(images, count, replace=False)
    with quiet():
        from kerasmi.data import records

        found = list(records.read(opened, split, chosen))
    if show_text or opened.source == PHANTOM:
        return found
    if any(record.sentences for record in found):
        click.echo(
            f"{folder}: the text of its reports is left out; --show-text"
            " shows it",
            err=True,
        )
    return [
        dataclasses.replace(record, sentences=(), sentence_regions=())
        for record in found
    ]
