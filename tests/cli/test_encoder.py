"""`kerasmi encoder convert`, from the files of others to a recipe's path."""

import os
import pickle

import keras
import numpy as np
import pytest
from bert_files import CASED, batch, config, hugging_face, tensorflow1, tensors
from click.testing import CliRunner

from kerasmi import build
from kerasmi import recipe as recipes
from kerasmi.checkpoints import bert
from kerasmi.cli import main


@pytest.fixture
def convert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        main, ["encoder", "convert", *map(str, arguments)]
    )


def one_error(result, *parts):
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


def test_a_folder_becomes_a_preset_that_a_recipe_can_name(convert, tmp_path):
    source = tensorflow1(tmp_path / "source")
    result = convert(source, "made")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "made\n"
    assert "casing: cased (1 word piece with capital letters)" in result.stderr
    assert "GELU: tanh (as the TensorFlow 1 code computes it)" in result.stderr
    before, after = bert.read(source), bert.read(tmp_path / "made")
    np.testing.assert_array_equal(before(batch()), after(batch()))
    assert after.tokenizer.get_vocabulary() == CASED
    assert not after.tokenizer.lowercase
    assert sorted(os.listdir(tmp_path)) == ["made", "source"]


def pickled(folder):
    torch = pytest.importorskip("torch", reason="torch writes the file")
    hugging_face(folder)
    (folder / "model.safetensors").unlink()
    state = {name: torch.tensor(array) for name, array in tensors().items()}
    torch.save(state, folder / "pytorch_model.bin")


@pytest.mark.parametrize("write", [hugging_face, pickled, tensorflow1])
def test_a_recipe_takes_a_checkpoint_and_its_conversion_alike(
    convert, tmp_path, write
):
    write(tmp_path / "source")
    assert convert("source", "made").exit_code == 0
    expected = bert.read(tmp_path / "source")(batch())
    for name in ("source", "made"):
        changes = (
            "data.path=data",
            f"text_encoder.path={name}",
            "text_encoder.max_tokens=20",
        )
        recipe = recipes.load("mimic_cxr/local_mine", changes)
        encoder = build.text_encoder(recipe, None)
        np.testing.assert_array_equal(encoder(batch()), expected)


def test_options_reach_the_keras_file(convert, tmp_path):
    hugging_face(tmp_path / "source")
    options = ["--lower-case", "--gelu", "tanh", "--pooling", "mean"]
    result = convert("source", "text.keras", *options)
    assert result.exit_code == 0, result.stderr
    assert "casing: lower case (as asked for)" in result.stderr
    assert "warning: text is lower-cased" in result.stderr
    made = keras.saving.load_model(tmp_path / "text.keras")
    assert (made.pooling, made.gelu) == ("mean", "tanh")
    assert made.tokenizer.lowercase
    # converted once more, it keeps what it was saved with
    assert convert("text.keras", "again.keras").exit_code == 0
    assert keras.saving.load_model(tmp_path / "again.keras").pooling == "mean"
    result = convert("text.keras", "preset")
    assert "warning: a preset keeps no pooling" in result.stderr
    assert "text_encoder.pooling=mean" in result.stderr


def test_what_exists_is_overwritten_only_when_forced(convert, tmp_path):
    hugging_face(tmp_path / "one", tensors(seed=1))
    hugging_face(tmp_path / "two", tensors(seed=2))
    assert convert("one", "made").exit_code == 0
    one_error(convert("two", "made"), "made: exists; --force overwrites it")
    assert convert("two", "made", "--force").exit_code == 0
    expected = bert.read(tmp_path / "two")(batch())
    found = bert.read(tmp_path / "made")(batch())
    np.testing.assert_array_equal(found, expected)
    one_error(convert("two", "one", "--force"), "holds something else")


def test_wrong_sources_are_one_line(convert, tmp_path):
    one_error(convert("absent", "made"), "absent: no such checkpoint")
    weights = tensors()
    del weights["embeddings.word_embeddings.weight"]
    hugging_face(tmp_path / "partial", weights)
    one_error(convert("partial", "made"), "word_embeddings.weight")
    assert not (tmp_path / "made").exists()


def test_a_hostile_file_is_refused_in_one_line(convert, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    hugging_face(tmp_path / "source", settings=config())
    (tmp_path / "source" / "model.safetensors").unlink()
    program = b"".join(
        pickle.dumps(each, 2)
        for each in (0x1950A86A20F9469CFC6C, 1001, {}, Hostile())
    )
    (tmp_path / "source" / "pytorch_model.bin").write_bytes(program)
    one_error(convert("source", "made"), "refused", "posix.system")
    assert not (tmp_path / "ran").exists()


def test_the_authors_image_encoder_becomes_a_keras_file(convert, tmp_path):
    torch = pytest.importorskip("torch", reason="torch writes the file")
    from kerasmi.checkpoints import reference
    from kerasmi.models.image_encoder import ImageEncoder

    encoder = ImageEncoder.from_preset(reference.PRESET, "global")
    rng = np.random.default_rng(0)
    state = {}
    for variable, name, kernel in reference._variables(encoder):
        shape = reference._their_shape(variable.shape, kernel)
        values = rng.random(shape, np.float32)
        state[f"image_model.{name}"] = torch.tensor(values)
    torch.save(state, tmp_path / "joint.bin")
    result = convert("joint.bin", "image.keras", "--image")
    assert result.exit_code == 0, result.stderr
    made = keras.saving.load_model(tmp_path / "image.keras")
    kernel = made.lower.get_layer("stem_conv").kernel
    theirs = state["image_model.conv1.weight"].numpy()
    np.testing.assert_array_equal(kernel, theirs.transpose(2, 3, 1, 0))
