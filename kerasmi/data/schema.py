"""What one record holds: the terms shared by every source and reader."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

PATHOLOGY9 = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Lung Opacity",
    "Pleural Effusion",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
CHEXPERT14 = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
NO_FINDING = "No Finding"
EDEMA_SEVERITY = "Edema Severity"
UNCERTAIN = -1
BLANK = -2
SPLITS = ("train", "validation", "test")
GRID = 4
CELLS = GRID * GRID


@dataclass(frozen=True)
class Record:
    """One image with its study.

    Attributes:
        image: PNG bytes, grayscale, 8 or 16 bits.
        image_id: Names the image, once in a data set.
        study_id: Names the study: the images of one report.
        subject_id: Names the subject; a subject stays in one split.
        split: One of `SPLITS`.
        view: View position, such as `"PA"`; empty where unknown.
        findings: The report's findings section.
        impression: The report's impression section.
        sentences: The report's sentences, what the text encoder reads.
        labels: Label to 1, 0, `UNCERTAIN` or `BLANK`; a severity to 0..3
            or `BLANK`.
        source: Where the record came from.
        truth: Label to the known answer (phantom only).
        regions: Finding to 16 bytes, one for each cell of the 4x4 grid in
            row-major order, 1 where the finding is (phantom only).
        sentence_findings: The finding each sentence tells of, `""` where
            none; empty where unknown.
        sentence_regions: For each sentence 16 bytes as in `regions`, or
            `b""` where none; empty where unknown.
    """

    image: bytes
    image_id: str
    study_id: str
    subject_id: str
    split: str
    view: str = ""
    findings: str = ""
    impression: str = ""
    sentences: tuple[str, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    truth: Mapping[str, int] | None = None
    regions: Mapping[str, bytes] | None = None
    sentence_findings: tuple[str, ...] = ()
    sentence_regions: tuple[bytes, ...] = ()

    @property
    def report(self) -> str:
        """The text a global objective reads: all sentences in order."""
        return " ".join(self.sentences)


def study_number(study_id: str) -> int:
    """Returns a stable non-negative int64 for a study.

    63 bits of BLAKE2b: two of 250 000 studies share a number with
    probability 3e-9.

    Args:
        study_id: Any string.

    Returns:
        The same number on every machine and in every process.
    """
    digest = hashlib.blake2b(study_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
