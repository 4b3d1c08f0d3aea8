import json

import keras
import keras_hub
import numpy as np
import pytest
from bert_files import (
    CASED,
    LOWER,
    batch,
    config,
    describe,
    hugging_face,
    tensorflow1,
    tensors,
)

from kerasmi.checkpoints import bert
from kerasmi.errors import CheckpointError
from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.text_encoder import TextEncoder


def told(path, **options):
    lines = []
    encoder = bert.read(path, tell=lines.append, **options)
    return encoder, dict(line.split(": ", 1) for line in lines)


def refusal(path, **options):
    with pytest.raises(CheckpointError) as caught:
        bert.read(path, **options)
    return str(caught.value)


def test_both_forms_are_the_same_network(tmp_path):
    one = bert.read(hugging_face(tmp_path / "h"), "mean", gelu="tanh")
    other = bert.read(tensorflow1(tmp_path / "t"), "mean")
    np.testing.assert_array_equal(one(batch()), other(batch()))
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_form_and_the_ignored_tensors_are_told(tmp_path):
    _, lines = told(tensorflow1(tmp_path))
    assert lines["weights"].startswith("TensorFlow 1 checkpoint")
    assert lines["weights"].endswith("model.ckpt-150")
    ignored = lines["not of the encoder, ignored"]
    assert ignored == "cls.predictions.output_bias"


def bfloat16_file(path, values):
    """safetensors by hand: a length, a header in JSON, the numbers."""
    header, content = {}, b""
    for name, value in values.items():
        start, content = len(content), content + value.tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": value.shape,
            "data_offsets": [start, len(content)],
        }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def test_half_precision_is_read_as_float32(tmp_path):
    # bfloat16 is the upper half of a float32: such numbers lose nothing
    cut = {n: v.view("u4") & 0xFFFF0000 for n, v in tensors().items()}
    whole = {name: value.view("f4") for name, value in cut.items()}
    one = bert.read(hugging_face(tmp_path / "whole", whole))
    hugging_face(tmp_path / "half")
    upper = {n: (v >> 16).astype("<u2") for n, v in cut.items()}
    bfloat16_file(tmp_path / "half" / "model.safetensors", upper)
    other = bert.read(tmp_path / "half")
    np.testing.assert_array_equal(one(batch()), other(batch()))


# === GELU ===


@pytest.mark.parametrize(
    ("name", "form"),
    [("gelu", "exact"), ("gelu_new", "tanh"), ("gelu_pytorch_tanh", "tanh")],
)
def test_the_gelu_is_that_of_the_source(tmp_path, name, form):
    hugging_face(tmp_path, settings=config(hidden_act=name))
    encoder, lines = told(tmp_path)
    assert encoder.gelu == form
    assert lines["GELU"] == f"{form} (config.json: hidden_act is {name})"


def test_tensorflow1_computes_the_tanh_form_whatever_it_calls_it(tmp_path):
    encoder, lines = told(tensorflow1(tmp_path))
    assert encoder.gelu == "tanh"
    assert "TensorFlow 1" in lines["GELU"]
    encoder, lines = told(tmp_path, gelu="exact")
    assert (encoder.gelu, lines["GELU"]) == ("exact", "exact (as asked for)")


@pytest.mark.parametrize("gelu", ["exact", "tanh"])
def test_the_gelu_survives_every_form_of_saving(tmp_path, gelu):
    encoder = bert.read(hugging_face(tmp_path / "source"), gelu=gelu)
    encoder.save(tmp_path / "text.keras")
    preset = str(tmp_path / "preset")
    encoder.backbone.save_to_preset(preset)
    encoder.tokenizer.save_to_preset(preset)
    for again in (
        keras.saving.load_model(tmp_path / "text.keras"),
        bert.read(tmp_path / "text.keras"),
        bert.read(preset),
        TextEncoder.from_preset(preset),
    ):
        assert again.gelu == gelu
        np.testing.assert_array_equal(encoder(batch()), again(batch()))
    plain = keras_hub.models.BertBackbone.from_preset(preset)
    assert isinstance(plain, ExactBertBackbone) is (gelu == "exact")
    other = {"exact": "tanh", "tanh": "exact"}[gelu]
    assert f"its GELU is {gelu}" in refusal(preset, gelu=other)


def test_the_two_gelus_differ_by_what_is_known(tmp_path):
    hugging_face(tmp_path)
    exact, tanh = (bert.read(tmp_path, gelu=g) for g in ("exact", "tanh"))
    difference = np.abs(exact(batch()) - tanh(batch())).max()
    assert 1e-5 < difference < 1e-2


# === Dropout ===


def test_a_dropout_of_attention_that_is_another_is_warned_of(tmp_path):
    for name, write, file in (
        ("h", hugging_face, "config.json"),
        ("t", tensorflow1, "bert_config.json"),
    ):
        settings = config(attention_probs_dropout_prob=0.0)
        encoder, lines = told(write(tmp_path / name, settings=settings))
        assert encoder.backbone.dropout == 0.1
        assert lines["warning"] == (
            f"{tmp_path / name / file}: hidden_dropout_prob is 0.1 and"
            " attention_probs_dropout_prob 0.0; KerasHub's BERT has one rate:"
            " 0.1 is used for both in training"
        )


def test_dropouts_that_agree_or_are_left_out_are_not(tmp_path):
    alike = config(attention_probs_dropout_prob=0.1)
    for name, settings in (("alike", alike), ("none", config())):
        _, lines = told(hugging_face(tmp_path / name, settings=settings))
        assert "warning" not in lines
    # 0.1 is what Hugging Face takes for a key that is not there
    hugging_face(tmp_path / "one", settings=config(hidden_dropout_prob=0.3))
    _, lines = told(tmp_path / "one")
    assert "attention_probs_dropout_prob 0.1; " in lines["warning"]


# === Pooling ===


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_the_pooling_survives_saving_unless_another_is_asked_for(
    tmp_path, pooling
):
    encoder = bert.read(hugging_face(tmp_path / "source"), pooling)
    path = str(tmp_path / "text.keras")
    encoder.save(path)
    for again in (TextEncoder.from_preset(path), bert.read(path)):
        assert again.pooling == pooling
        np.testing.assert_array_equal(encoder(batch()), again(batch()))
    _, lines = told(path)
    assert lines["pooling"] == f"{pooling} (as it was saved)"
    other = {"cls": "mean", "pooler": "cls", "mean": "pooler"}[pooling]
    assert TextEncoder.from_preset(path, other).pooling == other
    _, lines = told(path, pooling=other)
    asked = f"{other} (as the recipe or --pooling says; saved with {pooling})"
    assert lines["pooling"] == asked


def test_what_keeps_no_pooling_has_that_of_the_first_token(tmp_path):
    encoder, lines = told(hugging_face(tmp_path / "source"))
    assert encoder.pooling == "cls"
    assert "pooling" not in lines
    preset = str(tmp_path / "preset")
    encoder.backbone.save_to_preset(preset)
    encoder.tokenizer.save_to_preset(preset)
    assert TextEncoder.from_preset(preset).pooling == "cls"


# === Casing ===


@pytest.mark.parametrize(
    ("pieces", "said", "lower_case", "reason"),
    [
        (CASED, None, False, "1 word piece with capital letters"),
        (LOWER, None, True, "no word piece has a capital letter"),
        (CASED, False, False, "tokenizer_config.json: do_lower_case is false"),
        (LOWER, True, True, "tokenizer_config.json: do_lower_case is true"),
    ],
)
def test_the_casing_comes_from_the_files(
    tmp_path, pieces, said, lower_case, reason
):
    options = {} if said is None else {"do_lower_case": said}
    encoder, lines = told(hugging_face(tmp_path, pieces=pieces, **options))
    assert encoder.tokenizer.lowercase is lower_case
    word = "lower case" if lower_case else "cased"
    assert lines["casing"] == f"{word} ({reason})"
    assert "warning" not in lines


def test_a_casing_that_contradicts_the_vocabulary_is_warned_of(tmp_path):
    hugging_face(tmp_path / "a", pieces=CASED, do_lower_case=True)
    _, lines = told(tmp_path / "a")
    assert "1 word piece with capital letters will never be" in lines["warning"]
    _, lines = told(tmp_path / "a", lower_case=False)
    assert lines["casing"] == "cased (as asked for)"
    assert "warning" not in lines
    hugging_face(tmp_path / "b", pieces=LOWER)
    _, lines = told(tmp_path / "b", lower_case=False)
    assert "words with one become [UNK]" in lines["warning"]


@pytest.mark.parametrize("lower_case", [True, False])
def test_the_casing_asked_for_holds_for_every_form(tmp_path, lower_case):
    encoder = bert.read(hugging_face(tmp_path / "h"))
    encoder.save(tmp_path / "text.keras")
    for path in (tmp_path / "h", tmp_path / "text.keras"):
        again = bert.read(path, lower_case=lower_case)
        pieces = [
            again.tokenizer.id_to_token(i) for i in again.tokenizer("Heart")
        ]
        assert pieces == ["heart" if lower_case else "Heart"]


# === What is wrong with a checkpoint ===


def changed(folder, change, **options):
    weights = tensors()
    change(weights)
    return hugging_face(folder, weights, **options)


def test_missing_tensors_are_named(tmp_path):
    path = changed(
        tmp_path,
        lambda w: [
            w.pop("encoder.layer.1.output.dense.bias"),
            w.pop("embeddings.LayerNorm.weight"),
        ],
    )
    message = refusal(path)
    assert "missing: embeddings.LayerNorm.weight, encoder.layer.1." in message
    assert "config.json" in message


def test_unexpected_tensors_are_named(tmp_path):
    hugging_face(tmp_path, tensors(config(num_hidden_layers=3)), config())
    message = refusal(tmp_path)
    assert "unexpected: encoder.layer.2.attention" in message
    assert "and 10 more" in message


def test_shapes_are_checked_by_name(tmp_path):
    name = "encoder.layer.0.intermediate.dense.weight"
    path = changed(tmp_path, lambda w: w.update({name: w[name].T}))
    assert f"{name} (8, 12) instead of (12, 8)" in refusal(path)


def test_numbers_that_are_not_finite_are_named(tmp_path):
    name = "encoder.layer.0.output.LayerNorm.bias"
    path = changed(tmp_path, lambda w: w[name].fill(np.nan))
    assert f"not finite numbers: {name}" in refusal(path)


def test_known_buffers_and_heads_are_tolerated(tmp_path):
    plain = bert.read(hugging_face(tmp_path / "plain"))
    weights = {f"bert.{name}": value for name, value in tensors().items()}
    weights["bert.embeddings.position_ids"] = np.arange(20)[None]
    weights["cls.predictions.bias"] = np.zeros(12, "float32")
    full, lines = told(hugging_face(tmp_path / "full", weights))
    np.testing.assert_array_equal(plain(batch()), full(batch()))
    assert lines["not of the encoder, ignored"] == "cls.predictions.bias"


def test_the_names_of_2018_are_understood(tmp_path):
    plain = bert.read(hugging_face(tmp_path / "plain"))
    words = {"LayerNorm.weight": "LayerNorm.gamma"}
    words["LayerNorm.bias"] = "LayerNorm.beta"
    weights = {}
    for name, value in tensors().items():
        for new, old in words.items():
            name = name.replace(new, old)
        weights[name] = value
    old = bert.read(hugging_face(tmp_path / "old", weights))
    np.testing.assert_array_equal(plain(batch()), old(batch()))


def test_a_missing_pooler_matters_only_where_it_is_read(tmp_path):
    path = changed(
        tmp_path / "source",
        lambda w: [w.pop(f"pooler.dense.{n}") for n in ("weight", "bias")],
    )
    encoder, lines = told(path)
    assert lines["no pooler"].startswith("set to zero")
    assert "pooler.dense.weight" in refusal(path, pooling="pooler")
    encoder.save(tmp_path / "text.keras")
    assert "no pooler" in refusal(tmp_path / "text.keras", pooling="pooler")
    half = changed(tmp_path / "half", lambda w: w.pop("pooler.dense.bias"))
    assert "missing: pooler.dense.bias" in refusal(half)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "roberta"),
        ("position_embedding_type", "relative_key"),
        ("layer_norm_eps", 1e-5),
        ("is_decoder", True),
        ("hidden_act", "relu"),
        ("hidden_dropout_prob", 1.0),
        ("attention_probs_dropout_prob", "0.1"),
        ("hidden_size", 9),
        ("hidden_size", "8"),
        ("num_hidden_layers", 0),
    ],
)
def test_other_architectures_are_refused_by_key(tmp_path, key, value):
    hugging_face(tmp_path, tensors(), config(**{key: value}))
    message = refusal(tmp_path)
    assert key in message
    assert "config.json" in message


def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path):
    path = hugging_face(tmp_path)
    vocabulary = path / "vocab.txt"
    for text, part in (
        ("\n".join([*CASED, "more"]), "13 word pieces does not belong"),
        ("heart\n", r"lacks [PAD], [UNK], [CLS], [SEP], [MASK]"),
        ("\n".join([*CASED[:-1], "heart"]), "'heart' stands in line 7 and 12"),
        ("\n".join([*CASED[:-1], "", ""]), "an empty word piece in line 12"),
    ):
        vocabulary.write_text(text)
        assert part in refusal(path)
    vocabulary.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(path)
    vocabulary.unlink()
    assert "no vocabulary" in refusal(path)


def test_embeddings_may_have_rows_to_spare(tmp_path):
    settings = config(vocab_size=16)
    hugging_face(tmp_path, tensors(settings), settings)
    assert bert.read(tmp_path).tokenizer.vocabulary_size() == len(CASED)


def test_damaged_and_incomplete_folders_are_refused(tmp_path):
    describe(tmp_path, config(), CASED)
    assert "no weights" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08" + bytes(30))
    assert "damaged, or no safetensors" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json: not JSON" in refusal(tmp_path)
    (tmp_path / "config.json").unlink()
    assert "no configuration" in refusal(tmp_path)
    assert "no such checkpoint" in refusal(tmp_path / "absent")


def test_a_truncated_tensorflow_checkpoint_is_refused(tmp_path):
    tensorflow1(tmp_path)
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:100])
    assert "damaged, or no TensorFlow checkpoint" in refusal(tmp_path)


def test_of_several_checkpoints_one_must_be_named(tmp_path):
    tensorflow1(tmp_path, tensors(seed=1), step=100)
    tensorflow1(tmp_path, tensors(seed=2), step=150)
    message = refusal(tmp_path)
    assert "several checkpoints (model.ckpt-100, model.ckpt-150)" in message
    first = bert.read(tmp_path / "model.ckpt-100")
    again = bert.read(tmp_path / "model.ckpt-100.index")
    np.testing.assert_array_equal(first(batch()), again(batch()))
    second = bert.read(tmp_path / "model.ckpt-150")
    assert np.abs(first(batch()) - second(batch())).max() > 0.1


def test_one_file_of_several_forms_can_be_named(tmp_path):
    tensorflow1(tmp_path, tensors(seed=1))
    hugging_face(tmp_path, tensors(seed=2))
    _, lines = told(tmp_path)
    assert lines["weights"].startswith("safetensors")
    _, lines = told(tmp_path / "model.ckpt-150")
    assert lines["weights"].startswith("TensorFlow 1")


def test_a_keras_file_of_something_else_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(
        tmp_path / "other.keras"
    )
    assert "no BERT with a tokenizer" in refusal(tmp_path / "other.keras")
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    assert "not a text encoder" in refusal(tmp_path / "broken.keras")


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`gelu`"):
        bert.read(tmp_path, gelu="erf")
