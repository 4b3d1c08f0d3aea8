"""`kerasmi selftest`: whether a recipe can learn on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmi.cli.base import FAILED, Verb
from kerasmi.cli.quiet import quiet
from kerasmi.errors import RecipeError
from kerasmi.reporter import counted

if TYPE_CHECKING:
    from kerasmi.selftest import Check


@click.command(
    cls=Verb,
    examples="""
        kerasmi selftest
        kerasmi selftest local_cpc pretrain.batch_size=32
        kerasmi selftest mimic_cxr/local_mine data.path=FOLDER
    """,
)
@click.argument("recipe", default="local_mine")
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of runs, there or not, whose disk is looked at.  [default: .]",
)
@click.pass_context
def selftest(
    ctx: click.Context,
    recipe: str,
    overrides: tuple[str, ...],
    output: Path | None,
) -> None:
    """Check that a recipe can learn here, in about a minute.

    Looks at devices and disk, at one batch's negatives, at the gradient in
    both encoders and the critic, and learns that batch by heart. Exit status
    1 where something is wrong. A phantom is drawn small, unless data.images
    is given, and thrown away.
    """
    import tempfile

    from kerasmi import output_files
    from kerasmi import recipe as recipes
    from kerasmi.cli.starting import library

    if output is not None:
        output_files.check_folder(output, new=False)
    loaded = recipes.load(recipe, overrides)
    if loaded.objective is None or loaded.pretrain is None:
        raise RecipeError(
            f"{recipe}: has no objective, so there is nothing to test; give a"
            " recipe that pretrains, such as local_mine"
        )
    recipes.check_ready(loaded, recipe)
    if loaded.data.source == "phantom" and loaded.data.path is None:
        # enough images for a batch, drawn in a second
        train = 2 * loaded.pretrain.batch_size
        images = f"{{train: {train}, validation: 8, test: 8}}"
        small = (f"data.images={images}", *overrides, "retrain.labels=2")
        loaded = recipes.load(recipe, small)
    failed = 0
    with tempfile.TemporaryDirectory() as drawn:
        module = library("selftest")
        checks = module.checks(loaded, Path(drawn), output or Path())
        while (check := _next(checks)) is not None:
            word = "ok  " if check.passed else "FAIL"
            click.echo(f"{word}  {check.name:25}{check.text}")
            failed += not check.passed
    click.echo(counted(failed, "problem") if failed else "all is well")
    ctx.exit(FAILED if failed else 0)


def _next(checks: "Iterator[Check]") -> "Check | None":
    with quiet():
        return next(checks, None)
