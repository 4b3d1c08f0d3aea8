"""The parts of kerasmi that compute, without TensorFlow's start-up noise."""

import importlib
from types import ModuleType

from kerasmi.cli.quiet import quiet


def library(name: str) -> ModuleType:
    """Imports `kerasmi.NAME` and starts TensorFlow on its devices."""
    with quiet():
        import tensorflow as tf

        # its hints on retracing are for whoever writes a model
        tf.get_logger().setLevel("ERROR")
        start_tensorflow()
        return importlib.import_module(f"kerasmi.{name}")


def start_tensorflow() -> None:
    """Starts TensorFlow's devices and compiler, which tell of themselves once.

    Called within `quiet`, so that they do not do so amid the progress.
    """
    import tensorflow as tf

    tf.config.list_logical_devices()
    tf.function(tf.identity, jit_compile=True)(tf.zeros(1))
