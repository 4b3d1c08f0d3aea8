"""The parts of kerasmi that compute, without TensorFlow's start-up noise."""

import contextlib
import gc
import importlib
import os
from collections.abc import Iterator
from types import ModuleType

from kerasmi.cli.quiet import quiet

# What libraries read as they are loaded; the environment's own values stand.
_SETTINGS = {
    # else oneDNN sets up each gradient of a convolution anew at every step
    "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE": "0",
    # numpy's other threads spin after each product, on cores that have work;
    # and what it computes does not depend on how many cores there are
    "OPENBLAS_NUM_THREADS": "1",
}


def set_up_libraries() -> None:
    """Puts kerasmi's settings into the environment, before any is loaded."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def library(name: str) -> ModuleType:
    """Imports `kerasmi.NAME` and starts TensorFlow on its devices."""
    set_up_libraries()
    with quiet(), imports():
        import tensorflow as tf

        # its hints on retracing are for whoever writes a model
        tf.get_logger().setLevel("ERROR")
        start_tensorflow()
        return importlib.import_module(f"kerasmi.{name}")


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """For a block that imports: what it makes stays, and is never garbage.

    Searching the half a million objects of TensorFlow and its like for
    garbage, again and again, would take seconds of a run.
    """
    gc.disable()
    try:
        yield
    finally:
        # once: later, what a run has left would stay for ever too
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()


def start_tensorflow() -> None:
    """Starts TensorFlow's devices and compiler, which tell of themselves once.

    Called within `quiet`, so that they do not do so amid the progress.
    """
    import tensorflow as tf

    tf.config.list_logical_devices()
    tf.function(tf.identity, jit_compile=True)(tf.zeros(1))
