import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import image_encoder

from kerasmi.models.heads import (
    cumulative_crossentropy,
    masked_binary_crossentropy,
    severity_crossentropy,
)
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder

RNG = np.random.default_rng(0)
IMAGES = RNG.random((8, 16, 16, 1), np.float32)
TARGETS = np.array([[1, 0], [0, -1], [1, 1], [-1, -1]] * 2, "float32")


def encoder():
    keras.utils.set_random_seed(0)
    return image_encoder()


def fit(trainable):
    model = ImageClassifier(
        encoder(), ("Edema", "Pneumonia"), "multilabel", trainable
    )
    lower = [w.copy() for w in model.image_encoder.lower.get_weights()]
    upper = [w.copy() for w in model.image_encoder.upper.get_weights()]
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(IMAGES, TARGETS, batch_size=4, epochs=2, verbose=0)
    parts = model.image_encoder
    return changed(lower, parts.lower), changed(upper, parts.upper)


def changed(before, part):
    return [
        bool(np.abs(a - b).max() > 0)
        for a, b in zip(before, part.get_weights(), strict=True)
    ]


def test_frozen_keeps_the_lower_features_and_their_statistics():
    lower, upper = fit("frozen")
    assert not any(lower)
    assert all(upper)


def test_tuned_trains_everything():
    lower, upper = fit("tuned")
    assert all(lower)
    assert all(upper)


def frozen():
    model = ImageClassifier(
        encoder(), ("Edema", "Pneumonia"), "multilabel", "frozen"
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def test_a_frozen_classifier_trains_on_features_as_on_their_images():
    on_images, other = frozen(), frozen()
    other.set_weights(on_images.get_weights())
    features = on_images.image_encoder.lower.predict(IMAGES, verbose=0)
    on_features = other.on_features()
    for model, inputs in ((on_images, IMAGES), (on_features, features)):
        model.fit(
            inputs, TARGETS, batch_size=4, epochs=3, shuffle=False, verbose=0
        )
    assert int(other.optimizer.iterations) == 6
    weights = on_images.get_weights()
    for one, same in zip(weights, other.get_weights(), strict=True):
        np.testing.assert_allclose(one, same, atol=1e-6)
    np.testing.assert_allclose(
        on_features(features), on_images(IMAGES), atol=1e-6
    )


def test_only_a_frozen_classifier_trains_on_features():
    model = ImageClassifier(encoder(), ("Edema",), trainable="tuned")
    with pytest.raises(ValueError, match=r"frozen encoder.*'tuned'"):
        model.on_features()


@pytest.mark.parametrize(("trainable", "parts"), [("frozen", 1), ("tuned", 2)])
def test_no_gradient_is_made_of_a_frozen_network(trainable, parts):
    model = ImageClassifier(encoder(), ("Edema",), trainable=trainable)

    @tf.function(autograph=False)
    def gradients(images):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
        return tape.gradient(outputs, model.trainable_variables)

    made = gradients.get_concrete_function(tf.constant(IMAGES)).graph
    operations = [operation.type for operation in made.get_operations()]
    networks = (model.image_encoder.upper, model.image_encoder.lower)[:parts]
    convolutions = sum(
        isinstance(layer, keras.layers.Conv2D)
        for network in networks
        for layer in network.layers
    )
    assert operations.count("Conv2DBackpropFilter") == convolutions


def test_the_encoder_given_is_never_changed():
    given = encoder()
    before = given.get_weights()
    model = ImageClassifier(given, ("Edema",), trainable="frozen")
    model.compile("adam")
    model.fit(IMAGES, TARGETS[:, :1], verbose=0)
    assert given.level == "local"
    assert given.lower.trainable
    for one, other in zip(before, given.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("trainable", ["frozen", "tuned"])
def test_a_saved_classifier_continues_as_if_never_saved(tmp_path, trainable):
    model = ImageClassifier(encoder(), ("Edema",), trainable=trainable)
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    model.fit(IMAGES, TARGETS[:, :1], verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.encoder_mode == trainable
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    for one in (model, loaded):
        one.run_eagerly = True
        one.fit(IMAGES, TARGETS[:, :1], verbose=0, shuffle=False)
    np.testing.assert_allclose(
        model.predict(IMAGES, verbose=0),
        loaded.predict(IMAGES, verbose=0),
        atol=1e-6,
    )


def test_ignored_labels_have_no_influence():
    predictions = RNG.uniform(0.1, 0.9, (4, 3)).astype("float32")
    known = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], "float32")
    some = known.copy()
    some[0, 0] = some[2, 1] = -1
    loss = np.mean(masked_binary_crossentropy(some, predictions))
    used = some >= 0
    likelihood = np.where(known == 1, predictions, 1 - predictions)
    np.testing.assert_allclose(
        loss, -np.log(likelihood[used]).mean(), rtol=1e-5
    )
    other = predictions.copy()
    other[0, 0] = other[2, 1] = 0.99
    np.testing.assert_allclose(
        loss, np.mean(masked_binary_crossentropy(some, other)), rtol=1e-6
    )


def test_severity_losses_against_sums_in_the_open():
    softmax = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4]], "float32")
    levels = np.array([[0.0], [3.0]], "float32")
    expected = -(np.log(0.7) + np.log(0.4)) / 2
    np.testing.assert_allclose(
        np.mean(severity_crossentropy(levels, softmax)), expected, rtol=1e-5
    )
    cuts = np.array([[0.9, 0.6, 0.1]], "float32")  # severity 1: yes, no, no
    expected = -(np.log(0.9) + np.log(0.4) + np.log(0.9)) / 3
    np.testing.assert_allclose(
        np.mean(cumulative_crossentropy(np.array([[1.0]]), cuts)),
        expected,
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "loss",
    [
        (masked_binary_crossentropy, 2),
        (severity_crossentropy, 4),
        (cumulative_crossentropy, 3),
    ],
    ids=lambda pair: pair[0].__name__,
)
def test_a_batch_of_ignored_labels_costs_nothing(loss):
    function, outputs = loss
    targets = np.full((2, outputs if outputs == 2 else 1), -1.0, "float32")
    values = function(targets, np.full((2, outputs), 0.25, "float32"))
    np.testing.assert_array_equal(values, [0.0, 0.0])


@pytest.mark.parametrize(
    ("head", "outputs"), [("softmax", 4), ("cumulative", 3)]
)
def test_ordinal_heads_have_their_outputs(head, outputs):
    model = ImageClassifier(dense_encoder(), ("Edema Severity",), head)
    model.compile("sgd")
    logs = model.train_on_batch(IMAGES, np.array([[0, 1, 2, 3, -1, 0, 1, 2]]).T)
    assert np.isfinite(logs)
    assert model(IMAGES).shape == (8, outputs)


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"`head`.*'ordinal'"):
        ImageClassifier(encoder(), ("Edema",), "ordinal")
    with pytest.raises(ValueError, match=r"`trainable`.*'half'"):
        ImageClassifier(encoder(), ("Edema",), trainable="half")
    with pytest.raises(ValueError, match="one severity"):
        ImageClassifier(encoder(), ("Edema", "Pneumonia"), "softmax")


def test_a_text_is_no_list_of_labels():
    with pytest.raises(ValueError, match=r"`labels`.*the text 'Edema'"):
        ImageClassifier(encoder(), "Edema")


def test_a_network_that_is_no_image_encoder_is_refused():
    with pytest.raises(ValueError, match=r"from_backbone.*Sequential"):
        ImageClassifier(keras.Sequential(), ("Edema",))


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3)])
def test_targets_without_a_column_for_each_label_are_refused(shape):
    model = ImageClassifier(encoder(), ("Edema", "Pneumonia"))
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"\(images, 2\).*Received"):
        model.fit(IMAGES, np.ones(shape), verbose=0)


@pytest.mark.parametrize("head", ["softmax", "cumulative"])
def test_severities_may_be_a_vector(head):
    # of as many images as there are cuts, or one would be taken for the other
    levels = np.array([0.0, 3.0, -1.0])
    losses = []
    for targets in (levels, levels[:, None]):
        model = ImageClassifier(dense_encoder(), ("Edema Severity",), head)
        model.set_weights([np.full(w.shape, 0.1) for w in model.weights])
        model.compile("sgd")
        losses.append(model.evaluate(IMAGES[:3], targets, verbose=0))
    assert losses[0] == losses[1] > 0


def test_weights_of_classes_are_refused_where_an_image_has_several():
    model = ImageClassifier(encoder(), ("Edema", "Pneumonia"))
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`class_weight`.*2 labels"):
        model.fit(IMAGES, TARGETS, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    by_place = (4, 1, 0, None, 0.0, None, False, {0: 1.0, 1: 2.0})
    with pytest.raises(ValueError, match=r"`class_weight`.*2 labels"):
        model.fit(IMAGES, TARGETS, *by_place)
    with pytest.raises(ValueError, match=r"`class_weight`.*2 labels"):
        model.train_on_batch(IMAGES, TARGETS, class_weight={0: 1.0, 1: 2.0})


def dense_encoder():
    """Two dense layers, for what is not about the network: quick to trace."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    lower = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.AveragePooling2D(4), layers.Dense(4)]
    )
    upper = keras.Sequential([keras.Input((4, 4, 4)), layers.Dense(3)])
    return ImageEncoder(lower, upper)


def one_label(head="multilabel"):
    model = ImageClassifier(dense_encoder(), ("Edema",), head)
    model.compile(keras.optimizers.SGD(0.1))
    return model


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        ("multilabel", (-1, 1)),
        ("softmax", (-1, 1)),
        ("softmax", (-1,)),
        ("cumulative", (-1, 1)),
        ("cumulative", (-1,)),
    ],
)
def test_weights_of_classes_leave_ignored_labels_out(head, shape):
    """A weight is as that many images of the class, ignored or not."""
    targets = np.array([1, 0, -1, 1, 0, -2, 0, 1], "float32").reshape(shape)
    weights = {0: 1.0, 1: 3.0}
    data = tf.data.Dataset.from_tensor_slices((IMAGES, targets)).batch(8)
    each = np.where(targets.ravel() == 1, 3.0, 1.0)
    ways = {
        "array": lambda m: m.fit(
            IMAGES, targets, 8, class_weight=weights, shuffle=False, verbose=0
        ),
        "data set": lambda m: m.fit(
            data, class_weight=weights, shuffle=False, verbose=0
        ),
        "batch": lambda m: m.train_on_batch(
            IMAGES, targets, class_weight=weights
        ),
        "samples": lambda m: m.train_on_batch(IMAGES, targets, each),
        "plain": lambda m: m.train_on_batch(IMAGES, targets),
    }
    after = {}
    for name, train in ways.items():
        model = one_label(head)
        train(model)
        after[name] = np.concatenate([w.ravel() for w in model.get_weights()])
    for name in ("array", "data set", "batch"):
        np.testing.assert_allclose(
            after[name], after["samples"], rtol=1e-5, atol=1e-7, err_msg=name
        )
    assert np.abs(after["samples"] - after["plain"]).max() > 1e-4


@pytest.mark.parametrize("weights", [{0: 1.0, 2: 1.0}, {-1: 0.0, 1: 2.0}])
def test_weights_of_classes_that_there_are_not_are_refused(weights):
    targets = np.ones((8, 1), "float32")
    for train in (one_label().fit, one_label().train_on_batch):
        with pytest.raises(ValueError, match=r"`class_weight`.*\[0, 1\]"):
            train(IMAGES, targets, class_weight=weights)
    one_label("softmax").train_on_batch(IMAGES, targets, class_weight={3: 2.0})


def test_weights_twice_are_refused():
    data = tf.data.Dataset.from_tensors((IMAGES, np.ones((8, 1)), np.ones(8)))
    with pytest.raises(ValueError, match=r"`class_weight`.*images, targets"):
        one_label().fit(data, class_weight={1: 2.0}, shuffle=False)


@pytest.mark.parametrize(
    ("head", "wrong", "expected"),
    [
        ("multilabel", np.nan, "0, 1,"),
        ("multilabel", 0.7, "0, 1,"),
        ("multilabel", 2.0, "0, 1,"),
        ("softmax", 4.0, "0, 1, 2, 3,"),
        ("softmax", np.nan, "0, 1, 2, 3,"),
        ("cumulative", 1.5, "0, 1, 2, 3,"),
        ("cumulative", 7.0, "0, 1, 2, 3,"),
    ],
)
def test_a_target_that_is_none_is_refused_by_its_place(head, wrong, expected):
    targets = np.zeros((8, 1), "float32")
    targets[5] = wrong
    model = one_label(head)
    words = rf"expected {expected} or a negative.*{wrong:g} at \[5, 0\]"
    for method in (
        model.fit,
        model.evaluate,
        model.train_on_batch,
        model.test_on_batch,
    ):
        for given in (targets, tf.constant(targets)):
            with pytest.raises(ValueError, match=f"`y`: {words}"):
                method(IMAGES, given)
    with pytest.raises(ValueError, match=f"`validation_data`: {words}"):
        model.fit(
            IMAGES, 0 * np.ones((8, 1)), validation_data=(IMAGES, targets)
        )


@pytest.mark.parametrize("wrong", [np.nan, 0.7, 4.0])
@pytest.mark.parametrize("head", ["multilabel", "softmax", "cumulative"])
def test_of_a_data_set_such_a_target_makes_the_loss_nan(head, wrong):
    targets = np.zeros((8, 1), "float32")
    data = tf.data.Dataset.from_tensors((IMAGES, targets))
    assert np.isfinite(one_label(head).evaluate(data, verbose=0))
    targets[5] = wrong
    data = tf.data.Dataset.from_tensors((IMAGES, targets))
    assert np.isnan(one_label(head).evaluate(data, verbose=0))


def test_a_loss_of_ones_own_may_take_other_targets():
    model = ImageClassifier(dense_encoder(), ("Edema",))
    model.compile("sgd", loss="binary_crossentropy")
    assert np.isfinite(model.train_on_batch(IMAGES, np.full((8, 1), 0.7)))


@pytest.mark.parametrize("head", ["multilabel", "softmax", "cumulative"])
def test_ignored_labels_weigh_nothing_in_the_loss_of_an_epoch(head):
    made = ImageClassifier(encoder(), ("Edema",), head=head)
    made.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    targets = np.array([1, 0, 1, 0, -1, -2, -1, 1], "float32")[:, None]
    known = targets[:, 0] >= 0
    expected = made.evaluate(IMAGES[known], targets[known], verbose=0)
    for size in (3, 4, 8):
        found = made.evaluate(IMAGES, targets, batch_size=size, verbose=0)
        assert found == pytest.approx(expected, rel=1e-5)
    # no weight moves, so that each batch has the loss that it had in `fit`
    history = made.fit(IMAGES, targets, 4, verbose=0, shuffle=False).history
    losses = []
    for n in (0, 4):
        made.reset_metrics()
        one = made.train_on_batch(IMAGES[n : n + 4], targets[n : n + 4])
        losses.append(float(one))
    assert abs(losses[0] - losses[1]) > 0.01
    mean = (4 * losses[0] + losses[1]) / 5
    assert history["loss"][0] == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("given", [False, True])
def test_weighted_metrics_leave_an_ignored_label_out(given):
    images = np.random.default_rng(0).random((8, 16, 16, 1), np.float32)
    targets = np.array([1, 0, -1, 1, -1, 0, -2, 1], "float32")[:, None]
    weights = np.arange(1.0, 9.0, dtype="float32")
    settings = {"sample_weight": weights} if given else {}
    made = ImageClassifier(image_encoder(), ("Edema",))
    kinds = keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy()
    made.compile("sgd", weighted_metrics=list(kinds))
    found = made.evaluate(
        images, targets, verbose=0, return_dict=True, batch_size=3, **settings
    )
    known = targets[:, 0] >= 0
    if given:
        settings = {"sample_weight": weights[known]}
    expected = made.evaluate(
        images[known], targets[known], verbose=0, return_dict=True, **settings
    )
    for name in ("auc", "binary_accuracy"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)


def test_a_layer_frozen_or_tuned_after_a_fit_is_not_trained_as_before():
    made = ImageClassifier(
        encoder(), ("Edema", "Pneumonia"), trainable="frozen"
    )
    made.compile("sgd")
    made.fit(IMAGES, TARGETS, verbose=0)
    step = made.train_function
    made.fit(IMAGES, TARGETS, verbose=0)
    assert made.train_function is step
    made.image_encoder.lower.trainable = True
    with pytest.raises(ValueError, match=r"changed after `compile`"):
        made.fit(IMAGES, TARGETS, verbose=0)
    # a trace that failed is not taken the next time
    with pytest.raises(ValueError, match=r"changed after `compile`"):
        made.train_on_batch(IMAGES, TARGETS)
    made.compile("sgd")
    lower = [w.copy() for w in made.image_encoder.lower.get_weights()]
    made.fit(IMAGES, TARGETS, verbose=0)
    assert any(changed(lower, made.image_encoder.lower))


@pytest.mark.parametrize("labels", [("Edema",), ("Edema", "Pneumonia")])
def test_targets_may_be_bool(labels):
    targets = TARGETS[:, : len(labels)] > 0
    found = []
    for kind in ("bool", "float32"):
        made = ImageClassifier(encoder(), labels)
        made.compile("sgd", metrics=["accuracy"])
        keras.utils.set_random_seed(1)
        given = targets.astype(kind)
        history = made.fit(IMAGES, given, verbose=0, shuffle=False).history
        held_out = made.evaluate(IMAGES, given, verbose=0)
        found.append([*history.values(), *held_out])
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 2}])
def test_metrics_may_be_named(options):
    def logs(*metrics):
        keras.utils.set_random_seed(1)
        made = ImageClassifier(encoder(), ("Edema",))
        made.compile("sgd", metrics=list(metrics), **options)
        known = np.maximum(TARGETS[:, :1], 0)
        history = made.fit(
            IMAGES, known, batch_size=4, epochs=2, verbose=0, shuffle=False
        )
        return list(history.history.values())

    binary = keras.metrics.BinaryAccuracy(name="accuracy")
    area = keras.metrics.AUC(name="auc")
    assert logs("accuracy", "auc") == logs(binary, area)
