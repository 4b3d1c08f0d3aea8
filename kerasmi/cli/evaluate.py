"""`kerasmi evaluate`: what the representations of a run can do."""

from pathlib import Path

import click

from kerasmi.cli import starting
from kerasmi.cli.base import Verb


@click.command(
    cls=Verb,
    examples="""
        kerasmi evaluate runs/local_mine
        kerasmi evaluate runs/local_mine --retrieval --grounding
        kerasmi evaluate runs/local_cpc --mi --candidates 256
        kerasmi evaluate runs/local_mine --zero-shot --prompts prompts.csv
        kerasmi evaluate runs/own --grounding --boxes boxes.csv --output found
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--mi",
    is_flag=True,
    help="Held-out mutual information, and which sentences carry it.",
)
@click.option(
    "--retrieval",
    is_flag=True,
    help="The report of an image, and the image of a report.",
)
@click.option(
    "--zero-shot",
    "zero_shot",
    is_flag=True,
    help="Findings from a sentence for and one against them, untrained.",
)
@click.option(
    "--grounding",
    is_flag=True,
    help="Whether sentences point at their true places; local scope only.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="A linear probe and nearest neighbours on frozen features.",
)
@click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    default="test",
    show_default=True,
    help="The images to evaluate on.",
)
@click.option(
    "--candidates",
    type=click.IntRange(min=2),
    help="Of mi: the texts that InfoNCE tells an image's own from, and that"
    " one; more raise its ceiling, the log of their number.  [default: 64, or"
    " all of half of the images]",
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of zero-shot: a CSV with columns label, positive, negative.",
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of grounding: a CSV with columns image_id, sentence, x, y, w, h in"
    " pixels, or MS-CXR's.  [default: the phantom's regions]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for tables and figures.  [default: RUN/evaluation, or"
    " RUN/evaluation/validation]",
)
def evaluate(
    run: Path,
    mi: bool,
    retrieval: bool,
    zero_shot: bool,
    grounding: bool,
    probe: bool,
    split: str,
    candidates: int | None,
    prompts: Path | None,
    boxes: Path | None,
    output: Path | None,
) -> None:
    """Evaluate what a run has learned, beyond its classifiers.

    Without a choice, everything that the run and its data permit; what is
    left out is told. Tables are printed and written as CSV, each with what
    chance gives. docs/representations.md says how to read them.
    """
    from kerasmi import runs
    from kerasmi.cli.console import ConsoleReporter

    asked = {
        "mi": mi,
        "retrieval": retrieval,
        "zero_shot": zero_shot,
        "grounding": grounding,
        "probe": probe,
    }
    parts = tuple(name for name, wanted in asked.items() if wanted)
    if candidates is not None and parts and not mi:
        raise click.UsageError("--candidates has an effect with --mi only")
    if prompts is not None and parts and not zero_shot:
        raise click.UsageError("--prompts has an effect with --zero-shot only")
    if boxes is not None and parts and not grounding:
        raise click.UsageError("--boxes has an effect with --grounding only")
    opened = runs.Run.open(run)
    evaluating = starting.library("evaluating")
    with ConsoleReporter() as reporter:
        folder = evaluating.evaluate(
            opened,
            parts,
            split=split,
            output=output,
            candidates=candidates,
            prompts=prompts,
            boxes=boxes,
            reporter=reporter,
        )
    click.echo(folder)
