"""Grids as text: written as YAML, and parts of them chosen by words."""

from collections.abc import Iterator, Sequence

from kerasmi import recipe as recipes
from kerasmi import recipe_yaml
from kerasmi.errors import RecipeError
from kerasmi.grid_schema import GridRecipe, Member, Plan
from kerasmi.recipe_section import flatten
from kerasmi.reporter import counted


def dump(plan: Plan, full: bool = True) -> str:
    """YAML that `load` reads back: the grid, its members named below it.

    Args:
        plan: the grid.
        full: the meaning of each value above it, and below the grid, as
            comments, the members and the values in which its recipes differ.
    """
    section = GridRecipe(name=plan.name, grid=plan.grid)
    text = recipes.dump_section(section, dict(flatten(section)), full)
    return (
        text + "".join(f"# {x}".rstrip() + "\n" for x in _comments(plan))
        if full
        else text
    )


def _comments(plan: Plan) -> Iterator[str]:
    yield ""
    yield f"{counted(len(plan.members), 'run')}:"
    yield from (f"  {member.name}" for member in plan.members)
    first = {m.variant: m.recipe.settings() for m in reversed(plan.members)}
    order = dict.fromkeys(member.variant for member in plan.members)
    keys = dict.fromkeys(key for variant in order for key in first[variant])
    yield "The recipes differ in:" if len(order) > 1 else "One recipe."
    for key in keys:
        shown: dict[str, list[str]] = {}
        for variant in order:
            if key != "name" and key in first[variant]:
                text = recipe_yaml.scalar(first[variant][key])
                shown.setdefault(text, []).append(variant)
        if len(shown) > 1:
            yield f"  {key}:"
            yield from (f"    {v}: {', '.join(w)}" for v, w in shown.items())


def select(plan: Plan, only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The encoders to re-train now of each member that is chosen.

    Args:
        plan: the grid.
        only: what to run: variants, encoders, `seedN` and `labelsL`, joined by
            `/` where all must hold, such as `local_cpc/tuned`; none is all.

    Returns:
        Encoders by the name of the member, in the plan's order; members of
        which nothing is chosen are left out.

    Raises:
        RecipeError: a word that no member has, or words that choose nothing.
    """
    patterns = [tuple(text.split("/")) for text in only] or [()]
    for text, pattern in zip(only, patterns, strict=False):
        if not any(_chosen(member, [pattern]) for member in plan.members):
            raise RecipeError(
                f"{plan.origin}: --only {text}: chooses nothing; the grid has"
                f" {', '.join(_known(plan))}"
            )
    chosen = {m.name: _chosen(m, patterns) for m in plan.members}
    return {name: encoders for name, encoders in chosen.items() if encoders}


def _known(plan: Plan) -> list[str]:
    variants = [member.variant for member in plan.members]
    encoders = [e for m in plan.members for e in m.recipe.retrain.encoders]
    others = [word for m in plan.members for word in m.words[1:]]
    return list(dict.fromkeys([*variants, *encoders, *others]))


def _chosen(
    member: Member, patterns: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    return tuple(
        encoder
        for encoder in member.recipe.retrain.encoders
        if any({*p} <= {*member.words, encoder} for p in patterns)
    )
