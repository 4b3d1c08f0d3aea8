"""Features without a network: a region is its mean pixel, a text its length.

The score of a region with a text is a plain product of the two, so that a test
can say what every score must be.
"""

import io

import numpy as np
from PIL import Image

from kerasmi import recipe as recipes
from kerasmi.data import records
from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9, Record

GRID = 4


def recipe(*overrides, name="local_mine"):
    return recipes.load(name, ["evaluate.bootstrap=20", *overrides])


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def record(image_id, study_id, subject_id, sentences=(), **changes):
    """A record of noise, 8 by 8 pixels."""
    noise = np.random.default_rng(list(image_id.encode()))
    fields = {
        "image": png(noise.integers(0, 256, (8, 8))),
        "image_id": image_id,
        "study_id": study_id,
        "subject_id": subject_id,
        "split": "test",
        "sentences": tuple(sentences),
        "source": "played",
    }
    return Record(**{**fields, **changes})


def write(folder, made):
    return records.write(
        made,
        folder,
        name="played",
        source="played",
        label_names=(*PATHOLOGY9, EDEMA_SEVERITY),
        made_by={},
        image_size=8,
        records_per_shard=3,
    )


def cell_means(png):
    """`(16, 1)` mean pixel of each cell of the central square, in [0, 1]."""
    pixels = np.asarray(Image.open(io.BytesIO(png)), float) / 255
    top, left = ((side - 8) // 2 for side in pixels.shape)
    square = pixels[top : top + 8, left : left + 8]
    means = square.reshape(GRID, 2, GRID, 2).mean(axis=(1, 3))
    return means.reshape(-1, 1)


class PlayedFeatures:
    """Has what `kerasmi.features.Features` has, and counts what it is asked."""

    def __init__(self, recipe):
        self.recipe = recipe
        self.is_local = recipe.objective.scope == "local"
        self.grid = (GRID, GRID) if self.is_local else (1, 1)
        self.asked = []

    def regions(self, dataset, split, image_ids):
        self.asked.append("regions")
        return np.concatenate(
            list(self.region_blocks(dataset, split, image_ids))
        )

    def region_blocks(self, dataset, split, image_ids):
        for one in records.read(dataset, split, image_ids):
            regions = cell_means(one.image)
            if not self.is_local:
                regions = regions.mean(axis=0, keepdims=True)
            # A second feature that no text reads: images differ in direction.
            both = np.hstack([regions, np.ones_like(regions)])
            yield both[None].astype(np.float32)

    def texts(self, sentences):
        self.asked.append("texts")
        weights = [[len(one), 0] for one in sentences]
        return np.array(weights, np.float32)

    def scores(self, regions, texts):
        self.asked.append("scores")
        return np.einsum("ind,td->int", regions, texts).max(axis=1)

    def maps(self, regions, texts):
        scores = np.einsum("ind,id->in", regions, texts)
        return scores.reshape(-1, *self.grid)
