"""`kerasmi export`: the trained models of a run, for use elsewhere."""

from pathlib import Path

import click

from kerasmi.cli.base import Verb
from kerasmi.cli.quiet import quiet

_FORMATS = ("keras", "saved_model", "preset", "onnx")


@click.command(
    cls=Verb,
    examples="""
        kerasmi export runs/local_mine
        kerasmi export runs/local_mine --format saved_model --output served
        kerasmi export runs/local_mine --stage retrain/pathology9/tuned
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: RUN/export/STAGE]",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(_FORMATS),
    multiple=True,
    help="May be given several times; `preset` is a folder for from_preset:"
    " of KerasHub for the text encoder, of kerasmi.ImageEncoder for the image"
    " encoder; a classifier has none.  [default: all but onnx]",
)
@click.option(
    "--stage",
    help="The stage whose models are exported.  [default: pretrain, or the"
    " only one]",
)
def export(
    run: Path,
    output: Path | None,
    formats: tuple[str, ...],
    stage: str | None,
) -> None:
    """Write the trained encoders of a run, each with a model card.

    Each file is loaded again in a fresh process and must give the same
    outputs. The data is not needed.
    """
    from kerasmi import output_files, runs

    opened = runs.Run.open(run)
    with quiet():
        from kerasmi import exporting

        lines: list[str] = []
        stage = exporting.chosen_stage(opened, stage)
        if output is None:
            output = run / "export" / stage
            output_files.check_within(output, run)
        made = exporting.export(
            opened,
            output,
            formats or exporting.DEFAULT_FORMATS,
            stage,
            tell=lines.append,
        )
    for line in lines:
        click.echo(line, err=True)
    click.echo(made)
