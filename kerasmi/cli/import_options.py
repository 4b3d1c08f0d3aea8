"""What every `kerasmi data import` may be told."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
Decorated = Callable[..., None]

COMMON = (
    click.argument("out", type=PATH),
    click.option("--name", help="Its name in tables.  [default: OUT's]"),
    click.option(
        "--image-size",
        type=click.IntRange(min=1),
        default=256,
        show_default=True,
        help="Pixels of the shorter side.",
    ),
    click.option(
        "--intensity",
        type=click.Choice(["auto", "full", "percentile", "window"]),
        default="auto",
        show_default=True,
        help="What becomes black and white: the file's range, the image's"
        " 0.5 and 99.5 percentiles, or a DICOM's window. auto: percentile"
        " for DICOM, else full.",
    ),
    click.option(
        "--split-file",
        type=PATH,
        help="Sets of the subjects as `kerasmi data splits` wrote them;"
        " overrides all others.",
    ),
    click.option(
        "--splitter",
        metavar="MODULE:FUNCTION",
        help="Your own function from a text to a list of sentences.",
    ),
    click.option(
        "--records-per-shard",
        type=click.IntRange(min=1),
        default=512,
        show_default=True,
    ),
    click.option(
        "--max-refused",
        type=click.FloatRange(0, 1),
        default=0.05,
        show_default=True,
        help="Stop when more than this share of the rows is refused.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Images decoded at once.  [default: one for each core]",
    ),
    click.option(
        "--fresh",
        is_flag=True,
        help="Make anew what an interrupted import has finished.",
    ),
)
RULE = (
    click.option(
        "--shares",
        metavar="SPLIT=SHARE,...",
        help="Shares of the subjects in the sets.  [default:"
        " train=0.8,validation=0.1,test=0.1]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        help="Seed of the hash that splits the subjects.  [default: 0]",
    ),
)


def together(
    *decorators: Callable[..., Any],
) -> Callable[[Decorated], Decorated]:
    """Returns decorators as one, the first outermost."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


@click.command()
@together(*COMMON, *RULE)
def _all(**_: Any) -> None:
    """Has the options of this file and no others."""


NAMES = frozenset(parameter.name for parameter in _all.params)


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Returns `NAME=COLUMN` pairs; `NAME` alone is its own column."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not name or (sign and not value):
            raise click.UsageError(f"{option}: expected NAME=VALUE: {text!r}")
        if name in found:
            raise click.UsageError(f"{option}: {name!r} is given twice")
        found[name] = value or name
    return found
