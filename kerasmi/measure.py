"""Held-out mutual information of a trained joint model."""

from pathlib import Path

import pandas as pd

from kerasmi import build
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError
from kerasmi.evaluation import mutual_information as read_out
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter


def measure(
    recipe: Recipe,
    dataset: Dataset,
    model: ImageTextModel,
    folder: Path,
    reporter: Reporter,
) -> pd.DataFrame:
    """Reads out the MI of the validation images and their texts, in nats.

    Returns:
        What `table` gives; also written to `mutual_information.csv`.
    """
    split = HeldOutSplit(Features(recipe, model), dataset, "validation")
    frame = table(split)
    frame.to_csv(folder / "mutual_information.csv", index=False)
    reporter.table(
        "Held-out mutual information (nats, validation)", shown(frame)
    )
    return frame


def table(split: HeldOutSplit, candidates: int | None = None) -> pd.DataFrame:
    """MI of the images and all their texts, matched and shuffled.

    Shuffled: reports go to images of other subjects, so that there is nothing
    to find.

    Args:
        split: the split as the model sees it.
        candidates: of InfoNCE's read-outs, see `mutual_information.infonce`.

    Returns:
        One row per read-out that the training bound permits, of either: pairs
        and what `mutual_information.to_frame` says.

    Raises:
        DataError: too few subjects, or one that has most of the studies; more
            candidates than images in a half.
    """
    try:
        return _table(split, candidates)
    except ValueError as error:
        raise DataError(
            f"{split.dataset.path}: {split.split} images: {error}"
        ) from error


def _table(split: HeldOutSplit, candidates: int | None) -> pd.DataFrame:
    recipe = split.features.recipe
    objective, _ = build.stage(recipe)
    of_smile = objective.bound == "smile"
    clip = objective.clip if of_smile else read_out.CLIP
    matched = split.held_out()
    frames = []
    for name, scores in (
        ("matched", matched),
        ("shuffled", matched.shuffled(recipe.seed)),
    ):
        values = read_out.read_outs(
            scores,
            bound=objective.bound,
            direction=objective.direction,
            candidates=candidates,
            clip=clip,
            seed=recipe.seed,
        )
        frames.append(read_out.to_frame(values).assign(pairs=name))
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(0, "pairs", frame.pop("pairs"))
    return frame


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """What a reader wants of `table` first; the file has all."""
    return pd.DataFrame(
        {
            "pairs": frame["pairs"],
            "read-out": frame["name"],
            "MI": frame["calibrated"],
            "+-": frame["calibrated_error"],
            "as trained": frame["value"],
            "ceiling": frame["ceiling"],
            "negatives": frame["calibrated_n_negatives"],
            "effective": frame["calibrated_effective_negatives"]
            .round()
            .astype(int),
            "reliable": frame["calibrated_reliable"].map(
                {True: "yes", False: "NO"}
            ),
            "note": frame["calibrated_note"],
        }
    )
