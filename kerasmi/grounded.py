"""Sentences with a known place, and the maps that a trained model gives."""

from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi import given
from kerasmi.data.images import png_size
from kerasmi.data.records import read
from kerasmi.errors import DataError, RunError
from kerasmi.evaluation import grounding
from kerasmi.evaluation.grounding import Cases, regions_of_boxes
from kerasmi.evaluation.region_maps import Box, seen_square
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.reporter import counted


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


def of_boxes(split: HeldOutSplit, file: Path) -> tuple[Cases, str]:
    """The sentences of a file of boxes whose images are in the split.

    Returns:
        A case for each image, sentence and finding, its boxes together, and
        which boxes are left out, in words: those of images that are not in the
        split or have no text; empty where none is.

    Raises:
        DataError: a row that is wrong, or no box in the split.
    """
    frame = given.boxes(file, split.dataset)
    here = frame["image_id"].isin(split.rows["image_id"])
    if not here.any():
        raise DataError(
            f"{file}: none of its {counted(len(frame), 'box', 'boxes')} is of a"
            f" {split.split}"
            " image with a report."
        )
    mine = frame[here]
    sizes = _sizes(split, mine["image_id"])
    places = {name: at for at, name in enumerate(split.rows["image_id"])}
    size = split.features.recipe.data.image_size
    keys, drawn = [], []
    of_case = mine.groupby(["image_id", "sentence", "finding"], sort=False)
    for key, group in of_case:
        keys.append(key)
        drawn.append(_drawn(file, group, sizes[key[0]]))
    images = np.array([places[image_id] for image_id, _, _ in keys])
    maps = split.features.maps(
        split.regions[images],
        split.features.texts([sentence for _, sentence, _ in keys]),
    )
    true = [
        regions_of_boxes(edges, seen_square(*shape, size), split.features.grid)
        for edges, shape in drawn
    ]
    ratios = [
        grounding.contrast_to_noise(scores, edges, shape, size)
        for scores, (edges, shape) in zip(maps, drawn, strict=True)
    ]
    cases = Cases(
        maps,
        np.array(true),
        [finding or "unknown" for _, _, finding in keys],
        images,
        split.subjects[images],
        np.array(ratios),
    )
    return cases, _left_out(split, frame["image_id"][~here])


def _left_out(split: HeldOutSplit, image_ids: pd.Series) -> str:
    """The boxes of images that are not evaluated, in words."""
    if image_ids.empty:
        return ""
    found = (
        f"left out, as not of {split.split} images with a report: "
        f"{counted(len(image_ids), 'box', 'boxes')}"
    )
    known = image_ids.isin(split.dataset.images["image_id"])
    if known.all():
        return found
    return f"{found}; of images that the data lack: {(~known).sum()} of them"


def _drawn(
    file: Path, boxes: pd.DataFrame, stored: tuple[int, int]
) -> tuple[list[Box], tuple[int, int]]:
    """The boxes of one case, and height and width of what they are drawn on."""
    placed = [given.placed(file, box, stored) for _, box in boxes.iterrows()]
    shapes = [shape for _, shape in placed]
    for row, (height, width) in zip(boxes["row"], shapes, strict=True):
        if (height, width) != shapes[0]:
            raise DataError(
                f"{file}: row {row}: this box is drawn on an image of {width}"
                f" by {height} pixels, the first of its sentence on one of"
                f" {shapes[0][1]} by {shapes[0][0]}; give all in one size."
            )
    return [edges for edges, _ in placed], shapes[0]


def _sizes(
    split: HeldOutSplit, image_ids: pd.Series
) -> dict[str, tuple[int, int]]:
    """Height and width of stored images."""
    found = {}
    for record in read(split.dataset, split.split, image_ids):
        width, height = png_size(record.image)
        found[record.image_id] = (height, width)
    return found
