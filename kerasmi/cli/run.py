"""`kerasmi run`: a recipe in, a run folder out."""

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from kerasmi.cli import run_grid, starting
from kerasmi.cli.base import FAILED, Verb
from kerasmi.cli.quiet import quiet
from kerasmi.cli.run_grid import interrupted
from kerasmi.errors import KerasmiError

_SERVICE = "--data-service"

if TYPE_CHECKING:
    from kerasmi.recipe import Recipe
    from kerasmi.runs import Run


@click.command(
    cls=Verb,
    examples="""
        kerasmi run local_mine
        kerasmi run local_mine seed=1 pretrain.epochs=20 --output runs/long
        kerasmi run local_mine --resume
        kerasmi run mimic_cxr/local_mine data.path=FOLDER --dry-run
        kerasmi run tables --seeds 3 --only local_cpc/tuned
        kerasmi run local_mine grid.labels='[50, 200, all]'
    """,
)
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the run.  [default: runs/NAME]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in the folder where it stopped, to the same result."
    " Starts it if there is none.",
)
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs that share each batch; without GPUs, parts of the CPU.",
)
@click.option(
    "--deterministic/--no-deterministic",
    default=True,
    show_default=True,
    help="The same bits each time, which may be slower on a GPU.",
)
@click.option(
    "--data-service",
    "services",
    metavar="HOST:PORT",
    multiple=True,
    help="A server that prepares batches (`kerasmi data serve`). May be"
    " repeated.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print sizes, and steps where the data is there; refuse data or a"
    " folder that the run would refuse. Train nothing, write nothing.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Seeds of a grid of recipes; a plain recipe becomes a grid of them.",
)
@click.option(
    "--only",
    metavar="WORDS",
    multiple=True,
    help="Of a grid, run only this: variants, encoders, seedN or labelsL,"
    " joined by / where all must hold. May be repeated.",
)
@click.option(
    "--stop-on-error",
    is_flag=True,
    help="Leave the rest of a grid when one of its runs fails.",
)
def run(
    recipe: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    devices: int,
    deterministic: bool,
    services: tuple[str, ...],
    dry_run: bool,
    seeds: int | None,
    only: tuple[str, ...],
    stop_on_error: bool,
) -> None:
    """Run an experiment: pretrain, retrain, evaluate.

    RECIPE is a name that `kerasmi ls` shows or the path of a YAML file; of a
    grid of recipes all are run, and what was done before is kept.
    """
    from kerasmi import cluster, runs
    from kerasmi import recipe as recipes

    own = any(text.startswith("grid.") for text in overrides)
    if recipes.is_grid(recipe) or own or seeds:
        if cluster.here().is_many:
            raise click.UsageError(
                "several workers (TF_CONFIG) share one run, not a grid of"
                " them; give a recipe, or start each run of the grid alone"
            )
        if services:
            raise click.UsageError("--data-service is for a single run")
        how = run_grid.Options(
            output, resume, devices, deterministic, only, stop_on_error
        )
        run_grid.run(recipe, overrides, seeds, dry_run, how, _start)
        return
    if only or stop_on_error:
        name = "--only" if only else "--stop-on-error"
        raise click.UsageError(f"{name} is for a grid of recipes, or --seeds")
    loaded = recipes.load(recipe, overrides)
    folder = output or Path("runs") / str(loaded.name)
    if dry_run:
        asked = runs.Run(folder, loaded)
        if resume:
            asked.check(resume)
        _describe(asked, devices, deterministic, services)
        asked.check(resume)  # last: elsewhere it would do what is told
        return
    recipes.check_ready(loaded, recipe)
    words = ["kerasmi", "run", recipe, *overrides, "--resume"]
    words += ["--output", str(output)] if output else []
    words += ["--devices", str(devices)] if devices > 1 else []
    words += [] if deterministic else ["--no-deterministic"]
    words += [word for each in services for word in (_SERVICE, each)]
    again = shlex.join(words)
    if not cluster.here().is_chief:
        _assist(loaded, folder, devices, deterministic, services, again)
        return
    with runs.Run.create(folder, loaded, resume=resume) as made:
        _work(made, devices, deterministic, services, again)
    click.echo(folder)


def _assist(
    recipe: "Recipe",
    folder: Path,
    devices: int,
    deterministic: bool,
    services: tuple[str, ...],
    again: str,
) -> None:
    """The part of a worker that is not the chief: silent, on a copy."""
    from kerasmi import interruption
    from kerasmi.reporter import Reporter
    from kerasmi.worker_run import WorkerRun

    # it has come together with the chief, which has made the folder before
    experiment = _start(recipe, devices, deterministic)
    with (
        interruption.handled(),  # or the copy would be left behind
        WorkerRun.copy(folder, recipe) as copied,
        _served(services, copied, _on_stderr, again),
    ):
        experiment.run(
            recipe, copied, Reporter(), devices=devices, services=services
        )


def _start(
    recipe: "Recipe", devices: int, deterministic: bool, join: bool = True
) -> ModuleType:
    """Starts TensorFlow on its devices; everything noisy happens here."""
    with quiet(), starting.imports():
        import tensorflow as tf

        from kerasmi import distribute, experiment

        # its hints on retracing are for whoever writes a model
        tf.get_logger().setLevel("ERROR")
        distribute.set_intra_op_threads(recipe.intra_op_threads)
        distribute.configure(devices, join)
        if deterministic:
            distribute.make_deterministic()
        starting.start_tensorflow()
    return experiment


@contextlib.contextmanager
def _served(
    services: tuple[str, ...],
    run: "Run",
    tell: Callable[[str], None],
    again: str,
) -> Iterator[None]:
    """Checks the servers, and ends the process when one has died."""
    from kerasmi.data import service
    from kerasmi.reporter import Reporter
    from kerasmi.run_log import LOG, RunLog

    def end(address: str) -> None:
        text = f"--data-service: {address} has ended or does not answer"
        # on a full disk the line on the screen is what counts
        with contextlib.suppress(OSError):
            RunLog(run.path / LOG, Reporter()).warning(text)
        tell(
            f"Error: {text}. Start it, if it is not there again, and continue "
            f"with: {again}"
        )
        # the main thread waits inside of TensorFlow, where nothing reaches it:
        # what it would have closed is a worker's copy of the run
        run.close()
        os._exit(FAILED)

    service.check(services)
    with service.watched(services, end):
        yield


def _on_stderr(text: str) -> None:
    click.echo(text, err=True)


def _describe(
    run: "Run", devices: int, deterministic: bool, services: tuple[str, ...]
) -> None:
    # without the other workers, who may never come
    experiment = _start(run.recipe, devices, deterministic, join=False)
    if services:
        from kerasmi.data import service

        service.check(services)
    with quiet():
        lines = experiment.describe(run.recipe, run.data_folder, devices)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{name:{width}}  {value}")


def _work(
    run: "Run",
    devices: int,
    deterministic: bool,
    services: tuple[str, ...],
    again: str,
) -> None:
    from kerasmi import interruption
    from kerasmi.cli.console import ConsoleReporter

    try:
        with interruption.handled():
            experiment = _start(run.recipe, devices, deterministic)
            with (
                ConsoleReporter() as reporter,
                _served(services, run, reporter.message, again),
            ):
                experiment.run(
                    run.recipe,
                    run,
                    reporter,
                    devices=devices,
                    services=services,
                )
    except KerasmiError:
        # Wrong data is found only here; it leaves no half-made run.
        run.discard()
        raise
    except KeyboardInterrupt as stopped:
        raise interrupted(stopped, again) from None
