"""The fourteen labels of the CheXpert labeller, as its files write them."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from kerasmi.data.schema import BLANK, CHEXPERT14, UNCERTAIN
from kerasmi.data.sources.csv_files import Columns

# MIMIC-CXR-JPG 2.1.0's radiologist labels say "Airspace Opacity".
COLUMNS: Columns = {name: (name,) for name in CHEXPERT14} | {
    "Lung Opacity": ("Lung Opacity", "Airspace Opacity")
}
EXPECTED = "a label is none of 1.0, 0.0, -1.0 and empty"
_WRITTEN = {"": BLANK, "1": 1, "0": 0, "-1": UNCERTAIN}


def from_text(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Turns label columns of a CSV into stored labels.

    Args:
        frame: Has the columns `CHEXPERT14`, as text: `1.0`, `0.0`, `-1.0` or
            empty.

    Returns:
        The fourteen columns as int8 with `UNCERTAIN` and `BLANK`, and where
        a row has any other value (bool); such values are `BLANK`.
    """
    text = frame[list(CHEXPERT14)].apply(
        lambda column: column.str.strip().str.removesuffix(".0").map(_WRITTEN)
    )
    return text.fillna(BLANK).astype("int8"), text.isna().any(axis=1)


def from_json(entry: Mapping[str, Any]) -> dict[str, int] | None:
    """Turns one JSON object of labels into stored labels.

    Args:
        entry: Label to 1, 0, -1 or null; a label not named is blank.

    Returns:
        The fourteen labels, or None where one has any other value.
    """
    labels = {}
    for name, names in COLUMNS.items():
        value = next((entry[n] for n in names if n in entry), None)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            labels[name] = BLANK
        elif type(value) in (int, float) and value in (1, 0, UNCERTAIN):
            labels[name] = int(value)
        else:
            return None
    return labels


def blank() -> dict[str, int]:
    """Returns the labels of an image of which nothing is known."""
    return dict.fromkeys(CHEXPERT14, BLANK)
