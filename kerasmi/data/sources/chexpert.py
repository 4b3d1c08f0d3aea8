"""CheXpert-v1.0 and -small: images and labels, no reports."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasmi.data.schema import CHEXPERT14, SPLITS
from kerasmi.data.sources import (
    chexpert_gate,
    chexpert_labels,
    csv_files,
    named_files,
)
from kerasmi.data.sources.base import Audit, Item, Source
from kerasmi.data.sources.chexpert_gate import Gate
from kerasmi.data.sources.chexpert_paths import VIEWS
from kerasmi.data.sources.csv_files import ROW, Columns
from kerasmi.errors import DataError

SUFFIXES = (".jpg", ".png", ".jpeg")
REMEDY = "Give the folder of CheXpert-v1.0 or CheXpert-v1.0-small."
_FILES = {
    "train": ["train.csv"],
    "validation": ["valid.csv", "val_labels.csv"],
    "test": ["test.csv", "test_labels.csv"],
}
_COLUMNS: Columns = {"path": ("Path",), **chexpert_labels.COLUMNS}
_VIEW: Columns = {"side": ("Frontal/Lateral",), "projection": ("AP/PA",)}


class CheXpert(Source):
    """Labelled chest radiographs without text, for retraining.

    Args:
        images: The release's folder, or the folder above it.
        labels: The folder of `train.csv`, `valid.csv` and, where there is
            one, `test.csv`; None looks in `images`.
        split: `"subject"` leaves it to the import's rule; `"official"` is
            train.csv, valid.csv and test.csv.
        views: Views to keep: AP, PA, LL, RL; FRONTAL, a frontal image of
            unknown projection; LATERAL.

    Raises:
        DataError: Says which option, file or column is wrong or lacks.
    """

    name = "chexpert"
    label_names = CHEXPERT14

    def __init__(
        self,
        images: str | Path,
        *,
        labels: str | Path | None = None,
        split: str = "subject",
        views: Sequence[str] = VIEWS,
    ):
        self._images = named_files.existing(images)
        chexpert_gate.check_options(self._images, split, views)
        self._split = split
        self._views = tuple(views)
        self._files = _locate(
            named_files.existing_or_none(labels) or self._images
        )

    def options(self) -> dict[str, Any]:
        """Returns what decides the items."""
        return {
            "labels": [file.name for file in self._files.values()],
            "split": self._split,
            "views": list(self._views),
        }

    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the images in the order of the CSVs.

        Args:
            audit: Told of every row left out.
        """
        if self._split == "official" and "test" not in self._files:
            audit.warn(
                "--split official: there is no test.csv, so there is no test "
                "set; --split subject makes one"
            )
        gate = Gate([self._images], self._views, SUFFIXES, audit)
        for split, file in self._files.items():
            for part in csv_files.chunks(file, _COLUMNS, _VIEW):
                audit.count(f"rows of {file.name}", len(part))
                labels, wrong = chexpert_labels.from_text(part)
                part = part.assign(wrong=wrong)
                for row, values in zip(
                    part.itertuples(), labels.to_numpy(), strict=True
                ):
                    origin = f"{file.name}:{getattr(row, ROW)}"
                    item = self._item(row, values, split, origin, gate)
                    if item is not None and row.wrong:
                        audit.removed(
                            "label not known", item, chexpert_labels.EXPECTED
                        )
                    elif item is not None:
                        yield item

    def _item(
        self, row: Any, values: Any, split: str, origin: str, gate: Gate
    ) -> Item | None:
        image = gate.admit(row.path, row.side, row.projection, origin)
        if image is None:
            return None
        return Item(
            image_id=image.path.image_id,
            study_id=image.path.study_id,
            subject_id=image.path.subject_id,
            image=image.file,
            split=split if self._split == "official" else "",
            view=image.view,
            labels=dict(zip(CHEXPERT14, map(int, values), strict=True)),
            source=self.name,
            origin=origin,
        )


def _locate(root: Path) -> dict[str, Path]:
    """Returns the CSV of each split that has one, train's at least."""
    folders = [root]
    if root.is_dir():
        folders += sorted(p for p in root.glob("CheXpert*") if p.is_dir())
    files = {}
    for split in SPLITS:
        file = named_files.find(_FILES[split], folders)
        if file is not None:
            csv_files.match(file, _COLUMNS, _VIEW)
            files[split] = file
    if "train" not in files:
        where = ", ".join(map(str, folders))
        raise DataError(f"no train.csv[.gz] in {where}. {REMEDY}")
    return files
