"""An import from the command line: source in, records and a summary out."""

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmi.cli import import_options
from kerasmi.cli.base import InterruptedRunError
from kerasmi.cli.quiet import quiet
from kerasmi.errors import DataError

if TYPE_CHECKING:
    from kerasmi.data.dataset import Dataset
    from kerasmi.data.sources.base import Source


def release(module: str, kind: str, *, images: Path, **options: Any) -> None:
    """Imports a published release.

    Args:
        module: The source's, in `kerasmi.data.sources`.
        kind: The source's class.
        images: Its first argument.
        options: Of the class, and those of `import_options`.
    """
    its = {k: v for k, v in options.items() if k not in import_options.NAMES}

    def source() -> "Source":
        found = importlib.import_module(f"kerasmi.data.sources.{module}")
        made: Source = getattr(found, kind)(images, **its)
        return made

    run(source, **{k: v for k, v in options.items() if k not in its})


def run(
    make: Callable[[], "Source"],
    *,
    out: Path,
    split_file: Path | None,
    splitter: str | None,
    max_refused: float,
    fresh: bool,
    shares: str | None = None,
    seed: int | None = None,
    **options: Any,
) -> None:
    """Makes the source, imports it, and tells what came of it.

    Args:
        make: Makes the source; called once TensorFlow is there.
        out: The data set's folder.
        split_file: See `import_options.COMMON`.
        splitter: Likewise.
        max_refused: Likewise.
        fresh: Likewise.
        shares: See `import_options.RULE`.
        seed: Likewise.
        options: Further ones of `importing.import_items`.
    """
    from kerasmi.cli.console import ConsoleReporter

    if split_file and (shares or seed is not None):
        raise click.UsageError("--split-file goes without --shares and --seed")
    if splitter is not None:
        options["sentences"] = _function(splitter)
    with quiet():
        from kerasmi.data import dicom, importing

        dicom.available()  # tensorflow-io is noisy, too
        source = make()
        rule = _rule(split_file, shares, seed)
    try:
        with ConsoleReporter() as reporter:
            made = importing.import_items(
                source,
                out,
                split_rule=rule,
                refuse_share=max_refused,
                resume=not fresh,
                reporter=reporter,
                **options,
            )
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "Interrupted. Run the same command again to go on."
        ) from None
    _tell(made, source)


def _tell(made: "Dataset", source: "Source") -> None:
    from kerasmi.cli.data_inspect import print_counts
    from kerasmi.data import audit, dataset

    print_counts(made)
    images = audit.read_images(made.path / dataset.IMAGES)
    beside = source.published(images)
    if beside is not None:
        click.echo("\n" + beside.to_string(index=False))
    click.echo(f"\naudit        {made.path / audit.AUDIT}")


def _rule(split_file: Path | None, shares: str | None, seed: int | None) -> Any:
    from kerasmi.data import split_rules

    if split_file is not None:
        return split_rules.SplitFile(split_file)
    if shares is None and seed is None:
        return None
    given: Mapping[str, float] = split_rules.SHARES
    try:
        if shares is not None:
            pairs = import_options.pairs("--shares", shares.split(","))
            given = {name: _share(share) for name, share in pairs.items()}
        return split_rules.Shares(given, seed or 0)
    except ValueError as error:
        raise click.UsageError(f"--shares: {error}") from error


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"expected SPLIT=SHARE, such as train=0.8: {text!r} is no number"
        ) from None


def _function(name: str) -> Callable[[str], list[str]]:
    """Loads a function that the user names, from the working folder too."""
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(
            f"--splitter {name}: expected MODULE:FUNCTION, of a module that "
            f"can be imported: {error}"
        ) from error
    if not callable(found):
        raise DataError(
            f"--splitter {name}: is no function; name one that takes a text."
        )
    return found
