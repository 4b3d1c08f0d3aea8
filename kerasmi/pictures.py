"""Pictures of what the critic sees: sentences and the regions they are of."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from kerasmi import round_numbers
from kerasmi.data import augment, images, texts
from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read
from kerasmi.data.schema import Record
from kerasmi.evaluation import region_maps
from kerasmi.evaluation.region_examples import RegionExamples
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.recipe import Recipe

# images of a picture, and sentences of each
PICTURES = (4, 2)
# nats; the numbers of its scale are as wide as any
_WIDEST = 0.035


class Examples:
    """A few validation images with sentences, and their maps of scores.

    Args:
        recipe: the recipe of the run.
        dataset: its records; the first validation images with text are used.
        model: gives the tokenizer.
    """

    def __init__(
        self, recipe: Recipe, dataset: Dataset, model: ImageTextModel
    ) -> None:
        number, sentences = PICTURES
        self.texts: list[str] = []
        self.truth: list[np.ndarray | None] = []
        self.stored: list[np.ndarray] = []
        self.size = recipe.data.image_size
        self.show_text = dataset.source == "phantom"
        pngs: list[bytes] = []
        for record in _telling(dataset, number):
            for index in _placed(record)[:sentences]:
                pngs.append(record.image)
                self.stored.append(_pixels(record.image))
                self.texts.append(record.sentences[index])
                cells = record.sentence_regions[index : index + 1]
                known = bool(cells) and any(cells[0])
                self.truth.append(
                    np.frombuffer(cells[0], np.uint8) if known else None
                )
        token_ids, mask = texts.pack(
            tf.constant(self.texts)[:, None],
            model.text_encoder.word_pieces,
            recipe.text_encoder.max_tokens,
            texts.HELD_OUT_BUCKETS,
        )
        self._figure: Figure | None = None
        inputs = {
            "images": augment.load(tf.constant(pngs), self.size),
            "token_ids": token_ids,
            "padding_mask": mask,
        }
        # few have one sentence: a network would meet other shapes for them
        self.inputs = {
            name: round_numbers.filled(each, round_numbers.power_of_two)
            for name, each in inputs.items()
        }

    def draw(self, model: ImageTextModel) -> Figure:
        """A figure for TensorBoard: each image under the map of its sentence.

        Sentences that may be of people are left out: a log is passed on.
        `kerasmi report --show-text` shows them. The figure is the same each
        time, with other maps: laying it out takes most of the time.
        """
        found = self.mapped(model)
        if self._figure is None:
            # laid out for maps of its own, so that a run that goes on after a
            # stop draws the picture that it would have drawn
            blank = np.zeros_like(found.maps)
            blank[:, 0, 0] = _WIDEST
            neutral = dataclasses.replace(found, maps=blank)
            self._figure = neutral.draw(self.show_text)
        region_maps.redraw(self._figure, found.maps)
        return self._figure

    def mapped(self, model: ImageTextModel) -> RegionExamples:
        """The sentences with the maps of their scores."""
        image_features, text_features = model.encode(self.inputs)
        scores = model.region_scores(image_features, text_features)
        own = np.arange(len(self.texts))
        maps = np.asarray(scores)[own, :, own]
        return RegionExamples(
            self.stored,
            self.texts,
            maps.reshape(-1, *model.image_encoder.grid),
            self.truth,
            self.size,
        )


def _pixels(png: bytes) -> np.ndarray:
    """The stored image, `(height, width)` uint8."""
    pixels = images.decode(tf.constant(png)).numpy()[..., 0]
    return np.round(pixels * 255).astype(np.uint8)


def _telling(dataset: Dataset, images: int) -> list[Record]:
    """The first records whose sentences have a known place, else the first."""
    written = (r for r in read(dataset, "validation") if r.sentences)
    first = list(itertools.islice(written, 20 * images))
    with_place = [r for r in first if any(map(any, r.sentence_regions))]
    return (with_place or first)[:images]


def _placed(record: Record) -> list[int]:
    """Sentences with a known place, else all that the record has."""
    cells = record.sentence_regions
    placed = [index for index, mask in enumerate(cells) if any(mask)]
    return placed or list(range(len(record.sentences)))
