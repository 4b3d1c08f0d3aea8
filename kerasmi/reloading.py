"""Loads exported models in a process of its own and compares their outputs.

python -m kerasmi.reloading FOLDER
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

KERAS, SAVED_MODEL, PRESET, ONNX = (
    "model.keras",
    "saved_model",
    "preset",
    "model.onnx",
)
EXAMPLE = "example.npz"
TOLERANCE = 1e-5

_Inputs = dict[str, np.ndarray]


def _keras(path: Path, inputs: _Inputs) -> np.ndarray:
    import keras

    from kerasmi import serving

    return serving.outputs(keras.saving.load_model(path), inputs)


def _saved_model(path: Path, inputs: _Inputs) -> np.ndarray:
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    (output,) = serve(**tensors).values()
    return output.numpy()


def _preset(path: Path, inputs: _Inputs) -> np.ndarray:
    import keras_hub

    from kerasmi import serving
    from kerasmi.models import ImageEncoder, TextEncoder

    preset = str(path)
    if "images" in inputs:
        return serving.outputs(ImageEncoder.from_preset(preset), inputs)
    text_encoder = TextEncoder(
        # KerasHub passes over the precision that it wrote
        keras_hub.models.BertBackbone.from_preset(
            preset, dtype=_precision(path)
        ),
        keras_hub.tokenizers.BertTokenizer.from_preset(preset),
        pooling=_pooling(path.parent),
    )
    return serving.outputs(text_encoder, inputs)


def _precision(preset: Path) -> str:
    config = json.loads((preset / "config.json").read_text(encoding="utf-8"))
    return str(config["config"]["dtype"]["config"]["name"])


def _pooling(folder: Path) -> str:
    # KerasHub's folder is BERT alone; what is made of it stands here
    with np.load(folder / EXAMPLE) as example:
        return str(example["pooling"])


def _onnx(path: Path, inputs: _Inputs) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, inputs)[0]


FORMS: dict[str, Callable[[Path, _Inputs], np.ndarray]] = {
    KERAS: _keras,
    SAVED_MODEL: _saved_model,
    PRESET: _preset,
    ONNX: _onnx,
}


def difference(folder: Path, form: str) -> float:
    """The largest difference of a form's outputs from the example's.

    Relative to the largest output where that is above one.
    """
    with np.load(folder / EXAMPLE) as example:
        inputs = {name: example[name] for name in example.files}
    expected = inputs.pop("outputs")
    inputs.pop("pooling", None)
    found = FORMS[form](folder / form, inputs)
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(found - expected).max()) / scale


def main(folder: str) -> None:
    """Checks all models in a folder; prints one line, or exits with it."""
    largest, forms = 0.0, 0
    for part in sorted(
        path.parent for path in Path(folder).glob(f"*/{EXAMPLE}")
    ):
        for form in FORMS:
            if not (part / form).exists():
                continue
            found = difference(part, form)
            # the negation, so that NaN fails
            if not found <= TOLERANCE:
                sys.exit(f"{part.name}/{form}: outputs differ by {found:.1e}")
            largest, forms = max(largest, found), forms + 1
    print(f"{forms} files, largest difference of outputs {largest:.1e}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1])
