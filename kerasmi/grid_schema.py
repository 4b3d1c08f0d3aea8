"""What a grid says: its section, its members, its plan."""

import dataclasses
from typing import Annotated, Any, Self

import pydantic

from kerasmi.recipe import Recipe
from kerasmi.recipe_schema import Encoder, labels_of
from kerasmi.recipe_section import NAME, Section, field, wrong

ALL = "all"
# What the grid itself says of its members.
_OWN = {"seed": "grid.seeds", "name": "name"}


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"expected at least 1. Received: {value}")
        return tuple(range(value))
    return value


def _label_count(value: Any) -> int | float | str:
    found = labels_of(value)
    return ALL if found is None else found


def _each_once(values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if values is not None and (not values or len(set(values)) < len(values)):
        raise ValueError(
            f"expected one or more, each once. Received: {list(values)}"
        )
    return values


_EachOnce = pydantic.AfterValidator(_each_once)
_Seed = Annotated[int, pydantic.Field(ge=0)]
_Labels = Annotated[int | float | str, pydantic.PlainValidator(_label_count)]


class Grid(Section):
    """Recipes times seeds times numbers of labels."""

    recipes: Annotated[tuple[str, ...], _EachOnce] = field(
        (),
        "Names or files of recipes; files are looked for beside this one.",
        strict=False,
    )
    seeds: Annotated[
        tuple[_Seed, ...], _EachOnce, pydantic.BeforeValidator(_seeds)
    ] = field((0,), "Seeds: how many, from 0, or a list.", strict=False)
    labels: Annotated[tuple[_Labels, ...] | None, _EachOnce] = field(
        None,
        "Numbers or fractions of labelled images, or all; null: as the recipes"
        " say. They share one pretraining.",
        strict=False,
    )
    encoders: Annotated[tuple[Encoder, ...] | None, _EachOnce] = field(
        None,
        "Encoders to re-train, of each recipe's own; null: all of them.",
        strict=False,
    )
    set: dict[str, Any] = field(
        {},
        "Values for all recipes under dotted keys; a recipe in which a key has"
        " no effect goes without it.",
    )

    @pydantic.model_validator(mode="after")
    def _says_nothing_twice(self) -> Self:
        if not self.recipes:
            raise wrong("recipes", "expected one or more. Received none")
        own = dict(_OWN)
        own |= {"retrain.labels": "grid.labels"} if self.labels else {}
        own |= {"retrain.encoders": "grid.encoders"} if self.encoders else {}
        for key in self.set:
            if key in own:
                raise wrong("set", f"`{key}`: give `{own[key]}` instead")
        return self


class GridRecipe(Section):
    """The file of a grid."""

    name: str | None = field(
        None,
        "Name of the grid's folder; null: the name of the file.",
        pattern=NAME,
    )
    grid: Grid = field(None, "The recipes, and what they are multiplied by.")


@dataclasses.dataclass(frozen=True)
class Member:
    """One run of a grid.

    Attributes:
        variant: name of its recipe, and of its folder.
        seed: its seed.
        labels: number or fraction of labels, or `"all"`, where the grid says.
        recipe: what it does.
    """

    variant: str
    seed: int
    labels: int | float | str | None
    recipe: Recipe

    @property
    def words(self) -> tuple[str, ...]:
        """What `--only` may call it, but for its encoders."""
        labels = () if self.labels is None else (f"labels{self.labels}",)
        return (self.variant, *labels, f"seed{self.seed}")

    @property
    def name(self) -> str:
        """Its folder in the grid's: `VARIANT/seedN`, `VARIANT/labelsL-seedN`.

        The labels stand in one name with the seed, so that all members lie at
        one depth.
        """
        variant, *others = self.words
        return f"{variant}/{'-'.join(others)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A grid, read: what to run, in which order.

    Attributes:
        name: of its folder.
        origin: the file or name that it was read from.
        grid: its section.
        members: seed by seed, so that what is finished can be compared.
    """

    name: str
    origin: str
    grid: Grid
    members: tuple[Member, ...]


_PRETRAINING = (
    *("seed", "precision", "intra_op_threads"),
    *("data", "image_encoder", "text_encoder", "critic"),
    *("objective", "pretrain"),
)


def pretraining(recipe: Recipe) -> tuple[tuple[str, Any], ...]:
    """All values that the pretraining of a recipe depends on, by their key."""
    return tuple(
        (key, value)
        for key, value in sorted(recipe.settings().items())
        if key.partition(".")[0] in _PRETRAINING
    )
