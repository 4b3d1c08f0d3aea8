"""Recipes: read, checked and written; imports neither keras nor TensorFlow.

`load` takes the name of a shipped recipe or the path of a YAML file. A wrong
recipe is one `RecipeError`, one line that names the file and the key.
"""

import importlib.resources
import os
import re
import textwrap
import typing
from collections.abc import Iterator, Sequence
from importlib.resources import abc
from pathlib import Path
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

from kerasmi import recipe_errors, recipe_yaml
from kerasmi.errors import RecipeError
from kerasmi.presets import CLINICAL_BERT
from kerasmi.recipe_schema import (
    Augmentation,
    Critic,
    Data,
    Evaluate,
    ImageEncoder,
    Images,
    Objective,
    Pretrain,
    Recipe,
    Retrain,
    TextEncoder,
)
from kerasmi.recipe_section import Section, nearest

__all__ = [
    "Augmentation",
    "Critic",
    "Data",
    "Evaluate",
    "ImageEncoder",
    "Images",
    "Objective",
    "Pretrain",
    "Recipe",
    "Retrain",
    "TextEncoder",
    "check_ready",
    "differences",
    "dump",
    "dump_section",
    "is_grid",
    "load",
    "names",
    "problems",
    "shipped",
    "source",
    "without_effect",
]


# Bytes of a recipe's file; those shipped have a hundredth of it.
_LONGEST = 2**18


def shipped() -> list[str]:
    """The names of the recipes inside the package, the phantom's first."""
    return [name for name in names() if not is_grid(name)]


def names() -> list[str]:
    """The names of the files inside the package, grids of recipes too."""
    found = _names(importlib.resources.files("kerasmi.recipes"))
    return sorted(found, key=lambda name: (name.count("/"), name))


def is_grid(path_or_name: str | os.PathLike[str]) -> bool:
    """Whether a file holds a grid of recipes: `kerasmi.grid_recipe` reads it.

    Raises:
        RecipeError: no such file, or it cannot be read.
    """
    # not parsed: what is not YAML is told by whoever reads it then
    return re.search("^grid *:", source(path_or_name), re.MULTILINE) is not None


def _names(folder: abc.Traversable, prefix: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")


def source(path_or_name: str | os.PathLike[str]) -> str:
    """The text of a recipe, comments included.

    Raises:
        RecipeError: no such recipe, or its file cannot be read.
    """
    given = os.fspath(path_or_name)
    try:
        # bounded: a device or a pipe has no size to ask for
        with _find(given).open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise RecipeError(
                f"{given}: more than {_LONGEST:,} bytes; give a recipe"
            )
        return content.decode("utf-8").replace("\r\n", "\n")
    except IsADirectoryError:
        raise RecipeError(
            f"{given}: a folder, not a recipe; give a YAML file"
        ) from None
    except UnicodeDecodeError:
        raise RecipeError(
            f"{given}: not YAML: not UTF-8 text; save it as UTF-8"
        ) from None
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise RecipeError(f"{given}: {reason}") from None


def _find(given: str) -> abc.Traversable:
    known = names()
    if given in known and not os.path.isfile(given):
        return importlib.resources.files("kerasmi.recipes") / f"{given}.yaml"
    if os.path.exists(given):
        return Path(given)
    hint = nearest(given.removesuffix(".yaml").removeprefix("recipes/"), known)
    raise RecipeError(
        f"{given}: no recipe of that name or path.{hint}"
        " `kerasmi ls` shows the names"
    )


def load(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path_or_name: a YAML file, or a name that `shipped` lists.
        overrides: `key.path=value`, the values in YAML.

    Returns:
        The recipe; its name is the file's when it states none.

    Raises:
        RecipeError: one line that names the file and the first wrong key.
    """
    recipe, wrong = _read(path_or_name, overrides)
    if recipe is not None:
        return recipe
    others = len(wrong) - 1
    more = f" (and {others} more: `kerasmi validate` lists all)"
    raise RecipeError(wrong[0] + (more if others else ""))


def problems(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> list[str]:
    """Everything that is wrong with a recipe, one line each."""
    try:
        return _read(path_or_name, overrides)[1]
    except RecipeError as error:
        return [str(error)]


def without_effect(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str]
) -> list[str]:
    """The dotted keys that a recipe refuses because they would do nothing."""
    try:
        Recipe.model_validate(_values(path_or_name, overrides))
    except pydantic.ValidationError as error:
        return recipe_errors.without_effect(error)
    return []


def _values(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str]
) -> dict[str, Any]:
    origin = os.fspath(path_or_name)
    values = recipe_yaml.read(source(path_or_name), origin)
    if "grid" in values:
        raise RecipeError(
            f"{origin}: a grid of recipes, where one recipe is needed"
        )
    values = recipe_yaml.override(values, overrides, origin)
    if values.get("name") is None:
        values["name"] = recipe_yaml.name_of_file(origin)
    return values


def _read(
    path_or_name: str | os.PathLike[str], overrides: Sequence[str]
) -> tuple[Recipe | None, list[str]]:
    origin = os.fspath(path_or_name)
    values = _values(path_or_name, overrides)
    try:
        return Recipe.model_validate(values), []
    except pydantic.ValidationError as error:
        return None, [
            f"{origin}: {line}" for line in recipe_errors.describe(error)
        ]


def check_ready(recipe: Recipe, origin: str | None = None) -> None:
    """Raises `RecipeError` when a path that only the user knows is missing."""
    origin = origin or recipe.name or "recipe"
    missing = {}
    if recipe.data.source == "records" and recipe.data.path is None:
        missing["data.path"] = "the records: images, reports, labels"
    encoder = recipe.text_encoder
    own = recipe.objective is not None and encoder.preset == CLINICAL_BERT
    if own and encoder.path is None:
        missing["text_encoder.path"] = "the clinical BERT checkpoint"
    for key, what in missing.items():
        usage = " ".join(f"{each}=FOLDER" for each in missing)
        raise RecipeError(
            f"{origin}: {key}: give the folder of {what}; for example"
            f" kerasmi run {origin} {usage}"
        )


def differences(one: Recipe, other: Recipe) -> list[tuple[str, Any, Any]]:
    """The keys, but for the name, in which two recipes differ.

    Returns:
        (key, value in `one`, value in `other`); None where it has no effect.
    """
    left, right = one.settings(), other.settings()
    return [
        (key, left.get(key), right.get(key))
        for key in dict.fromkeys([*left, *right])
        if key != "name" and left.get(key) != right.get(key)
    ]


def dump(recipe: Recipe, full: bool = True) -> str:
    """YAML that `load` reads back.

    Args:
        recipe: the recipe.
        full: every value that has an effect, its meaning above it; else only
            the values that were given.
    """
    return dump_section(recipe, recipe.settings(), full)


def dump_section(
    section: Section, effective: dict[str, Any], full: bool
) -> str:
    """YAML of a section: of its keys those in `effective`; see `dump`."""
    return "\n".join(_lines(section, effective, full)) + "\n"


def _lines(
    section: Section, effective: dict[str, Any], full: bool, prefix: str = ""
) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for name, field in type(section).model_fields.items():
        key, value = prefix + name, getattr(section, name)
        given = full or name in section.model_fields_set
        nested = isinstance(value, Section) and not section.idle(name)
        if not given or not (nested or key in effective):
            continue
        if nested:
            inner = list(_lines(value, effective, full, f"{key}."))
            text = [f"{indent}{name}:", *inner] if inner else []
        else:
            text = [f"{indent}{name}: {recipe_yaml.scalar(value)}"]
        yield from (_comment(field, f"{indent}# ") if full else [])
        yield from text


def _comment(field: FieldInfo, prefix: str) -> list[str]:
    choices = _choices(field.annotation)
    text = field.description or ""
    if choices:
        text += f" One of: {', '.join(choices)}."
    return textwrap.wrap(
        text, 78, initial_indent=prefix, subsequent_indent=prefix
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return ()
