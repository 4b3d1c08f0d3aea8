"""Sides measured beside each other: a process each, asked in turn.

A side is a worker that prepares one step, then does it whenever it is told,
and says what it cost. Rounds are interleaved, so that other load on the
machine falls on all sides alike; the median over rounds is what counts.
"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]
HERE = "this tree"
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}


def thread_environment(threads: int) -> dict[str, str]:
    """Variables that hold TensorFlow, torch and OpenCV to some threads."""
    return {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def hold(threads: int) -> None:
    """Holds this process to some threads, before TensorFlow is imported."""
    os.environ.update(thread_environment(threads))
    to_cores(threads)


def to_cores(number: int) -> None:
    """Holds this process, and what it starts, to some of its cores.

    The variables alone do not: tf.data, XLA and Python have threads besides.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])


# === Options that several have ===


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device` and `--tf32`; see `choose_device`."""
    add = parser.add_argument
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--tf32", action="store_true", help="GPU: products in TensorFloat-32")


def choose_device(options: argparse.Namespace) -> None:
    """Holds TensorFlow to what was asked for, before it does anything."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(options.tf32)
    gpus = tf.config.list_physical_devices("GPU")
    if options.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif not gpus:
        raise SystemExit("--device gpu: TensorFlow finds none")


def choose_torch_device(options: argparse.Namespace) -> str:
    """As `choose_device` for torch; returns the name of its device."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    if options.device == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise SystemExit("--device gpu: torch finds none")
    return "cuda"


def hide_gpus() -> None:
    """Leaves this process the processor alone, before TensorFlow starts."""
    os.environ.update(_NO_GPU)


def device_words(options: argparse.Namespace) -> list[str]:
    """The same options for a worker."""
    tf32 = ["--tf32"] if options.tf32 else []
    return ["--device", options.device, *tf32]


def device_environment(options: argparse.Namespace) -> dict[str, str]:
    """Variables that do the same for a command that has no such options."""
    if options.device == "cpu":
        return _NO_GPU
    look = (
        "import tensorflow as t; print(t.config.list_physical_devices('GPU'))"
    )
    command = [sys.executable, "-c", look]
    if "GPU" not in subprocess.check_output(command, text=True):
        raise SystemExit("--device gpu: TensorFlow finds none")
    return {} if options.tf32 else {"NVIDIA_TF32_OVERRIDE": "0"}


def device_told(options: argparse.Namespace) -> str:
    """The device in words, and on a GPU what its products are made in."""
    if options.device == "cpu":
        return "cpu"
    return f"gpu, TensorFloat-32 {'on' if options.tf32 else 'off'}"


def clock(options: argparse.Namespace) -> str:
    """The measure that counts: what the processor spends, or the wall's."""
    return "wall" if options.device == "gpu" else "cpu"


def each_threads(module: str, words: list[str], threads: list[int]) -> None:
    """Prints what a benchmark prints for each number of threads in turn."""
    for number in threads:
        told = run([module, *words, "--threads", str(number)], threads=number)
        print(f"{number} thread(s)\n\n{told}", flush=True)


# === Inside a worker ===


def peak_mib() -> float:
    """Most memory this process has held so far, MiB.

    Of this program alone: `ru_maxrss` would count that which started it.
    """
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def serve(step: Callable[[], Any]) -> None:
    """Does `step` once, then again for every line on standard input.

    `step` returns when its work is done (on a GPU: once it is synchronised);
    a dict that it returns is passed on with the cost.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # what libraries print is no answer
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    told = cost(step)
    print(json.dumps(told), file=answers, flush=True)
    for _ in sys.stdin:
        told = cost(step)
        print(json.dumps(told), file=answers, flush=True)


def cost(step: Callable[[], Any]) -> dict[str, float]:
    """Processor and wall seconds of one call, and what it returned."""
    begun, spent = time.perf_counter(), time.process_time()
    told = step()
    return {
        "cpu": time.process_time() - spent,
        "wall": time.perf_counter() - begun,
        "peak_mib": peak_mib(),
        **(told if isinstance(told, dict) else {}),
    }


# === Outside ===


class Side:
    """A worker process.

    Args:
        words: what follows `python -m`.
        threads: of the process, and its cores.
        tree: folder of the kerasmi that it imports; None: this one.
    """

    def __init__(
        self, words: Iterable[str], threads: int = 1, tree: Path | None = None
    ) -> None:
        # open as long as the process is
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            **surroundings(tree, threads),
        )
        self.first: dict[str, float] | None = None
        self.rounds: list[dict[str, float]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def wait(self) -> None:
        """Waits for the first step, which traces and compiles."""
        if self.first is None:
            self.first = self._answer()

    def ask(self) -> None:
        """One more round."""
        self.wait()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.rounds.append(self._answer())

    def values(self, name: str) -> list[float]:
        """A measure of every round."""
        return [answer[name] for answer in self.rounds]

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise SystemExit(f"a worker ended:\n{self._errors.read()[-3000:]}")
        return json.loads(line)


def interleave(sides: Iterable[Side], rounds: int) -> None:
    """Asks every side once a round."""
    sides = list(sides)
    for side in sides:
        side.wait()
    for _ in range(rounds):
        for side in sides:
            side.ask()


def run(
    words: Iterable[str], tree: Path | None = None, threads: int = 2
) -> str:
    """What a process prints."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        **surroundings(tree, threads),
    )
    return done.stdout


def answer(words: Iterable[str], tree: Path | None, threads: int = 1) -> Any:
    """What a process prints as JSON on its last line."""
    return json.loads(run(words, tree, threads).splitlines()[-1])


def surroundings(tree: Path | None, threads: int) -> dict[str, Any]:
    """Of a process that imports a tree's kerasmi, and has as many cores."""
    variables = {**os.environ, **thread_environment(threads)}
    # in the new process, before it has a thread of its own
    cores = {"preexec_fn": functools.partial(to_cores, threads)}
    if tree is None:
        return {"env": variables, "cwd": ROOT, **cores}
    # these benchmarks, that kerasmi
    variables["PYTHONPATH"] = f"{tree / '.harness'}{os.pathsep}{tree}"
    return {"env": variables, "cwd": tree / ".harness", **cores}


@contextlib.contextmanager
def trees(commit: str | None) -> Iterator[dict[str, Path | None]]:
    """This tree and, if one is asked for, a checkout of another commit."""
    if commit is None:
        yield {HERE: None}
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT)]
        add = [*git, "worktree", "add", "--detach", str(tree), commit]
        subprocess.run(add, check=True, capture_output=True)
        try:
            # an installed kerasmi has its recipes inside
            (tree / "kerasmi" / "recipes").symlink_to(tree / "recipes")
            (tree / ".harness").mkdir()
            (tree / ".harness" / "benchmarks").symlink_to(ROOT / "benchmarks")
            yield {commit: tree, HERE: None}
        finally:
            remove = [*git, "worktree", "remove", "--force", str(tree)]
            subprocess.run(remove, check=True)


# === Tables ===


def spread(values: list[float], digits: int = 2) -> str:
    """Median, and the smallest and largest."""
    middle = statistics.median(values)
    low, high = min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratio(slow: list[float], fast: list[float]) -> float:
    """How many times faster, by medians."""
    return statistics.median(slow) / statistics.median(fast)


def verdict(value: float, bar: float | None, below: bool = False) -> str:
    """The bar beside a value, and whether it is met.

    Args:
        value: what was measured.
        bar: what it has to reach; None: nothing.
        below: whether it has to stay below the bar instead.
    """
    if bar is None:
        return "-"
    sign, met = ("<", value < bar) if below else (">=", value >= bar)
    return f"{sign} {bar:g}: {'met' if met else 'NOT met'}"


def markdown(rows: list[Mapping[str, Any]]) -> str:
    """Rows of the same columns as a Markdown table."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row.get(column, "-")) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def side_by_side(
    title: str, sides: Mapping[str, Mapping[str, float]], digits: int = 2
) -> str:
    """One column for each side, a row for each of their keys, and the sum."""
    names = list(dict.fromkeys(key for one in sides.values() for key in one))
    first = next(iter(sides.values()))
    rows = [
        {
            title: name,
            **{s: f"{one.get(name, 0):.{digits}f}" for s, one in sides.items()},
        }
        for name in sorted(names, key=lambda key: -first.get(key, 0))
    ]
    sums = {s: f"{sum(one.values()):.{digits}f}" for s, one in sides.items()}
    return markdown([*rows, {title: "sum", **sums}])


def machine() -> str:
    """Processor, cores, versions and the date, for beside a table."""
    import importlib.metadata as metadata

    name = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = []
    for package in ("tensorflow", "keras", "keras-hub", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    load = os.getloadavg()[0]
    return (
        f"{datetime.date.today()}, {name}, {os.cpu_count()} cores, "
        f"load {load:.1f}; {', '.join(versions)}"
    )
