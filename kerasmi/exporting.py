"""Trained models out of a run: Keras, SavedModel, KerasHub, ONNX.

    OUT/image_encoder/    model.keras  saved_model/  preset/  README.md
    OUT/text_encoder/     the same; its preset/ is KerasHub's
    OUT/classifier/       of a re-training stage; it has no preset/

Beside them stands `example.npz`, inputs and outputs.

Every form is loaded again in a fresh process before it is handed over, and
must give the outputs of `example.npz`. The data is not needed.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kerasmi.critics  # noqa: F401  registers what a run was saved with
from kerasmi import (
    model_card,
    model_description,
    output_files,
    reloading,
    serving,
    stages,
)
from kerasmi.errors import RunError
from kerasmi.models import loading
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.text_encoder import TextEncoder
from kerasmi.runs import Run

FORMATS = ("keras", "saved_model", "preset", "onnx")
DEFAULT_FORMATS = ("keras", "saved_model", "preset")
# Keras writes with the first two; the check reads with the third
_ONNX_PACKAGES = ("onnx", "tf2onnx", "onnxruntime")
_EXAMPLE = 2


def export(
    run: Run,
    folder: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT_FORMATS,
    stage: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Writes the models of a stage, each with its model card.

    Args:
        run: the run, opened.
        folder: where to; must not exist.
        formats: of `FORMATS`; `preset` is for the encoders only.
        stage: `"pretrain"`, or `"retrain/TASK/ENCODER[/LABEL]"`; None:
            `pretrain`, or the one stage that the run has.
        tell: called with a line for each model.

    Returns:
        The folder.

    Raises:
        RunError: no such stage, not finished, no model in it, the folder
            exists or cannot be written, ONNX of a run in half precision or
            without its packages, or a reloaded model gives other outputs.
        ValueError: an unknown format.
    """
    folder = Path(folder)
    _check_formats(formats)
    if "onnx" in formats:
        _check_onnx(run)
    stage = chosen_stage(run, stage)
    if folder.exists():
        raise RunError(f"{folder}: exists; give another --output")
    parts = _parts(run, stage)
    if set(formats) == {"preset"}:
        # a classifier has none: no folder without a model
        parts.pop("classifier", None)
    told = RunError, "give another --output"
    with output_files.new_folder(folder, *told) as partial:
        for name, model in parts.items():
            with output_files.written(folder, *told):
                _write(run, stage, name, model, partial / name, formats)
            tell(f"{name}: {', '.join(_forms(partial / name))}")
        tell(f"reloaded: {_reload(partial)}")
    return folder


def chosen_stage(run: Run, stage: str | None = None) -> str:
    """The finished stage to export; see `export`."""
    names = [stages.PRETRAIN] if run.recipe.objective is not None else []
    names += stages.retraining(run.recipe, run.recipe.retrain.encoders)
    done = [name for name in names if run.is_done(name)]
    if stage is None and (len(done) == 1 or done[:1] == ["pretrain"]):
        return done[0]
    if stage in done:
        return str(stage)
    finished = f"finished are {', '.join(done)}" if done else "none is finished"
    if stage is None:
        raise RunError(f"{run.path}: which stage? {finished}; give --stage")
    raise RunError(f"{run.path}: no finished stage {stage}: {finished}")


def _check_formats(formats: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f"`formats`: expected some of {FORMATS}. Received: {formats}"
        )


def _check_onnx(run: Run) -> None:
    """Refuses what no ONNX file is made of, before anything is written."""
    precision = run.recipe.precision
    if precision != "float32":
        # tf2onnx knows no bfloat16; onnxruntime on a CPU makes NaN in float16
        raise RunError(
            f"{run.path}: precision: {precision}: the format onnx is for runs"
            " in float32; export keras, saved_model or preset instead"
        )
    for name in _ONNX_PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RunError(
                f"the format onnx needs packages that do not load ({error}):"
                f" pip install {' '.join(_ONNX_PACKAGES)}; onnx 1.17 is known"
                " to work with TensorFlow 2.16"
            ) from None


def _parts(run: Run, stage: str) -> dict[str, keras.Model]:
    path = run.path / stage / "model.keras"
    if not path.is_file():
        raise RunError(f"{path}: missing; the stage cannot be exported")
    model = loading.of_run(path)
    if isinstance(model, ImageClassifier):
        return {"image_encoder": model.image_encoder, "classifier": model}
    if isinstance(model, ImageTextModel):
        return {
            "image_encoder": model.image_encoder,
            "text_encoder": model.text_encoder,
        }
    raise RunError(f"{path}: not a model of kerasmi: {type(model).__name__}")


def _write(
    run: Run,
    stage: str,
    name: str,
    model: keras.Model,
    folder: Path,
    formats: Sequence[str],
) -> None:
    folder.mkdir()
    serve, signature = serving.endpoint(model)
    if "keras" in formats:
        model.save(folder / reloading.KERAS)
    if "saved_model" in formats:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", serve, input_signature=signature)
        archive.write_out(str(folder / reloading.SAVED_MODEL), verbose=False)
    if "preset" in formats:
        _write_preset(model, str(folder / reloading.PRESET))
    if "onnx" in formats:
        _write_onnx(model, signature, folder / reloading.ONNX)
    _write_example(model, folder / reloading.EXAMPLE)
    text = model_card.card(
        run,
        name.replace("_", " ").capitalize(),
        stage,
        model_description.about(run, model),
        model_description.use(model, _forms(folder)),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _write_preset(model: keras.Model, folder: str) -> None:
    if isinstance(model, TextEncoder):
        model.backbone.save_to_preset(folder)
        model.tokenizer.save_to_preset(folder)
    elif isinstance(model, ImageEncoder):
        model.save_to_preset(folder)


def _write_onnx(
    model: keras.Model, signature: list[tf.TensorSpec], path: Path
) -> None:
    specs = [
        keras.InputSpec(dtype=each.dtype.name, shape=each.shape, name=each.name)
        for each in signature
    ]
    if isinstance(model, TextEncoder):
        specs = [{spec.name: spec for spec in specs}]
    model.export(path, "onnx", verbose=False, input_signature=specs)


def _write_example(model: keras.Model, path: Path) -> None:
    inputs = _example(model)
    facts = {}
    if isinstance(model, TextEncoder):
        facts["pooling"] = np.array(model.pooling)
    outputs = serving.outputs(model, inputs)
    np.savez(path, **inputs, **facts, outputs=outputs)


def _example(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if not isinstance(model, TextEncoder):
        shape = (_EXAMPLE, *model.input_shape[1:])
        return {"images": rng.random(shape, np.float32)}
    words = min(12, model.backbone.max_sequence_length)
    lengths = np.array([[words], [words // 2]])
    mask = (np.arange(words) < lengths).astype("int32")
    ids = rng.integers(0, model.backbone.vocabulary_size, mask.shape)
    return {"token_ids": (ids * mask).astype("int32"), "padding_mask": mask}


def _forms(folder: Path) -> list[str]:
    return [name for name in reloading.FORMS if (folder / name).exists()]


def _reload(folder: Path) -> str:
    """Loads every form in a fresh process; what it says of the difference."""
    answer = subprocess.run(
        [sys.executable, "-m", reloading.__name__, str(folder)],
        capture_output=True,
        text=True,
    )
    last = (answer.stdout.strip() or answer.stderr.strip()).splitlines()[-1:]
    if answer.returncode:
        raise RunError(
            "an exported model does not load again as it was:"
            f" {last[0] if last else 'no reason given'}"
        )
    return last[0]
