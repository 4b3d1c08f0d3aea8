"""Frees what trainings leave in the process, between two of them."""

import ctypes
import gc
import sys

import keras
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import ops

from kerasmi import lost_dicts

# `generate_name` of tensorflow/python/ops/custom_gradient.py
_CUSTOM = "CustomGradient-"


def forget() -> None:
    """Frees graphs, models and constants that nobody uses any more.

    Models that are still held go on predicting, but no new gradient can be
    taken through a `tf.function` that they have traced before. From the first
    call on, `tf.constant` loses no memory either (`kerasmi.lost_dicts`).
    """
    lost_dicts.keep()
    keras.backend.clear_session()
    _forget_custom_gradients()
    _forget_numbers()
    gc.collect()
    _give_back()


def _forget_custom_gradients() -> None:
    # TensorFlow registers every tracing of a `tf.custom_gradient` for ever, and
    # with it the whole graph: tens of MiB for a training.
    registry = ops.gradient_registry
    for name in list(registry.list()):
        if name.startswith(_CUSTOM):
            del registry._registry[name]


def _forget_numbers() -> None:
    # TensorFlow keeps a tensor of each number that was made one, for ever
    pywrap_tfe.TFE_ClearScalarCache()


def _give_back() -> None:
    # glibc keeps freed memory that lies below memory in use, until it is told
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(ctypes.c_size_t(0))
