"""A quick look at whether a recipe can learn here, on one batch of its data.

Each check is of one thing and says in plain words what is wrong with it.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasmi import build, distribute, launching, output_files
from kerasmi.data.dataset import Dataset
from kerasmi.evaluation import trouble
from kerasmi.models import loss_scale
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.pairs import label_pairs
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, counted
from kerasmi.types import Tensor

STEPS = 60  # at most, to learn one batch by heart
LEARNED = 1.0  # nats that the bound of that batch must gain
RATE = 1e-3
# Checkpoints of a stage: the last two, the best of each, one being written.
STATES = 5


@dataclasses.dataclass(frozen=True)
class Check:
    """What was looked at, and what was found.

    Attributes:
        name: of the check.
        passed: whether all is well.
        text: the finding in plain words.
    """

    name: str
    passed: bool
    text: str


def checks(recipe: Recipe, drawn: Path, place: Path) -> Iterator[Check]:
    """Looks at devices, disk, pairs, gradients, features and one batch.

    Gradients are taken as the run takes them, in parts where it accumulates.

    Args:
        recipe: with an objective.
        drawn: where a phantom is kept.
        place: where runs go, there or not: the disk that is looked at.

    Yields:
        A check as soon as it is done; that of the pairs is the last where the
        batch has no negative.
    """
    yield _devices()
    dataset = build.data(recipe, drawn, Reporter())
    keras.utils.set_random_seed(recipe.seed)
    model = build.image_text_model(recipe, dataset, total_steps=STEPS + 10**6)
    yield _disk(model, place)
    batch = _batch(recipe, dataset, model)
    yield _negatives(batch)
    if not _has_negative(batch):
        return  # no bound, so there is nothing to learn from
    yield from _gradients(model, batch)
    yield _features(model, batch)
    yield _overfits(model, batch)


def _devices() -> Check:
    facts = distribute.facts()
    found = facts["accelerators"]
    threads = facts["threads"]["intra_op"] or "as many as it likes"
    name = ", ".join(found) if found else "no GPU"
    text = f"{name}; CPU threads: {threads}"
    if not found:
        text += ". Recipes of the paper's scale need a GPU"
    unseen = [] if found else launching.visible_gpus(1, 1)
    if unseen:
        text += (
            f". This machine has {counted(len(unseen), 'GPU')}, which"
            " TensorFlow cannot use: pip install 'tensorflow[and-cuda]' of the"
            " same version, and look at the driver; or set"
            " CUDA_VISIBLE_DEVICES= to train on the CPU"
        )
    return Check("devices", not unseen, text)


def _disk(model: ImageTextModel, folder: Path) -> Check:
    """Whether there is room for the checkpoints of a stage."""
    variables = [*model.variables, *model.optimizer.variables]
    state = sum(np.prod(v.shape) * 4 for v in variables)
    need = STATES * state
    # the run makes a folder that is not there yet
    free = shutil.disk_usage(output_files.standing(folder)).free
    text = (
        f"{free / 1e9:.1f} GB free in {folder}; the checkpoints of a stage"
        f" take up to {need / 1e9:.2g} GB"
    )
    if free < need:
        return Check("disk", False, f"{text}. Make room, or take another disk")
    return Check("disk", True, text)


def _batch(
    recipe: Recipe, dataset: Dataset, model: ImageTextModel
) -> dict[str, Tensor]:
    batches, _ = build.pairs(recipe, dataset, "train", model)
    return next(iter(batches))


def _pairs(batch: dict[str, Tensor]) -> np.ndarray:
    return np.asarray(
        label_pairs(batch["study_ids"], batch["token_ids"].shape[1])
    )


def _has_negative(batch: dict[str, Tensor]) -> bool:
    return bool((_pairs(batch) == 0).any())


def _negatives(batch: dict[str, Tensor]) -> Check:
    pairs = _pairs(batch)
    each = (pairs == 0).sum(axis=1)
    text = (
        f"a batch of {counted(len(pairs), 'image')} has"
        f" {counted(pairs.size, 'pair')}:"
        f" {(pairs == 1).sum()} matched, {(pairs == 0).sum()} negative,"
        f" {(pairs == -1).sum()} ignored"
    )
    if each.min() > 0:
        return Check("negatives", True, text)
    return Check(
        "negatives",
        False,
        f"{text}; {counted((each == 0).sum(), 'image')} without a negative"
        " text. The batch is of too few studies: take larger batches or"
        " shuffle",
    )


def _gradients(
    model: ImageTextModel, batch: dict[str, Tensor]
) -> Iterator[Check]:
    of = {
        id(variable): gradient
        for variable, gradient in zip(
            model.trainable_variables,
            _differentiated(model, batch),
            strict=True,
        )
    }
    towers = {
        "image encoder": model.image_encoder,
        "text encoder": model.text_encoder,
        "critic": model.critic,
    }
    for name, part in towers.items():
        found = [of[id(variable)] for variable in part.trainable_variables]
        yield _gradient(name, found)


def _differentiated(
    model: ImageTextModel, batch: dict[str, Tensor]
) -> list[Tensor | None]:
    """The gradients; of a scaled loss by the first scale that is not too much.

    As a run finds it: smaller ones would lose gradients in half precision.
    """
    _, _, gradients = model._differentiated(batch)
    if not loss_scale.is_scaled(model.optimizer):
        return gradients
    scale = model.optimizer.dynamic_scale
    while scale > 1.0 and not np.isfinite(_norm(gradients)):
        scale.assign(scale / 2.0)
        _, _, gradients = model._differentiated(batch)
    return [
        None if each is None else tf.convert_to_tensor(each) / scale
        for each in gradients
    ]


def _norm(gradients: list[Tensor | None]) -> float:
    known = [tf.convert_to_tensor(g) for g in gradients if g is not None]
    return float(tf.linalg.global_norm(known)) if known else 0.0


def _gradient(name: str, gradients: list[Tensor | None]) -> Check:
    check = f"gradient: {name}"
    known = sum(each is not None for each in gradients)
    if not known:
        return Check(
            check, False, "the loss does not depend on it: it cannot learn"
        )
    norm = _norm(gradients)
    if not np.isfinite(norm):
        return Check(
            check,
            False,
            "its norm is not a number at the very first step: look for"
            " damaged weights, or images that are not in [0, 1]",
        )
    if norm == 0:
        return Check(check, False, "it is 0: nothing would be learned")
    of = f"{known} of {len(gradients)} weights"
    return Check(check, True, f"norm {norm:.3g}, in {of}")


def _features(model: ImageTextModel, batch: dict[str, Tensor]) -> Check:
    images, texts = map(np.asarray, model.encode(batch))
    found = trouble.of_features(images, texts.reshape(-1, texts.shape[-1]))
    if found:
        return Check("features", False, "; ".join(found))
    text = "they differ from image to image and from text to text"
    return Check("features", True, text)


def _overfits(model: ImageTextModel, batch: dict[str, Tensor]) -> Check:
    """Whether the bound of one batch can be driven up, as it must."""
    model.compile(
        keras.optimizers.Adam(RATE),
        loss=model.objective,
        accumulate=model.accumulate,
    )
    step: Callable[[Any], dict[str, Tensor]] = tf.function(model.train_step)
    values = []
    for _ in range(STEPS):
        model.reset_metrics()
        # of `matched` too, whose loss is no bound to report
        values.append(-float(step(batch)["loss"]))
        if values[-1] - values[0] > LEARNED or not np.isfinite(values[-1]):
            break
    text = (
        f"one batch, {len(values)} steps: the bound went from"
        f" {values[0]:.3f} to {values[-1]:.3f} nats"
    )
    if not np.isfinite(values[-1]):
        return Check("overfits", False, f"{text}. The loss is no number")
    if values[-1] - values[0] > LEARNED:
        return Check("overfits", True, text)
    return Check(
        "overfits",
        False,
        f"{text}, less than {LEARNED} more. The model cannot even learn one"
        " batch by heart: texts may not reach it (is the vocabulary that of"
        " the reports?), or images may all look alike",
    )
