"""`ls`, `cp`, `cat` and `validate`: recipes as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmi.cli.base import WRONG, Verb
from kerasmi.errors import DataError, RecipeError
from kerasmi.reporter import counted

if TYPE_CHECKING:
    from kerasmi.recipe import Recipe

_HEADER = (
    "RECIPE",
    "OBJECTIVE",
    "SCOPE",
    "TASKS",
    "ENCODERS",
    "DATA",
    "EPOCHS",
)


@click.command(
    cls=Verb,
    examples="""
        kerasmi ls
        kerasmi ls | grep local
    """,
)
def ls() -> None:
    """List the recipes that come with kerasmi.

    EPOCHS are those of pretraining + retraining; a grid of recipes tells its
    runs.
    """
    from kerasmi import recipe as recipes

    rows: list[tuple[str, ...]] = [_HEADER]
    for name in recipes.names():
        grid = recipes.is_grid(name)
        rows.append(_grid_row(name) if grid else _row(name, recipes.load(name)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = map(str.ljust, row, widths)
        click.echo("  ".join(cells).rstrip())


def _row(name: str, recipe: "Recipe") -> tuple[str, ...]:
    objective, pretrain = recipe.objective, recipe.pretrain
    before = f"{pretrain.epochs} + " if pretrain else ""
    return (
        name,
        objective.bound if objective else "-",
        objective.scope if objective else "-",
        ",".join(recipe.retrain.tasks),
        ",".join(recipe.retrain.encoders),
        recipe.data.source,
        f"{before}{recipe.retrain.epochs}",
    )


def _grid_row(name: str) -> tuple[str, ...]:
    from kerasmi import grid_recipe

    members = grid_recipe.load(name).members
    rows = [_row(name, member.recipe) for member in members]
    words = [
        ",".join(dict.fromkeys(",".join(cells).split(",")))
        for cells in zip(*rows, strict=True)
    ]
    words = [word.removeprefix("-,") for word in words]
    return (*words[:-1], counted(len(members), "run"))


@click.command(
    cls=Verb,
    examples="""
        kerasmi cp local_mine mine.yaml
        kerasmi cp mimic_cxr/local_cpc . --force
    """,
)
@click.argument("recipe")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the destination.")
def cp(recipe: str, destination: Path, force: bool) -> None:
    """Copy a recipe, its comments included, to change it.

    DESTINATION is a file, or a folder that gets a file of the same name.
    """
    from kerasmi import output_files, runs
    from kerasmi import recipe as recipes

    text = recipes.source(recipe)
    if destination.is_dir():
        stem = Path(recipe).name.removesuffix(".yaml")
        destination /= f"{stem}.yaml"
    if destination.exists() and not force:
        raise RecipeError(f"{destination}: exists; --force overwrites it")
    remedy = "give another place, or make its folder"
    with output_files.written(destination, RecipeError, remedy):
        runs.write_text(destination, text)
    click.echo(destination)


@click.command(
    cls=Verb,
    examples="""
        kerasmi cat local_mine
        kerasmi cat local_mine objective.region=max
        kerasmi cat local_mine > mine.yaml
    """,
)
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
def cat(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print every value of a recipe and its meaning, defaults too.

    Of a grid, what it runs and in which values its recipes differ.
    """
    from kerasmi import recipe as recipes

    if recipes.is_grid(recipe):
        from kerasmi import grid_recipe, grid_text

        plan = grid_recipe.load(recipe, overrides)
        click.echo(grid_text.dump(plan), nl=False)
        return
    click.echo(recipes.dump(recipes.load(recipe, overrides)), nl=False)


@click.command(
    cls=Verb,
    examples="""
        kerasmi validate mine.yaml
        kerasmi validate recipes/*.yaml recipes/*/*.yaml
    """,
)
@click.argument("files", metavar="RECIPE...", nargs=-1, required=True)
@click.pass_context
def validate(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Check recipes and list everything that is wrong with them.

    Where the records that one names are there, warns of images that it would
    enlarge, and of records that cannot be read. Exits with 2 when a recipe is
    wrong.
    """
    found = {file: _problems(file) for file in files}
    for file, problems in found.items():
        if not problems:
            click.echo(f"{file}: ok")
            for text in _warnings(file):
                click.echo(f"{file}: warning: {text}", err=True)
        for problem in problems:
            click.echo(problem, err=True)
    if any(found.values()):
        ctx.exit(WRONG)


def _problems(file: str) -> list[str]:
    from kerasmi import grid_recipe
    from kerasmi import recipe as recipes

    try:
        grid = recipes.is_grid(file)
    except RecipeError as error:
        return [str(error)]
    return (grid_recipe if grid else recipes).problems(file)


def _warnings(file: str) -> list[str]:
    """What may make the results worse, of the records that are there."""
    from kerasmi import preconditions
    from kerasmi.data import dataset_index

    found: list[str] = []
    for recipe in _recipes(file):
        folder = recipe.data.path
        if folder is None or not (folder / dataset_index.INDEX).is_file():
            continue
        try:
            stored = dataset_index.read(folder).image_size
        except DataError as error:
            found.append(str(error))
        else:
            found += preconditions.enlargement(recipe, folder, stored)
    return list(dict.fromkeys(found))


def _recipes(file: str) -> list["Recipe"]:
    from kerasmi import grid_recipe
    from kerasmi import recipe as recipes

    if recipes.is_grid(file):
        return [member.recipe for member in grid_recipe.load(file).members]
    return [recipes.load(file)]
