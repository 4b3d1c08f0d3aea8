"""What was frozen when a model was saved is frozen when it is read."""

import keras
import keras_hub
import numpy as np
import pytest
from small_models import VOCABULARY, batch, image_encoder, model

from kerasmi.models import freezing
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.text_encoder import TextEncoder

IMAGES = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
TARGETS = np.array([[0.0], [1.0], [0.0], [1.0]], "float32")


def trained(made):
    """After a step, so that its optimizer has slots to be read."""
    made.compile("adam", run_eagerly=True)  # a trace costs a hundred steps
    if isinstance(made, ImageTextModel):
        made.fit(batch(4), verbose=0)
    else:
        made.fit(IMAGES, TARGETS, verbose=0)
    return made


def classifier(trainable):
    return ImageClassifier(image_encoder(), ("Edema",), trainable=trainable)


def a_probe():
    made = classifier("frozen")
    made.image_encoder.upper.trainable = False
    return trained(made)


def a_classifier_tuned_after_it_was_frozen():
    made = trained(classifier("frozen"))
    made.image_encoder.lower.trainable = True
    return trained(made)


def a_classifier_frozen_after_it_was_tuned():
    made = trained(classifier("tuned"))
    made.image_encoder.lower.trainable = False
    return trained(made)


def all_but_the_last_layers():
    made = classifier("tuned")
    made.image_encoder.lower.trainable = False
    for layer in made.image_encoder.lower.layers[-4:]:
        layer.trainable = True
    return trained(made)


def a_classifier_whose_last_layer_is_frozen():
    made = classifier("tuned")
    made.get_layer("findings").trainable = False
    return trained(made)


def the_last_layer_of_a_classifier_alone():
    made = classifier("tuned")
    made.image_encoder.trainable = False
    return trained(made)


def a_global_encoder():
    made = model("global")
    made.image_encoder.trainable = False
    return trained(made)


def a_layer_of_the_upper_network():
    made = model("global")
    made.image_encoder.upper.layers[1].trainable = False
    return trained(made)


def a_text_encoder_read_by_its_pooler():
    text = TextEncoder.phantom(
        VOCABULARY, "pooler", num_layers=1, hidden_dim=8, num_heads=1
    )
    text.trainable = False
    other = model()
    return trained(ImageTextModel(other.image_encoder, text, other.critic))


def all_of_bert_but_its_last_layer():
    made = model()
    bert = made.text_encoder.backbone
    bert.trainable = False
    bert.transformer_layers[-1].trainable = True
    return trained(made)


def a_layer_of_the_critic():
    made = model()
    made.critic.image_projection.trainable = False
    return trained(made)


def the_norm_and_the_head_of_a_critic():
    made = model(normalize=True)
    made.critic.text_norm.trainable = False
    made.critic.score.trainable = False
    return trained(made)


def a_critic():
    made = model(normalize=True)
    made.critic.trainable = False
    return trained(made)


@pytest.mark.parametrize(
    "make",
    [
        a_layer_of_the_critic,
        the_norm_and_the_head_of_a_critic,
        a_critic,
        a_probe,
        a_classifier_whose_last_layer_is_frozen,
        the_last_layer_of_a_classifier_alone,
        a_classifier_tuned_after_it_was_frozen,
        a_classifier_frozen_after_it_was_tuned,
        all_but_the_last_layers,
        a_global_encoder,
        a_layer_of_the_upper_network,
        a_text_encoder_read_by_its_pooler,
        all_of_bert_but_its_last_layer,
    ],
)
def test_what_was_frozen_is_frozen_when_read(tmp_path, make):
    made = make()
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    paths = [[v.path for v in m.trainable_variables] for m in (made, loaded)]
    assert paths[0] == paths[1]
    for one, other in zip(
        made.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_layer_inside_a_backbone_of_keras_hub_stays_frozen(tmp_path):
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    backbone.get_layer("conv1_conv").trainable = False
    backbone.get_layer("conv1_bn").trainable = False
    made = ImageEncoder.from_backbone(backbone)
    made.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    places = [freezing.frozen(each.lower) for each in (made, loaded)]
    assert len(places[0]) == 2
    assert places[0] == places[1]


def test_a_config_says_nothing_of_what_a_network_keeps_itself():
    for level in ("local", "global"):
        assert "frozen" not in image_encoder(level).get_config()
    made = classifier("frozen")
    assert "frozen" not in made.image_encoder.get_config()


def test_tuned_trains_everything_of_an_encoder_that_was_frozen():
    given = image_encoder("global")
    given.trainable = False
    made = ImageClassifier(given, ("Edema",), trainable="tuned")
    fresh = classifier("tuned")
    assert len(made.trainable_variables) == len(fresh.trainable_variables)
    assert not given.trainable_variables


def test_a_frozen_classifier_that_is_tuned_again_learns_below():
    made = trained(classifier("frozen"))
    before = made.image_encoder.lower.get_weights()
    made.image_encoder.lower.trainable = True
    assert made.encoder_mode == "tuned"
    trained(made)
    after = made.image_encoder.lower.get_weights()
    moved = [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]
    assert min(moved) > 0


@pytest.mark.parametrize("places", [[99], [-1], ["conv"]])
def test_a_place_without_a_layer_is_refused(places):
    with pytest.raises(ValueError, match="`frozen`: 'lower' has"):
        freezing.freeze(image_encoder().lower, places)
