import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import image_encoder

from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder


@pytest.mark.parametrize(
    ("preset", "size", "local", "grid", "feature"),
    [
        ("resnet_paper", 256, (16, 512), (4, 4), 768),
        ("resnet_phantom", 64, (16, 96), (4, 4), 128),
        ("resnet256_6_2_1", 256, (64, 128), (8, 8), 768),
    ],
)
def test_presets_have_the_shapes_of_their_source(
    preset, size, local, grid, feature
):
    encoder = ImageEncoder.from_preset(preset)
    assert encoder.input_shape == (None, size, size, 1)
    assert encoder.output_shape == (None, *local)
    assert encoder.grid == grid
    whole = encoder.with_level("global")
    assert whole.output_shape == (None, 1, feature)
    assert whole.grid == (1, 1)


def test_both_levels_are_one_network():
    encoder = ImageEncoder.from_preset("resnet_phantom", "global")
    images = np.random.default_rng(0).random((2, 64, 64, 1), np.float32)
    local = encoder.with_level("local")
    feature_map = encoder.lower(images)
    regions = np.reshape(feature_map, (2, 16, 96))
    np.testing.assert_allclose(local(images), regions, rtol=1e-6)
    pooled = np.mean(encoder.upper(feature_map), axis=(1, 2))
    np.testing.assert_allclose(encoder(images)[:, 0], pooled, rtol=1e-5)


def test_regions_are_numbered_row_by_row():
    encoder = ImageEncoder.from_preset("resnet_phantom")
    dark = np.zeros((1, 64, 64, 1), np.float32)
    bright = dark.copy()
    bright[0, 56:, 56:] = 1.0  # the last corner
    change = np.abs(encoder(bright) - encoder(dark)).sum(axis=(0, 2))
    assert change.argmax() == 15


def test_at_the_local_level_the_upper_part_is_not_trained():
    encoder = ImageEncoder.from_preset("resnet_phantom")
    held = {id(v) for v in encoder.upper.weights}
    assert not held & {id(v) for v in encoder.trainable_variables}
    assert len(encoder.with_level("global").upper.trainable_variables) > 0


def test_unfreezing_leaves_what_is_off_the_path_frozen():
    encoder = image_encoder("local")
    path = {id(v) for v in encoder.trainable_variables}
    encoder.trainable = False
    assert not encoder.trainable_variables
    encoder.trainable = True
    assert {id(v) for v in encoder.trainable_variables} == path
    whole = image_encoder("global")
    number = len(whole.trainable_variables)
    whole.trainable = False
    whole.trainable = True
    assert len(whole.trainable_variables) == number


@pytest.mark.parametrize("preset", ["resnet_phantom", "resnet256_6_2_1"])
def test_features_do_not_depend_on_the_image_format_of_the_session(preset):
    def made(image_format):
        before = keras.config.image_data_format()
        keras.config.set_image_data_format(image_format)
        try:
            keras.utils.set_random_seed(0)
            return ImageEncoder.from_preset(preset, "global", 128)
        finally:
            keras.config.set_image_data_format(before)

    images = np.random.default_rng(0).random((2, 128, 128, 1), np.float32)
    last, first = made("channels_last"), made("channels_first")
    np.testing.assert_array_equal(last(images), first(images))


@pytest.mark.parametrize("level", ["local", "global"])
def test_a_saved_encoder_gives_the_same_features(tmp_path, level):
    encoder = ImageEncoder.from_preset("resnet_phantom", level)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    images = np.random.default_rng(0).random((2, 64, 64, 1), np.float32)
    np.testing.assert_array_equal(encoder(images), loaded(images))
    for one, other in zip(
        encoder.get_weights(), loaded.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("preset", "size"),
    [("resnet_phantom", 64), ("resnet_paper", 256), ("resnet256_6_2_1", 256)],
)
def test_a_training_step_runs_at_the_size_of_the_preset(preset, size):
    # a 1x1 convolution of stride 2 would abort the process here, on a CPU
    encoder = ImageEncoder.from_preset(preset)
    model = ImageClassifier(encoder, ("Edema",))
    model.compile(keras.optimizers.SGD(0.01))
    before = model.get_weights()
    images = np.random.default_rng(0).random((2, size, size, 1), np.float32)
    logs = model.train_on_batch(images, np.array([[1.0], [0.0]]))
    assert np.isfinite(logs)
    assert any(
        np.abs(a - b).max() > 0
        for a, b in zip(before, model.get_weights(), strict=True)
    )


def test_no_convolution_has_a_1x1_kernel_and_a_stride():
    for preset in ("resnet_phantom", "resnet_paper", "resnet256_6_2_1"):
        encoder = ImageEncoder.from_preset(preset)
        for part in (encoder.lower, encoder.upper):
            for layer in part.layers:
                if isinstance(layer, keras.layers.Conv2D):
                    assert layer.kernel_size != (1, 1) or layer.strides == (
                        1,
                        1,
                    )


def hub_backbone():
    import keras_hub

    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(64, 64, 3),
    )


def test_a_keras_hub_backbone_reads_normalised_gray_images(tmp_path):
    backbone = hub_backbone()
    encoder = ImageEncoder.from_backbone(backbone)
    assert encoder.input_shape == (None, 64, 64, 1)
    assert encoder.output_shape == (None, 4, 64)
    assert encoder.with_level("global").output_shape == (None, 1, 768)
    gray = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    color = (np.repeat(gray, 3, axis=-1) - mean) / std
    expected = np.reshape(backbone(color.astype("float32")), (1, 4, 64))
    np.testing.assert_allclose(encoder(gray), expected, rtol=1e-4, atol=1e-5)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(encoder(gray), loaded(gray))
    with pytest.raises(ValueError, match="3 values"):
        ImageEncoder.from_backbone(backbone, mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize(
    ("scale", "offset", "low", "high"),
    [
        ([1 / 255 / 0.2] * 3, [-0.5 / 0.2] * 3, -2.5, 2.5),
        (1 / 127.5, -1.0, -1.0, 1.0),
        (1 / 255, None, 0.0, 1.0),
    ],
)
def test_a_preset_normalises_with_its_own_constants(
    tmp_path, scale, offset, low, high
):
    import keras_hub

    preset = str(tmp_path / "preset")
    hub_backbone().save_to_preset(preset)
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=scale, offset=offset
    )
    converter.save_to_preset(preset)
    encoder = ImageEncoder.from_preset(preset, image_size=64)
    normalize = encoder.lower.get_layer("normalization")
    for value, expected in ((0.0, low), (1.0, high)):
        found = np.asarray(normalize(np.full((1, 1, 1, 3), value, "float32")))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="multiple of 128"):
        ImageEncoder.from_preset("resnet_paper", image_size=100)
    with pytest.raises(ValueError, match=r"`level`.*'middle'"):
        ImageEncoder.from_preset("resnet_phantom", "middle")


def test_regions_of_an_image_of_another_size_are_never_mixed():
    encoder = ImageEncoder.from_preset("resnet_phantom")
    images = np.zeros((4, 64, 64, 1), "float32")
    assert encoder.predict(images, verbose=0).shape == (4, 16, 96)
    # Keras traces the second size with sizes unknown, and checks none
    with pytest.raises(tf.errors.InvalidArgumentError, match="regions"):
        encoder.predict(images[:, :32, :32], verbose=0)


def test_a_backbone_without_a_size_is_refused():
    backbone = keras.Sequential([keras.Input((None, None, 3))])
    backbone.image_shape = (None, None, 3)
    with pytest.raises(ValueError, match=r"fixed image_shape.*None, None, 3"):
        ImageEncoder.from_backbone(backbone)


def test_networks_without_feature_maps_are_named():
    good = image_encoder()
    flat = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    free = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3)]
    )
    unbuilt = keras.Sequential([keras.layers.Conv2D(4, 3)])
    for lower in (flat, free, unbuilt, "resnet"):
        with pytest.raises(ValueError, match=r"`lower`: .* of a fixed size"):
            ImageEncoder(lower, good.upper)
    with pytest.raises(ValueError, match=r"`upper`: .*\(None, 256\)"):
        ImageEncoder(good.lower, flat)
    with pytest.raises(ValueError, match=r"Functional; make ImageEncoder\("):
        ImageEncoder.from_backbone(good.lower)
    tokens = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Reshape((-1, 3))]
    )
    tokens.image_shape = (16, 16, 3)
    with pytest.raises(ValueError, match=r"`backbone`: .*feature maps"):
        ImageEncoder.from_backbone(tokens)
    with pytest.raises(ValueError, match=r"`image_size`.*Received: 0"):
        ImageEncoder.from_preset("resnet_phantom", image_size=0)
