"""The phantom of a recipe: drawn on first use, and shared by runs after it."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

from kerasmi.data.dataset import Dataset
from kerasmi.data.publishing import BeingWrittenError
from kerasmi.data.records import write
from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9, Record
from kerasmi.data.sources import phantom
from kerasmi.errors import DataError
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter

_WAIT = 0.5  # seconds between two looks at what another process draws


def name(recipe: Recipe) -> str:
    """Folder name that says everything the phantom depends on."""
    images = recipe.data.images
    return (
        f"phantom-{recipe.data.image_size}px-{images.train}-"
        f"{images.validation}-{images.test}-seed{recipe.data.seed}"
    )


def drawn(recipe: Recipe, folder: Path, reporter: Reporter) -> Dataset:
    """The phantom in `folder`, drawn if it is not there.

    Runs that start together draw it once: the others wait for the first.

    Args:
        recipe: its `data` section is used.
        folder: where the phantom is, or will be.
        reporter: told while it is drawn or waited for.

    Raises:
        DataError: what is there is not whole or no phantom, or cannot be
            written.
    """
    waits = False
    while not folder.exists():
        try:
            return _draw(recipe, folder, reporter)
        except BeingWrittenError:
            if not waits:
                reporter.message(
                    f"data: waits for {folder}, which another process draws"
                )
            waits = True
            time.sleep(_WAIT)
    return opened(folder)


def opened(folder: Path) -> Dataset:
    """The phantom in `folder`.

    Raises:
        DataError: what is there is not whole, or no phantom.
    """
    found = Dataset.open(folder, verify="hash")
    if found.source != "phantom":
        raise DataError(
            f"{folder}: holds records of {found.source!r}, not the phantom "
            "that the recipe asks for; add data.source=records."
        )
    return found


def _draw(recipe: Recipe, folder: Path, reporter: Reporter) -> Dataset:
    images = recipe.data.images
    settings = phantom.Phantom(
        train=images.train,
        validation=images.validation,
        test=images.test,
        size=recipe.data.image_size,
        seed=recipe.data.seed,
    )

    def told() -> Iterator[Record]:
        # asked for the first record once the folder is this process's
        reporter.start("data", len(settings), "image", f"phantom: {folder}")
        yield from phantom.generate(settings, os.cpu_count() or 1)

    made = write(
        told(),
        folder,
        name=folder.name,
        source="phantom",
        label_names=(*PATHOLOGY9, EDEMA_SEVERITY),
        made_by=dataclasses.asdict(settings),
        image_size=settings.size,
        progress=reporter.advance,
    )
    reporter.finish(images=len(settings))
    return made
