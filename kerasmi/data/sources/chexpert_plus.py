"""CheXpert Plus: CheXpert's images with their reports."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasmi.data.schema import CHEXPERT14
from kerasmi.data.sources import (
    chexpert_gate,
    chexpert_labels,
    chexpert_plus_labels,
    csv_files,
    named_files,
)
from kerasmi.data.sources.base import Audit, Item, Source
from kerasmi.data.sources.chexpert_gate import Admitted, Gate
from kerasmi.data.sources.chexpert_paths import VIEWS
from kerasmi.data.sources.csv_files import ROW, Columns

TEXTS = ("impression_findings", "report", "none")
# The paths say .jpg, the files are .png, or .dcm in the DICOM download.
SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg")
_BELOW = (".", "PNG", "DICOM")
REMEDY = (
    "Give the CSV of CheXpert Plus, such as df_chexpert_plus_240401.csv, as "
    "--reports."
)
_COLUMNS: Columns = {
    "path": ("path_to_image",),
    "side": ("frontal_lateral",),
    "projection": ("ap_pa",),
    "subject": ("deid_patient_id",),
}
_TEXT: dict[str, Columns] = {
    "impression_findings": {
        "findings": ("section_findings",),
        "impression": ("section_impression",),
    },
    "report": {"report": ("report",)},
    "none": {},
}
_SPLIT: Columns = {"split": ("split",)}
_OFFICIAL = {
    "train": "train",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}


class CheXpertPlus(Source):
    """Chest radiographs with reports and labels, from Stanford.

    Args:
        images: The folder that has `train` and `valid`, or the folder above.
        reports: The release's CSV or its folder; None looks in `images`.
        labels: The folder `chexbert_labels`, or one of its files; None looks
            for the folder beside the CSV.
        labeller: Which text the labels were read from: `"report"`,
            `"findings"`, `"impression"`; or `"none"` for no labels.
        split: `"subject"` leaves it to the import's rule; `"official"` is
            the CSV's column.
        views: Views to keep: AP, PA, LL, RL; FRONTAL, a frontal image of
            unknown projection; LATERAL.
        text: `"impression_findings"`; `"report"`, the whole report; or
            `"none"`.

    Raises:
        DataError: Says which option, file or column is wrong or lacks.
    """

    name = "chexpert-plus"

    def __init__(
        self,
        images: str | Path,
        *,
        reports: str | Path | None = None,
        labels: str | Path | None = None,
        labeller: str = "report",
        split: str = "subject",
        views: Sequence[str] = VIEWS,
        text: str = "impression_findings",
    ):
        root = named_files.existing(images)
        chexpert_gate.check_options(root, split, views)
        named_files.choose("text", text, TEXTS)
        self._roots = [root / name for name in _BELOW]
        self._split = split
        self._views = tuple(views)
        self._text = text
        self._columns = _COLUMNS | _TEXT[text]
        if split == "official":
            self._columns |= _SPLIT
        self._table = _table(named_files.existing_or_none(reports) or root)
        csv_files.match(self._table, self._columns, {})
        self._labels = chexpert_plus_labels.locate(
            named_files.existing_or_none(labels), self._table.parent, labeller
        )

    @property
    def label_names(self) -> tuple[str, ...]:
        """CheXpert's labels, where they are wanted."""
        return CHEXPERT14 if self._labels else ()

    def options(self) -> dict[str, Any]:
        """Returns what decides the items."""
        return {
            "reports": self._table.name,
            "labels": self._labels.name if self._labels else "",
            "split": self._split,
            "views": list(self._views),
            "text": self._text,
        }

    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the images in the order of the CSV.

        Args:
            audit: Told of every row left out.
        """
        labels: dict[str, bytes] = {}
        if self._labels is not None:
            labels = chexpert_plus_labels.read(self._labels, audit)
        gate = Gate(self._roots, self._views, SUFFIXES, audit)
        studies = _Studies(audit)
        for part in csv_files.chunks(self._table, self._columns):
            audit.count(f"rows of {self._table.name}", len(part))
            for row in part.itertuples():
                origin = f"{self._table.name}:{getattr(row, ROW)}"
                image = gate.admit(row.path, row.side, row.projection, origin)
                if image is None:
                    continue
                item = self._item(row, image, labels, origin)
                if row.subject.strip() != item.subject_id:
                    audit.removed(
                        "subject",
                        item,
                        "deid_patient_id is not the subject of the path",
                    )
                    continue
                if self._labels and item.image_id not in labels:
                    audit.count("images without a label line")
                if self._text != "none":
                    studies.add(item)
                yield item

    def _item(
        self,
        row: Any,
        image: Admitted,
        labels: Mapping[str, bytes],
        origin: str,
    ) -> Item:
        path = image.path
        text = {name: getattr(row, name).strip() for name in _TEXT[self._text]}
        split = ""
        if self._split == "official":
            # An unknown word stays as it is: the import refuses it by name.
            word = row.split.strip().lower() or "(empty)"
            split = _OFFICIAL.get(word, word)
        known = {}
        if path.image_id in labels:
            known = chexpert_plus_labels.unpack(labels[path.image_id])
        elif self._labels:
            known = chexpert_labels.blank()
        return Item(
            image_id=path.image_id,
            study_id=path.study_id,
            subject_id=path.subject_id,
            image=image.file,
            split=split,
            view=image.view,
            labels=known,
            source=self.name,
            origin=origin,
            **text,
        )


class _Studies:
    """Counts studies without text, and with several texts."""

    def __init__(self, audit: Audit):
        self._audit = audit
        self._texts: dict[str, bytes] = {}

    def add(self, item: Item) -> None:
        """Takes in an image's text."""
        text = f"{item.findings}\0{item.impression}\0{item.report}"
        if not text.strip("\0"):
            self._audit.count("images without a usable section")
        digest = hashlib.blake2b(
            text.encode(errors="surrogatepass"), digest_size=8
        ).digest()
        if self._texts.setdefault(item.study_id, digest) != digest:
            self._audit.count("images whose text differs within the study")


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    return named_files.require(
        ["df_chexpert_plus_*.csv"], [root], "reports", REMEDY
    )
