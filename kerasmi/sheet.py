"""Records on one page: images, their reports, what was found and where."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import image
from matplotlib.figure import Figure

from kerasmi.data.schema import BLANK, EDEMA_SEVERITY, NO_FINDING, Record
from kerasmi.evaluation.contact_sheet import contact_sheet


def sheet(records: Sequence[Record]) -> Figure:
    """Draws records; `kerasmi.evaluation.figures.save` writes the page.

    Args:
        records: as read, or as a source yields them.

    Returns:
        The page; findings are the known truth where there is one, else the
        report's labels; "no label" where all of these are blank.
    """
    return contact_sheet(
        [_pixels(record) for record in records],
        [found(record) if _known(record) else None for record in records],
        titles=[f"{r.image_id} {r.view}".rstrip() for r in records],
        sentences=[record.sentences for record in records],
        regions=[_regions(record) for record in records],
        names=names(records),
    )


def names(records: Sequence[Record]) -> list[str]:
    """The findings of the records' data set that `found` names, in its order.

    Without degrees of severity, which have no colour of their own.
    """
    labels = dict.fromkeys(n for record in records for n in record.labels)
    return [n for n in labels if n not in (EDEMA_SEVERITY, NO_FINDING)]


def found(record: Record) -> list[str]:
    """The findings of an image, by name; `Edema Severity 2` by its degree."""
    known = _known(record)
    names = [
        name
        for name, value in known.items()
        if value == 1 and name not in (EDEMA_SEVERITY, NO_FINDING)
    ]
    severity = known.get(EDEMA_SEVERITY, 0)
    return names + ([f"{EDEMA_SEVERITY} {severity}"] if severity > 0 else [])


def _known(record: Record) -> dict[str, int]:
    known = record.labels if record.truth is None else record.truth
    return {name: value for name, value in known.items() if value != BLANK}


def _regions(record: Record) -> Mapping[str, np.ndarray]:
    regions = record.regions or {}
    return {
        name: np.frombuffer(cells, np.uint8) for name, cells in regions.items()
    }


def _pixels(record: Record) -> np.ndarray:
    """The image as (H, W) in [0, 1], of 8 or of 16 bits."""
    return np.asarray(image.imread(io.BytesIO(record.image), format="png"))
