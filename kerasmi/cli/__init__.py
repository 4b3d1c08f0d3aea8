"""The command `kerasmi`. TensorFlow is imported only by what computes."""

import click

import kerasmi
from kerasmi.cli import (
    data,
    embed,
    encoder,
    evaluate,
    export,
    launch,
    localize,
    recipes,
    report,
    retrieve,
    run,
    selftest,
    table,
)
from kerasmi.cli.base import Cli

__all__ = ["main"]


@click.group(
    cls=Cli,
    commands={
        "ls": recipes.ls,
        "cp": recipes.cp,
        "cat": recipes.cat,
        "validate": recipes.validate,
        "run": run.run,
        "launch": launch.launch,
        "selftest": selftest.selftest,
        "table": table.table,
        "report": report.report,
        "evaluate": evaluate.evaluate,
        "embed": embed.embed,
        "localize": localize.localize,
        "retrieve": retrieve.retrieve,
        "export": export.export,
        "data": data.data,
        "encoder": encoder.encoder,
    },
    examples="""
        kerasmi ls
        kerasmi run local_mine --dry-run
        kerasmi run local_mine
    """,
)
@click.version_option(kerasmi.__version__, message="kerasmi %(version)s")
def main() -> None:
    """Learn image representations from images and their reports.

    An experiment is a recipe, a short YAML file; its result is a run folder.
    """
