"""The training step of a recipe on its own data, ready to be called."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGES = {"train": 320, "validation": 16, "test": 16}


def make(
    name: str, overrides: tuple[str, ...] = (), images: dict | None = None
) -> tuple[Callable[[], Any], Any]:
    """The step of a recipe, traced on the first call, on one fixed batch.

    Args:
        name: a recipe, such as `local_mine`.
        overrides: `key=value`, as on the command line.
        images: of the phantom, by split.

    Returns:
        The step, and the model.
    """
    _, model, train, _ = parts(name, overrides, images)
    batches = endless(next(iter(train)))
    step = model.make_train_function() or model.train_function
    return lambda: step(batches), model


def endless(batch: Any) -> Any:
    """One batch again and again, by what `fit` takes batches from.

    The model's own step is for that alone: a list's iterator gets Keras's.
    """
    import tensorflow as tf

    return iter(tf.data.Dataset.from_tensors(batch).repeat())


def parts(
    name: str, overrides: tuple[str, ...] = (), images: dict | None = None
) -> tuple[Any, Any, Any, int]:
    """Recipe, compiled model, training batches and the steps of an epoch.

    Called before TensorFlow has started, which the recipe's threads need.
    """
    from kerasmi import distribute
    from kerasmi.cli import starting
    from kerasmi.recipe import load
    from kerasmi.reporter import Reporter

    sizes = images or IMAGES
    changed = [f"data.images.{key}={value}" for key, value in sizes.items()]
    recipe = load(name, [*changed, *overrides])
    # an older commit's recipe has no such key
    if getattr(recipe, "intra_op_threads", None):
        distribute.set_intra_op_threads(recipe.intra_op_threads)
    # TensorFlow as `kerasmi run` starts it
    build = starting.library("build")
    with tempfile.TemporaryDirectory() as folder:
        dataset = build.data(recipe, Path(folder), Reporter())
        model = build.image_text_model(recipe, dataset, 1000)
        train, steps = build.pairs(recipe, dataset, "train", model)
        # small data are read whole here, while the folder is there
        return recipe, model, train, steps
