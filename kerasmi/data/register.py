"""What a writer has taken in, and whether a further record fits."""

from collections import Counter
from collections.abc import Iterator, Sequence

from kerasmi import told
from kerasmi.data import images
from kerasmi.data.schema import (
    BLANK,
    CELLS,
    EDEMA_SEVERITY,
    SPLITS,
    UNCERTAIN,
    Record,
)
from kerasmi.errors import DataError
from kerasmi.reporter import counted


class Register:
    """What was written so far, and whether a further record fits."""

    def __init__(self, label_names: Sequence[str], image_size: int):
        self._labels = frozenset(label_names)
        self._size = image_size
        self._images: set[str] = set()
        self._subject_of: dict[str, str] = {}
        self._split_of: dict[str, str] = {}
        self._studies: Counter[str] = Counter()
        self._counts = {split: [0, 0] for split in SPLITS}
        self.has_truth = False
        self.has_regions = False

    def add(self, record: Record) -> None:
        """Takes a record in, or raises a `DataError` that names it."""
        for fault in self._faults(record):
            raise DataError(f"image {record.image_id!r}: {fault}.")
        if not self._images:
            self.has_truth = record.truth is not None
            self.has_regions = record.regions is not None
        if record.study_id not in self._subject_of:
            self._studies[record.split] += 1
        self._images.add(record.image_id)
        self._subject_of[record.study_id] = record.subject_id
        self._split_of[record.subject_id] = record.split
        self._counts[record.split][0] += 1
        self._counts[record.split][1] += bool(record.sentences)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the numbers of each split that has an image."""
        subjects = Counter(self._split_of.values())
        return {
            split: {
                "images": images,
                "with_text": with_text,
                "studies": self._studies[split],
                "subjects": subjects[split],
            }
            for split, (images, with_text) in self._counts.items()
            if images
        }

    def _faults(self, record: Record) -> Iterator[str]:
        for name in ("image_id", "study_id", "subject_id"):
            if not getattr(record, name):
                yield f"{name} is empty"
        if record.image_id in self._images:
            yield "the same image_id was written before"
        if record.split not in SPLITS:
            found = told.word(record.split)
            yield f"split is {found}, expected one of {SPLITS}"
        subject = record.subject_id
        split = self._split_of.get(subject, record.split)
        if split != record.split:
            yield (
                f"its subject is in two splits, {split} and "
                f"{record.split}; a subject must stay in one"
            )
        owner = self._subject_of.get(record.study_id, subject)
        if owner != subject:
            yield "its study belongs to another subject too"
        if not all(sentence.strip() for sentence in record.sentences):
            yield "a sentence is empty"
        yield from self._faults_of_labels(record)
        yield from self._faults_of_regions(record)
        yield from self._faults_of_image(record)

    def _faults_of_labels(self, record: Record) -> Iterator[str]:
        if self._images and (record.truth is not None) != self.has_truth:
            yield "either all records have `truth` or none"
        for labels in (record.labels, record.truth or {}):
            for name, value in labels.items():
                values = allowed(name)
                if name not in self._labels:
                    yield f"label {name!r} is not among the data set's labels"
                if value not in values:
                    yield f"{name} is {value!r}, expected one of {values}"

    def _faults_of_regions(self, record: Record) -> Iterator[str]:
        if self._images and (record.regions is not None) != self.has_regions:
            yield "either all records have `regions` or none"
        for finding, cells in (record.regions or {}).items():
            if len(cells) != CELLS:
                yield f"region of {finding!r} has {len(cells)} cells, not 16"
        for cells in record.sentence_regions:
            if len(cells) not in (0, CELLS):
                yield f"a sentence's region has {len(cells)} cells, not 16"
        for name in ("sentence_findings", "sentence_regions"):
            number = len(getattr(record, name))
            if number not in (0, len(record.sentences)):
                yield (
                    f"has {number} {name} for "
                    f"{counted(len(record.sentences), 'sentence')}"
                )

    def _faults_of_image(self, record: Record) -> Iterator[str]:
        try:
            shorter = min(images.png_size(record.image))
        except ValueError as error:
            yield str(error)
            return
        if shorter != self._size:
            yield (
                f"its shorter side has {shorter} pixels, expected {self._size}"
            )


def allowed(label: str) -> tuple[int, ...]:
    """Returns the values that a label may have."""
    if label == EDEMA_SEVERITY:
        return (0, 1, 2, 3, BLANK)
    return (1, 0, UNCERTAIN, BLANK)
