"""A recipe that names a checkpoint."""

import numpy as np
import pytest
from bert_files import batch, hugging_face

from kerasmi import build
from kerasmi import recipe as recipes
from kerasmi.checkpoints import bert
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
