"""Worker processes of this machine, started and watched as one program."""

import glob
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO

from kerasmi.cluster import VARIABLE, Cluster
from kerasmi.errors import RunError

RESUME = "--resume"
_GPUS = "CUDA_VISIBLE_DEVICES"
_LOOK = 0.1  # seconds between two looks at the workers


def run(
    program: Sequence[str],
    workers: int,
    restarts: int,
    tell: Callable[[str], None],
    devices: int = 1,
) -> int:
    """Runs a program in several workers until it is done.

    The workers share every step, so that none can go on without another: when
    one ends too early, all are ended. When one was killed by a signal, all are
    started anew with `--resume`; an exit status is final.

    Args:
        program: the command; the same for all.
        workers: how many.
        restarts: how often they may be started anew.
        tell: called with a line when that happens.
        devices: GPUs of each worker, where there are any.

    Returns:
        0, or the exit status of the worker that failed first; 1 after too
        many restarts.

    Raises:
        RunError: fewer GPUs than the workers need together.
    """
    gpus = visible_gpus(workers, devices)
    for left in reversed(range(restarts + 1)):
        # a worker that is killed leaves its copy of the run behind
        with tempfile.TemporaryDirectory(prefix="kerasmi-launch-") as scratch:
            ended, status = _together(program, workers, gpus, scratch)
        if status >= 0:
            return status
        name = signal.Signals(-status).name
        told = f"worker {ended} was ended by {name}"
        if not left:
            tell(f"{told}; not started anew: --restarts {restarts}")
            return 1
        tell(f"{told}; all workers start anew and resume")
        if RESUME not in program:
            program = [*program, RESUME]
    raise AssertionError("the loop returns")


def visible_gpus(workers: int, devices: int) -> list[str]:
    """CUDA_VISIBLE_DEVICES of each worker; none where there is no GPU.

    Raises:
        RunError: fewer GPUs than the workers need together.
    """
    present = len(glob.glob("/dev/nvidia[0-9]*"))
    given = os.environ.get(_GPUS)
    names = list(map(str, range(present))) if given is None else []
    # CUDA reads nothing after the first that is no GPU, such as -1
    names += itertools.takewhile(
        lambda name: _is_gpu(name, present), (given or "").split(",")
    )
    if not present or not names:
        return []
    if len(names) < workers * devices:
        raise RunError(
            f"--workers: {workers} workers of {devices} GPU(s) each, but this "
            f"machine offers {len(names)} GPU(s). Use fewer, or set "
            f"{_GPUS}= to train on its CPU."
        )
    return [
        ",".join(names[first : first + devices])
        for first in range(0, workers * devices, devices)
    ]


def _is_gpu(name: str, present: int) -> bool:
    """Whether CUDA takes it for a GPU: by index, or by UUID."""
    name = name.strip()
    if name.isdecimal():
        return int(name) < present
    return name.startswith(("GPU-", "MIG-"))


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _together(
    program: Sequence[str], workers: int, gpus: Sequence[str], scratch: str
) -> tuple[int, int]:
    """Runs all once; the worker that ended it, and how: 0 where none failed."""
    hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(workers))
    processes: list[subprocess.Popen[str]] = []
    threads: list[threading.Thread] = []
    try:
        for index in range(workers):
            variables = {VARIABLE: Cluster(hosts, index).config()}
            variables["TMPDIR"] = scratch
            if gpus:
                variables[_GPUS] = gpus[index]
            process = subprocess.Popen(
                program,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # Ctrl-C comes to the launcher alone, which ends them
                start_new_session=True,
            )
            processes.append(process)
            threads += _streams(process, f"[worker {index}] ")
        return _watch(processes)
    finally:
        _end(processes)
        for thread in threads:
            thread.join()


def _watch(processes: Sequence[subprocess.Popen[str]]) -> tuple[int, int]:
    while True:
        time.sleep(_LOOK)
        ended = {
            index: status
            for index, process in enumerate(processes)
            if (status := process.poll()) is not None
        }
        failed = {index: status for index, status in ended.items() if status}
        if failed:
            # a signal is the cause where others fail for want of their peer
            index = min(failed, key=lambda each: (failed[each] > 0, each))
            return index, failed[index]
        if len(ended) == len(processes):
            return 0, 0


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    # At once: each waits for the others, and none saves alone. What they have
    # written is whole, and the last checkpoint stands.
    for process in processes:
        if process.poll() is None:
            process.kill()
    for process in processes:
        process.wait()


def _streams(
    process: "subprocess.Popen[str]", prefix: str
) -> list[threading.Thread]:
    pairs = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    threads = [
        threading.Thread(target=_copy, args=(source, prefix, to), daemon=True)
        for source, to in pairs
        if source is not None
    ]
    for thread in threads:
        thread.start()
    return threads


def _copy(source: IO[str], prefix: str, to: IO[str]) -> None:
    with source:
        for line in source:
            to.write(f"{prefix}{line}")
            to.flush()
