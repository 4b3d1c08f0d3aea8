"""What a training leaves in the process is freed."""

import ctypes
import gc
import weakref
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from benchmarks import heap
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


def _resident():
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 2**20


def _allocated():
    gc.collect()
    return heap.in_use()


@pytest.mark.skipif(not heap.is_known(), reason="glibc 2.33 or later")
def test_numbers_that_became_tensors_are_freed():
    forget()
    before = _allocated()
    for number in range(20_000):
        tf.constant(number + 0.25)
    # if this fails, TensorFlow frees them by itself: drop the private call
    assert _allocated() - before > 8
    forget()
    assert _allocated() - before < 1


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc alone"
)
def test_free_memory_below_memory_in_use_goes_back():
    c = ctypes.CDLL(None)
    c.malloc.restype = ctypes.c_void_p
    size = 64 * 1024
    blocks = [c.malloc(ctypes.c_size_t(size)) for _ in range(1600)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    *most, last = map(ctypes.c_void_p, blocks)
    for block in most:
        c.free(block)
    held = _resident()
    forget()
    gone = held - _resident()
    c.free(last)
    assert gone > 80  # of 100 MiB
