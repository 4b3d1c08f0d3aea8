"""CSV files that a user gives to an evaluation: prompts and boxes."""

from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi import told
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import EDEMA_SEVERITY
from kerasmi.data.sources import csv_files
from kerasmi.data.sources.csv_files import ROW, Columns
from kerasmi.errors import DataError
from kerasmi.evaluation.grounding import ALL

_PROMPTS: Columns = {
    name: (name,) for name in ("label", "positive", "negative")
}
# Our names, and those of MS-CXR.
_BOXES: Columns = {
    "image_id": ("image_id", "dicom_id"),
    "sentence": ("sentence", "label_text"),
    **{name: (name,) for name in ("x", "y", "w", "h")},
}
_OPTIONAL: Columns = {
    "finding": ("finding", "category_name"),
    "image_width": ("image_width",),
    "image_height": ("image_height",),
}
_NUMBERS = ("x", "y", "w", "h", "image_width", "image_height")


def prompts(file: Path, dataset: Dataset) -> pd.DataFrame:
    """Sentences for and against each label, one or more rows a label.

    Args:
        file: CSV with the columns label, positive, negative.
        dataset: has the labels.

    Returns:
        Frame with these columns.

    Raises:
        DataError: names the file, the row and what is wrong with it.
    """
    frame = _read(file, _PROMPTS, {}, "a label and two sentences")
    binary = [name for name in dataset.label_names if name != EDEMA_SEVERITY]
    for one in frame.itertuples():
        where = f"{file}: row {one.row}"
        if one.label not in binary:
            raise DataError(
                f"{where}: label is {told.word(one.label)}, which is none of"
                f" the data; it has {', '.join(binary) or 'none'}."
            )
        if one.positive == one.negative:
            raise DataError(
                f"{where}: positive and negative are the same sentence,"
                f" {told.word(one.positive)}; give one for and one against the"
                " label."
            )
    return frame[list(_PROMPTS)]


def boxes(file: Path, dataset: Dataset) -> pd.DataFrame:
    """Sentences with the boxes they are true of, one row a box.

    Args:
        file: CSV with the columns image_id, sentence, x, y, w, h: left and
            top edge, width and height in pixels of the stored image, or of an
            image of image_width and image_height where these columns stand.
            A column finding groups the results (any name but "all", which is
            that of the total). MS-CXR's names are known.
        dataset: has some of the images at least: a published file may have
            boxes of images that an import left out.

    Returns:
        Frame with image_id, sentence, finding (empty where unknown), the
        numbers as float64 (NaN for an unknown size), and the row.

    Raises:
        DataError: names the file, the row and what is wrong with it.
    """
    frame = _read(file, _BOXES, _OPTIONAL, "at least one box")
    for name in _NUMBERS:
        frame[name] = _numbers(file, frame, name)
    if not frame["image_id"].isin(dataset.images["image_id"]).any():
        first = told.cell(frame["image_id"].iloc[0])
        raise DataError(
            f"{file}: none of its images is in the data, in row 2 {first};"
            " images.csv of the records lists those that are."
        )
    for one in frame.itertuples():
        where = f"{file}: row {one.row}"
        if not (one.w > 0 and one.h > 0):
            raise DataError(
                f"{where}: the box is {one.w:g} by {one.h:g} pixels; expected"
                " a width and a height above 0."
            )
        if np.isnan(one.image_width) != np.isnan(one.image_height):
            raise DataError(
                f"{where}: give both image_width and image_height, or neither."
            )
        if min(one.image_width, one.image_height) < 1:
            raise DataError(
                f"{where}: the image is {one.image_width:g} by"
                f" {one.image_height:g} pixels; expected 1 or more each."
            )
        if one.finding == ALL:
            raise DataError(
                f"{where}: the finding {ALL!r} is the name of the total; give"
                " another."
            )
    return frame


def placed(
    file: Path, box: pd.Series, stored: tuple[int, int]
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """A box as edges, and the height and width of the image it is drawn on.

    Args:
        file: where the box stands, for errors.
        box: a row of `boxes`.
        stored: height and width of the stored image.

    Raises:
        DataError: the box is not inside of its image, or that is not of the
            proportions of the stored one.
    """
    height, width = stored
    if not np.isnan(box["image_width"]):
        height, width = round(box["image_height"]), round(box["image_width"])
        _check_proportions(file, box, (height, width), stored)
    left, top = box["x"], box["y"]
    right, bottom = left + box["w"], top + box["h"]
    # One pixel: boxes are often rounded outwards.
    beyond = right > width + 1 or bottom > height + 1
    if min(left, top) < 0 or beyond or left >= width or top >= height:
        raise DataError(
            f"{file}: row {box[ROW]}: the box reaches from ({left:g}, {top:g})"
            f" to ({right:g}, {bottom:g}), beyond its image of {width} by"
            f" {height} pixels. Are its pixels those of another size? Then add"
            " image_width and image_height."
        )
    edges = (left, top, min(right, float(width)), min(bottom, float(height)))
    return edges, (height, width)


def _check_proportions(
    file: Path, box: pd.Series, size: tuple[int, int], stored: tuple[int, int]
) -> None:
    ratio = (size[1] / size[0]) / (stored[1] / stored[0])
    # The stored sides are whole pixels.
    if abs(ratio - 1) > 1 / min(stored) + 1 / min(size):
        raise DataError(
            f"{file}: row {box[ROW]}: an image of {size[1]} by {size[0]} pixels"
            f" is not of the proportions of the stored one, {stored[1]} by"
            f" {stored[0]}; give the size of the image that the box was drawn"
            " on."
        )


def _read(
    file: Path, columns: Columns, optional: Columns, what: str
) -> pd.DataFrame:
    """A CSV as text without outer blanks; no cell of `columns` is empty."""
    frame = csv_files.read(file, columns, optional, csv_files.OWN)
    if frame.empty:
        raise DataError(f"{file}: has no row; give {what}.")
    for name in (*columns, *optional):
        frame[name] = frame[name].str.strip()
    for name in columns:
        empty = frame[frame[name] == ""]
        if not empty.empty:
            raise DataError(
                f"{file}: row {empty[ROW].iloc[0]}: no {name}; give one, or"
                " leave the row out."
            )
    return frame


def _numbers(file: Path, frame: pd.DataFrame, name: str) -> pd.Series:
    """A column as float64; NaN where nothing stands."""
    values = pd.to_numeric(frame[name], errors="coerce").astype(float)
    wrong = frame[(frame[name] != "") & ~np.isfinite(values)]
    if not wrong.empty:
        raise DataError(
            f"{file}: row {wrong[ROW].iloc[0]}: {name} is"
            f" {told.word(wrong[name].iloc[0])}; expected a number of pixels."
        )
    return values
