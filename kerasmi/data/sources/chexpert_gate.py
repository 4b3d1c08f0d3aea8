"""What every row of a CheXpert release must pass: path, view, file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasmi.data.sources import chexpert_paths, named_files
from kerasmi.data.sources.base import Audit, Item
from kerasmi.data.sources.chexpert_paths import ImagePath
from kerasmi.data.sources.image_finder import ImageFinder
from kerasmi.errors import DataError

SPLITS = ("subject", "official")


@dataclass(frozen=True)
class Admitted:
    """An image that is there and wanted."""

    path: ImagePath
    view: str
    file: Path


class Gate:
    """Admits images one after the other, each once."""

    def __init__(
        self,
        roots: Sequence[Path],
        views: Sequence[str],
        suffixes: Sequence[str],
        audit: Audit,
    ):
        """Takes what is wanted.

        Args:
            roots: Where images may lie.
            views: Views to keep.
            suffixes: See `ImageFinder`.
            audit: Told of every row not admitted.
        """
        self._roots = roots
        self._views = views
        self._suffixes = suffixes
        self._audit = audit
        self._finder = ImageFinder(suffixes, audit)
        self._seen: set[str] = set()

    def admit(
        self, path: str, side: str, projection: str, origin: str
    ) -> Admitted | None:
        """Returns an image, or None where it is left out.

        Args:
            path: As in the CSV.
            side: See `chexpert_paths.view`.
            projection: Likewise.
            origin: Where the row stands.
        """
        image = chexpert_paths.parse(path)
        if image is None:
            self._audit.removed(
                "path not understood",
                origin,
                "expected train/patient00001/study1/view1_frontal.jpg",
            )
            return None
        view = chexpert_paths.view(side, projection, image)
        if view not in self._views:
            self._audit.count(f"filter: view {view}")
            return None
        row = Item(
            image.image_id,
            image.study_id,
            image.subject_id,
            self._roots[0],
            origin=origin,
        )
        if image.image_id in self._seen:
            self._audit.removed(
                "image_id twice", row, "an earlier row names the same image"
            )
            return None
        self._seen.add(image.image_id)
        file = self._finder.find(image.folders(self._roots), image.stem)
        if file is None:
            self._audit.removed(
                "image file missing",
                row,
                f"no {' or '.join(self._suffixes)} where its path leads",
            )
            return None
        return Admitted(image, view, file)


def check_options(images: Path, split: str, views: Sequence[str]) -> None:
    """Raises a `DataError` where an option is wrong."""
    if not images.is_dir():
        raise DataError(f"{images} is no folder; give the release's folder.")
    named_files.choose("split", split, SPLITS)
    known = (*chexpert_paths.VIEWS, "LL", "RL", chexpert_paths.LATERAL)
    unknown = [view for view in views if view not in known]
    if unknown or not views:
        raise DataError(
            f"--keep-view must be among {', '.join(known)}, received "
            f"{', '.join(unknown) or 'none'}."
        )
