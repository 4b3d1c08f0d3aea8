"""A recipe that names a checkpoint."""

import re

import numpy as np
import pytest
from bert_files import (
    CASED,
    batch,
    config,
    hugging_face,
    tensorflow1,
    tensors,
)

from kerasmi import build
from kerasmi import recipe as recipes
from kerasmi.checkpoints import bert, converting, sources
from kerasmi.errors import RecipeError
from kerasmi.reporter import Reporter


class Heard(Reporter):
    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)


def loaded(*changes):
    return recipes.load("mimic_cxr/local_mine", ("data.path=data", *changes))


def test_the_text_encoder_is_read_and_its_casing_stated(tmp_path):
    hugging_face(tmp_path)
    recipe = loaded(
        f"text_encoder.path={tmp_path}", "text_encoder.max_tokens=20"
    )
    heard = Heard()
    encoder = build.text_encoder(recipe, None, heard)
    expected = bert.read(tmp_path)(batch())
    np.testing.assert_array_equal(encoder(batch()), expected)
    assert any(
        line.startswith("text encoder: casing: cased (") for line in heard.lines
    )
    lower = loaded(
        f"text_encoder.path={tmp_path}",
        "text_encoder.max_tokens=20",
        "text_encoder.lower_case=true",
        "text_encoder.pooling=mean",
    )
    encoder = build.text_encoder(lower, None)
    assert encoder.tokenizer.lowercase
    assert encoder.pooling == "mean"


def test_a_change_of_the_files_is_a_change_of_their_hash(tmp_path):
    first = hugging_face(tmp_path / "a", do_lower_case=False)
    known = sources.fingerprint(first)
    assert re.fullmatch("[0-9a-f]{16}", known)
    same = hugging_face(tmp_path / "b", do_lower_case=False)
    (same / "README.md").write_text("not read")
    assert sources.fingerprint(same) == known
    assert sources.fingerprint(same / "model.safetensors") == known
    cased = hugging_face(tmp_path / "c", do_lower_case=True)
    turned = hugging_face(tmp_path / "d", pieces=[*CASED[:-2], *CASED[:-3:-1]])
    (turned / "tokenizer_config.json").write_bytes(
        (first / "tokenizer_config.json").read_bytes()
    )
    others = hugging_face(
        tmp_path / "e", tensors(config(CASED), seed=1), do_lower_case=False
    )
    hashes = [*map(sources.fingerprint, (first, cased, turned, others))]
    assert len(set(hashes)) == 4
    assert sources.fingerprint(tmp_path / "gone") is None


def test_every_kind_of_text_encoder_has_a_hash(tmp_path):
    encoder = bert.read(hugging_face(tmp_path / "source"))
    file, preset = tmp_path / "own.keras", tmp_path / "preset"
    for place in (file, preset):
        converting.save(encoder, place)
    older = tensorflow1(tmp_path / "tf1")
    known = {}
    for path in (file, preset, older):
        known[path] = sources.fingerprint(path)
        assert known[path]
    assert sources.fingerprint(older / "model.ckpt-150") == known[older]
    words = preset / "assets/tokenizer/vocabulary.txt"
    for changed, path in (
        (words, preset),
        (file, file),
        (older / "model.ckpt-150.data-00000-of-00001", older),
    ):
        content = bytearray(changed.read_bytes())
        content[-1] ^= 1
        changed.write_bytes(content)
        assert sources.fingerprint(path) != known[path]


def test_of_a_large_file_both_ends_and_the_size_are_hashed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sources, "_SMALL", 8)
    monkeypatch.setattr(sources, "_END", 2)
    file = tmp_path / "own.keras"
    hashes = []
    for content in (b"aabbbbbcc", b"aaxxxxxcc", b"xabbbbbcc", b"aabbbbbcx"):
        file.write_bytes(content)
        hashes.append(sources.fingerprint(file))
    assert hashes[0] == hashes[1]
    file.write_bytes(b"aabbbbbbcc")
    hashes.append(sources.fingerprint(file))
    assert len(set(hashes)) == 4


def test_texts_longer_than_the_encoder_reads_are_refused(tmp_path):
    hugging_face(tmp_path)
    recipe = loaded(f"text_encoder.path={tmp_path}")
    with pytest.raises(RecipeError, match="max_tokens: expected at most 20"):
        build.text_encoder(recipe, None)


def test_keys_of_checkpoints_are_refused_where_they_have_no_effect():
    for change in ("text_encoder.lower_case=true", "text_encoder.path=here"):
        with pytest.raises(RecipeError, match="has no effect"):
            recipes.load("local_mine", (change,))
    with pytest.raises(RecipeError, match="has no effect"):
        recipes.load("local_mine", ("image_encoder.path=here",))
    recipe = loaded(
        "image_encoder.preset=resnet256_6_2_1", "image_encoder.path=here"
    )
    assert recipe.settings()["image_encoder.path"].name == "here"
