"""Checkpoints of others written in Keras's own forms."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras

from kerasmi import output_files
from kerasmi.checkpoints import bert, reference
from kerasmi.errors import CheckpointError
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.text_encoder import TextEncoder

KERAS = ".keras"


def text_encoder(
    source: Path,
    pooling: str | None = None,
    lower_case: bool | None = None,
    gelu: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> TextEncoder:
    """As `bert.read`."""
    return bert.read(source, pooling, lower_case, gelu, tell)


def image_encoder(source: Path) -> ImageEncoder:
    """As `reference.read_image_encoder`, at the global level."""
    return reference.read_image_encoder(source)


def check(destination: Path, force: bool) -> None:
    """Raises `CheckpointError` for a destination that must not be replaced."""
    if destination.exists() and not force:
        raise CheckpointError(f"{destination}: exists; --force overwrites it")
    if (
        destination.is_dir()
        and any(destination.iterdir())
        and not (destination / "model.weights.h5").is_file()
    ):
        raise CheckpointError(
            f"{destination}: holds something else than a converted encoder;"
            " give another folder"
        )


def save(encoder: keras.Model, destination: Path, force: bool = False) -> None:
    """Writes an encoder, whole or not at all.

    Args:
        encoder: what was read.
        destination: a `.keras` file, or a folder, which becomes a KerasHub
            preset of the text encoder: its backbone and its tokenizer.
        force: replace a destination that exists.

    Raises:
        CheckpointError: the destination exists or cannot be written.
    """
    check(destination, force)
    with output_files.written(destination, CheckpointError):
        destination.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(
            tempfile.mkdtemp(
                prefix=f".{destination.name}.", dir=destination.parent
            )
        )
        try:
            _write(encoder, beside, destination)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _write(encoder: keras.Model, beside: Path, destination: Path) -> None:
    if destination.suffix == KERAS:
        encoder.save(beside / destination.name)
        os.replace(beside / destination.name, destination)
        return
    made = beside / "preset"
    encoder.backbone.save_to_preset(str(made))
    encoder.tokenizer.save_to_preset(str(made))
    if destination.is_dir():
        shutil.rmtree(destination)
    made.rename(destination)
