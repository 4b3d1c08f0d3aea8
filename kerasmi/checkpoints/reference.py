"""The authors' released network, `resnet256_6_2_1`, from their PyTorch files.

Two things differ from the release where the numbers are the same: kernels are
(height, width, in, out) here and (out, in, height, width) there; and the 768
global features, 2x2x192, are numbered row by row and channel last here,
channel first there (`flatten_order`). Their network reads images divided by
their own maximum; `ImageEncoder` reads them in [0, 1].
"""

import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from kerasmi.checkpoints import pickle_reader
from kerasmi.errors import CheckpointError
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.reporter import counted

PRESET = "resnet256_6_2_1"
_STAGES, _BLOCKS, _CHANNELS = 6, 2, 192
# the joint model keeps the image's network under this name
_PREFIXES = ("image_model.", "module.image_model.", "module.", "")
_FIRST = "conv1.weight"
# weights of a batch normalisation, ours and theirs
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read_image_encoder(
    path: str | Path, level: str = "global", image_size: int = 256
) -> ImageEncoder:
    """The released image encoder with the weights of a file.

    Args:
        path: a `pytorch_model*.bin` of the joint model (`image_model.*`) or
            of the image model alone.
        level: `"local"` or `"global"`.
        image_size: pixels of the square image; the authors' is 256.

    Raises:
        CheckpointError: a damaged or foreign file, or tensors that are
            missing, unexpected or of a wrong shape: all are named.
    """
    tensors = _tensors(Path(path))
    encoder = ImageEncoder.from_preset(PRESET, level, image_size)
    wanted = {name: turned for _, name, turned in _variables(encoder)}
    shapes = {
        name: _their_shape(variable.shape, wanted[name])
        for variable, name, _ in _variables(encoder)
    }
    _check(Path(path), tensors, shapes)
    for variable, name, kernel in _variables(encoder):
        value = tensors[name].astype("float32")
        variable.assign(value.transpose(2, 3, 1, 0) if kernel else value)
    return encoder


def read_classifier(
    path: str | Path, labels: tuple[str, ...], image_size: int = 256
) -> ImageClassifier:
    """The released classifier: the encoder and its layer `fc1`.

    Args:
        path: a file of the image model alone.
        labels: names of the labels; one label and four outputs make the
            softmax over severity 0-3.
        image_size: as in `read_image_encoder`.

    Raises:
        CheckpointError: as `read_image_encoder`; no `fc1`, or one that does
            not fit the labels.
    """
    tensors = _tensors(Path(path))
    kernel, bias = (tensors.get(f"fc1.{each}") for each in ("weight", "bias"))
    if kernel is None or bias is None:
        raise CheckpointError(f"{path}: no classifier: expected fc1.weight")
    outputs = len(bias)
    severity = len(labels) == 1 and outputs == 4
    if kernel.shape != (outputs, 768) or not (
        severity or outputs == len(labels)
    ):
        raise CheckpointError(
            f"{path}: fc1.weight {kernel.shape} does not fit "
            f"{counted(len(labels), 'label')}"
        )
    model = ImageClassifier(
        read_image_encoder(path, "global", image_size),
        labels,
        "softmax" if severity else "multilabel",
    )
    dense = model.get_layer("findings")
    dense.set_weights([kernel[:, flatten_order()].T, bias])
    return model


def flatten_order(
    height: int = 2, width: int = 2, channels: int = _CHANNELS
) -> np.ndarray:
    """Where each of our global features stands among the released ones.

    Args:
        height: of the grid that is flattened.
        width: of that grid.
        channels: of that grid.

    Returns:
        `(height * width * channels,)`: `ours = theirs[..., flatten_order()]`;
        a dense kernel over them is permuted in the same way.
    """
    theirs = np.arange(channels * height * width)
    return theirs.reshape(channels, height, width).transpose(1, 2, 0).ravel()


def _tensors(path: Path) -> dict[str, np.ndarray]:
    found = pickle_reader.read(path)
    for prefix in _PREFIXES:
        if prefix + _FIRST in found:
            return {
                _renamed(name.removeprefix(prefix)): value
                for name, value in found.items()
                if name.startswith(prefix)
            }
    raise CheckpointError(
        f"{path}: not the authors' {PRESET}: it has no tensor"
        f" image_model.{_FIRST}"
    )


def _renamed(name: str) -> str:
    # as their loader does, for files of older tools
    name = re.sub(r"\.gamma$", ".weight", name)
    return re.sub(r"\.beta$", ".bias", name)


def _variables(
    encoder: ImageEncoder,
) -> Iterator[tuple[keras.Variable, str, bool]]:
    """Each variable, its name in the release, and whether it is a kernel."""
    yield from _unit(encoder.lower, "stem", "conv1", "bn1")
    for stage in range(1, _STAGES + 1):
        upper = stage == _STAGES
        part = encoder.upper if upper else encoder.lower
        for block in range(_BLOCKS):
            ours = f"stage{1 if upper else stage}_{block + 1}"
            theirs = f"layer{stage}.{block}"
            for name, index in (("a", 1), ("b", 2)):
                conv, norm = f"{theirs}.conv{index}", f"{theirs}.bn{index}"
                yield from _unit(part, f"{ours}_{name}", conv, norm)
            if block == 0:
                down = f"{theirs}.downsample"
                name = f"{ours}_shortcut"
                yield from _unit(part, name, f"{down}.0", f"{down}.1")


def _unit(
    part: keras.Model, ours: str, conv: str, norm: str
) -> Iterator[tuple[keras.Variable, str, bool]]:
    yield part.get_layer(f"{ours}_conv").kernel, f"{conv}.weight", True
    layer = part.get_layer(f"{ours}_norm")
    for name, theirs in _NORM.items():
        yield getattr(layer, name), f"{norm}.{theirs}", False


def _their_shape(shape: tuple[int, ...], kernel: bool) -> tuple[int, ...]:
    if not kernel:
        return tuple(shape)
    height, width, inputs, outputs = shape
    return (outputs, inputs, height, width)


def _check(
    path: Path,
    tensors: dict[str, np.ndarray],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    known = re.compile(r"^fc\d*\.|num_batches_tracked$|^text_model\.")
    faults = [f"{name} is missing" for name in shapes if name not in tensors]
    faults += [
        f"{name} is unexpected"
        for name in tensors
        if name not in shapes and not known.search(name)
    ]
    for name in shapes.keys() & tensors.keys():
        if tensors[name].shape != shapes[name]:
            faults.append(
                f"{name} is {tensors[name].shape} instead of {shapes[name]}"
            )
        elif not np.isfinite(tensors[name]).all():
            faults.append(f"{name} holds no finite numbers")
    if faults:
        first = ", ".join(sorted(faults)[:6])
        more = f" and {len(faults) - 6} more" if len(faults) > 6 else ""
        raise CheckpointError(
            f"{path}: not the authors' {PRESET}: {first}{more}"
        )
