"""Keeps TensorFlow from losing a dict with every eager constant.

From Python 3.11 on a new object comes with its dict. The constructor of
`EagerTensor` forgets the one it was given without freeing it: 336 bytes for
each `tf.constant`, thousands of which build and restore the models of a run
(github.com/tensorflow/tensorflow/issues/62551). Results of operations are made
in another way, which loses nothing.
"""

import sys
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import constant_op, ops

from kerasmi.types import Tensor

# What is lost instead: one more reference to this one, which stays empty.
_SPARE: dict[str, Any] = {}
_given = constant_op.convert_to_eager_tensor


def keep() -> None:
    """Mends `tf.constant` for the rest of the process, where it needs it.

    Values, dtypes, devices and errors of constants stay what they were.
    """
    if constant_op.convert_to_eager_tensor is _given and _is_lost():
        constant_op.convert_to_eager_tensor = _constant


def _constant(value: Any, ctx: Any, dtype: Any = None) -> Tensor:
    if isinstance(value, ops.EagerTensor):
        return _given(value, ctx, dtype)
    if isinstance(value, np.ndarray):
        value = value.copy()  # the tensor may share its memory
    kind = None if dtype is None else tf.as_dtype(dtype).as_datatype_enum
    ctx.ensure_initialized()
    return _made(_SPARE, value, ctx.device_name, kind)


def _made(attributes: dict[str, Any], *arguments: Any) -> Tensor:
    """`EagerTensor(*arguments)`, given these attributes to lose."""
    # Unpacked from an iterator: no signal comes between here and `__init__`,
    # which would free what is not yet initialised.
    (tensor,) = map(object.__new__, (ops.EagerTensor,))
    tensor.__dict__ = attributes
    tensor.__init__(*arguments)
    return tensor


def _is_lost() -> bool:
    ctx = context.context()
    ctx.ensure_initialized()
    attributes: dict[str, Any] = {}
    before = sys.getrefcount(attributes)
    tensor = _made(attributes, 0, ctx.device_name, None)
    kept = tensor.__dict__ is attributes
    return not kept and sys.getrefcount(attributes) == before + 1
