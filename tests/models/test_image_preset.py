"""A trained image encoder as a folder, and as KerasHub's backbone in one."""

import json
import shutil

import h5py
import keras
import keras_hub
import numpy as np
import pytest
import small_models

from kerasmi.errors import CheckpointError
from kerasmi.models.image_encoder import ImageEncoder

IMAGES = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)


def changed(encoder):
    """The encoder with weights that no initialiser gives, of all layers."""
    rng = np.random.default_rng(1)
    encoder.set_weights(
        [rng.uniform(0.1, 1.0, w.shape) for w in encoder.get_weights()]
    )
    return encoder


@pytest.fixture(scope="module", params=["local", "global"])
def written(request, tmp_path_factory):
    encoder = changed(small_models.image_encoder(request.param))
    folder = tmp_path_factory.mktemp("preset") / request.param
    encoder.save_to_preset(folder)
    return encoder, folder


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written[1], tmp_path / "copy")


def refusal(folder):
    with pytest.raises(CheckpointError) as refused:
        ImageEncoder.from_preset(str(folder))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_folder_gives_the_encoder_back_at_its_own_level(written):
    encoder, folder = written
    read = ImageEncoder.from_preset(str(folder))
    assert read.level == encoder.level
    np.testing.assert_array_equal(read(IMAGES), encoder(IMAGES))
    for mine, theirs in zip(
        read.get_weights(), encoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("level", ["local", "global"])
def test_either_level_can_be_read_of_either(written, level):
    encoder, folder = written
    read = ImageEncoder.from_preset(str(folder), level=level, image_size=16)
    assert read.level == level
    np.testing.assert_array_equal(
        read(IMAGES), encoder.with_level(level)(IMAGES)
    )


def test_another_size_is_refused(written):
    with pytest.raises(ValueError, match=r"of 16 pixels\. Received: 32"):
        ImageEncoder.from_preset(str(written[1]), image_size=32)


@pytest.mark.parametrize(
    "name", ["config.json", "metadata.json", "model.weights.h5"]
)
def test_a_file_that_is_missing_or_broken_is_named(copy, name):
    path = copy / name
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x00nothing"):
        path.write_bytes(content)
        assert refusal(copy).startswith(str(path)), content
    path.unlink()
    assert refusal(copy).startswith(f"{path}: missing")


@pytest.mark.parametrize("most", [False, True])
def test_weights_of_another_network_are_refused(copy, most):
    """Keras only warns of layers that it leaves at their new weights."""
    path = copy / "model.weights.h5"
    if most:
        with h5py.File(path, "a") as weights:
            del weights["layers/functional/layers/conv2d"]
    else:
        other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        other.save_weights(path)
    assert refusal(copy).startswith(f"{path}: not the weights")


def test_files_that_disagree_or_are_of_something_else_are_named(copy):
    path = copy / "metadata.json"
    whole = path.read_text()
    count = json.loads(path.read_text())["parameter_count"]
    edit(path, parameter_count=count + 1)
    said = f"{path}: parameter_count: expected {count}"
    assert refusal(copy).startswith(said)
    path.write_text("[]")
    assert refusal(copy) == f"{path}: expected a JSON object"
    path.write_text(whole)
    path = copy / "config.json"
    edit(path, registered_name="kerasmi>TextEncoder")
    assert refusal(copy).endswith("Received: kerasmi>TextEncoder")
    edit(path, registered_name="kerasmi>ImageEncoder", config={"level": "x"})
    assert refusal(copy).startswith(f"{path}: cannot be read")


def test_nothing_is_executed(copy, tmp_path, capfd):
    layer = keras.layers.Lambda(lambda x: print("executed") or x)
    mark = tmp_path / "executed"
    process = {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(mark)]},
        "registered_name": "Popen",
    }
    path = copy / "config.json"
    content = json.loads(path.read_text())
    for evil in (keras.saving.serialize_keras_object(layer), process):
        content["config"]["lower"] = evil
        path.write_text(json.dumps(content))
        assert refusal(copy).startswith(f"{path}: cannot be read")
    assert not mark.exists()
    assert "executed" not in capfd.readouterr().out


def test_a_backbone_of_kerashub_comes_back_with_its_weights(tmp_path):
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    encoder = ImageEncoder.from_backbone(backbone)
    encoder.save_to_preset(tmp_path / "preset")
    read = ImageEncoder.from_preset(str(tmp_path / "preset"))
    np.testing.assert_array_equal(read(IMAGES), encoder(IMAGES))
    # a folder of KerasHub's own stays KerasHub's
    backbone.save_to_preset(str(tmp_path / "hub"))
    with pytest.raises(Exception, match=r"(?i)preprocessor|converter"):
        ImageEncoder.from_preset(str(tmp_path / "hub"))
