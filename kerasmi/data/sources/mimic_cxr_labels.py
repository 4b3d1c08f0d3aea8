"""Labels of studies: CheXpert's, NegBio's, radiologists'."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from kerasmi.data.schema import BLANK, CHEXPERT14
from kerasmi.data.sources import (
    chexpert_labels,
    csv_files,
    mimic_cxr_ids,
    named_files,
)
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.csv_files import ROW, Columns
from kerasmi.data.sources.mimic_cxr_tree import places
from kerasmi.errors import DataError

LABELLERS = ("chexpert", "negbio", "none")
_RELEASE = (
    "Label files belong to MIMIC-CXR-JPG (physionet.org/content/"
    "mimic-cxr-jpg/): give their folder as "
)
_STUDY: Columns = {"study_id": ("study_id",)}


def locate(given: Path | None, root: Path, labeller: str) -> Path | None:
    """Finds the labeller's CSV and checks its columns.

    Args:
        given: The CSV or its folder; None looks in `root`.
        root: The folder of the metadata.
        labeller: One of `LABELLERS`.

    Returns:
        The file; None for the labeller `"none"`.

    Raises:
        DataError: Says what was looked for and where, which column lacks, or
            that the file is another labeller's.
    """
    if labeller == "none":
        return None
    if given is not None and given.is_file():
        for other in LABELLERS:
            if other != labeller and f"-{other}." in given.name:
                raise DataError(
                    f"{given} has the labels of {other}, but --labeller is "
                    f"{labeller}; make them agree."
                )
        return _checked(given)
    return _checked(
        named_files.require(
            [f"mimic-cxr-2.*-{labeller}.csv"],
            places(given or root),
            f"{labeller} labels",
            f"{_RELEASE}--labels; --labeller none goes without.",
        )
    )


def locate_test(given: Path | None) -> Path | None:
    """Finds the radiologists' labels of release 2.1.0; see `locate`."""
    if given is None or given.is_file():
        return given and _checked(given)
    return _checked(
        named_files.require(
            ["mimic-cxr-2.*-test-set-labeled.csv"],
            places(given),
            "radiologists' test labels",
            f"{_RELEASE}--test-labels.",
        )
    )


def read(file: Path, audit: Audit) -> pd.DataFrame:
    """Reads labels of studies.

    Args:
        file: A CSV of CheXpert, NegBio or radiologist labels.
        audit: Told of refused rows.

    Returns:
        The labels of `CHEXPERT14` as int8, indexed by `study_id`.
    """
    frame = csv_files.read(file, _STUDY | chexpert_labels.COLUMNS)
    frame = mimic_cxr_ids.valid(frame, file, audit)
    frame = mimic_cxr_ids.once(frame, "study_id", file, audit)
    values, wrong = chexpert_labels.from_text(frame)
    for row in frame.loc[wrong, ROW]:
        audit.removed(
            "label not known",
            f"{file.name}:{row}",
            chexpert_labels.EXPECTED,
        )
    values = values.set_index(frame["study_id"])[~wrong.to_numpy()]
    blank = (values == BLANK).all(axis=1).sum()
    audit.count(f"{file.name}: rows without any label", int(blank))
    return values[list(CHEXPERT14)]


class Labels:
    """The pathology labels of the studies that have an image."""

    def __init__(
        self,
        file: Path | None,
        test_file: Path | None,
        studies: Collection[str],
        audit: Audit,
    ):
        """Reads the labels.

        Args:
            file: The labeller's; None for no labels at all.
            test_file: Those that replace them in the test set, or None.
            studies: The studies that have an image.
            audit: Told of rows left out and of images without a row.
        """
        self._audit = audit
        self._wanted = file is not None
        self._known = self._read(file, studies)
        self._test = self._read(test_file, studies)

    def of(self, study_id: str, split: str) -> dict[str, int]:
        """Returns the labels of an image, blank where its study has none."""
        if not self._wanted:
            return {}
        if split == "test" and study_id in self._test:
            self._audit.count("test images with radiologists' labels")
            values = self._test[study_id]
        elif study_id in self._known:
            values = self._known[study_id]
        else:
            self._audit.count("images whose study has no label row")
            return chexpert_labels.blank()
        return dict(zip(CHEXPERT14, map(int, values), strict=True))

    def _read(
        self, file: Path | None, studies: Collection[str]
    ) -> dict[str, Any]:
        if file is None:
            return {}
        frame = read(file, self._audit)
        there = frame.index.isin(list(studies))
        self._audit.count(
            f"{file.name}: rows without image", int((~there).sum())
        )
        frame = frame[there]
        return dict(zip(frame.index, frame.to_numpy(), strict=True))


def _checked(file: Path) -> Path:
    csv_files.match(file, _STUDY | chexpert_labels.COLUMNS, {})
    return file
