"""Where in an image a sentence is true, by a trained critic."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from kerasmi import asked, features, representations, told
from kerasmi.data import formats, images
from kerasmi.data.records import read
from kerasmi.errors import DataError, RunError
from kerasmi.evaluation import grounding, region_maps, sentence_map
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

# Bytes of a file's name, at most.
_LONGEST = 255


@dataclasses.dataclass(frozen=True)
class Localized:
    """A sentence and the scores of the regions of one image.

    Attributes:
        name: the file, or the id of the image.
        sentence: the sentence.
        pixels: `(height, width)` float32 in [0, 1], the image at its own size.
        scores: `(rows, columns)` float32 scores of the regions, in nats.
        size: side of the square that the network sees, in pixels.
    """

    name: str
    sentence: str
    pixels: np.ndarray
    scores: np.ndarray
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image, in pixels."""
        height, width = self.pixels.shape
        return height, width

    @property
    def best_region(self) -> tuple[int, int]:
        """Row and column of the best region, counted from 0."""
        return sentence_map.best_region(self.scores)

    @property
    def best_box(self) -> region_maps.Box:
        """Left, top, right and bottom edge of it, in pixels of the image."""
        square = region_maps.seen_square(*self.shape, self.size)
        return sentence_map.best_box(self.scores, square)

    @property
    def best_above_mean(self) -> float:
        """The best region's score above the mean of the regions, in nats."""
        return float(self.scores.max() - self.scores.mean())

    def pixel_map(self) -> np.ndarray:
        """`(height, width)` float32 score at each pixel, bilinear.

        NaN where the network does not look: beside the central square.
        """
        found = np.full(self.shape, np.nan, np.float32)
        values, (top, left) = grounding.pixel_map(
            self.scores, self.shape, self.size
        )
        height, width = values.shape
        found[top : top + height, left : left + width] = values
        return found

    def draw(self) -> Figure:
        """The image under the map."""
        return sentence_map.sentence_map(
            self.pixels,
            self.sentence,
            self.scores,
            self.size,
            Path(self.name).name,
        )


def localize(
    run: Run,
    image: str,
    sentence: str,
    *,
    intensity: str | None = None,
    reporter: Reporter | None = None,
) -> Localized:
    """Scores the regions of an image with a sentence.

    Args:
        run: a run with a finished pretraining of local scope.
        image: path of a PNG, JPEG or DICOM file of any size, else the id of
            an image of the run's data.
        sentence: what to look for.
        intensity: how the grey levels of a file are mapped, see
            `formats.INTENSITIES`; None: as the import of the run's data did.
        reporter: warned of words that the text encoder does not know.

    Raises:
        RunError: the run has no finished pretraining, or its scope is global.
        DataError: no such image, one that cannot be read, an empty sentence,
            the two in each other's place, or an intensity for an image that
            is no file.
    """
    reporter = reporter or Reporter()
    sentence = asked.cleaned(sentence)
    check(run)
    if os.path.isfile(sentence) and not os.path.isfile(image):
        raise DataError(
            f"{sentence}: a file in the place of the sentence; give the image"
            " before it"
        )
    png = _png(run, image, sentence, intensity, reporter)
    model = features.Features.open(run)
    text = asked.encoded(model, sentence, reporter)
    regions = model.regions_of_pngs([png])
    return Localized(
        name=image,
        sentence=sentence,
        pixels=images.decode(tf.constant(png)).numpy()[..., 0],
        scores=model.maps(regions, text)[0],
        size=run.recipe.data.image_size,
    )


def check(run: Run) -> None:
    """Refuses a run that has no regions to tell apart.

    Raises:
        RunError: as `localize`.
    """
    features.check(run)
    target = run.recipe.objective
    if target is not None and target.scope == "global":
        raise RunError(
            f"{run.path}: its scope is global: the whole image is one region;"
            " give a run with objective.scope=local"
        )


def _png(
    run: Run,
    image: str,
    sentence: str,
    intensity: str | None,
    reporter: Reporter,
) -> bytes:
    """A gray PNG of the image at its own size."""
    # unlike those of Path, false for a name that no file can have
    if os.path.isdir(image):
        raise DataError(f"{image}: a folder; give an image file")
    if os.path.isfile(image):
        recorded = run.known_data().get("intensity")
        return _of_file(Path(image), intensity or recorded or "auto")
    if intensity is not None:
        raise DataError(
            f"{_named(image)}: not a file; --intensity is for files only"
        )
    return _of_record(run, image, sentence, reporter)


def _named(image: str) -> str:
    """An image as messages call it: by its name, unless that is a text."""
    could_be = max(map(len, os.fsencode(image).split(b"/"))) <= _LONGEST
    one_word = len(image.split()) == 1
    if could_be and (one_word or len(Path(image).suffix.split()) == 1):
        return image
    # a report's sentence, perhaps, in the place of the image
    return f"the image given, {told.length(image)}"


def _of_file(path: Path, intensity: str) -> bytes:
    try:
        content = path.read_bytes()
        known = formats.probe(content)
        size = min(known.height, known.width)
        return formats.png_of(content, known, size=size, intensity=intensity)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; give another file"
        ) from None
    except formats.ImageRefused as error:
        raise DataError(
            f"{path}: cannot be read: {error}; give another file"
        ) from None


def _of_record(
    run: Run, image_id: str, sentence: str, reporter: Reporter
) -> bytes:
    dataset = representations.open_data(run, reporter)
    known = dataset.images["image_id"]
    rows = dataset.images[known == image_id]
    if rows.empty and (known == sentence).any():
        raise DataError(
            f"{sentence}: an image_id in the place of the sentence; give the"
            " image before it"
        )
    if rows.empty:
        raise DataError(
            f"{_named(image_id)}: neither a file nor an image_id of"
            f" {dataset.path}; its images.csv lists them"
        )
    (record,) = read(dataset, rows["split"].iloc[0], [image_id])
    return record.image
