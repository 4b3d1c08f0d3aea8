import inspect
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import VOCABULARY, batch, model
from tensorflow.python.framework import config

from kerasmi import bounds, fused_adam, losses, optimizers
from kerasmi.models import lean_bert
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_text_model import ImageTextModel


def dataset(inputs, size):
    return tf.data.Dataset.from_tensor_slices(inputs).batch(
        size, drop_remainder=True
    )


def fitted(inputs, size, epochs=1, loss="mine", **settings):
    made = model(**settings)
    made.compile(keras.optimizers.SGD(0.05), loss=loss)
    made.fit(dataset(inputs, size), epochs=epochs, verbose=0, shuffle=False)
    return made


def test_scores_are_of_every_image_and_text():
    made = model()
    scores = made(batch(4, texts=3))
    assert scores.shape == (4, 12)
    assert model(scope="global")(batch(4)).shape == (4, 4)


def test_a_score_is_the_best_region_of_that_image_and_text_alone():
    made = model()
    inputs = batch(4, texts=2)
    image_features, text_features = made.encode(inputs)
    scores = np.array(made(inputs))
    for i, j, k in [(0, 0, 0), (3, 1, 1), (2, 3, 0)]:
        one = made.critic(
            image_features[i : i + 1], text_features[j, k : k + 1]
        )
        np.testing.assert_allclose(
            scores[i, 2 * j + k], np.max(one), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("loss", sorted(losses.LOSSES))
@pytest.mark.parametrize("scope", ["local", "global"])
def test_every_tower_gets_a_gradient(loss, scope):
    made = model(scope=scope, normalize=True)
    made.compile(keras.optimizers.SGD(0.0), loss=loss)
    with tf.GradientTape() as tape:
        pairs, scores, *_ = made._reduced(batch(8), training=True)
        value = made.objective(pairs, scores)
    for tower in (made.image_encoder, made.text_encoder, made.critic):
        assert tower.trainable_variables
    gradients = tape.gradient(value, made.trainable_variables)
    size = {
        id(variable): None
        if g is None
        else np.abs(tf.convert_to_tensor(g)).max()
        for variable, g in zip(made.trainable_variables, gradients, strict=True)
    }
    assert None not in size.values()
    for tower in (made.image_encoder, made.text_encoder, made.critic):
        assert max(size[id(v)] for v in tower.trainable_variables) > 1e-8


@pytest.mark.parametrize(
    ("loss", "scope"), [("mine", "local"), ("cpc", "global")]
)
def test_one_batch_is_overfitted(loss, scope):
    made = model(scope=scope, normalize=True, hidden_dims=(32, 16))
    made.compile(keras.optimizers.Adam(3e-3), loss=loss)
    data = dataset(batch(8, texts=1), 8).repeat(60)
    history = made.fit(data, epochs=1, verbose=0, shuffle=False)
    last = made.train_on_batch(batch(8, texts=1), return_dict=True)
    assert -last["loss"] > 1.0
    if loss == "cpc":
        assert -last["loss"] <= np.log(8) + 1e-5
    assert np.isfinite(history.history["gradient_norm"][0])


def test_fit_evaluate_and_predict_run_as_in_keras():
    made = model()
    made.compile(optimizers.paper(made), loss="cpc")
    data = dataset(batch(8, texts=2), 4)
    history = made.fit(
        data, validation_data=data, epochs=2, verbose=0, shuffle=False
    )
    assert {"mutual_information", "val_mutual_information", "ceiling"} <= set(
        history.history
    )
    # 1 own text and 2 texts of each of the 3 other images
    np.testing.assert_allclose(history.history["ceiling"], np.log(7), rtol=1e-5)
    results = made.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        -results["loss"], results["mutual_information"], rtol=1e-4
    )
    assert made.predict(data, verbose=0).shape == (8, 8)


def test_held_out_texts_are_computed_as_those_of_training(monkeypatch):
    made = model()
    made.compile(optimizers.paper(made), loss="cpc")
    data = dataset(batch(8, texts=2), 4)
    found = made.evaluate(data, verbose=0, return_dict=True)
    monkeypatch.setattr(lean_bert, "fits", lambda backbone: False)
    made.make_test_function(force=True)
    wanted = made.evaluate(data, verbose=0, return_dict=True)
    assert found.keys() == wanted.keys()
    for name in found:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4)
    monkeypatch.setattr(made.text_encoder, "_lean_features", None)
    monkeypatch.setattr(lean_bert, "fits", lambda backbone: True)
    made.make_test_function(force=True)
    with pytest.raises(TypeError, match="NoneType"):
        made.evaluate(data, verbose=0)


def test_images_of_one_study_are_not_each_others_negatives():
    # without same-study pairs 2 images have no negative at all
    made = model()
    made.compile("sgd", loss="cpc", run_eagerly=True)
    inputs = batch(4, studies=[7, 7, 8, 9])
    logs = made.train_on_batch(inputs, return_dict=True)
    expected = np.mean([np.log(3), np.log(3), np.log(4), np.log(4)])
    np.testing.assert_allclose(logs["ceiling"], expected, rtol=1e-5)


@pytest.mark.parametrize("lack", ["studies", "texts"])
def test_a_batch_of_one_study_or_without_text_is_refused(lack):
    made = model()
    made.compile("sgd")
    inputs = batch(4, studies=[7, 7, 7, 7] if lack == "studies" else None)
    if lack == "texts":
        inputs["padding_mask"][:] = 0
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"no negative pair.*of one study, or none has a text",
    ):
        made.fit(dataset(inputs, 4), verbose=0, shuffle=False)


@pytest.mark.parametrize("direction", bounds.DIRECTIONS)
def test_a_batch_in_which_no_anchor_has_a_negative(direction):
    # of the second batch one image has no text: it is the other's negative
    # image, and no negative text
    inputs = batch(6)
    inputs["padding_mask"][5] = 0
    loss = losses.CPC(direction)
    made = model()
    made.compile("sgd", loss=loss, run_eagerly=True)
    both = tf.data.Dataset.from_tensor_slices(inputs).batch(4)
    held_out = made.evaluate(both, verbose=0, return_dict=True)
    first = {name: values[:4] for name, values in inputs.items()}
    alone = made.evaluate(dataset(first, 4), verbose=0, return_dict=True)
    rest = {name: values[4:] for name, values in inputs.items()}
    if direction == "text_to_image":
        assert np.isfinite(made.train_on_batch(rest)).all()
        return
    np.testing.assert_allclose(held_out["loss"], alone["loss"], rtol=1e-6)
    before = [np.array(each) for each in made.trainable_variables]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no negative"):
        made.train_on_batch(rest)
    for one, other in zip(before, made.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def unused_word(made):
    """The embedding of [UNK], which no text of `batch` has."""
    assert not np.any(batch(8)["token_ids"] == 1)
    (table,) = (
        variable
        for variable in made.text_encoder.trainable_variables
        if variable.shape == (len(VOCABULARY), 8)
    )
    return np.array(table)[1]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("mode", ["plain", "run_eagerly", "two devices"])
def test_a_data_set_of_unknown_length_takes_no_step_more(mode, two_devices):
    here = tf.distribute.get_strategy()
    with (two_devices if mode == "two devices" else here).scope():
        made = model()
        optimizer = keras.optimizers.AdamW(0.5, weight_decay=0.1)
        made.compile(optimizer, run_eagerly=mode == "run_eagerly")
    data = dataset(batch(8), 4).filter(lambda _: True)
    assert int(data.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    start = unused_word(made)
    made.fit(data, epochs=2, verbose=0, shuffle=False)
    assert made.optimizer.iterations.numpy() == 4
    # only the decay of weights moves it
    np.testing.assert_allclose(
        unused_word(made), start * (1 - 0.05) ** 4, rtol=1e-5
    )


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("loss", ["cpc", None])
def test_mine_goes_on_from_weights_of_another_training(tmp_path, loss):
    one, other = model(), model(seed=1)
    if loss:
        one.compile("sgd", loss=loss, run_eagerly=True)
    one.save_weights(tmp_path / "model.weights.h5")
    other.compile("sgd", loss="mine", run_eagerly=True)
    other.train_on_batch(batch(4))
    assert np.isfinite(float(other.objective.log_average))
    other.load_weights(tmp_path / "model.weights.h5")
    assert float(other.objective.log_average) == -np.inf
    for a, b in zip(
        one.trainable_variables, other.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(other.train_on_batch(batch(4))).all()


@pytest.mark.parametrize("loss", ["mine", losses.CPC("symmetric")])
def test_a_saved_model_continues_as_if_never_saved(tmp_path, loss):
    inputs = batch(8, texts=2)
    made = model(normalize=True, region="logsumexp")
    optimizer = optimizers.paper(made, 1e-3, warmup_steps=3)
    made.compile(optimizer, loss=loss, run_eagerly=loss != "mine")
    data = dataset(inputs, 4)
    made.fit(data, epochs=2, verbose=0, shuffle=False)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.region == "logsumexp"
    assert type(loaded.objective) is type(made.objective)
    for one, other in zip(
        made.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    if loss == "mine":
        average = float(made.objective.log_average)
        assert np.isfinite(average)
        assert float(loaded.objective.log_average) == average
    saved = made.get_weights()
    for one in (made, loaded):
        one.run_eagerly = made.run_eagerly
        one.fit(data, epochs=2, verbose=0, shuffle=False)
    moved = [
        np.abs(a - b).max()
        for a, b in zip(saved, made.get_weights(), strict=True)
    ]
    assert max(moved) > 1e-4
    for one, other in zip(
        [*made.weights, *made.optimizer.variables],
        [*loaded.weights, *loaded.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    if loss == "mine":
        continued = float(made.objective.log_average)
        assert continued != average
        assert float(loaded.objective.log_average) == pytest.approx(continued)


def test_a_saved_model_is_executed_as_it_was(tmp_path):
    for settings in (
        {"run_eagerly": True},
        {"jit_compile": False, "steps_per_execution": 2},
    ):
        made = model()
        made.compile("sgd", **settings)
        made.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        for name in ("run_eagerly", "jit_compile", "steps_per_execution"):
            assert getattr(loaded, name) == getattr(made, name)


def test_scores_of_a_smaller_last_batch_have_shorter_rows():
    made, inputs = model(), batch(10, texts=2)
    found = made.predict(inputs, batch_size=4, verbose=0)
    assert isinstance(found, tf.RaggedTensor)
    np.testing.assert_array_equal(found.row_lengths(), [8] * 8 + [4] * 2)
    last = {name: value[8:] for name, value in inputs.items()}
    np.testing.assert_allclose(found[8:].to_tensor(), made(last), atol=1e-6)


def test_the_saved_optimizer_still_spares_biases_and_norms(tmp_path):
    made = model()
    optimizer = optimizers.paper(made, 0.01, weight_decay=0.5)
    made.compile(optimizer, run_eagerly=True)
    made.train_on_batch(batch(4))
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (made, loaded):
        text = next(
            part
            for part in one.optimizer.optimizers
            if isinstance(part, optimizers.BertAdamW)
        )
        for variable in one.text_encoder.trainable_variables:
            spared = variable.name in ("bias", "gamma", "beta")
            assert text._use_weight_decay(variable) is not spared


def test_each_variable_gets_the_optimizer_the_paper_gives_it():
    made = model(normalize=True)
    made.compile(optimizers.paper(made, 1e-3, 1e-4, schedule="constant"))
    text = {id(v) for v in made.text_encoder.trainable_variables}
    for variable in made.trainable_variables:
        chosen = made.optimizer._optimizer_map(variable)
        expected = (
            optimizers.BertAdamW
            if id(variable) in text
            else fused_adam.FusedAdam
        )
        assert type(chosen) is expected, variable.path
    rates = optimizers.learning_rates(made.optimizer)
    assert sorted(rates.values()) == pytest.approx([1e-4, 1e-3])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_variable_without_a_gradient_is_left_alone(accumulate):
    made = model()
    pooler = made.text_encoder.backbone.pooled_dense
    pooler.trainable = True
    made.compile("sgd", accumulate=accumulate)
    before = pooler.get_weights()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gradients do not exist")
        logs = made.train_on_batch(batch(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for one, other in zip(before, pooler.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_text_encoder_that_is_tuned_later_gets_its_own_optimizer(tmp_path):
    made = model()
    made.text_encoder.trainable = False
    optimizer = optimizers.paper(made, 1e-3, text_learning_rate=1e-5)
    made.compile(optimizer)
    made.train_on_batch(batch(4))
    made.save(tmp_path / "frozen.keras")
    for one in (made, keras.saving.load_model(tmp_path / "frozen.keras")):
        one.text_encoder.trainable = True
        again = optimizers.paper(made, 1e-3, text_learning_rate=1e-5)
        assert optimizers.text_key(one.optimizer, one) is not None
        assert optimizers.text_key(again, made) is not None
        (text,) = (
            part
            for part in one.optimizer.optimizers
            if isinstance(part, optimizers.BertAdamW)
        )
        chosen = optimizers._map(one.optimizer)
        for variable in one.trainable_variables:
            is_text = variable.path in {
                v.path for v in one.text_encoder.variables
            }
            assert (chosen(variable) is text) == is_text


def test_a_text_encoder_frozen_after_a_fit_is_not_trained_as_before():
    made = model()
    made.compile("sgd", loss="cpc")
    data = dataset(batch(8), 4)
    made.fit(data, verbose=0, shuffle=False)
    made.text_encoder.trainable = False
    with pytest.raises(ValueError, match=r"changed after `compile`"):
        made.fit(data, verbose=0, shuffle=False)


@pytest.mark.filterwarnings("ignore:.*does not have a `quantize`")
def test_a_text_encoder_quantised_after_a_step_is_read_as_it_is_now():
    made, inputs = model(), batch(8)
    made.compile("sgd", loss="cpc")
    data = dataset(inputs, 8)
    before = made.evaluate(data, verbose=0, return_dict=True)
    scores = made.predict(data, verbose=0)
    made.text_encoder.quantize("int8")
    after = made.evaluate(data, verbose=0, return_dict=True)
    assert after["loss"] != before["loss"]
    assert after["loss"] == pytest.approx(before["loss"], abs=0.1)
    found = made.predict(data, verbose=0)
    np.testing.assert_allclose(found, made(inputs), atol=1e-5)
    assert np.abs(found - scores).max() > 1e-5


def test_the_gradient_norm_is_that_of_the_gradient():
    # token ids repeat within a batch: the parts of a row must be added up
    made, inputs = model(normalize=True), batch(8, texts=2)
    made.compile(keras.optimizers.SGD(1.0), loss="cpc", run_eagerly=True)
    before = [np.array(v) for v in made.trainable_variables]
    logs = made.train_on_batch(inputs, return_dict=True)
    step = [
        a - np.array(v)
        for a, v in zip(before, made.trainable_variables, strict=True)
    ]
    norm = np.sqrt(sum((s.astype("float64") ** 2).sum() for s in step))
    np.testing.assert_allclose(logs["gradient_norm"], norm, rtol=1e-4)


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def mixed_precision(request):
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("mixed_precision")
def test_features_scores_and_loss_are_float32_under_mixed_precision():
    made, inputs = model(normalize=True), batch(8, texts=2)
    assert made.image_encoder.compute_dtype != "float32"
    for features in made.encode(inputs):
        assert features.dtype == "float32"
    assert made(inputs).dtype == "float32"
    optimizer = keras.optimizers.SGD(0.01)
    made.compile(optimizer, loss="mine", run_eagerly=True)
    before = [np.array(v) for v in made.trainable_variables]
    logs = made.train_on_batch(inputs, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    for variable in made.trainable_variables:
        assert variable.dtype == "float32"
    after = [np.array(v) for v in made.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_matched_selection_trains_but_is_read_as_max():
    inputs = batch(4)
    made = model(region="matched")
    made.compile("sgd", run_eagerly=True)
    made.train_on_batch(inputs)
    same = model(region="max")
    same.set_weights(made.get_weights())
    np.testing.assert_allclose(made(inputs), same(inputs), rtol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_value_of_matched_is_reported_as_mutual_information(accumulate):
    inputs = batch(16, texts=2)
    inputs["padding_mask"][3, 1] = 0
    made, same = model(region="matched"), model(region="max")
    for one in (made, same):
        rate = keras.optimizers.SGD(0.0)
        one.compile(rate, loss="cpc", accumulate=accumulate, run_eagerly=True)
    logs, expected = (
        one.evaluate(inputs, batch_size=16, verbose=0, return_dict=True)
        for one in (made, same)
    )
    assert logs == pytest.approx(expected, rel=1e-5)
    # in training, the pairs of an image that chooses no region are left out
    inputs = batch(16, texts=2)
    logs, expected = (
        one.train_on_batch(inputs, return_dict=True) for one in (made, same)
    )
    loss = -logs.pop("loss"), -expected.pop("loss")
    assert loss[0] > loss[1] + 0.001
    for name in logs.keys() - {"gradient_norm"}:
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5)


def test_keras_still_calls_what_is_overridden(monkeypatch):
    # private in Keras: a rename or removal must be noticed
    made, called = model(), []
    made.compile("sgd", run_eagerly=True)
    monkeypatch.setattr(
        type(made), "_maybe_symbolic_build", lambda *a, **k: called.append(a)
    )
    data = dataset(batch(4), 4)
    made.fit(data, verbose=0, shuffle=False)
    assert called
    assert hasattr(keras.Model, "_maybe_symbolic_build")


def test_an_unknown_region_rule_or_loss_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`region`.*'best'"):
        model(region="best")
    with pytest.raises(ValueError, match="'nce'"):
        model().compile("sgd", loss="nce")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5]),
    ],
)
def test_learning_rates_warm_up_then_follow_the_schedule(schedule, expected):
    total = None if schedule == "constant" else 8
    rate = optimizers.WarmUp(1.0, 4, total, schedule)
    np.testing.assert_allclose([float(rate(s)) for s in range(7)], expected)


def test_cosine_ends_at_zero_halfway_at_half():
    rate = optimizers.WarmUp(2.0, 0, 10, "cosine")
    np.testing.assert_allclose(
        [float(rate(s)) for s in (0, 5, 10)], [2.0, 1.0, 0.0], atol=1e-6
    )


def test_importing_the_models_is_enough_to_load_one(tmp_path):
    made = model(normalize=True)
    made.compile(optimizers.paper(made), loss="cpc")
    made.save(tmp_path / "model.keras")
    path = str(tmp_path / "model.keras")
    load = f"print(keras.saving.load_model({path!r}).name)"
    code = f"import keras, kerasmi.models; {load}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "image_text_model"


@pytest.mark.parametrize("name", ["class_weight", "sample_weight"])
def test_weights_of_images_are_refused_by_name(name):
    made = model()
    made.compile("sgd")
    inputs, weights = batch(4), {"class_weight": {0: 1.0}}.get(name, np.ones(4))
    # Keras itself drops weights that come without targets
    with pytest.raises(ValueError, match=f"`{name}`"):
        made.fit(inputs, verbose=0, **{name: weights})
    if name == "sample_weight":
        with pytest.raises(ValueError, match=f"`{name}`"):
            made.evaluate(inputs, verbose=0, sample_weight=weights)


def test_weights_are_refused_by_place_too():
    made = model()
    made.compile("sgd")
    inputs = batch(4)
    with pytest.raises(ValueError, match="`class_weight`"):
        made.fit(inputs, None, 4, 1, 0, None, 0.0, None, False, {0: 1.0})
    with pytest.raises(ValueError, match="`sample_weight`"):
        made.evaluate(inputs, None, 4, 0, np.ones(4))


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (ImageTextModel.fit, "fit"),
        (ImageTextModel.evaluate, "evaluate"),
        (ImageClassifier.fit, "fit"),
    ],
)
def test_what_is_refused_leaves_the_signature_of_keras(method, name):
    of_keras = getattr(keras.Model, name)
    assert inspect.signature(method) == inspect.signature(of_keras)
    assert method.__doc__.startswith(f"As `keras.Model.{name}`; refuses ")


def test_weights_of_a_dataset_are_refused_by_name():
    made = model()
    made.compile("sgd")
    weighted = (batch(4), np.zeros(4), np.ones(4))
    data = tf.data.Dataset.from_tensors(weighted)
    for use, settings in ((made.fit, {"shuffle": False}), (made.evaluate, {})):
        with pytest.raises(ValueError, match="`sample_weight`"):
            use(data, verbose=0, **settings)


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match=rf"`temperature`.*{temperature}"):
        model(region="logsumexp", temperature=temperature)


@pytest.fixture
def xla():
    """XLA for models, which Keras leaves out where operations must repeat."""
    was = config.is_op_determinism_enabled()  # by a run before, in this process
    config.disable_op_determinism()
    yield
    if was:
        config.enable_op_determinism()


@pytest.mark.usefixtures("xla")
def test_xla_leaves_out_the_check_of_negatives_and_the_loss_is_nan():
    made = model()
    made.compile("sgd", jit_compile=True)
    logs = made.train_on_batch(batch(4, studies=[7] * 4), return_dict=True)
    assert np.isnan(logs["loss"])


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": keras.optimizers.schedules.CosineDecay(1e-3, 9)},
        {"learning_rate": -1e-3},
        {"learning_rate": "1e-3"},
        {"learning_rate": float("nan")},
        {"warmup_steps": -3},
    ],
)
def test_a_rate_or_warm_up_that_is_none_is_refused(settings):
    with pytest.raises(ValueError, match="expected a number of at least 0"):
        optimizers.paper(model(), **settings)


def test_layers_of_bert_that_were_frozen_are_frozen_when_read(tmp_path):
    made = model()
    whole = made.text_encoder.get_config()
    assert "frozen" not in whole
    for name in ("token_embedding", "transformer_layer_0"):
        made.text_encoder.backbone.get_layer(name).trainable = False
    made.compile(optimizers.paper(made), loss="cpc", run_eagerly=True)
    made.fit(batch(8), verbose=0)
    made.save(tmp_path / "frozen.keras")
    loaded = keras.saving.load_model(tmp_path / "frozen.keras")
    paths = [[v.path for v in m.trainable_variables] for m in (made, loaded)]
    assert paths[0] == paths[1]
    for one, other in zip(
        made.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
