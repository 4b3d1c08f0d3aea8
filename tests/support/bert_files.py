"""Small BERT checkpoints in every form, with invented pieces and weights."""

import json

import numpy as np

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = [*SPECIAL, "Heart", "heart", "lung", "##s", ".", "e", "##ff"]
LOWER = [piece for piece in CASED if piece != "Heart"]
SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
}


def config(pieces=CASED, **changes):
    return {
        "model_type": "bert",
        "vocab_size": len(pieces),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        **SIZES,
        **changes,
    }


def shapes(settings):
    """Names and shapes as `BertModel` of transformers has them."""
    dim, inner = settings["hidden_size"], settings["intermediate_size"]
    found = {
        "embeddings.word_embeddings": (settings["vocab_size"], dim),
        "embeddings.position_embeddings": (
            settings["max_position_embeddings"],
            dim,
        ),
        "embeddings.token_type_embeddings": (settings["type_vocab_size"], dim),
    }
    found = {f"{name}.weight": shape for name, shape in found.items()}

    def add(name, *shape):
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = shape[:1]

    add("embeddings.LayerNorm", dim)
    for i in range(settings["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            add(f"{layer}.attention.self.{name}", dim, dim)
        add(f"{layer}.attention.output.dense", dim, dim)
        add(f"{layer}.attention.output.LayerNorm", dim)
        add(f"{layer}.intermediate.dense", inner, dim)
        add(f"{layer}.output.dense", dim, inner)
        add(f"{layer}.output.LayerNorm", dim)
    add("pooler.dense", dim, dim)
    return found


def tensors(settings=None, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0.0, 0.5, shape).astype("float32")
        for name, shape in shapes(settings or config()).items()
    }


def describe(folder, settings, pieces, name="config.json", **tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(settings))
    if pieces is not None:
        text = "\n".join(pieces) + "\n"
        (folder / "vocab.txt").write_text(text, encoding="utf-8")
    if tokenizer:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def hugging_face(
    folder, weights=None, settings=None, pieces=CASED, **tokenizer
):
    """`config.json`, `vocab.txt`, `model.safetensors`."""
    from safetensors.numpy import save_file

    settings = settings or config(pieces)
    describe(folder, settings, pieces, **tokenizer)
    weights = tensors(settings) if weights is None else weights
    weights = {k: np.ascontiguousarray(v) for k, v in weights.items()}
    save_file(weights, folder / "model.safetensors")
    return folder


def tensorflow1(folder, weights=None, settings=None, pieces=CASED, step=150):
    """`bert_config.json`, `vocab.txt`, `model.ckpt-*`, as the TF1 code."""
    import tensorflow as tf

    settings = settings or config(pieces)
    describe(folder, settings, pieces, "bert_config.json")
    weights = tensors(settings) if weights is None else weights
    renamed = dict(map(_tensorflow1_name, weights.items()))
    dense = renamed["bert/pooler/dense/kernel"]
    others = {
        "global_step": np.int64(step),
        "bert/pooler/dense/kernel/adam_m": dense,
        "cls/predictions/output_bias": np.zeros(3, "float32"),
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.get_variable(name, initializer=value)
            for name, value in {**renamed, **others}.items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(variables)
        saver.save(session, str(folder / f"model.ckpt-{step}"))
    return folder


def _tensorflow1_name(item):
    name, value = item
    name = name.replace("encoder.layer.", "encoder.layer_").replace(".", "/")
    if name.endswith("_embeddings/weight"):
        name = name.removesuffix("/weight")
    elif "LayerNorm" in name:
        name = name.replace("weight", "gamma").replace("bias", "beta")
    elif name.endswith("weight"):
        name, value = name.replace("weight", "kernel"), value.T
    return f"bert/{name}", value


def batch(size=4, length=11, seed=0):
    """Token ids and a mask; the texts have different lengths."""
    rng = np.random.default_rng(seed)
    lengths = np.linspace(length, 1, size).astype(int)[:, None]
    mask = (np.arange(length) < lengths).astype("int32")
    ids = rng.integers(0, len(CASED), mask.shape).astype("int32")
    return {"token_ids": ids, "padding_mask": mask}
