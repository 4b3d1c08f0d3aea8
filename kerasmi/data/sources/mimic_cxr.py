"""MIMIC-CXR and MIMIC-CXR-JPG, with the edema severity release."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kerasmi.data.schema import CHEXPERT14, EDEMA_SEVERITY
from kerasmi.data.sources import (
    edema_severity,
    mimic_cxr_files,
    mimic_cxr_labels,
    mimic_cxr_report_places,
    mimic_cxr_reports,
    mimic_cxr_selection,
    mimic_cxr_splits,
    mimic_cxr_table1,
    mimic_cxr_tree,
    named_files,
)
from kerasmi.data.sources.base import Audit, Item, Source
from kerasmi.data.sources.csv_files import ROW
from kerasmi.data.sources.edema_severity import Severity
from kerasmi.data.sources.image_finder import ImageFinder
from kerasmi.data.sources.mimic_cxr_files import FRONTAL
from kerasmi.data.sources.mimic_cxr_ids import group_folder
from kerasmi.data.sources.mimic_cxr_reports import UnreadableReportError
from kerasmi.errors import DataError

VALIDATION_SHARE = 0.02
# DICOM before JPG: it has the pixels as taken.
SUFFIXES = (".dcm", ".dcm.gz", ".jpg", ".jpeg", ".png")
MISSING = (
    f"no {' or '.join(SUFFIXES)} of that name in its study's folder "
    "files/p10/p10000032/s50414267"
)
JPG_NOTE = (
    "images come from the JPG tree: 8 bit and histogram-equalised; the "
    "paper's were made from the DICOM pixels, so its figures are not "
    "strictly comparable"
)


class MimicCXR(Source):
    """Chest radiographs with reports from PhysioNet.

    The image tree, the reports, the CSVs of MIMIC-CXR-JPG and the edema
    severity release may lie apart; docs/mimic_cxr.md tells what is needed.

    Args:
        images: The root of the DICOM or JPG tree.
        reports: `mimic-cxr-reports.zip`, the folder it was unpacked to, or
            `mimic_cxr_sectioned.csv`; None looks in `images`.
        metadata: The folder of the metadata and split CSVs, or the metadata
            CSV; None looks in `images`.
        labels: The label CSV or its folder; None looks beside the metadata.
        labeller: `"chexpert"`, `"negbio"`, or `"none"` for no pathology
            labels.
        test_labels: The radiologists' labels of release 2.1.0, or their
            folder; they replace the labeller's in the test set.
        severity: The folder of the edema severity release; needed by the
            splits `"paper"` and `"authors_code"`.
        split: `"paper"`, `"authors_code"` or `"official"`; see
            `mimic_cxr_splits.WHY`.
        validation_share: Share of the training subjects that `authors_code`
            keeps for validation; None is .02, 0 as the authors. The other
            splits have a validation set and refuse it.
        views: View positions to keep.
        infer_view: Take an empty ViewPosition from the view code.
        text: `"impression_findings"`; `"authors"`, the sections the authors
            took; or `"none"`, no reports.

    Raises:
        DataError: Says which option, file or column is wrong or lacks.
    """

    name = "mimic-cxr"

    def __init__(
        self,
        images: str | Path,
        *,
        reports: str | Path | None = None,
        metadata: str | Path | None = None,
        labels: str | Path | None = None,
        labeller: str = "chexpert",
        test_labels: str | Path | None = None,
        severity: str | Path | None = None,
        split: str = "paper",
        validation_share: float | None = None,
        views: Sequence[str] = FRONTAL,
        infer_view: bool = True,
        text: str = "impression_findings",
    ):
        named_files.choose("split", split, mimic_cxr_splits.RULES)
        named_files.choose("labeller", labeller, mimic_cxr_labels.LABELLERS)
        named_files.choose("text", text, mimic_cxr_reports.TEXTS)
        root = named_files.existing(images)
        metadata = named_files.existing_or_none(metadata)
        labels = named_files.existing_or_none(labels)
        severity = named_files.existing_or_none(severity)
        _check_split(split, severity, validation_share)
        named_files.unused("text", text, reports=reports)
        named_files.unused(
            "labeller", labeller, labels=labels, test_labels=test_labels
        )
        self._tree = mimic_cxr_tree.groups(root)
        self._files = mimic_cxr_files.locate(metadata or root)
        self._labels = mimic_cxr_labels.locate(
            labels, self._files.metadata.parent, labeller
        )
        self._test_labels = mimic_cxr_labels.locate_test(
            named_files.existing_or_none(test_labels)
        )
        if severity is not None:
            edema_severity.files(severity)
        self._severity = severity
        self._stores = mimic_cxr_report_places.stores(
            named_files.existing_or_none(reports), root, text
        )
        self._views = tuple(view.strip().upper() for view in views)
        if not self._views or "" in self._views:
            raise DataError(
                "--keep-view must name at least one, such as AP and PA."
            )
        self._infer_view = infer_view
        self._text = text
        self._split = split
        self._share = 0.0
        if split == "authors_code":
            given = validation_share
            self._share = VALIDATION_SHARE if given is None else given

    @property
    def label_names(self) -> tuple[str, ...]:
        """The CheXpert labels, and the severity where there is one."""
        names = CHEXPERT14 if self._labels else ()
        return names + ((EDEMA_SEVERITY,) if self._severity else ())

    @property
    def split_decides_labels(self) -> bool:
        """Whether an item's labels are right in its own split alone."""
        return self._severity is not None or self._test_labels is not None

    def options(self) -> dict[str, Any]:
        """Returns what decides the items."""
        labels, test_labels = self._labels, self._test_labels
        return {
            "split": self._split,
            "validation_share": self._share,
            "views": list(self._views),
            "infer_view": self._infer_view,
            "text": self._text,
            "reports": [store.kind for store in self._stores],
            "metadata": self._files.metadata.name,
            "labels": labels.name if labels else "",
            "test_labels": test_labels.name if test_labels else "",
            "severity": edema_severity.NAME if self._severity else "",
        }

    def published(self, images: pd.DataFrame) -> pd.DataFrame:
        """Returns `mimic_cxr_table1.against_paper`, the paper's counts."""
        return mimic_cxr_table1.against_paper(images)

    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the images by subject, a subject's in order of time.

        Args:
            audit: Told of every row left out.
        """
        audit.note(
            f"split {self._split!r}: {mimic_cxr_splits.WHY[self._split]}"
        )
        severity = Severity.none()
        if self._severity is not None:
            severity = edema_severity.read(self._severity, audit)
        everything = mimic_cxr_files.images(
            self._files.metadata, self._infer_view, audit
        )
        labels = mimic_cxr_labels.Labels(
            self._labels, self._test_labels, set(everything["study_id"]), audit
        )
        frame = self._selected(everything, severity, audit)
        texts = mimic_cxr_reports.Texts(self._stores, audit)
        for row, file in self._with_file(frame, audit):
            try:
                text = texts.of(row.subject_id, row.study_id)
            except UnreadableReportError as error:
                audit.removed("report unreadable", self._bare(row), str(error))
                continue
            known = labels.of(row.study_id, row.split)
            if self._severity is not None:
                known[EDEMA_SEVERITY] = mimic_cxr_selection.grade(row, severity)
            yield Item(
                image_id=row.image_id,
                study_id=row.study_id,
                subject_id=row.subject_id,
                image=file,
                split=row.split,
                view=row.view,
                findings=text.findings,
                impression=text.impression,
                report=text.report,
                labels=known,
                source=self.name,
                origin=self._origin(row),
            )

    def _selected(
        self, everything: pd.DataFrame, severity: Severity, audit: Audit
    ) -> pd.DataFrame:
        """Returns the rows in view that are in a split, with it."""
        mimic_cxr_selection.count_unmatched(severity, everything, audit)
        if not everything["view"].isin(self._views).any():
            found = ", ".join(sorted(set(everything["view"]) - {""})) or "none"
            raise DataError(
                f"no image has a view among {', '.join(self._views)}; the "
                f"views in {self._files.metadata} are {found}."
            )
        frame = mimic_cxr_selection.in_view(
            everything, self._views, severity, audit
        )
        evidence = mimic_cxr_splits.Evidence(
            mimic_cxr_files.official(self._files.split, audit),
            mimic_cxr_selection.consensus_subjects(everything, severity),
            mimic_cxr_selection.graded_subjects(frame, severity),
        )
        return mimic_cxr_selection.placed(
            frame, evidence, self._split, self._share, audit
        )

    def _with_file(
        self, frame: pd.DataFrame, audit: Audit
    ) -> Iterator[tuple[Any, Path]]:
        """Yields the rows whose image file is there."""
        finder = ImageFinder(SUFFIXES, audit)
        for row in frame.itertuples():
            study = f"{group_folder(row.subject_id)}/s{row.study_id}"
            file = finder.find([self._tree / study], row.image_id)
            if file is None:
                audit.removed("image file missing", self._bare(row), MISSING)
                continue
            if file.suffix in (".jpg", ".jpeg"):
                audit.note(JPG_NOTE)
            yield row, file

    def _bare(self, row: Any) -> Item:
        """Returns an image that is refused, with what tells which it is."""
        return Item(
            row.image_id,
            row.study_id,
            row.subject_id,
            self._tree,
            origin=self._origin(row),
        )

    def _origin(self, row: Any) -> str:
        return f"{self._files.metadata.name}:{getattr(row, ROW)}"


def _check_split(
    split: str, severity: Path | None, share: float | None
) -> None:
    if severity is None and split != "official":
        raise DataError(
            f"--split {split} needs the edema severity release: its consensus "
            "subjects are the paper's test set. "
            f"{edema_severity.REMEDY} --split official goes without."
        )
    if share is not None and split != "authors_code":
        raise DataError(
            "--validation-share is for --split authors_code; --split "
            f"{split} validates on MIMIC-CXR's own 'validate' subjects."
        )
    if share is not None and not 0 <= share < 1:
        raise DataError(
            f"--validation-share must be in [0, 1), received {share}."
        )
