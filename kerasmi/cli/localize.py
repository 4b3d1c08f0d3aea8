"""`kerasmi localize`: where in an image a sentence is true."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmi.cli import starting
from kerasmi.cli.base import Verb

if TYPE_CHECKING:
    import numpy as np

_MAPS = (".csv", ".npy")


@click.command(
    cls=Verb,
    examples="""
        kerasmi localize runs/local_mine own.png "The heart is large."
        kerasmi localize runs/own a.dcm "Left effusion." --output a.png
        kerasmi localize runs/local_mine IMAGE_ID "Edema." --map edema.csv
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("image")
@click.argument("sentence")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The picture, a PNG file.  [default: of the names of both, in"
    " RUN/localized]",
)
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path),
    help="Also the map at the image's own size, a .csv or .npy file: a score"
    " in nats for each pixel, nan where the network does not look.",
)
@click.option(
    "--intensity",
    type=click.Choice(["auto", "full", "percentile", "window"]),
    help="How the grey levels of a file are mapped, as in `kerasmi data"
    " import`.  [default: as there]",
)
@click.option("--force", is_flag=True, help="Overwrite the files.")
def localize(
    run: Path,
    image: str,
    sentence: str,
    output: Path | None,
    map_file: Path | None,
    intensity: str | None,
    force: bool,
) -> None:
    """Draw where in an image a sentence scores best.

    IMAGE is a PNG, JPEG or DICOM file of any size, or an image_id of the
    run's data. The network sees its central square; the picture counts the
    pixels of the image itself. Needs a run of local scope.
    """
    from kerasmi import output_files, runs
    from kerasmi.cli.console import ConsoleReporter
    from kerasmi.evaluation import drawing

    opened = runs.Run.open(run)
    if output is None:
        name = f"{output_files.slug(Path(image).stem)}-"
        name += f"{output_files.slug(sentence)}.png"
        output = run / "localized" / name
        output_files.check_within(output, run)
    output_files.check_file(output, (".png",), force)
    if map_file is not None:
        output_files.check_file(map_file, _MAPS, force)
    localizing = starting.library("localizing")
    with ConsoleReporter() as reporter:
        found = localizing.localize(
            opened, image, sentence, intensity=intensity, reporter=reporter
        )
    drawing.save_asked(found.draw(), output)
    if map_file is not None:
        values = found.pixel_map()
        output_files.write(map_file, lambda file: _save(file, values))
    _tell(found)
    click.echo(output)
    if map_file is not None:
        click.echo(map_file)


def _save(file: Path, values: "np.ndarray") -> None:
    import numpy as np

    if file.suffix.lower() == ".npy":
        np.save(file, values)
    else:
        np.savetxt(file, values, fmt="%.6g", delimiter=",")


def _tell(found: Any) -> None:
    """Prints the best region and where it lies."""
    (row, column), box = found.best_region, found.best_box
    left, top, right, bottom = map(round, box)
    rows, columns = found.scores.shape
    height, width = found.pixels.shape
    click.echo(f"image        {width} x {height} pixels")
    click.echo(
        f"best region  row {row + 1} of {rows}, column {column + 1} of"
        f" {columns}: x {left} to {right}, y {top} to {bottom} pixels"
    )
    click.echo(
        f"its score    {found.best_above_mean:+.3f} nats above the mean of the"
        " regions"
    )
