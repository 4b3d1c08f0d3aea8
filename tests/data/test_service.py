"""Batches that servers prepare are those of this process, in its order."""

import dataclasses
import signal
import subprocess
import sys

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import kept, pipeline, service, stream
from kerasmi.data.augment import Augmentation
from kerasmi.errors import RunError
from kerasmi.models.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def servers():
    """Two dispatchers with a worker each, on loopback."""
    made = [service.Server(), service.Server()]
    yield [server.address for server in made]
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def process():
    """The address of a server that has imported nothing of this process."""
    command = [sys.executable, "-m", "kerasmi.cli", "data", "serve"]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        yield server.stdout.readline().strip()
        server.terminate()


def batches(dataset, tokenizer, first_epoch=0):
    pairs, steps = pipeline.pairs(
        dataset,
        "train",
        tokenizer=tokenizer,
        scope="local",
        batch_size=4,
        image_size=8,
        sentences=2,
        shuffle=True,
        augmentation=Augmentation(10, 0.1, 0.1),
        epochs=3,
        first_epoch=first_epoch,
    )
    assert int(pairs.cardinality()) == steps * (3 - first_epoch)
    assert pairs.element_spec["images"].shape == (4, 8, 8, 1)
    return list(pairs.as_numpy_iterator())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("held", [True, False])
def test_the_batches_and_their_order_are_the_same(
    toy, tokenizer, servers, monkeypatch, count, held
):
    if not held:
        monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)
    served = dataclasses.replace(toy, services=tuple(servers[:count]))
    here, there = (batches(data, tokenizer) for data in (toy, served))
    assert len(here) == len(there) > 5
    for one, other in zip(here, there, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_a_process_of_its_own_tokenises_and_makes_the_same_batches(
    toy, process, monkeypatch
):
    # whose operations come with KerasHub, which no server imports
    signs = [f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    words = [*signs, "heart", *"0123456789"]
    real = Tokenizer(keras_hub.tokenizers.BertTokenizer(vocabulary=words))
    monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)
    served = dataclasses.replace(toy, services=(process,))
    here, there = (batches(data, real) for data in (toy, served))
    assert len(here) == len(there) > 5
    for one, other in zip(here, there, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_a_run_is_resumed_from_servers_as_from_here(toy, tokenizer, servers):
    served = dataclasses.replace(toy, services=tuple(servers))
    whole = batches(served, tokenizer)
    rest = batches(served, tokenizer, first_epoch=2)
    for one, other in zip(whole[-len(rest) :], rest, strict=True):
        np.testing.assert_array_equal(one["images"], other["images"])


def test_nothing_is_kept_here_where_servers_prepare(toy, servers):
    rows = np.arange(3)
    served = dataclasses.replace(toy, services=tuple(servers))
    assert kept.fits(toy, "train", rows, 8)
    assert not kept.fits(served, "train", rows, 8)


def test_work_is_shared_in_turns(servers):
    numbers = tf.data.Dataset.range(7)
    spread = service.spread(numbers, lambda part: part.map(tf.abs), servers)
    assert list(spread.as_numpy_iterator()) == list(range(7))


def test_ctrl_c_ends_a_server():
    # in the background of a shell it would be ignored
    code = (
        "import signal; from kerasmi.cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "main(['data', 'serve', '--port', '0'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as server:
        server.stdout.readline()
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(30) == 130
        finally:
            server.kill()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "here", "host:port"])
def test_servers_that_do_not_answer_are_named(address):
    with pytest.raises(RunError, match=f"--data-service.*{address}"):
        service.check([address])
