"""Whether a recipe fits its data, before any time is spent on training."""

from pathlib import Path

from kerasmi import stages
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import SPLITS
from kerasmi.errors import RecipeError
from kerasmi.evaluation.held_out import LEAST_SUBJECTS
from kerasmi.recipe import Recipe
from kerasmi.recipe_schema import Pretrain
from kerasmi.reporter import counted


def check(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses what would fail later, some of it only after training.

    Args:
        recipe: what is to be done.
        dataset: the data it is to be done on.

    Raises:
        DataError: the data lacks a set.
        RecipeError: a label that the data lacks, two whose networks would
            share a folder, batches larger than the data, too few subjects for
            the read-outs, or a warm-up that outlasts the pretraining.
    """
    for split in SPLITS:
        dataset.shards(split)
    for task in stages.tasks(recipe):
        _check_labels(recipe, dataset, task)
    _check_folders(recipe)
    _check_steps(recipe, dataset)
    _check_subjects(recipe, dataset)


def enlargement(recipe: Recipe, folder: Path, stored: int) -> list[str]:
    """What to say of images that are smaller than the recipe asks for.

    Args:
        recipe: what is to be done.
        folder: the data set's.
        stored: shorter side of its images, in pixels.

    Returns:
        One sentence or two as one text; none where nothing is enlarged.
    """
    asked = recipe.data.image_size
    if stored >= asked:
        return []
    return [
        f"{folder}: its images are stored at {stored} pixels and enlarged to "
        f"data.image_size: {asked}, which shows the network no more than is "
        f"stored. Import them anew with --image-size {asked}, or take "
        f"data.image_size={stored} and an image encoder for that size."
    ]


def _check_labels(recipe: Recipe, dataset: Dataset, task: stages.Task) -> None:
    missing = [n for n in task.labels if n not in dataset.label_names]
    if not missing:
        return
    key = "findings" if task.name == "findings" else "tasks"
    known = ", ".join(dataset.label_names) or "no labels"
    remedy = _other_tasks(recipe, dataset) if key == "tasks" else ""
    raise RecipeError(
        f"{recipe.name}: retrain.{key}: {task.name} needs the label "
        f"{missing[0]!r}, which {dataset.path} lacks; it has {known}.{remedy}"
    )


def _other_tasks(recipe: Recipe, dataset: Dataset) -> str:
    """What to re-train with the labels that there are, as a sentence."""
    names = dataset.label_names
    for tasks in (recipe.retrain.tasks, stages.LABELS):
        fit = [
            name for name in tasks if {*stages.labels(recipe, name)} <= {*names}
        ]
        if fit:
            return f" Take retrain.tasks='[{', '.join(fit)}]'."
    if not names:
        return ""
    return (
        " For labels of your own: retrain.tasks='[findings]' "
        f"retrain.findings='[{names[0]}]'."
    )


def _check_folders(recipe: Recipe) -> None:
    labels: dict[str, str] = {}
    for task in stages.tasks(recipe):
        stage = task.stage(recipe.retrain.encoders[0])
        other = labels.setdefault(stage, task.labels[0])
        if other != task.labels[0]:
            raise RecipeError(
                f"{recipe.name}: retrain.heads: the networks of {other!r} and "
                f"{task.labels[0]!r} would share the folder {stage}. Rename "
                "one of the labels, or take `heads: multilabel`."
            )


def _check_steps(recipe: Recipe, dataset: Dataset) -> None:
    settings = recipe.pretrain
    if recipe.objective is None or settings is None:
        return
    for split in ("train", "validation"):
        texts = dataset.counts[split]["with_text"]
        if not texts:
            raise RecipeError(_without_text(recipe, dataset, split))
        if texts < settings.batch_size:
            raise RecipeError(
                f"{recipe.name}: pretrain.batch_size: {settings.batch_size}, "
                f"but {dataset.path} has "
                f"{counted(texts, f'{split} image')} with text. Take {texts} "
                f"or fewer, or {_other_sets(recipe)}."
            )
    number = steps(settings, dataset)
    if settings.schedule != "constant" and number <= settings.warmup_steps:
        texts = dataset.counts["train"]["with_text"]
        raise RecipeError(
            f"{recipe.name}: pretrain.warmup_steps: {settings.warmup_steps}, "
            f"but {counted(texts, 'training image')} with text, taken "
            f"{settings.batch_size} at a time, give {counted(number, 'step')} "
            f"in all. Use fewer than {number}, or more pretrain.epochs."
        )


def _without_text(recipe: Recipe, dataset: Dataset, split: str) -> str:
    lacks = f"{recipe.name}: objective: pretraining needs reports, but "
    if any(counts["with_text"] for counts in dataset.counts.values()):
        return (
            f"{lacks}of {dataset.path} no {split} image has text. "
            f"{_other_sets(recipe).capitalize()}."
        )
    return (
        f"{lacks}of {dataset.path} no image has text. Import it anew with "
        "its reports, or take a recipe without an objective, such as "
        "image_only."
    )


def _other_sets(recipe: Recipe) -> str:
    """What to do where a set has too little, as part of a sentence."""
    if recipe.data.source == "phantom":
        return "draw more, with data.images"
    return (
        "share out the subjects anew, with --shares, --seed or --split-file of "
        "`kerasmi data import`"
    )


def steps(settings: Pretrain, dataset: Dataset) -> int:
    """The steps of pretraining, in all epochs."""
    texts = dataset.counts["train"]["with_text"]
    return int(texts // settings.batch_size * settings.epochs)


def _check_subjects(recipe: Recipe, dataset: Dataset) -> None:
    """As `evaluation.held_out` asks: halves, and reports of other subjects."""
    if recipe.objective is None:
        return
    rows = dataset.rows("validation")
    rows = rows[rows["sentences"] > 0].drop_duplicates("study_id")
    studies = rows["subject_id"].value_counts()
    if len(studies) < LEAST_SUBJECTS or 2 * studies.max() > len(rows):
        raise RecipeError(
            f"{recipe.name}: objective: mutual information is read out on "
            f"validation images of {LEAST_SUBJECTS} subjects with text at "
            "least, none of which has more than half of the studies, but "
            f"{dataset.path} has {len(rows)} such studies of {len(studies)} "
            f"subjects, {studies.max()} of one. "
            f"{_other_sets(recipe).capitalize()}."
        )
