"""A grid: its runs one after the other, then what they say together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from kerasmi import grid_results, grid_text
from kerasmi.errors import KerasmiError, TrainingError
from kerasmi.grid_folder import GridFolder
from kerasmi.grid_progress import GridProgress, seconds_left
from kerasmi.grid_schema import Member
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, clock, counted
from kerasmi.runs import Run

if TYPE_CHECKING:
    import pandas as pd


class Experiment(Protocol):
    """What a grid needs of `kerasmi.experiment`."""

    def run(
        self,
        recipe: Recipe,
        run: Run,
        reporter: Reporter,
        *,
        devices: int = 1,
        encoders: tuple[str, ...] | None = None,
        pretrained: Run | None = None,
    ) -> "pd.DataFrame":
        """Runs the stages that are not done yet."""

    def forget(self) -> None:
        """Frees what an experiment leaves in the process."""


def run(
    folder: GridFolder,
    experiment: Experiment,
    reporter: Reporter,
    *,
    devices: int = 1,
    only: Sequence[str] = (),
    stop_on_error: bool = False,
) -> None:
    """Runs what is chosen and not finished; makes the tables of all there is.

    The runs share this process: a process for each would take seconds to
    start TensorFlow, and the results are the same.

    Args:
        folder: the grid's folder, created or resumed.
        experiment: `kerasmi.experiment`.
        reporter: told of everything.
        devices: replicas, as for one run.
        only: what to run now; see `grid_text.select`. The rest stays pending.
        stop_on_error: leave the others when a run fails.

    Raises:
        RecipeError: `only` chooses nothing.
        KerasmiError: a wrong recipe or wrong data, found before anything of
            the grid was finished.
        TrainingError: runs failed; names each. The others are finished.
    """
    chosen = grid_text.select(folder.plan, only)
    members = [m for m in folder.plan.members if m.name in chosen]
    failed: dict[str, Exception] = {}
    kept = 0
    for place, member in enumerate(members, 1):
        encoders = chosen[member.name]
        if folder.is_finished(member, encoders):
            kept += 1
            continue
        left = {name: chosen[name] for name in chosen if name not in failed}
        _announce(folder, reporter, member, f"{place} of {len(members)}", left)
        error = _member(folder, experiment, reporter, member, encoders, devices)
        if error is None:
            continue
        if isinstance(error, KerasmiError) and not (
            failed or folder.with_results()
        ):
            # nothing is lost when the grid is
            raise error
        failed[member.name] = error
        reporter.warning(f"{member.name} failed: {error}")
        if stop_on_error:
            break
    if kept:
        reporter.message(f"{kept} of {len(members)} were done before, kept")
    grid_results.write(folder, reporter)
    if failed:
        raise _failure(folder, failed)


def _announce(
    folder: GridFolder,
    reporter: Reporter,
    member: Member,
    place: str,
    chosen: Mapping[str, tuple[str, ...]],
) -> None:
    seconds = seconds_left(folder, chosen)
    left = "" if seconds is None else f"  {clock(seconds)} left"
    reporter.message(f"{place}: {member.name}{left}")


def _member(
    folder: GridFolder,
    experiment: Experiment,
    reporter: Reporter,
    member: Member,
    encoders: tuple[str, ...],
    devices: int,
) -> Exception | None:
    """Runs one member; the error that ended it, if one did."""
    path = folder.path / member.name
    try:
        with Run.create(path, member.recipe, resume=True) as made:
            try:
                experiment.run(
                    member.recipe,
                    made,
                    GridProgress(reporter, member.name),
                    devices=devices,
                    encoders=encoders,
                    pretrained=folder.donor(member),
                )
            except KerasmiError:
                # wrong data is found only here; it leaves no half-made run
                made.discard()
                raise
    # whatever one run met, the others may not
    except Exception as error:
        return error
    finally:
        experiment.forget()
    return None


def _failure(
    folder: GridFolder, failed: Mapping[str, Exception]
) -> TrainingError:
    first = next(iter(failed.values()))
    error = TrainingError(
        f"{folder.path}: {len(failed)} of"
        f" {counted(len(folder.plan.members), 'run')} failed:"
        f" {', '.join(failed)}; the first: {first}"
    )
    error.__cause__ = first
    return error
