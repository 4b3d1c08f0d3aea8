"""`kerasmi run` of a grid of recipes."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from kerasmi.cli.base import InterruptedRunError
from kerasmi.cli.quiet import quiet
from kerasmi.errors import KerasmiError
from kerasmi.reporter import counted

if TYPE_CHECKING:
    from kerasmi.grid_folder import GridFolder
    from kerasmi.grid_schema import Plan
    from kerasmi.recipe import Recipe

Start = Callable[["Recipe", int, bool], ModuleType]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a grid is run; as on the command line."""

    output: Path | None
    resume: bool
    devices: int
    deterministic: bool
    only: tuple[str, ...]
    stop_on_error: bool

    def words(self) -> list[str]:
        """As they are typed, to continue."""
        words = ["--resume"]
        words += ["--output", str(self.output)] if self.output else []
        words += ["--devices", str(self.devices)] if self.devices > 1 else []
        words += [] if self.deterministic else ["--no-deterministic"]
        words += [word for text in self.only for word in ("--only", text)]
        return words + ["--stop-on-error"] * self.stop_on_error


def run(
    recipe: str,
    overrides: tuple[str, ...],
    seeds: int | None,
    dry_run: bool,
    how: Options,
    start: Start,
) -> None:
    """Runs a grid, or says what it would do.

    Args:
        recipe: as given.
        overrides: as given.
        seeds: instead of the grid's.
        dry_run: only describe.
        how: all else.
        start: starts TensorFlow; returns `kerasmi.experiment`.
    """
    from kerasmi import grid_recipe, grid_text
    from kerasmi import recipe as recipes
    from kerasmi.grid_folder import GridFolder

    plan = grid_recipe.load(recipe, overrides, seeds)
    grid_text.select(plan, how.only)
    output = how.output or Path("runs") / plan.name
    if dry_run:
        asked = GridFolder(output, plan)
        if how.resume:
            asked.check(how.resume)
        _describe(plan, how, start)
        asked.check(how.resume)  # last: elsewhere it would do what is told
        return
    # the last recipes need most: the first have no reports to read
    for member in reversed(plan.members):
        recipes.check_ready(member.recipe, recipe)
    with GridFolder.create(output, plan, how.resume) as folder:
        given = ["--seeds", str(seeds)] if seeds else []
        again = ["kerasmi", "run", recipe, *overrides, *given, *how.words()]
        _work(folder, how, start, shlex.join(again))
    click.echo(output)


def _work(folder: "GridFolder", how: Options, start: Start, again: str) -> None:
    from kerasmi import grid, interruption
    from kerasmi.cli.console import ConsoleReporter

    try:
        with interruption.handled():
            recipe = folder.plan.members[0].recipe
            experiment = start(recipe, how.devices, how.deterministic)
            with ConsoleReporter() as reporter:
                grid.run(
                    folder,
                    experiment,
                    reporter,
                    devices=how.devices,
                    only=how.only,
                    stop_on_error=how.stop_on_error,
                )
    except KerasmiError:
        # wrong data is found only here; it leaves no half-made grid
        folder.discard()
        raise
    except KeyboardInterrupt as stopped:
        raise interrupted(stopped, again) from None


def interrupted(stopped: KeyboardInterrupt, again: str) -> InterruptedRunError:
    """What to tell of a run that a signal stopped.

    Args:
        stopped: its text says what was saved.
        again: the command that goes on.
    """
    saved = f" ({stopped})" if str(stopped) else ""
    return InterruptedRunError(f"Interrupted{saved}. Continue with: {again}")


def _describe(plan: "Plan", how: Options, start: Start) -> None:
    from kerasmi import grid_text
    from kerasmi.runs import DATA_FOLDER

    output = how.output or Path("runs") / plan.name
    where = (output.parent / DATA_FOLDER, how.devices)
    recipe = plan.members[0].recipe
    experiment = start(recipe, how.devices, how.deterministic)
    chosen = grid_text.select(plan, how.only)
    total = counted(len(plan.members), "run")
    click.echo(f"{plan.name}: {len(chosen)} of {total}")
    for name, encoders in chosen.items():
        click.echo(f"  {name}  {', '.join(encoders)}")
    firsts = {m.variant: m for m in reversed(plan.members) if m.name in chosen}
    for variant in dict.fromkeys(m.variant for m in plan.members):
        if variant not in firsts:
            continue
        with quiet():
            lines = experiment.describe(firsts[variant].recipe, *where)
        width = max(len(name) for name, _ in lines)
        click.echo(f"\n{variant}")
        for name, value in lines:
            click.echo(f"  {name:{width}}  {value}")
