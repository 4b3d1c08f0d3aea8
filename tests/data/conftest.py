"""A small data set with all that a record can hold, and a toy tokenizer."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import records
from kerasmi.data.schema import BLANK, Record

LABELS = ("Cardiomegaly", "Edema", "Edema Severity", "No Finding")
WORDS = ("heart", "lungs", "clear", "large", "no", "edema", "left", "right")


def png(pixels):
    return tf.io.encode_png(np.atleast_3d(pixels)).numpy()


def make_record(number, split="train", size=8, sentences=None, **changes):
    """Record `number`: two images a study, two studies a subject."""
    rng = np.random.default_rng(number)
    depth = (np.uint8, np.uint16)[number % 2]
    pixels = rng.integers(0, np.iinfo(depth).max, (size, size), depth, True)
    # Word `number` and word `sentence` tell whose and which a sentence is.
    texts = tuple(f"r{number // 2} s{s} heart" for s in range(1 + number % 3))
    fields = {
        "image": png(pixels),
        "image_id": f"i{number:03d}",
        "study_id": f"{split}-t{number // 2}",
        "subject_id": f"{split}-{number // 4}",
        "split": split,
        "view": "PA",
        "findings": "Größe, 心臓.",
        "impression": "",
        "sentences": texts if sentences is None else sentences,
        "labels": {
            "Cardiomegaly": (1, 0, -1, BLANK)[number % 4],
            "Edema": number % 2,
            "Edema Severity": number % 4,
        },
        "source": "test",
    }
    return Record(**{**fields, **changes})


def write_records(folder, made, **options):
    defaults = {
        "name": "toy",
        "source": "test",
        "label_names": LABELS,
        "made_by": {"seed": 0},
        "image_size": 8,
        "records_per_shard": 5,
    }
    return records.write(made, folder, **{**defaults, **options})


class ToyTokenizer:
    """Whitespace words; ids by a table made in the graph."""

    cls_id, sep_id, pad_id, vocabulary_size = 1, 2, 0, 1000

    def __init__(self):
        words = [
            *WORDS,
            *(f"r{n}" for n in range(100)),
            *(f"s{n}" for n in range(20)),
        ]
        self.words = {word: 3 + n for n, word in enumerate(words)}
        keys = tf.constant(list(self.words))
        ids = tf.constant(list(self.words.values()), tf.int32)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, ids), -1
        )

    def __call__(self, texts):
        return tf.ragged.map_flat_values(
            self.table.lookup, tf.strings.split(texts)
        )

    def text(self, ids):
        names = {number: word for word, number in self.words.items()}
        return " ".join(names[i] for i in ids if i > 2)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """23 training, 6 validation and 5 test images, in shards of 5."""
    made = [make_record(n) for n in range(23)]
    made += [make_record(n, "validation") for n in range(30, 36)]
    made += [make_record(n, "test") for n in range(40, 45)]
    folder = tmp_path_factory.mktemp("toy") / "records"
    return write_records(folder, made)


@pytest.fixture(scope="session")
def tokenizer():
    return ToyTokenizer()


@pytest.fixture(scope="session")
def make():
    """The builders of this file."""
    return SimpleNamespace(record=make_record, write=write_records, png=png)
