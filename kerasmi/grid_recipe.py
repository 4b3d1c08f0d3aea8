"""Grids: several recipes, each with several seeds and numbers of labels.

A grid is a YAML file with a section `grid`. Like a recipe it is read and
checked without keras and TensorFlow, and a wrong one is one `RecipeError`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pydantic

from kerasmi import recipe as recipes
from kerasmi import recipe_errors, recipe_yaml
from kerasmi.errors import RecipeError
from kerasmi.grid_schema import Grid, GridRecipe, Member, Plan

_PREFIX = "grid."


def load(
    path_or_name: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    seeds: int | tuple[int, ...] | None = None,
) -> Plan:
    """Reads and checks a grid and all its recipes.

    Args:
        path_or_name: of a grid, or of a plain recipe: then a grid of it alone.
        overrides: `grid.key=value` for the grid, else `key.path=value` for all
            recipes in which the key has an effect.
        seeds: instead of those of the grid.

    Raises:
        RecipeError: one line that names the file and the first wrong key.
    """
    origin = os.fspath(path_or_name)
    values = _values(origin, overrides, seeds)
    try:
        read = GridRecipe.model_validate(values)
    except pydantic.ValidationError as error:
        first = recipe_errors.describe(error, GridRecipe)[0]
        raise RecipeError(f"{origin}: {first}") from None
    files = _files(origin, read.grid)
    changes = _changes(origin, read.grid, files)
    members = tuple(
        _member(variant, files[variant], changes[variant], read.grid, *each)
        for seed in read.grid.seeds
        for variant in files
        for each in ((seed, labels) for labels in read.grid.labels or (None,))
    )
    _check_threads(origin, members)
    grid = read.grid.model_copy(update={"recipes": tuple(files.values())})
    return Plan(str(read.name), origin, grid, members)


def _check_threads(origin: str, members: Sequence[Member]) -> None:
    # TensorFlow is told once, for the whole process
    found = {m.recipe.intra_op_threads: m.variant for m in members}
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise RecipeError(
            f"{origin}: intra_op_threads: {one or 'null'} in {first} but"
            f" {other or 'null'} in {second}; the recipes of a grid share one"
            " process, so give all the same: intra_op_threads=1"
        )


def _values(
    origin: str, overrides: Sequence[str], seeds: int | tuple[int, ...] | None
) -> dict[str, Any]:
    if recipes.is_grid(origin):
        values = recipe_yaml.read(recipes.source(origin), origin)
        if values.get("name") is None:
            values["name"] = recipe_yaml.name_of_file(origin)
    else:
        name = f"{recipes.load(origin).name}_grid"
        values = {"name": name, "grid": {"recipes": [origin]}}
    section = values.get("grid")
    if not isinstance(section, Mapping):
        return values
    section, own = dict(section), section.get("set", {})
    if not isinstance(own, Mapping):
        return values
    own = dict(own)
    for text in overrides:
        key, value = recipe_yaml.assignment(text, origin)
        if key.startswith(_PREFIX):
            section[key.removeprefix(_PREFIX)] = value
        else:
            own[key] = value
    section |= {"set": dict(_dotted(own))} if own else {}
    section |= {} if seeds is None else {"seeds": seeds}
    return {**values, "grid": section}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _files(origin: str, grid: Grid) -> dict[str, str]:
    """The file or name of each recipe, under the name of its variant."""
    found: dict[str, str] = {}
    for given in grid.recipes:
        variant = PurePosixPath(given).name.removesuffix(".yaml")
        if variant in found:
            raise RecipeError(
                f"{origin}: grid.recipes: two are called {variant}; give one"
                " another file name"
            )
        found[variant] = file = _beside(origin, given)
        try:
            recipes.source(file)
        except RecipeError as error:
            raise RecipeError(f"{origin}: grid.recipes: {error}") from None
    return found


def _beside(origin: str, given: str) -> str:
    """A recipe's file beside the grid's, else its name as it is."""
    if origin in recipes.names() and not os.path.isfile(origin):
        near = str(PurePosixPath(origin).parent / given)
        return near if near in recipes.names() else given
    for name in (given, f"{given}.yaml"):
        path = Path(origin).parent / name
        if path.is_file():
            return str(path)
    return given


def _changes(
    origin: str, grid: Grid, files: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Of `grid.set`, for each variant, what has an effect there."""
    for key in grid.set:
        recipe_yaml.check_key(key, f"{origin}: grid.set")
    found = {
        variant: _effective(file, grid.set) for variant, file in files.items()
    }
    for key in grid.set:
        if not any(key in kept for kept in found.values()):
            raise RecipeError(
                f"{origin}: grid.set.{key}: has no effect in any of its"
                " recipes; remove it"
            )
    return found


def _effective(file: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(changes)
    if recipes.load(file).objective is None:
        # it would become another variant
        kept = {k: v for k, v in kept.items() if not _under(k, "objective")}
    while idle := recipes.without_effect(file, _overrides(kept)):
        gone = [key for key in kept if any(_under(key, one) for one in idle)]
        if not gone:
            break
        kept = {key: kept[key] for key in kept if key not in gone}
    return kept


def _under(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _overrides(changes: Mapping[str, Any]) -> list[str]:
    return [f"{k}={recipe_yaml.scalar(v)}" for k, v in changes.items()]


def _member(
    variant: str,
    file: str,
    changes: Mapping[str, Any],
    grid: Grid,
    seed: int,
    labels: int | float | str | None,
) -> Member:
    values = {**changes, "seed": seed}
    if labels is not None:
        values["retrain.labels"] = labels
    if grid.encoders is not None:
        own = recipes.load(file, _overrides(changes)).retrain.encoders
        chosen = [encoder for encoder in own if encoder in grid.encoders]
        if not chosen:
            raise RecipeError(
                f"{file}: retrain.encoders: grid.encoders has none of"
                f" {', '.join(own)}"
            )
        values["retrain.encoders"] = chosen
    recipe = recipes.load(file, _overrides(values))
    return Member(variant, seed, labels, recipe)


def problems(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> list[str]:
    """What is wrong with a grid: the first line, or nothing."""
    try:
        load(path_or_name, overrides)
    except RecipeError as error:
        return [str(error)]
    return []
