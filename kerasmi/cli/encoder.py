"""`kerasmi encoder`: weights that others trained."""

from pathlib import Path

import click

from kerasmi.cli.base import Nouns, Verb
from kerasmi.cli.quiet import quiet


@click.group(
    cls=Nouns,
    examples="""
        kerasmi encoder convert Bio_ClinicalBERT clinical_bert
        kerasmi encoder convert pytorch_model.bin image.keras --image
    """,
)
def encoder() -> None:
    """Convert encoders that others trained."""


@encoder.command(
    cls=Verb,
    short_help="Convert a BERT checkpoint, or the authors' image encoder.",
    examples="""
        kerasmi encoder convert Bio_ClinicalBERT clinical_bert --cased
        kerasmi encoder convert FOLDER/model.ckpt-150000 clinical_bert
        kerasmi encoder convert FOLDER text.keras --pooling mean
        kerasmi encoder convert pytorch_model.bin image.keras --image
    """,
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("destination", metavar="DST", type=click.Path(path_type=Path))
@click.option(
    "--lower-case/--cased",
    default=None,
    help="Whether text is lower-cased.  [default: as the files of SRC say]",
)
@click.option(
    "--gelu",
    type=click.Choice(["exact", "tanh"]),
    help="Form of the activation.  [default: as SRC computed it]",
)
@click.option(
    "--pooling",
    type=click.Choice(["cls", "pooler", "mean"]),
    help="Text feature, for a .keras file.  [default: as a .keras file SRC"
    " was saved, else cls]",
)
@click.option(
    "--image",
    is_flag=True,
    help="SRC is the authors' image encoder, resnet256_6_2_1.",
)
@click.option("--force", is_flag=True, help="Overwrite DST.")
def convert(
    source: Path,
    destination: Path,
    lower_case: bool | None,
    gelu: str | None,
    pooling: str | None,
    image: bool,
    force: bool,
) -> None:
    """Convert a BERT checkpoint for `text_encoder.path` and for KerasHub.

    SRC is a folder of Hugging Face (model.safetensors or pytorch_model.bin)
    or of the TensorFlow 1 code (bert_config.json, model.ckpt-*, vocab.txt),
    or one file of weights in it, or a .keras file of a text encoder. DST is a
    folder, in the form of a KerasHub
    preset, or a .keras file of the whole text encoder.
    """
    in_one_file = destination.suffix == ".keras"
    if image and not in_one_file:
        raise click.UsageError("--image: expected DST to end in .keras")
    if image and {lower_case, gelu, pooling} != {None}:
        raise click.UsageError("--image takes no option on text")
    if pooling and not in_one_file:
        raise click.UsageError(
            "--pooling has an effect on a .keras file only; in a recipe it is"
            " text_encoder.pooling"
        )
    lines: list[str] = []
    with quiet():
        from kerasmi.checkpoints import converting

        converting.check(destination, force)
        if image:
            made = converting.image_encoder(source)
        else:
            made = converting.text_encoder(
                source, pooling, lower_case, gelu, lines.append
            )
        converting.save(made, destination, force)
    if not (image or in_one_file) and made.pooling != "cls":
        lines.append(
            "warning: a preset keeps no pooling; in a recipe, give"
            f" text_encoder.pooling={made.pooling}"
        )
    for line in lines:
        click.echo(line, err=True)
    click.echo(destination)
