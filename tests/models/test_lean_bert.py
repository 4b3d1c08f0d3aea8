"""The lean path is KerasHub's network: features, gradients, in every form."""

import functools

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kerasmi.models import lean_bert, lean_ops, packing
from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.text_encoder import POOLINGS, TextEncoder

KINDS = [keras_hub.models.BertBackbone, ExactBertBackbone]
LENGTHS = np.array([[7, 3], [5, 7], [2, 1]])


def encoder(kind=KINDS[0], pooling="cls", dropout=0.0, dtype=None):
    keras.utils.set_random_seed(0)
    backbone = kind(
        vocabulary_size=30,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        dropout=dropout,
        max_sequence_length=12,
        dtype=dtype or "float64",
    )
    rng = np.random.default_rng(0)
    for weight in backbone.trainable_weights:
        weight.assign(rng.normal(0.0, 0.3, weight.shape))
    return TextEncoder(backbone, pooling=pooling, dtype=dtype or "float64")


def texts():
    """Three images with two texts; the first text stands there twice."""
    rng = np.random.default_rng(0)
    mask = np.arange(9) < LENGTHS[..., None]
    ids = np.where(mask, rng.integers(1, 30, mask.shape), 0).astype("int32")
    ids[1, 1], mask[1, 1] = ids[0, 0], mask[0, 0]
    return {"token_ids": tf.constant(ids), "padding_mask": tf.constant(mask)}


GELUS = {
    "tanh": lambda x: (
        0.5 * x * (1 + tf.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    ),
    "exact": lambda x: 0.5 * x * (1 + tf.math.erf(x / 2**0.5)),
}


def plain(made, inputs):
    """Features by KerasHub's functional network, with all its padding."""
    for layer in made.backbone.transformer_layers:
        # TensorFlow's own holds its constants in float32
        layer._feedforward_intermediate_dense.activation = GELUS[made.gelu]
    ids = tf.reshape(inputs["token_ids"], (6, -1))
    mask = tf.cast(tf.reshape(inputs["padding_mask"], ids.shape), "int32")
    outputs = made.backbone(
        {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask}
    )
    sequence = outputs["sequence_output"]
    if made.pooling == "pooler":
        features = outputs["pooled_output"]
    elif made.pooling == "cls":
        features = sequence[:, 0]
    else:
        lengths = np.array(mask).sum(axis=1)
        rows = zip(sequence, lengths, strict=True)
        features = tf.stack([tf.reduce_mean(x[:n], 0) for x, n in rows])
    return tf.reshape(features, (3, 2, -1))


def value_and_gradients(made, features):
    weights = np.random.default_rng(1).normal(size=(3, 2, 8))
    used = [
        v.value
        for v in made.trainable_variables
        if made.pooling == "pooler" or "pooled" not in v.path
    ]
    with tf.GradientTape() as tape:
        value = features()
        total = tf.reduce_sum(weights * tf.cast(value, "float64"))
    gradients = tape.gradient(total, used)
    return [value, *map(tf.convert_to_tensor, gradients)]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_features_and_gradients_are_those_of_kerashub(kind, pooling):
    made, inputs = encoder(kind, pooling), texts()
    lean = value_and_gradients(made, lambda: made(inputs, training=True))
    whole = value_and_gradients(made, lambda: plain(made, inputs))
    for ours, theirs in zip(lean, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_held_out_features_are_those_of_kerashub(kind, pooling, monkeypatch):
    made, inputs = encoder(kind, pooling, dropout=0.5), texts()
    generator = made.backbone.embeddings_dropout.seed_generator
    before = np.array(generator.state)
    with monkeypatch.context() as without:
        without.setattr(made, "_features", None)
        with lean_bert.held_out():
            lean = made(inputs)
    np.testing.assert_allclose(lean, plain(made, inputs), rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(generator.state, before)


def test_what_is_exported_keeps_to_kerashubs_layers():
    made, inputs = encoder(), texts()

    def kinds(training):
        traced = tf.function(lambda texts: made(texts, training=training))
        graph = traced.get_concrete_function(inputs).graph
        return {each.type for each in graph.get_operations()}

    assert "UniqueV2" in kinds(True)
    with lean_bert.held_out():
        assert "UniqueV2" in kinds(False)
    assert "UniqueV2" not in kinds(False)


def test_a_graph_of_unknown_shape_gives_the_eager_features():
    made, inputs = encoder(), texts()
    shape = (None, None, None)

    @tf.function(
        input_signature=[
            {
                "token_ids": tf.TensorSpec(shape, tf.int32),
                "padding_mask": tf.TensorSpec(shape, tf.bool),
            }
        ]
    )
    def features(inputs):
        return made(inputs, training=True)

    eager = made(inputs, training=True)
    np.testing.assert_allclose(features(inputs), eager, rtol=1e-12)


def test_inside_xla_the_features_are_the_same(monkeypatch):
    made, inputs = encoder(), texts()
    lean = made(inputs, training=True)
    monkeypatch.setattr(made, "_lean_features", None)
    compiled = tf.function(made, jit_compile=True)(inputs, training=True)
    np.testing.assert_allclose(compiled, lean, rtol=1e-9)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_of_padding_alone_is_the_same_in_training_and_out(pooling):
    made, inputs = encoder(pooling=pooling), texts()
    mask = np.array(inputs["padding_mask"])
    whole = np.array(made(inputs))
    mask[1, 1] = False
    inputs["padding_mask"] = mask
    found = np.array(made(inputs))
    np.testing.assert_allclose(
        found, made(inputs, training=True), rtol=1e-6, atol=1e-8
    )
    assert not np.allclose(found[1, 1], whole[1, 1])
    found[1, 1] = whole[1, 1]
    np.testing.assert_array_equal(found, whole)


def test_quantised_weights_are_left_to_kerashub():
    made = encoder(dtype="float32")
    assert lean_bert.fits(made.backbone)
    made.backbone.transformer_layers[0]._feedforward_output_dense.quantize(
        "int8"
    )
    assert not lean_bert.fits(made.backbone)


def test_two_devices_take_the_gradients_of_one(two_devices):
    def gradients(strategy, inputs):
        with strategy.scope():
            made = encoder()

        @tf.function
        def step(inputs):
            with tf.GradientTape() as tape:
                features = made(inputs, training=True)
                total = tf.reduce_sum(features**3)
            values = [
                v.value for v in made.backbone.transformer_layers[0].weights
            ]
            context = tf.distribute.get_replica_context()
            return context.all_reduce("SUM", tape.gradient(total, values))

        found = strategy.run(step, (inputs,))
        return [strategy.experimental_local_results(g)[0] for g in found]

    whole = texts()
    whole = {name: tf.concat([x, x[::-1]], 0) for name, x in whole.items()}
    data = tf.data.Dataset.from_tensor_slices(whole).batch(6)
    (parts,) = two_devices.experimental_distribute_dataset(data)
    one = gradients(tf.distribute.get_strategy(), whole)
    for a, b in zip(one, gradients(two_devices, parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_in_half_precision_statistics_are_float32(dtype, policy):
    half, whole = encoder(dtype=dtype), encoder(dtype="float32")
    keras.config.set_dtype_policy(policy)
    try:
        made = TextEncoder(half.backbone)
    finally:
        keras.config.set_dtype_policy("float32")
    features = made(texts(), training=True)
    assert features.dtype == half.backbone.compute_dtype
    # 2**-8 and 2**-11 are the steps of the two formats at 1
    np.testing.assert_allclose(
        tf.cast(features, "float32"), whole(texts()), atol=0.06
    )


def long_texts():
    """Three of 301, 300 and 7 tokens, in a shape without a multiple."""
    mask = np.arange(303) < np.array([301, 300, 7])[:, None]
    return np.random.default_rng(0).integers(1, 30, mask.shape), mask


def rounded_means(features, mask):
    """In float64, then rounded once to the dtype of the features."""
    whole = np.array(tf.cast(features, "float64"))
    found = [x[kept].mean(axis=0) for x, kept in zip(whole, mask, strict=True)]
    return np.array(tf.cast(tf.cast(found, features.dtype), "float64"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_mean_of_a_long_text_is_rounded_once(dtype, monkeypatch):
    ids, mask = long_texts()
    rng = np.random.default_rng(1)
    features = tf.cast(rng.normal(0.3, 1.0, (*mask.shape, 8)), dtype)

    def network(backbone, token_ids, layout, training, only_first):
        places = tf.stack([layout.texts, layout.positions], axis=1)
        return tf.gather_nd(features, places)

    monkeypatch.setattr(lean_bert, "_network", network)
    found = lean_bert.means(None, ids, mask)
    assert found.dtype == dtype
    found = np.array(tf.cast(found, "float64"))
    # a float32 sum may round the other way, by one step
    step = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]
    wanted = rounded_means(features, mask)
    np.testing.assert_allclose(found, wanted, rtol=2 * step)
    assert np.mean(found == wanted) > 0.9


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_outside_of_training_too(dtype):
    keras.utils.set_random_seed(0)
    backbone = KINDS[0](30, 1, 2, 8, 16, max_sequence_length=303, dtype=dtype)
    ids, mask = long_texts()
    inputs = {"token_ids": ids.astype("int32"), "padding_mask": mask}
    found = TextEncoder(backbone, pooling="mean", dtype=dtype)(inputs)
    kept = mask.astype("int32")
    inputs = {**inputs, "padding_mask": kept, "segment_ids": 0 * kept}
    features = backbone(inputs)["sequence_output"]
    assert found.dtype == features.dtype
    found = np.array(tf.cast(found, "float64"))
    wanted = rounded_means(features, mask)
    assert np.mean(found == wanted) > 0.9


def test_weights_are_read_whole_inside_a_model_of_mixed_precision():
    whole = encoder(dtype="float32")
    made = TextEncoder(whole.backbone, dtype="mixed_bfloat16")
    np.testing.assert_allclose(
        made(texts(), training=True), whole(texts()), atol=1e-5
    )


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_what_fills_up_changes_no_feature_and_no_gradient(
    pooling, dropout, monkeypatch
):
    found = []
    for multiples in ((4, 32), (1, 1), (7, 50)):
        for name, value in zip(("TEXTS", "TOKENS"), multiples, strict=True):
            monkeypatch.setattr(packing, name, value)
        made, inputs = encoder(pooling=pooling, dropout=dropout), texts()
        call = functools.partial(made, inputs, training=True)
        found.append(value_and_gradients(made, call))
    for filled in found[1:]:
        for mine, theirs in zip(filled, found[0], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


# === Dropout ===


def test_texts_that_are_alike_share_their_dropout():
    made = encoder(dropout=0.5)
    features = np.array(made(texts(), training=True))
    np.testing.assert_array_equal(features[0, 0], features[1, 1])
    assert len(np.unique(features.reshape(6, 8), axis=0)) == 5


def test_one_saved_seed_is_the_dropout_of_a_step():
    made = encoder(dropout=0.5)
    seed = made.backbone.embeddings_dropout.seed_generator.state
    start = np.array(seed)
    first, second = (np.array(made(texts(), training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    seed.assign(start)
    np.testing.assert_array_equal(made(texts(), training=True), first)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999999])
def test_the_expectation_of_dropout_is_one(rate):
    dropped, scale = lean_ops.dropout_scale(rate)
    assert abs(dropped / 2**16 - rate) < 2**-16
    assert (2**16 - dropped) * scale == 2**16


def test_dropout_drops_its_share():
    mask = lean_ops.dropout_mask([300, 401], 0.1, [1, 2], "float32")
    values, counts = np.unique(mask, return_counts=True)
    np.testing.assert_allclose(values, [0.0, 1 / 0.9], rtol=1e-5)
    # six standard errors
    assert abs(counts[0] / mask.shape.num_elements() - 0.1) < 0.0052


# === Parts ===


@pytest.mark.parametrize(
    ("ours", "kind"),
    [(lean_ops.gelu_tanh, "tanh"), (lean_ops.gelu_exact, "exact")],
)
def test_the_gelu_and_its_slope_are_those_of_the_formula(ours, kind):
    x = tf.constant(np.linspace(-6, 6, 101))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        found, expected = ours(x), GELUS[kind](x)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(
        tape.gradient(found, x), tape.gradient(expected, x), atol=1e-12
    )


def test_what_stands_under_padding_makes_no_text_another():
    ids = np.array([[7, 8, 9], [7, 8, 1], [7, 8, 9], [7, 8, 0]])
    mask = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]])
    found, kept, which = packing.distinct(ids, mask)
    # the fourth fills up
    ids = [[7, 8, 0], [7, 8, 9], [7, 8, 0], [0, 0, 0]]
    np.testing.assert_array_equal(found, ids)
    mask = [[1, 1, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]]
    np.testing.assert_array_equal(kept, mask)
    np.testing.assert_array_equal(which, [0, 0, 1, 2])


def test_tokens_come_back_to_their_places():
    layout = packing.packed(np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]))
    assert layout.number == 4
    # what fills up is the first place that is padded
    texts, positions = [0, 0, 0, 1] + [0] * 28, [0, 1, 2, 0] + [3] * 28
    np.testing.assert_array_equal(layout.texts, texts)
    np.testing.assert_array_equal(layout.positions, positions)
    # three, filled up to four
    assert layout.mask.shape == (2, 4)
    order = packing.heads(layout, 2)
    x = tf.constant(np.arange(192.0).reshape(32, 6))
    wide = packing.spread(x, order)
    np.testing.assert_array_equal(wide[0, 1, :3], np.array(x)[:3, 3:])
    np.testing.assert_array_equal(packing.collect(wide, order)[:4], x[:4])


@pytest.mark.parametrize(
    ("longest", "length", "kept"),
    [(1, 9, 4), (4, 9, 4), (5, 9, 8), (8, 9, 8), (9, 9, 9), (9, 10, 10)],
)
def test_the_longest_text_has_a_round_length(longest, length, kept):
    mask = np.arange(length) < np.array([longest, 1])[:, None]
    layout = packing.packed(mask)
    np.testing.assert_array_equal(layout.mask, mask[:, :kept])
    assert layout.number == longest + 1


def test_texts_without_padding_are_not_filled_up():
    layout = packing.packed(np.ones((3, 5)))
    assert layout.texts.shape == (15,)
    assert layout.number == 15


def test_round_numbers_are_not_filled_up():
    mask = np.arange(11) < np.array([11, 8, 7, 6])[:, None]
    layout = packing.packed(mask)
    assert layout.number == 32
    assert layout.texts.shape == (32,)
    ids, _, _ = packing.distinct(np.arange(4)[:, None] * mask, mask)
    assert ids.shape == (4, 11)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_text_has_no_features_and_gives_no_gradient(pooling):
    # a device may get no image of a last batch
    made = encoder(pooling=pooling)
    nothing = {name: part[:0] for name, part in texts().items()}
    with tf.GradientTape() as tape:
        features = made(nothing, training=True)
        total = tf.reduce_sum(features)
    assert features.shape == (0, 2, 8)
    for gradient in tape.gradient(total, made.trainable_variables):
        if gradient is not None:
            assert not np.any(tf.convert_to_tensor(gradient))
