"""Views of Open-i's images: its reports do not tell them."""

from collections.abc import Sequence
from pathlib import Path

from kerasmi import told
from kerasmi.data.sources import csv_files
from kerasmi.data.sources.csv_files import Columns
from kerasmi.data.sources.open_i_files import image_key
from kerasmi.errors import DataError

UNKNOWN = "UNKNOWN"
# A column that names the image, with the one that tells its view.
_FORMS = (
    ("filename", "projection"),  # indiana_projections.csv
    ("imageid", "View Position"),  # nlmcxr_dicom_metadata.csv
    ("imageid", "tsne-view"),  # nlmcxr_tsne_pa.csv
)
_MEANINGS = {"L": "LATERAL", "LARGE LATERAL": "LATERAL"}


def read(files: Sequence[Path]) -> dict[str, str]:
    """Reads views from tables.

    Args:
        files: `indiana_projections.csv`, `nlmcxr_dicom_metadata.csv` or
            `nlmcxr_tsne_pa.csv`, gzipped or not; what an earlier one tells
            counts.

    Returns:
        `image_key` to view: AP, PA, FRONTAL, LL, RL, LATERAL; nothing where
        it is unknown.

    Raises:
        DataError: A file is none of these tables.
    """
    found: dict[str, str] = {}
    for file in files:
        table = csv_files.read(file, _columns(file))
        for name, view in zip(table["image"], table["view"], strict=True):
            view = view.strip().upper()
            if view:
                view = _MEANINGS.get(view, view)
                found.setdefault(image_key(name), view)
    return found


def _columns(file: Path) -> Columns:
    header = csv_files.header(file)
    for image, view in _FORMS:
        if image in header and view in header:
            return {"image": (image,), "view": (view,)}
    forms = " or ".join(f"{image} and {view}" for image, view in _FORMS)
    raise DataError(
        f"{file} tells no views: expected the columns {forms}; it has "
        f"{told.columns(header)}."
    )
