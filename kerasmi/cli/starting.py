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
        tf.config.list_logical_devices()
        return importlib.import_module(f"kerasmi.{name}")
