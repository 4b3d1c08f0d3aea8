"""Frees what trainings leave in the process, between two of them."""

import gc

import keras
from tensorflow.python.framework import ops

from kerasmi import lost_dicts

# `generate_name` of tensorflow/python/ops/custom_gradient.py
_CUSTOM = "CustomGradient-"


def forget() -> None:
    """Frees graphs and models that nobody uses any more.

    Models that are still held go on predicting, but no new gradient can be
    taken through a `tf.function` that they have traced before.
    """
    lost_dicts.keep()
    keras.backend.clear_session()
    _forget_custom_gradients()
    gc.collect()


def _forget_custom_gradients() -> None:
    # TensorFlow registers every tracing of a `tf.custom_gradient` for ever, and
    # with it the whole graph: tens of MiB for a training.
    registry = ops.gradient_registry
    for name in list(registry.list()):
        if name.startswith(_CUSTOM):
            del registry._registry[name]
