"""`kerasmi data serve`: prepares batches for those who train elsewhere."""

import click

from kerasmi.cli.base import Verb
from kerasmi.cli.starting import library


@click.command(
    cls=Verb,
    short_help="Prepare batches for those who train elsewhere.",
    examples="""
        kerasmi data serve --port 5050
        kerasmi data serve --host node7 --port 5050
    """,
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address of this machine, as those who train reach it. It"
    " keeps nobody out: the port is open on every address.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5050,
    show_default=True,
    help="Where to listen; 0: any port that is free.",
)
def serve(host: str, port: int) -> None:
    """Decode, augment and tokenise for `kerasmi run --data-service HOST:PORT`.

    Runs until it is interrupted. It reads the records of large data sets
    itself, under the same path as those who train.

    TensorFlow's service listens on every address of this machine, asks no
    password and runs what it is sent, which may read files: whoever reaches
    its ports can. Start it inside a network that you trust.
    """
    service = library("data.service")
    server = service.Server(host, port)
    click.echo(server.address)
    click.echo(
        "Warning: listens on every address of this machine without a password;"
        " whoever reaches it can read your files: see docs/safety.md",
        err=True,
    )
    server.join()
