"""What a path of CheXpert says: subject, study, view; and where it leads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

VIEWS = ("AP", "PA", "FRONTAL")
LATERAL = "LATERAL"
_TAIL = re.compile(
    r"(patient\d{1,9})/(study\d{1,9})/(view\d{1,9}_(frontal|lateral))\.\w{1,5}"
)


@dataclass(frozen=True)
class ImagePath:
    """One image, as named by its path.

    Attributes:
        subject_id: Such as `patient00001`.
        study_id: Subject and study, such as `patient00001_study1`.
        image_id: All three, such as `patient00001_study1_view1_frontal`.
        side: `frontal` or `lateral`.
        folder: The study's folder, without what stands before the subject.
        before: What stands before the subject, such as
            `CheXpert-v1.0-small/train`.
        stem: The file's name without suffix.
    """

    subject_id: str
    study_id: str
    image_id: str
    side: str
    folder: str
    before: PurePosixPath
    stem: str

    def folders(self, roots: Sequence[Path]) -> list[Path]:
        """Returns the folders the image may lie in.

        The first part of `before` names the release, which may or may not
        stand below a root.

        Args:
            roots: Where releases may lie.
        """
        shorter = PurePosixPath(*self.before.parts[1:])
        return [
            root / before / self.folder
            for root in roots
            for before in (self.before, shorter)
        ]


def parse(path: str) -> ImagePath | None:
    """Returns what a path says, or None where it is none of CheXpert's.

    Args:
        path: `[RELEASE/]train/patient00001/study1/view1_frontal.jpg`.
    """
    parts = PurePosixPath(path.strip()).parts
    tail = _TAIL.fullmatch("/".join(parts[-3:]))
    if tail is None or ".." in parts or path.strip().startswith("/"):
        return None
    subject, study, stem, side = tail.groups()
    return ImagePath(
        subject,
        f"{subject}_{study}",
        f"{subject}_{study}_{stem}",
        side,
        f"{subject}/{study}",
        PurePosixPath(*parts[:-3]),
        stem,
    )


def view(side: str, projection: str, image: ImagePath) -> str:
    """Returns the view of an image.

    Args:
        side: `Frontal` or `Lateral`; empty takes it from the file's name.
        projection: `AP`, `PA`, `LL`, `RL` or empty; frontal images only.
        image: The image's path.

    Returns:
        `LATERAL`, or the projection, or `FRONTAL` where it is unknown.
    """
    if (side.strip() or image.side).lower() != "frontal":
        return LATERAL
    return projection.strip().upper() or "FRONTAL"
