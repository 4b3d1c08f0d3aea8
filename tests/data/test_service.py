"""Batches that servers prepare are those of this process, in its order."""

import dataclasses
import os
import queue
import signal
import socket
import subprocess
import sys

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kerasmi import recipe as recipes
from kerasmi.data import kept, pipeline, service, stream
from kerasmi.data.augment import Augmentation
from kerasmi.errors import RunError
from kerasmi.models.tokenizer import Tokenizer
from kerasmi.runs import Run


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


def test_a_server_that_dies_is_told_of_and_one_that_lives_is_not(monkeypatch):
    monkeypatch.setattr(service, "LOOK", 0.05)
    told = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as lives:
        dies = socket.create_server(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (lives, dies)]
        with service.watched(addresses, told.put):
            with pytest.raises(queue.Empty):
                told.get(timeout=0.5)
            dies.close()
            assert told.get(timeout=30) == addresses[1]


def test_a_server_that_another_takes_the_place_of_is_told_of(monkeypatch):
    monkeypatch.setattr(service, "LOOK", 1.0)
    told = queue.Queue()
    first = socket.create_server(("127.0.0.1", 0))
    port = first.getsockname()[1]
    with service.watched([f"127.0.0.1:{port}"], told.put):
        one, _ = first.accept()
        one.sendall(b"what a server says first")
        first.close()
        one.close()
        # before anybody looks
        with socket.create_server(("127.0.0.1", port)):
            assert told.get(timeout=30) == f"127.0.0.1:{port}"


def test_a_network_may_be_down_for_a_while(monkeypatch):
    def out_of_reach(address):
        raise TimeoutError

    monkeypatch.setattr(service, "LOOK", 0.05)
    monkeypatch.setattr(service, "_connect", out_of_reach)
    told = queue.Queue()
    with service.watched(["node7:5050"], told.put):
        with pytest.raises(queue.Empty):
            told.get(timeout=0.5)
        monkeypatch.setattr(service, "PATIENCE", 0.1)
        assert told.get(timeout=30) == "node7:5050"


def test_nobody_is_told_after_the_work(monkeypatch):
    monkeypatch.setattr(service, "LOOK", 0.05)
    told = queue.Queue()
    with service.watched(["127.0.0.1:1"], told.put):
        told.get(timeout=30)
    with service.watched([], told.put):
        pass
    with pytest.raises(queue.Empty):
        told.get(timeout=0.3)


DEAD_SERVER = """
import pathlib, socket, sys, time
from kerasmi import recipe, runs
from kerasmi.cli.console import ConsoleReporter
from kerasmi.cli.run import _served
from kerasmi.data import service
from kerasmi.worker_run import WorkerRun

service.LOOK = 0.05
place, followed = pathlib.Path(sys.argv[1]), recipe.load("local_mine")
if sys.argv[2] == "chief":
    run = runs.Run(place, followed)
else:
    run = WorkerRun.copy(place, followed)
server = socket.create_server(("127.0.0.1", 0))
address = f"127.0.0.1:{server.getsockname()[1]}"
with (
    ConsoleReporter() as told,
    _served((address,), run, told.message, "AGAIN"),
):
    server.close()
    time.sleep(600)
"""


@pytest.mark.parametrize("worker", ["chief", "another"])
def test_a_run_whose_server_dies_ends_and_says_how_to_go_on(tmp_path, worker):
    place, scratch = tmp_path / "run", tmp_path / "scratch"
    scratch.mkdir()
    Run.create(place, recipes.load("local_mine")).close()
    done = subprocess.run(
        [sys.executable, "-c", DEAD_SERVER, place, worker],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: --data-service: 127.0.0.1:")
    assert line.endswith("AGAIN")
    if worker == "chief":
        told = (place / "log.txt").read_text()
        assert "has ended or does not answer" in told
    # a worker's copy of the run, with its reports and ids
    assert [*scratch.glob("kerasmi-worker-*")] == []


def test_the_remedy_starts_a_server_that_others_reach(monkeypatch):
    def out_of_reach(address):
        raise TimeoutError

    monkeypatch.setattr(service, "_connect", out_of_reach)
    words = "`kerasmi data serve --host node7 --port 5050`"
    with pytest.raises(RunError, match=words):
        service.check(["node7:5050"])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "here", "host:port"])
def test_servers_that_do_not_answer_are_named(address):
    with pytest.raises(RunError, match=f"--data-service.*{address}"):
        service.check([address])
