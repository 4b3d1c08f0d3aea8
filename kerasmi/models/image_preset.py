"""A trained image encoder as a folder, in the form of KerasHub's presets.

FOLDER/config.json         the encoder, serialised by Keras
FOLDER/metadata.json       number of parameters, version of Keras
FOLDER/model.weights.h5    its weights
"""

import json
import warnings
from pathlib import Path
from typing import Any

import keras

from kerasmi.errors import CheckpointError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
REGISTERED = "kerasmi>ImageEncoder"
_PARAMETERS = "parameter_count"
# what Keras, h5py and a builder given foreign values raise
_DAMAGED = (
    *(ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(OSError, RuntimeError, ImportError),
)


def write(encoder: keras.Model, folder: str | Path) -> None:
    """Writes the three files of an `ImageEncoder`; makes the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "keras_version": keras.__version__,
        _PARAMETERS: encoder.count_params(),
    }
    config = keras.saving.serialize_keras_object(encoder)
    for name, content in ((CONFIG, config), (METADATA, metadata)):
        text = json.dumps(content, indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    encoder.save_weights(folder / WEIGHTS)


def is_ours(folder: str | Path) -> bool:
    """Whether a folder is read here; KerasHub reads its own backbones.

    Raises:
        CheckpointError: config.json is missing or is not JSON.
    """
    config = _json(Path(folder) / CONFIG)
    return not str(config.get("registered_name")).startswith("keras_hub>")


def read(folder: str | Path) -> Any:
    """The `ImageEncoder` of a folder, at the level that it was written at.

    Nothing is executed: Keras deserialises in its safe mode, from registered
    classes.

    Raises:
        CheckpointError: a file is missing, damaged or of something else; it
            is named.
    """
    folder = Path(folder)
    config = _json(folder / CONFIG)
    if config.get("registered_name") != REGISTERED:
        found = config.get("registered_name") or config.get("class_name")
        raise CheckpointError(
            f"{folder / CONFIG}: expected an ImageEncoder of kerasmi. "
            f"Received: {found}"
        )
    expected = _json(folder / METADATA).get(_PARAMETERS)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise _missing(weights)
    if "keras_hub>" in json.dumps(config):
        import keras_hub  # noqa: F401  registers the backbone
    try:
        encoder = keras.saving.deserialize_keras_object(config, safe_mode=True)
        count = encoder.count_params()
    except _DAMAGED as error:
        raise CheckpointError(
            f"{folder / CONFIG}: cannot be read: {_first(error)}"
        ) from None
    if count != expected:
        raise CheckpointError(
            f"{folder / METADATA}: {_PARAMETERS}: expected {count}, as of "
            f"{CONFIG}. Received: {expected}"
        )
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that it leaves at their new weights
            warnings.simplefilter("error", UserWarning)
            encoder.load_weights(weights)
    except (*_DAMAGED, UserWarning) as error:
        raise CheckpointError(
            f"{weights}: not the weights of this encoder: {_first(error)}"
        ) from None
    return encoder


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _missing(path)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return content


def _missing(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path}: missing; a preset of an image encoder holds {CONFIG}, "
        f"{METADATA} and {WEIGHTS}"
    )


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
