"""Sentences with a known place, and the maps that a trained model gives."""

from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi import given
from kerasmi.data.images import png_size
from kerasmi.data.records import read
from kerasmi.errors import DataError, RunError
from kerasmi.evaluation import grounding
from kerasmi.evaluation.grounding import Cases
from kerasmi.held_out_split import HeldOutSplit


def check(split: HeldOutSplit) -> None:
    """Raises `RunError` where the model has one region: nothing to ground."""
    if split.features.grid == (1, 1):
        raise RunError(
            "grounding: the run's scope is global, its image one region; give"
            " a run with `objective.scope: local`"
        )


def of_regions(split: HeldOutSplit) -> Cases:
    """The sentences of a split whose true cells the records hold (phantom).

    Raises:
        DataError: no sentence has any.
    """
    images, texts, cells, findings = [], [], [], []
    for image, said in enumerate(split.said):
        for text, mask, finding in zip(
            said.texts, said.cells, said.findings, strict=True
        ):
            if any(mask):
                images.append(image)
                texts.append(text)
                cells.append(np.frombuffer(mask, np.uint8))
                findings.append(finding)
    if not images:
        raise DataError(
            f"{split.dataset.path}: no {split.split} sentence has a known"
            " place; give a file of --boxes."
        )
    grid = split.features.grid
    return Cases(
        split.features.maps(split.regions[images], split.text_features[texts]),
        np.array([grounding.regions_of_cells(one, grid) for one in cells]),
        findings,
        np.array(images),
        split.subjects[images],
    )


def of_boxes(split: HeldOutSplit, file: Path) -> tuple[Cases, int]:
    """The sentences of a file of boxes whose images are in the split.

    Returns:
        A case for each image and sentence, its boxes together, and how many
        boxes are of images that are not in the split or have no text.

    Raises:
        DataError: a row that is wrong, or no box in the split.
    """
    frame = given.boxes(file, split.dataset)
    here = frame["image_id"].isin(split.rows["image_id"])
    if not here.any():
        raise DataError(
            f"{file}: none of its {len(frame)} boxes is of a {split.split}"
            " image with a report."
        )
    mine = frame[here]
    sizes = _sizes(split, mine["image_id"])
    places = {name: at for at, name in enumerate(split.rows["image_id"])}
    size = split.features.recipe.data.image_size
    groups = [
        (str(image_id), group)
        for (image_id, _), group in mine.groupby(
            ["image_id", "sentence"], sort=False
        )
    ]
    images = np.array([places[image_id] for image_id, _ in groups])
    sentences = [group["sentence"].iloc[0] for _, group in groups]
    maps = split.features.maps(
        split.regions[images], split.features.texts(sentences)
    )
    true, ratios = [], []
    for scores, (image_id, group) in zip(maps, groups, strict=True):
        drawn = [
            given.placed(file, box, sizes[image_id])
            for _, box in group.iterrows()
        ]
        shapes = {shape for _, shape in drawn}
        if len(shapes) > 1:
            raise DataError(
                f"{file}: row {group['row'].iloc[0]}: the boxes of one sentence"
                f" are drawn on images of different sizes: {sorted(shapes)}."
            )
        (shape,) = shapes
        edges = [box for box, _ in drawn]
        square = grounding.seen_square(*shape, size)
        true.append(
            grounding.regions_of_boxes(edges, square, split.features.grid)
        )
        ratios.append(
            grounding.contrast_to_noise(scores, edges, shape, size)
        )
    findings = [group["finding"].iloc[0] or "unknown" for _, group in groups]
    cases = Cases(
        maps,
        np.array(true),
        findings,
        images,
        split.subjects[images],
        np.array(ratios),
    )
    return cases, int((~here).sum())


def _sizes(
    split: HeldOutSplit, image_ids: pd.Series
) -> dict[str, tuple[int, int]]:
    """Height and width of stored images."""
    found = {}
    for record in read(split.dataset, split.split, image_ids):
        width, height = png_size(record.image)
        found[record.image_id] = (height, width)
    return found
