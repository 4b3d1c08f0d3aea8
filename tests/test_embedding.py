"""Features of large splits lie in files, not in memory."""

import locale
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kerasmi import embedding
from kerasmi.embedding import Embedded
from kerasmi.output_files import OutputError
from kerasmi.reporter import Reporter

MANY, DIM = 2048, 256  # images; their regions have 32 MiB


def _dataset(number, sentences=0):
    names = [f"i{k}" for k in range(number)]
    rows = pd.DataFrame(dict.fromkeys(embedding.IDS, names))
    rows = rows.assign(sentences=sentences)
    return SimpleNamespace(rows=lambda split: rows, source="records")


class Model:
    """A local model whose regions are the numbers of their images."""

    grid = (4, 4)
    is_local = True

    def region_blocks(self, dataset, split, image_ids):
        number = len(dataset.rows(split))
        for start in range(0, number, 64):
            image = np.arange(start, min(start + 64, number), dtype=np.float32)
            yield np.tile(image[:, None, None], (1, 16, DIM))


def test_regions_are_never_all_in_memory(tmp_path):
    tracemalloc.start()
    try:
        made = embedding.embedded(
            Model(), _dataset(MANY), "train", False, Reporter(), tmp_path
        )
        embedding._write(tmp_path, made, ["npz"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # numpy copies up to 16 MiB at once into an npz
    assert peak < 24 * 2**20
    found = np.load(tmp_path / "regions.npz")["features"]
    assert found.shape == (MANY, 4, 4, DIM)
    assert found.dtype == np.float32
    assert (found == np.arange(MANY)[:, None, None, None]).all()


def test_one_long_text_makes_no_room_for_all(tmp_path):
    texts = ["No effusion."] * MANY
    texts[5] = 'Ödem \u2028 "quoted"\n' * 1000
    ids = pd.DataFrame({"image_id": ["i"] * MANY, "text": texts})
    made = {"sentences": Embedded(ids, np.zeros((MANY, 2), np.float32))}
    tracemalloc.start()
    try:
        embedding._write(tmp_path, made, ["npz"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # as an array of one width they have 170 MB
    assert peak < 2**20
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2**18
    found = pd.read_json(tmp_path / "sentences.jsonl", lines=True)["text"]
    assert found.tolist() == texts
    assert np.load(tmp_path / "sentences.npz").files == ["features", "image_id"]


def test_a_csv_is_utf_8_in_a_locale_of_ascii(tmp_path):
    ids = pd.DataFrame({"image_id": ["i"], "text": ["Ödem"]})
    made = {"sentences": Embedded(ids, np.zeros((1, 2), np.float32))}
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        embedding._write(tmp_path, made, ["csv"])
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    found = pd.read_csv(tmp_path / "sentences.csv", encoding="utf-8")
    assert found["text"].tolist() == ["Ödem"]


@pytest.mark.parametrize("shape", [(7, 5), (7, 2, 3, 5), (0, 5)])
def test_a_csv_is_made_of_parts_that_are_the_whole(monkeypatch, shape):
    rng = np.random.default_rng(0)
    ids = pd.DataFrame({"image_id": [f"i{k}" for k in range(shape[0])]})
    values = rng.normal(size=shape).astype(np.float32)
    one = Embedded(ids, values)
    (whole,) = one.frames()
    monkeypatch.setattr(embedding, "_AT_ONCE", 60)
    parts = list(one.frames())
    assert len(parts) > 1 or values.size <= 60
    assert all(len(part) * shape[-1] <= 60 for part in parts)
    joined = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(joined, whole)


def test_too_few_rows_are_refused(tmp_path):
    blocks = [np.zeros((2, 3), np.float32)]
    with pytest.raises(ValueError, match="mmap"):
        embedding._on_disk(tmp_path / "x.npy", 3, blocks)


def test_what_cannot_be_read_is_not_told_as_what_cannot_be_written(tmp_path):
    def blocks():
        yield np.zeros((1, 2), "float32")
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        embedding._on_disk(tmp_path / "a.npy", 2, blocks())
    with pytest.raises(
        OutputError, match=r"b\.npy: cannot be written.*--output"
    ):
        embedding._on_disk(tmp_path / "gone/b.npy", 2, blocks())
