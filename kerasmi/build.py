"""From a recipe to the objects of an experiment: data, models, optimizer."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from kerasmi import drawing_phantom, losses, optimizers, recipe_schema
from kerasmi.checkpoints import bert, reference, sources
from kerasmi.critics import ConcatCritic, SeparableCritic
from kerasmi.data import pipeline
from kerasmi.data.augment import Augmentation
from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read
from kerasmi.errors import RecipeError
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.text_encoder import TextEncoder, build_vocabulary
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter


def data(recipe: Recipe, beside: Path, reporter: Reporter) -> Dataset:
    """The records the recipe names; the phantom is made on first use.

    Args:
        recipe: its `data` section is used.
        beside: folder that phantoms are kept in, shared by runs.
        reporter: told while the phantom is drawn, or waited for.

    Raises:
        DataError: records that are missing, empty or damaged.
        RecipeError: no `data.path` where one is needed.
    """
    if recipe.data.source != "phantom":
        if recipe.data.path is None:
            raise RecipeError(
                f"{recipe.name}: data.path: give the folder of the records, "
                "for example `kerasmi run RECIPE data.path=FOLDER`."
            )
        return Dataset.open(recipe.data.path)
    folder = _phantom(recipe, beside)
    return drawing_phantom.drawn(recipe, folder, reporter)


def existing_data(recipe: Recipe, beside: Path) -> Dataset | None:
    """The records the recipe names; None for what is yet to be named or drawn.

    Raises:
        DataError: as `data`.
    """
    if recipe.data.source != "phantom":
        path = recipe.data.path
        return None if path is None else Dataset.open(path)
    folder = _phantom(recipe, beside)
    return drawing_phantom.opened(folder) if folder.exists() else None


def _phantom(recipe: Recipe, beside: Path) -> Path:
    return recipe.data.path or beside / drawing_phantom.name(recipe)


@contextlib.contextmanager
def precision(recipe: Recipe) -> Iterator[None]:
    """Networks that are built within compute in the recipe's precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def image_encoder(recipe: Recipe) -> ImageEncoder:
    """A new image encoder, at the level of the recipe's scope."""
    level = recipe.objective.scope if recipe.objective else "global"
    settings = recipe.image_encoder
    if settings.path is not None:
        return reference.read_image_encoder(
            settings.path, level, recipe.data.image_size
        )
    return ImageEncoder.from_preset(
        settings.preset, level, recipe.data.image_size
    )


def text_encoder(
    recipe: Recipe, dataset: Dataset, reporter: Reporter | None = None
) -> TextEncoder:
    """The text encoder; `bert_phantom` reads its vocabulary from the data.

    Args:
        recipe: its `text_encoder` section is used.
        dataset: the records.
        reporter: told of a checkpoint's casing, and of what was ignored.

    Raises:
        CheckpointError: a checkpoint that cannot be read.
        RecipeError: texts longer than the encoder can read.
    """
    settings = recipe.text_encoder
    reporter = reporter or Reporter()
    if settings.preset == "bert_phantom":
        reports = (record.report for record in read(dataset, "train"))
        vocabulary = build_vocabulary(reports)
        encoder = TextEncoder.phantom(vocabulary, settings.pooling)
    elif settings.path is not None:
        encoder = bert.read(
            settings.path,
            settings.pooling,
            settings.lower_case,
            tell=lambda line: reporter.message(f"text encoder: {line}"),
        )
    else:
        encoder = TextEncoder.from_preset(settings.preset, settings.pooling)
    longest = encoder.backbone.max_sequence_length
    if settings.max_tokens > longest:
        raise RecipeError(
            f"{recipe.name}: text_encoder.max_tokens: expected at most "
            f"{longest}, the positions of the text encoder. Received: "
            f"{settings.max_tokens}"
        )
    return encoder


def text_encoder_files(recipe: Recipe) -> dict[str, str | None]:
    """A hash of the files of `text_encoder.path`, for `environment.json`.

    Vocabulary and casing are read anew at every start of a pretraining.

    Args:
        recipe: its `text_encoder` section is used.

    Returns:
        `{"text_encoder_files": ...}`, see `sources.fingerprint`; nothing where
        the recipe names no files.
    """
    path = recipe.text_encoder.path
    if recipe.objective is None or path is None:
        return {}
    return {"text_encoder_files": sources.fingerprint(path)}


def critic(recipe: Recipe) -> keras.layers.Layer:
    """The critic of the recipe."""
    settings = recipe.critic
    if settings.kind == "separable":
        return SeparableCritic(settings.dim, settings.similarity)
    return ConcatCritic(settings.hidden_dims, settings.normalize)


def stage(
    recipe: Recipe,
) -> tuple[recipe_schema.Objective, recipe_schema.Pretrain]:
    """What to maximise, and how.

    Raises:
        ValueError: an image-only recipe, which has neither.
    """
    if recipe.objective is None or recipe.pretrain is None:
        raise ValueError(f"{recipe.name}: has no objective to pretrain on.")
    return recipe.objective, recipe.pretrain


def objective(recipe: Recipe) -> losses.BoundLoss:
    """The bound of the recipe, as a loss."""
    settings, _ = stage(recipe)
    if settings.bound == "mine":
        return losses.MINE(settings.momentum)
    if settings.bound == "cpc":
        return losses.CPC(settings.direction)
    if settings.bound == "smile":
        return losses.SMILE(settings.clip)
    return losses.get(settings.bound)


def image_text_model(
    recipe: Recipe,
    dataset: Dataset,
    total_steps: int,
    reporter: Reporter | None = None,
) -> ImageTextModel:
    """The joint model, compiled; call it in the strategy's scope."""
    target, settings = stage(recipe)
    with precision(recipe):
        model = ImageTextModel(
            image_encoder(recipe),
            text_encoder(recipe, dataset, reporter),
            critic(recipe),
            region=target.region,
            temperature=target.temperature,
            negatives=settings.negatives,
        )
        optimizer = optimizers.paper(
            model,
            learning_rate=settings.learning_rate,
            text_learning_rate=settings.text_learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=settings.warmup_steps,
            total_steps=total_steps,
            schedule=settings.schedule,
        )
        model.compile(
            optimizer, loss=objective(recipe), accumulate=settings.accumulate
        )
        return model


def pairs(
    recipe: Recipe,
    dataset: Dataset,
    split: str,
    model: ImageTextModel,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tuple[tf.data.Dataset, int]:
    """The batches of a split from a step on, and their number in an epoch."""
    objective, settings = stage(recipe)
    training = split == "train"
    return pipeline.pairs(
        dataset,
        split,
        tokenizer=model.text_encoder.word_pieces,
        scope=objective.scope,
        sentences=settings.sentences,
        batch_size=settings.batch_size,
        image_size=recipe.data.image_size,
        augmentation=augmentation(settings.augmentation) if training else None,
        shuffle=training,
        seed=recipe.seed,
        epochs=settings.epochs if training else 1,
        first_epoch=first_epoch,
        first_step=first_step,
        max_tokens=recipe.text_encoder.max_tokens,
    )


def augmentation(
    settings: recipe_schema.Augmentation | None,
) -> Augmentation | None:
    """The pipeline's augmentation from a recipe's, None for none."""
    if settings is None:
        return None
    return Augmentation(
        rotation=settings.rotation,
        scale=settings.scale,
        translation=settings.translation,
    )
