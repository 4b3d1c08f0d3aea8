"""Where the tensors of a BERT lie, and what they are called there."""

import glob
import hashlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasmi.checkpoints import pickle_reader, storage
from kerasmi.errors import CheckpointError

HUGGING_FACE, PYTORCH, TENSORFLOW1 = (
    "safetensors",
    "PyTorch",
    "TensorFlow 1 checkpoint",
)
_FILES = {"model.safetensors": HUGGING_FACE, "pytorch_model.bin": PYTORCH}
_SUFFIXES = {".safetensors": HUGGING_FACE, ".bin": PYTORCH, ".pt": PYTORCH}
# TensorFlow's optimizers keep these beside the weights
_SLOTS = ("adam_m", "adam_v", "global_step", "Adam", "Adam_1")
# what else a text encoder is read from, in the folder of its weights
_BESIDE = (
    "config.json",
    "bert_config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "assets/tokenizer/vocabulary.txt",
    "model.weights.h5",
)
_SMALL, _END = 2**22, 2**20  # bytes


@dataclass(frozen=True)
class Source:
    """The file with the tensors, and the folder with what goes with them.

    Attributes:
        weights: the file; of a TensorFlow checkpoint, its prefix.
        form: how it is written.
        folder: has the configuration and the vocabulary.
    """

    weights: Path
    form: str
    folder: Path


def find(path: Path) -> Source:
    """The weights in a folder, or the file or prefix that is named itself.

    Of several forms in one folder the first of `model.safetensors`,
    `pytorch_model.bin`, `*.ckpt*.index` counts.

    Raises:
        CheckpointError: no weights, or several TensorFlow checkpoints.
    """
    if path.is_dir():
        for name, form in _FILES.items():
            if (path / name).is_file():
                return Source(path / name, form, path)
        return _only_checkpoint(path)
    if path.suffix in _SUFFIXES and path.is_file():
        return Source(path, _SUFFIXES[path.suffix], path.parent)
    prefix = path.with_name(path.name.removesuffix(".index"))
    if prefix.with_name(f"{prefix.name}.index").is_file():
        return Source(prefix, TENSORFLOW1, path.parent)
    raise CheckpointError(
        f"{path}: no such checkpoint: expected a folder with"
        f" {' or '.join(_FILES)} or model.ckpt-*, or one of those files"
    )


def _only_checkpoint(folder: Path) -> Source:
    prefixes = sorted(
        file.with_suffix("")
        for file in folder.glob("*.index")
        if ".ckpt" in file.name
    )
    if len(prefixes) == 1:
        return Source(prefixes[0], TENSORFLOW1, folder)
    if prefixes:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise CheckpointError(
            f"{folder}: several checkpoints ({names}); name one, for example"
            f" {prefixes[-1]}"
        )
    sharded = [*folder.glob("*.index.json")]
    if sharded:
        raise CheckpointError(
            f"{sharded[0]}: weights in several files are not read; save them"
            " in one"
        )
    raise CheckpointError(
        f"{folder}: no weights: expected {', '.join(_FILES)} or model.ckpt-*"
    )


def fingerprint(path: Path) -> str | None:
    """A hash of the files that a text encoder is read from; in little time.

    Of a file up to 4 MiB, as vocabularies and configurations are, all bytes
    count; of a larger one its size, and the first and the last MiB. In these
    are the first weights, and the checksums of all that a `.keras` file holds.

    Args:
        path: a folder or file, as `bert.read` takes it.

    Returns:
        16 hexadecimal digits, the same wherever the files lie; None where
        there are none.
    """
    files = [file for file in _files(path) if file.is_file()]
    found = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        found.update(f"{file.name} {size}\n".encode())
        with open(file, "rb") as content:
            if size > _SMALL:
                found.update(content.read(_END))
                content.seek(-_END, os.SEEK_END)
            found.update(content.read())
    return found.hexdigest()[:16] if files else None


def _files(path: Path) -> list[Path]:
    """Those that a text encoder is read from, some of which may not be."""
    if path.suffix == ".keras":
        return [path]
    beside = path if path.is_dir() else path.parent
    files = [beside / name for name in _BESIDE]
    try:
        weights = find(path).weights
    except CheckpointError:  # a preset of KerasHub, or what is refused later
        return files
    parts = weights.parent.glob(f"{glob.escape(weights.name)}.*")
    return [*files, weights, *sorted(parts)]


def tensors(source: Source) -> dict[str, np.ndarray]:
    """All tensors, under the names and in the layout of Hugging Face.

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    if source.form == PYTORCH:
        found = pickle_reader.read(source.weights)
    elif source.form == HUGGING_FACE:
        found = _safetensors(source.weights)
    else:
        return _tensorflow(source.weights)
    return {_renamed(name): value for name, value in found.items()}


def _renamed(name: str) -> str:
    # names of LayerNorm's weights before pytorch-transformers 1.0
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        return {name: _array(**entry) for name, entry in found}
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: damaged, or no safetensors file ({error}); get it again"
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror or error}"
        ) from None


def _array(dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    made = storage.Storage(storage.safetensors_type(dtype), math.prod(shape))
    made.fill(bytes(data))
    return made.values.reshape(shape)


def _tensorflow(prefix: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [
            name
            for name in reader.get_variable_to_shape_map()
            if name.split("/")[-1] not in _SLOTS
        ]
        found = {name: np.asarray(reader.get_tensor(name)) for name in names}
    # TensorFlow's own errors come as any of these
    except (
        *(tf.errors.OpError, RuntimeError, ValueError),
        *(IndexError, KeyError, OSError),
    ) as error:
        line = str(error).splitlines()[0]
        raise CheckpointError(
            f"{prefix}: damaged, or no TensorFlow checkpoint ({line})"
        ) from None
    return {
        _from_tensorflow(name): value.T if name.endswith("kernel") else value
        for name, value in found.items()
    }


def _from_tensorflow(name: str) -> str:
    """`bert/encoder/layer_0/output/dense/kernel` in Hugging Face's words."""
    name = re.sub(r"/layer_(\d+)/", r"/layer/\1/", name)
    name = re.sub(r"(_embeddings)$", r"\1/weight", name)
    name = re.sub(r"/(kernel|gamma)$", "/weight", name)
    return re.sub(r"/beta$", "/bias", name).replace("/", ".")
