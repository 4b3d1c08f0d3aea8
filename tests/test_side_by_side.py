"""Blocks side by side: the same results in the same order, no further ahead."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from kerasmi import side_by_side


@pytest.fixture
def cores(monkeypatch):
    """Says how many cores there are, and threads of an operation."""

    def say(cores, threads, gpus=()):
        monkeypatch.setattr(
            side_by_side.os, "sched_getaffinity", lambda _: set(range(cores))
        )
        config = tf.config
        monkeypatch.setattr(
            config.threading,
            "get_intra_op_parallelism_threads",
            lambda: threads,
        )
        monkeypatch.setattr(
            config, "list_physical_devices", lambda kind: list(gpus)
        )

    return say


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ((4, 1), 4),
        ((4, 2), 2),
        ((4, 8), 1),
        ((4, 0), 1),  # TensorFlow takes them all
        ((64, 1), side_by_side.MOST),
        ((4, 1, ["GPU"]), 1),
    ],
)
def test_calls_share_the_cores_that_operations_leave(cores, how, number):
    cores(*how)
    assert side_by_side.at_once() == number


@pytest.mark.parametrize("threads", [0, 1])
def test_results_keep_the_order_of_blocks(cores, threads):
    cores(3, threads)
    square = tf.function(lambda x: x**2)
    blocks = [tf.range(k + 1) for k in range(20)]
    found = list(side_by_side.each(lambda b: square(b).numpy(), blocks))
    for k, result in enumerate(found):
        np.testing.assert_array_equal(result, np.arange(k + 1) ** 2)
    assert len(found) == 20


def test_blocks_are_worked_on_together_and_read_little_ahead(cores):
    cores(2, 1)
    together = threading.Barrier(2, timeout=60)
    read = []

    def blocks():
        for k in range(10):
            read.append(k)
            yield k

    def work(k):
        together.wait()  # fails unless another block is worked on
        return k

    results = side_by_side.each(work, blocks())
    assert next(results) == 0
    assert read == [0, 1, 2]
    assert list(results) == list(range(1, 10))


def test_what_a_block_raises_is_raised(cores):
    cores(2, 1)
    with pytest.raises(ZeroDivisionError):
        list(side_by_side.each(lambda k: 1 // k, [1, 0, 1]))
