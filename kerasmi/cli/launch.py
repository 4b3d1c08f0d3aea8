"""`kerasmi launch`: a run that several processes of this machine share."""

import itertools
import shlex
import sys

import click

from kerasmi.cli.base import DEBUG, InterruptedRunError, Verb, is_debugged

_RESTARTS = 3


@click.command(
    cls=Verb,
    context_settings={"ignore_unknown_options": True},
    examples="""
        kerasmi launch --workers 2 local_mine
        kerasmi launch --workers 2 local_mine --output runs/two
        kerasmi launch --workers 4 --restarts 0 local_cpc --resume
    """,
)
@click.option(
    "--workers",
    type=click.IntRange(min=2),
    required=True,
    help="Processes that share each batch.",
)
@click.option(
    "--restarts",
    type=click.IntRange(min=0),
    default=_RESTARTS,
    show_default=True,
    help="How often all workers are started anew, with --resume, when one of"
    " them was killed.",
)
@click.argument(
    "arguments",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="RECIPE [ARGUMENT]...",
)
def launch(workers: int, restarts: int, arguments: tuple[str, ...]) -> None:
    """Start `kerasmi run RECIPE ARGUMENT...` in several local workers.

    Each is told of the others by TF_CONFIG. Worker 0 is the chief: it alone
    writes the run folder and shows progress. A worker that was killed (by the
    system, for want of memory) ends all of them, and they are started anew; a
    worker that ends with an error ends all of them with its exit status.
    Several machines are started by Slurm or Kubernetes: docs/scale.md.
    """
    from kerasmi import interruption, launching

    # taken for this command's own, whose errors are those of its workers
    debug = [DEBUG] if is_debugged() else []
    program = [sys.executable, "-m", "kerasmi.cli", "run", *debug, *arguments]
    try:
        # a signal ends the workers too, which have a session of their own
        with interruption.handled():
            status = launching.run(
                program,
                workers,
                restarts,
                lambda line: click.echo(line, err=True),
                devices=_devices(arguments),
            )
    except KeyboardInterrupt:
        words = ["kerasmi", "launch", "--workers", str(workers)]
        words += ["--restarts", str(restarts)] if restarts != _RESTARTS else []
        words += [*debug, *arguments]
        words += [] if "--resume" in arguments else ["--resume"]
        raise InterruptedRunError(
            f"Interrupted. Continue with: {shlex.join(words)}"
        ) from None
    sys.exit(status)


def _devices(arguments: tuple[str, ...]) -> int:
    """What `--devices` says among arguments of `kerasmi run`; 1 without."""
    words = " ".join(arguments).replace("--devices=", "--devices ").split()
    for word, value in itertools.pairwise(words):
        if word == "--devices" and value.isdigit():
            return int(value)
    return 1
