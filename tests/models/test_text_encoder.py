import math

import keras
import keras_hub
import numpy as np
import pytest

from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.text_encoder import TextEncoder, build_vocabulary
from kerasmi.models.tokenizer import Tokenizer

TEXTS = ["No acute process.", "There is a small left-sided effusion!"]


def encoder(pooling="cls"):
    keras.utils.set_random_seed(0)
    return TextEncoder.phantom(
        build_vocabulary(TEXTS), pooling, num_layers=1, hidden_dim=8
    )


def tokens(shape=(3, 2, 7), lengths=None, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 20, shape).astype("int32")
    mask = np.ones(shape, "int32")
    if lengths is not None:
        mask = (np.arange(shape[-1]) < lengths[..., None]).astype("int32")
    return {"token_ids": ids * mask, "padding_mask": mask}


def test_leading_axes_are_kept():
    assert encoder()(tokens((3, 2, 7))).shape == (3, 2, 8)
    assert encoder()(tokens((5, 7))).shape == (5, 8)


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_padding_does_not_change_a_feature(pooling):
    short = tokens((2, 1, 5))
    padded = {
        name: np.pad(value, ((0, 0), (0, 0), (0, 4)))
        for name, value in short.items()
    }
    model = encoder(pooling)
    np.testing.assert_allclose(model(short), model(padded), atol=1e-6)


def test_poolings_read_what_they_say():
    inputs = tokens((2, 7), lengths=np.array([7, 4]))
    full = {**inputs, "segment_ids": np.zeros((2, 7), "int32")}
    model = encoder()
    outputs = model.backbone(full)
    sequence = np.array(outputs["sequence_output"])
    np.testing.assert_allclose(model(inputs), sequence[:, 0], atol=1e-6)
    expected = [sequence[0].mean(0), sequence[1, :4].mean(0)]
    np.testing.assert_allclose(encoder("mean")(inputs), expected, atol=1e-6)
    dense = model.backbone.pooled_dense
    np.testing.assert_allclose(
        encoder("pooler")(inputs),
        np.tanh(sequence[:, 0] @ dense.kernel.numpy() + dense.bias.numpy()),
        atol=1e-5,
    )


def test_only_the_pooler_pooling_trains_the_pooler():
    for pooling, trained in (("cls", False), ("mean", False), ("pooler", True)):
        model = encoder(pooling)
        dense = model.backbone.pooled_dense
        assert dense.trainable is trained
        # and so it stays when the encoder is frozen and tuned again
        model.trainable = False
        model.trainable = True
        assert dense.trainable is trained


def test_sentences_differ_enough_to_start_training():
    # with KerasHub's own initialiser the spread is below .01
    features = encoder()(tokens((50, 1, 9)))
    assert np.std(features, axis=0).mean() > 0.1


def test_a_saved_encoder_keeps_its_tokenizer(tmp_path):
    model = encoder()
    model.save(tmp_path / "text.keras")
    loaded = keras.saving.load_model(tmp_path / "text.keras")
    np.testing.assert_array_equal(model(tokens()), loaded(tokens()))
    for one in (model, loaded):
        pieces = Tokenizer(one.tokenizer)(["a small effusion."])
        assert [one.tokenizer.id_to_token(i) for i in pieces.to_list()[0]] == [
            "a",
            "small",
            "effusion",
            ".",
        ]


def test_the_vocabulary_spells_out_unknown_words():
    vocabulary = build_vocabulary(TEXTS)
    model = TextEncoder.phantom(vocabulary, num_layers=1, hidden_dim=8)
    unknown = Tokenizer(model.tokenizer)(["sand"]).to_list()[0]
    spelled = [vocabulary[i] for i in unknown]
    assert spelled == ["s", "##a", "##n", "##d"]
    assert len(vocabulary) == len(set(vocabulary))


def test_the_exact_gelu_stays_exact_when_saved(tmp_path):
    tanh = encoder()
    exact = TextEncoder(
        ExactBertBackbone.from_config(tanh.backbone.get_config()),
        tanh.tokenizer,
    )
    exact.set_weights(tanh.get_weights())
    assert (tanh.gelu, exact.gelu) == ("tanh", "exact")
    difference = np.abs(exact(tokens()) - tanh(tokens())).max()
    assert 0 < difference < 0.05
    exact.save(tmp_path / "text.keras")
    loaded = keras.saving.load_model(tmp_path / "text.keras")
    assert loaded.gelu == "exact"
    np.testing.assert_array_equal(exact(tokens()), loaded(tokens()))


def test_the_exact_gelu_is_x_times_the_normal_distribution():
    exact = ExactBertBackbone.from_config(encoder().backbone.get_config())
    (layer,) = exact.transformer_layers
    x = np.linspace(-4, 4, 9)
    expected = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    found = layer._feedforward_intermediate_dense.activation(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match=r"`pooling`.*'max'"):
        encoder("max")


def test_a_backbone_that_is_no_bert_is_refused():
    backbone = keras_hub.models.RobertaBackbone(
        vocabulary_size=9,
        num_layers=1,
        num_heads=1,
        hidden_dim=4,
        intermediate_dim=4,
        max_sequence_length=8,
    )
    with pytest.raises(ValueError, match=r"BertBackbone.*RobertaBackbone"):
        TextEncoder(backbone)
