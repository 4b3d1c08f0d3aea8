"""The phantom: synthetic radiographs with reports, and the truth about them.

The generative model of the paper's section 3, made executable: hidden
statuses H draw the regions of an image together with the acquisition V^I,
and write the sentences of a report together with the wording V^R, in an
order M; V^I, V^R and M are independent of each other and of H.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kerasmi.data import in_processes
from kerasmi.data.schema import CELLS, PATHOLOGY9, SPLITS, Record
from kerasmi.data.sources import phantom_report
from kerasmi.data.sources.phantom_film import (
    cells,
    encode,
    expose,
)
from kerasmi.data.sources.phantom_findings import effect
from kerasmi.data.sources.phantom_image import (
    Acquisition,
    Anatomy,
    Frame,
)
from kerasmi.data.sources.phantom_shapes import (
    Array,
)
from kerasmi.data.sources.phantom_status import (
    Status,
    draw_acuity,
    draw_statuses,
    truth,
)
from kerasmi.data.sources.phantom_thorax import thorax

SIZES = (64, 128, 256)
SOURCE = "phantom"
# Probabilities of at most 1, 2, 3 studies a subject and images a study.
_STUDIES, _IMAGES = (
    np.cumsum(each) / np.cumsum(each)[-1]
    for each in ((0.80, 0.14, 0.06), (0.84, 0.13, 0.03))
)
_VIEWS = ("PA", "AP")
_AT_ONCE = 8  # subjects that a worker draws in one go
_TOGETHER = 4 * 64**2  # pixels of the thoraces that are drawn at once


@dataclass(frozen=True)
class Phantom:
    """What to generate.

    Attributes:
        train: Images of the training split.
        validation: Images of the validation split.
        test: Images of the test split.
        size: Pixels of a side: 64, 128 or 256. The same thorax at each.
        seed: Another seed, other subjects.
    """

    train: int = 4000
    validation: int = 500
    test: int = 1000
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(
                f"Phantom(size={self.size}): expected one of {SIZES}, so that "
                "the 4x4 regions are whole pixels."
            )
        for split in SPLITS:
            if self.images(split) < 0:
                raise ValueError(
                    f"Phantom({split}={self.images(split)}): expected the "
                    "number of images, 0 or more."
                )
        if self.seed < 0:
            raise ValueError(f"Phantom(seed={self.seed}): expected 0 or more.")

    def images(self, split: str) -> int:
        """Returns how many images a split has."""
        return int(getattr(self, split))

    def __len__(self) -> int:
        return sum(self.images(split) for split in SPLITS)


def generate(phantom: Phantom, workers: int = 1) -> Iterator[Record]:
    """Yields the records of all splits, training first.

    Each subject is drawn from the seed, the split and the subject's number
    alone: the same bytes for any number of workers, and a larger split
    begins with the records of a smaller one.

    Args:
        phantom: Sizes and seed.
        workers: Processes; 1 stays in this one.
    """
    with in_processes.mapper(workers) as each:
        for split in SPLITS:
            yield from _split(phantom, split, each)


def generate_split(
    phantom: Phantom, split: str, workers: int = 1
) -> Iterator[Record]:
    """Yields the records of one split, subject by subject.

    Args:
        phantom: Sizes and seed.
        split: One of `SPLITS`.
        workers: Processes; 1 stays in this one.

    Raises:
        ValueError: For an unknown split or fewer than one worker.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: expected one of {SPLITS}.")
    with in_processes.mapper(workers) as each:
        yield from _split(phantom, split, each)


def _split(
    phantom: Phantom, split: str, each: in_processes.Mapper
) -> Iterator[Record]:
    wanted, given, done = phantom.images(split), 0, 0

    def tasks() -> Iterator[tuple[Phantom, str, int]]:
        for first in itertools.count(step=_AT_ONCE):
            # A subject has an image at least: enough are begun already.
            if given + first - done >= wanted:
                return
            yield phantom, split, first

    for block in each(_subjects, tasks()):
        yield from block[: max(wanted - given, 0)]
        given += len(block)
        done += _AT_ONCE


def _subjects(task: tuple[Phantom, str, int]) -> list[Record]:
    phantom, split, first = task
    numbers = range(first, first + _AT_ONCE)
    return _records(phantom, split, numbers)


def stream(phantom: Phantom, split: str, *keys: int) -> np.random.Generator:
    """Returns the random numbers of one subject, study or image."""
    entropy = (phantom.seed, SPLITS.index(split), *keys)
    return np.random.default_rng(np.random.SeedSequence(entropy))


@dataclass(frozen=True)
class Study:
    """A study before it is drawn: what the records are made from.

    Attributes:
        anatomy: The subject's build.
        statuses: The hidden variables H.
        report: What was written.
        exposures: One for each image.
    """

    anatomy: Anatomy
    statuses: tuple[Status, ...]
    report: phantom_report.Report
    exposures: tuple[Acquisition, ...]


def studies(phantom: Phantom, split: str, number: int) -> list[Study]:
    """Draws the studies of one subject, without their pictures."""
    generator = stream(phantom, split, number)
    anatomy = Anatomy.draw(generator)
    found, acuity = [], None
    for _ in range(_number(generator, _STUDIES)):
        acuity = draw_acuity(generator, acuity)
        statuses = draw_statuses(generator, acuity)
        report = phantom_report.write(statuses, generator)
        view = _VIEWS[int(generator.integers(2))]
        exposures = tuple(
            Acquisition.draw(generator, view)
            for _ in range(_number(generator, _IMAGES))
        )
        found.append(Study(anatomy, statuses, report, exposures))
    return found


def _number(generator: np.random.Generator, steps: Array) -> int:
    """Draws 1, 2, ...: as `generator.choice` does, without its checks."""
    return 1 + int(steps.searchsorted(generator.random(), side="right"))


def draw(
    study: Study, exposure: Acquisition, size: int
) -> tuple[Array, dict[Status, Array]]:
    """Draws one image of a study.

    Leaving a status out of `study.statuses` draws the same thorax in the
    same pose and noise without it.

    Args:
        study: Whose anatomy and statuses are drawn.
        exposure: The pose, the tone and the noise.
        size: Pixels of a side.

    Returns:
        The (size, size) uint8 picture, and for each status the attenuation
        that it adds.
    """
    (found,) = _draw([(study, exposure)], size)
    return found


def _draw(
    images: Sequence[tuple[Study, Acquisition]], size: int
) -> Iterator[tuple[Array, dict[Status, Array]]]:
    """Returns what `draw` does for each image; together it takes less."""
    frames = Frame.stack([(s.anatomy, taken) for s, taken in images], size)
    attenuations = thorax(frames)
    found = []
    for (study, _), frame, attenuation in zip(
        images, frames.pictures(), attenuations, strict=True
    ):
        effects = {status: effect(frame, status) for status in study.statuses}
        added = sum(effects.values(), np.zeros_like(frame.x))
        # A lung that is already opaque cannot become much brighter.
        attenuation += 0.55 * np.tanh(added / 0.55)
        found.append(effects)
    pictures = expose(attenuations, [taken for _, taken in images])
    return zip(pictures, found, strict=True)


def subject(phantom: Phantom, split: str, number: int) -> list[Record]:
    """Returns the records of one subject, image by image.

    Args:
        phantom: Sizes and seed.
        split: One of `SPLITS`.
        number: The subject's number within the split.
    """
    return _records(phantom, split, [number])


def _records(
    phantom: Phantom, split: str, numbers: Iterable[int]
) -> list[Record]:
    """Returns the records of some subjects, image by image."""
    planned = [
        (study, exposure, f"{split}-{number:05d}", f"-s{index + 1}", image + 1)
        for number in numbers
        for index, study in enumerate(studies(phantom, split, number))
        for image, exposure in enumerate(study.exposures)
    ]
    together = max(_TOGETHER // phantom.size**2, 1)
    drawn = itertools.chain.from_iterable(
        _draw([p[:2] for p in planned[i : i + together]], phantom.size)
        for i in range(0, len(planned), together)
    )
    return [
        _record(study, exposure, *image, split, name, name + suffix, place)
        for (study, exposure, name, suffix, place), image in zip(
            planned, drawn, strict=True
        )
    ]


def _record(
    study: Study,
    exposure: Acquisition,
    picture: Array,
    effects: dict[Status, Array],
    split: str,
    subject_id: str,
    study_id: str,
    place: int,
) -> Record:
    where = {status: cells(effects[status]) for status in study.statuses}
    report = study.report
    return Record(
        image=encode(picture),
        image_id=f"{study_id}-i{place}",
        study_id=study_id,
        subject_id=subject_id,
        split=split,
        view=exposure.view,
        findings=" ".join(s.text for s in report.findings),
        impression=" ".join(s.text for s in report.impression),
        sentences=tuple(s.text for s in report.sentences),
        labels=report.labels,
        source=SOURCE,
        truth=truth(study.statuses, PATHOLOGY9),
        regions=_regions(where),
        sentence_findings=tuple(s.finding for s in report.sentences),
        sentence_regions=tuple(
            _union([where[status] for status in sentence.statuses])
            for sentence in report.sentences
        ),
    )


def _regions(where: dict[Status, bytes]) -> dict[str, bytes]:
    masks: dict[str, list[bytes]] = {name: [] for name in PATHOLOGY9}
    for status, mask in where.items():
        for name in status.findings:
            masks[name].append(mask)
    return {name: _union(found) for name, found in masks.items()}


def _union(masks: list[bytes]) -> bytes:
    together = 0
    for mask in masks:
        together |= int.from_bytes(mask)  # of 0 and 1
    return together.to_bytes(CELLS)
