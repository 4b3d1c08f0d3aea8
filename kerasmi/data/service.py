"""Batches prepared by other processes or machines, through tf.data service.

A server is one dispatcher of tf.data service with one worker: it keeps the
order of what it prepares. Of n servers, server k prepares the batches k,
k + n, k + 2n and so on, and whoever trains takes one of each in turn: the same
batches in the same order as without, however many servers there are.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from kerasmi.errors import RunError

_SECONDS = 5.0
LOOK = 5.0  # seconds between two looks at the servers
PATIENCE = 60.0  # seconds that a network may be down


class Server:
    """Prepares batches for whoever asks; lives until `stop`.

    TensorFlow listens on every address of the machine, asks no password and
    runs the graphs that it is sent, which may read files: see docs/safety.md.

    Args:
        host: name or address of this machine, as those who train reach it.
            It goes to them with the batches, and keeps nobody out.
        port: where it listens; 0: any that is free.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        # The operations of tokenizers: who trains has them from KerasHub.
        import tensorflow_text  # noqa: F401

        data = tf.data.experimental.service
        self._dispatcher = data.DispatchServer(
            data.DispatcherConfig(port=port), start=True
        )
        _, _, at = self._dispatcher.target.rpartition(":")
        self._worker = data.WorkerServer(
            data.WorkerConfig(
                dispatcher_address=f"localhost:{at}",
                worker_address=f"{host}:%port%",
            ),
            start=True,
        )
        self.address = f"{host}:{at}"

    def join(self) -> None:
        """Waits for ever, or until Ctrl-C."""
        # TensorFlow's own join waits where Python hears no signal
        threading.Event().wait()

    def stop(self) -> None:
        """Ends it; who still reads from it fails."""
        self._worker._stop()
        self._dispatcher._stop()


def check(addresses: Sequence[str]) -> None:
    """Refuses servers that cannot be reached; TensorFlow would wait an hour.

    Raises:
        RunError: names the first that does not answer, or is no `HOST:PORT`.
    """
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise RunError(
                f"--data-service: expected HOST:PORT. Received: {address!r}"
            )
        try:
            _connect(address).close()
        except OSError as error:
            raise RunError(
                f"--data-service: {address} does not answer "
                f"({error.strerror or error}). Start it there with `kerasmi "
                f"data serve --host {host} --port {port}`."
            ) from None


@contextlib.contextmanager
def watched(
    addresses: Sequence[str], gone: Callable[[str], None]
) -> Iterator[None]:
    """Looks after servers while they are used.

    TensorFlow waits without end for one that has died, where no signal and no
    exception reaches it.

    Args:
        addresses: `HOST:PORT` of each.
        gone: called once, in another thread, with the first where nobody
            listens any more, also if another has started there since, which
            knows nothing of the batches; or that is out of reach for
            `PATIENCE` seconds.
    """
    done = threading.Event()
    if addresses:
        given = (addresses, gone, done)
        threading.Thread(target=_watch, args=given, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(
    addresses: Sequence[str],
    gone: Callable[[str], None],
    done: threading.Event,
) -> None:
    links = {address: _Link(address) for address in addresses}
    with contextlib.ExitStack() as held:
        for link in links.values():
            held.callback(link.close)
        while not done.is_set():
            for address, link in links.items():
                if link.is_lost() and not done.is_set():
                    gone(address)
                    return
            done.wait(LOOK)


class _Link:
    """A connection to a server, a new one at each look.

    The one before is kept until then, and its end is the end of that server,
    also where another listens by now. A silent one is not kept for longer:
    gRPC would end it.

    Args:
        address: `HOST:PORT`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._open: socket.socket | None = None
        self._heard = time.monotonic()

    def is_lost(self) -> bool:
        """Whether the server has ended, or was out of reach for too long."""
        if self._open is not None and _has_ended(self._open):
            return True
        try:
            new = _connect(self._address)
        except ConnectionRefusedError:
            return True
        except OSError:
            return time.monotonic() - self._heard > PATIENCE
        self.close()
        self._open, self._heard = new, time.monotonic()
        return False

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if self._open is not None:
            self._open.close()


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed it; what it said is not read twice."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), _SECONDS)


def spread(
    batches: tf.data.Dataset,
    work: Callable[[tf.data.Dataset], tf.data.Dataset],
    addresses: Sequence[str],
) -> tf.data.Dataset:
    """Does the work on batches here, or at the servers, each its turns.

    Args:
        batches: what is to be worked on; the servers must reach its files.
        work: from a dataset to one of as many elements, in order.
        addresses: `HOST:PORT` of each server; none: the work is done here.

    Returns:
        `work(batches)`, the same elements in the same order.
    """
    if not addresses:
        return work(batches)
    data = tf.data.experimental.service
    parts = [
        work(batches.shard(len(addresses), turn)).apply(
            data.distribute(data.ShardingPolicy.OFF, f"grpc://{address}")
        )
        for turn, address in enumerate(addresses)
    ]
    turns = tf.data.Dataset.range(len(parts)).repeat()
    return tf.data.Dataset.choose_from_datasets(
        parts, turns, stop_on_empty_dataset=True
    )
