"""The steps that are called directly are those of Keras, to the last bit."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasmi.models import direct_steps


def small_model(**options) -> keras.Model:
    """A model with an optimizer's state, dropout and a metric."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, "relu"),
            layers.Dropout(0.5, seed=2),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", **options)
    return model


def batches(number: int, size: int = 4) -> tf.data.Dataset:
    """As many batches, then no more."""
    x = np.random.default_rng(0).normal(size=(number * size, 3))
    return tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(size)


def directly(model: keras.Model) -> keras.Model:
    """The model, with its steps called directly."""
    direct_steps.made(model, "train", model.make_train_function, False)
    direct_steps.made(model, "test", model.make_test_function, False)
    for function in (model.train_function, model.test_function):
        assert isinstance(function, direct_steps._Traced)
    return model


def test_training_is_that_of_keras_to_the_last_bit():
    ours, theirs = directly(small_model()), small_model()
    histories = [
        model.fit(
            batches(6), epochs=2, steps_per_epoch=3, verbose=0, shuffle=False
        ).history
        for model in (ours, theirs)
    ]
    assert histories[0] == histories[1]
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_evaluation_is_that_of_keras_to_the_last_bit():
    ours, theirs = directly(small_model()), small_model()
    found = []
    for model in (ours, theirs):
        # alone, of another number of batches, and after each epoch
        logs = [
            model.evaluate(batches(*size), verbose=0, return_dict=True)
            for size in ((3,), (2, 5))
        ]
        history = model.fit(
            batches(2),
            validation_data=batches(3),
            epochs=2,
            verbose=0,
            shuffle=False,
        ).history
        found.append((logs, history))
    assert ours.test_function._trace is not None
    assert "val_loss" in found[0][1]
    assert found[0] == found[1]


def test_an_epoch_ends_with_its_batches():
    model = directly(small_model())
    model.fit(batches(3), epochs=2, verbose=0, shuffle=False)
    assert int(model.optimizer.iterations) == 6


def test_arrays_and_single_batches_are_taken_too():
    model = directly(small_model())
    x = np.ones((8, 3))
    model.fit(x, x[:, :1], batch_size=4, verbose=0, shuffle=False)
    assert int(model.optimizer.iterations) == 2
    logs = model.train_function(iter([(x, x[:, :1])]))
    assert np.isfinite(float(np.squeeze(logs["loss"])))
    assert int(model.optimizer.iterations) == 3


def test_the_batches_of_a_training_are_let_go_after_it():
    model = directly(small_model())
    iterator = iter(batches(2))
    model.train_function(iterator)
    gone = weakref.ref(iterator)
    del iterator
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "options",
    [{"run_eagerly": True}, {"steps_per_execution": 2}],
)
def test_what_asks_for_more_is_left_to_keras(options):
    assert_left_to_keras(small_model(**options))


def test_a_step_is_made_once_unless_it_is_forced():
    model = directly(small_model())
    make = model.make_train_function
    before = model.train_function
    assert direct_steps.made(model, "train", make, False) is before
    assert direct_steps.made(model, "train", make, True) is not before
    assert isinstance(model.train_function, direct_steps._Traced)


def test_several_devices_are_left_to_keras(two_devices):
    with two_devices.scope():
        model = small_model()
    assert_left_to_keras(model)


def assert_left_to_keras(model):
    made = direct_steps.made(model, "train", model.make_train_function, False)
    assert not isinstance(made, direct_steps._Traced)
    assert made is model.train_function
