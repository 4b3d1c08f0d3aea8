"""What a training leaves in the process is freed."""

import gc
import weakref

import tensorflow as tf
from tensorflow.python.framework import ops

from kerasmi.forgetting import forget


def _traced():
    """A graph with a gradient of its own, as those of the models."""

    @tf.custom_gradient
    def twice(x):
        return 2 * x, lambda slope: 2 * slope

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = twice(x)
        return tape.gradient(y, x)

    graph = step.get_concrete_function(tf.TensorSpec(())).graph
    assert float(step(tf.constant(1.0))) == 2.0
    return weakref.ref(graph)


def test_a_graph_with_a_custom_gradient_is_freed():
    graph = _traced()
    gc.collect()
    # if this fails, TensorFlow frees it by itself: drop the private access
    assert graph() is not None
    forget()
    assert graph() is None


def test_the_gradients_of_operations_stay_known():
    before = {n for n in ops.gradient_registry.list() if "Custom" not in n}
    forget()
    assert before <= set(ops.gradient_registry.list())
    assert "MatMul" in before
