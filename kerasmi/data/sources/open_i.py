"""Open-i: the chest radiographs and reports of Indiana University."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasmi.data.schema import CHEXPERT14
from kerasmi.data.sources import (
    named_files,
    open_i_files,
    open_i_labels,
    open_i_reports,
    open_i_views,
)
from kerasmi.data.sources.base import Audit, Item, Source
from kerasmi.data.sources.open_i_reports import Report
from kerasmi.data.sources.open_i_views import UNKNOWN
from kerasmi.errors import DataError
from kerasmi.reporter import counted

FRONTAL = ("AP", "PA", "FRONTAL")
_REPORTS = ("NLMCXR_reports.tgz", "indiana_reports.csv")
_PROJECTIONS = ("indiana_projections.csv", "nlmcxr_dicom_metadata.csv")
_NO_VIEWS = (
    "the XML reports tell no views: give indiana_projections.csv or "
    "nlmcxr_dicom_metadata.csv.gz as --projections, or keep the view "
    f"{UNKNOWN} as well, which mixes frontal and lateral images."
)


class OpenI(Source):
    """Chest radiographs with reports, from the National Library of Medicine.

    A report is one study of one subject.

    Args:
        images: `NLMCXR_png.tgz`, `NLMCXR_dcm.tgz`, a zip, or a folder with
            the images anywhere below it.
        reports: `NLMCXR_reports.tgz` or the folder it was unpacked to, or
            `indiana_reports.csv`; None looks beside and in `images`.
        projections: One or several tables that tell the views, the first
            that knows an image counts; see `open_i_views.read`. None looks
            beside the reports. With `indiana_reports.csv` the first names
            the images, too.
        views: Views to keep: AP, PA, FRONTAL, LL, RL, LATERAL, UNKNOWN.

    Raises:
        DataError: Says which option, file or column is wrong or lacks.
    """

    name = "open-i"
    label_names = CHEXPERT14

    def __init__(
        self,
        images: str | Path,
        *,
        reports: str | Path | None = None,
        projections: str | Path | Sequence[str | Path] | None = None,
        views: Sequence[str] = FRONTAL,
    ):
        self._images = named_files.existing(images)
        self._reports = named_files.existing_or_none(reports) or _find(
            self._images
        )
        self._is_csv = self._reports.name.endswith((".csv", ".csv.gz"))
        self._projections = _tables(projections, self._reports.parent)
        self._views = tuple(view.strip().upper() for view in views)
        if not self._views or "" in self._views:
            raise DataError(
                "--keep-view must name at least one, such as AP and PA."
            )
        if not self._projections and UNKNOWN not in self._views:
            raise DataError(_NO_VIEWS)
        if self._is_csv and not self._projections:
            raise DataError(
                f"{self._reports} names no images: give "
                "indiana_projections.csv as --projections."
            )

    def options(self) -> dict[str, Any]:
        """Returns what decides the items."""
        return {
            "reports": self._reports.name,
            "projections": [file.name for file in self._projections],
            "views": list(self._views),
        }

    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the images by report, in the order of the reports.

        Args:
            audit: Told of every image left out, how many views are unknown,
                and what the reports have.
        """
        audit.note(open_i_labels.NOTE)
        known = open_i_views.read(self._projections)
        files = open_i_files.Images(self._images, audit)
        audit.count("image files", len(files))
        kept = 0
        for report in open_i_reports.once(self._read(audit), audit):
            for image_id in report.images:
                view = known.get(open_i_files.image_key(image_id), "")
                audit.count("images named by reports")
                if self._is_kept(view, audit):
                    item = self._item(report, image_id, view, files, audit)
                    if item is not None:
                        kept += 1
                        yield item
        self._conclude(kept, audit)

    def _read(self, audit: Audit) -> Iterator[Report]:
        if self._is_csv:
            table = self._projections[0]
            return open_i_reports.from_csv(self._reports, table, audit)
        return open_i_reports.from_xml(self._reports, audit)

    def _is_kept(self, view: str, audit: Audit) -> bool:
        if not view:
            audit.count("images of unknown view")
        kept = (view or UNKNOWN) in self._views
        if not kept:
            audit.count(f"filter: view {view or UNKNOWN}")
        return kept

    def _item(
        self,
        report: Report,
        image_id: str,
        view: str,
        files: open_i_files.Images,
        audit: Audit,
    ) -> Item | None:
        found = files.find(image_id) if image_id else None
        if found is None:
            audit.removed(
                "image file missing",
                image_id or report.origin,
                f"{report.origin}: no such image in {self._images.name}",
            )
            return None
        return Item(
            image_id=image_id,
            study_id=report.uid,
            subject_id=report.uid,
            image=found[0],
            member=found[1],
            view=view,
            findings=report.text("FINDINGS"),
            impression=report.text("IMPRESSION"),
            labels=open_i_labels.labels(report.terms),
            source=self.name,
            origin=report.origin,
        )

    def _conclude(self, kept: int, audit: Audit) -> None:
        images = audit.counts["images named by reports"]
        unknown = audit.counts["images of unknown view"]
        if unknown:
            what = f"unknown view: {unknown:,} of {counted(images, 'image')}"
            if UNKNOWN in self._views:
                audit.note(f"{what}, kept")
            else:
                audit.warn(
                    f"{what}, left out; tell them by a further table "
                    f"(--projections), or keep them (--keep-view {UNKNOWN})"
                )
        if not kept and not audit.refused:
            raise DataError(
                f"no image is left of {images}: {unknown} are of unknown "
                f"view, none of {', '.join(self._views)}."
            )


def _find(images: Path) -> Path:
    places = [images, images.parent] if images.is_dir() else [images.parent]
    found = named_files.find(_REPORTS, places)
    if found is None:
        raise DataError(
            f"no reports: looked for {' and '.join(_REPORTS)} in "
            f"{' and '.join(map(str, places))}; give them as --reports."
        )
    return found


def _tables(
    given: str | Path | Sequence[str | Path] | None, folder: Path
) -> list[Path]:
    if given is None:
        found = named_files.find(_PROJECTIONS, [folder])
        return [found] if found else []
    several = [given] if isinstance(given, str | Path) else given
    return [named_files.existing(file) for file in several]
