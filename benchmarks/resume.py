"""Kills a run at random moments, and compares it with one left in peace.

    python -m benchmarks.resume --kills 20

A run that is killed (SIGKILL, with all its processes) goes on with `--resume`
and is killed again, each time after a random share of the processor time that
the run in peace took, until as many kills are spent; the last start ends it.
Then every weight, optimizer slot and moving average of each `model.keras`, and
every table, must equal those of the run in peace, bit for bit. Only throughput
(`images_per_second`) and times differ by nature.

The runs are as small as they can be: it is their ends that count.
"""

import argparse
import csv
import io
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from kerasmi.cli.quiet import quiet

SMALL = (
    "data.images={train: 48, validation: 32, test: 24}",
    "critic.hidden_dims=[8, 4]",
    "pretrain.epochs=3",
    "pretrain.warmup_steps=2",
    "pretrain.sentences=1",
    "retrain.tasks=[edema_severity]",
    "retrain.epochs=3",
    "retrain.labels=20",
    "evaluate.bootstrap=20",
)
TIMED = ("images_per_second",)

Work = Callable[[Path], int]


def start(work: Callable[[], int], folder: Path) -> int:
    """Starts or resumes work in a process group of its own; its pid.

    Forked from this process, which has imported everything and run nothing.

    Args:
        work: what to do; returns the exit status.
        folder: what it tells goes to `FOLDER.log`.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        told = os.open(f"{folder}.log", flags)
        os.dup2(told, 1)
        os.dup2(told, 2)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def kerasmi_run(folder: Path) -> int:
    """The run of the benchmark, from where it stands."""
    from kerasmi import resuming
    from kerasmi.cli import main

    resuming.OVERHEAD = 1e9  # a checkpoint after every epoch, short as it is
    words = ["run", "local_mine", *SMALL, "--resume", "--output", str(folder)]
    try:
        main(words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def log(folder: Path) -> str:
    """The end of what a run told."""
    return Path(f"{folder}.log").read_text("utf-8")[-2000:]


def wait(pid: int, folder: Path, seconds: float) -> float | None:
    """Kills a run after so much processor time.

    Returns:
        The processor time of a run that ended by itself; None if killed.

    Raises:
        SystemExit: the run failed.
    """
    tick = os.sysconf("SC_CLK_TCK")
    used = 0.0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if status:
                code = os.waitstatus_to_exitcode(status)
                sys.exit(f"the run failed with status {code}:\n{log(folder)}")
            return used
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        used = sum(map(int, fields.split()[11:13])) / tick
        if used > seconds:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.02)


def stage(folder: Path) -> str:
    """Where a run is: its last finished stage, and its last checkpoint."""
    done = [
        str(path.parent.relative_to(folder))
        for path in folder.rglob("done.json")
    ]
    points = sorted(
        f"{path.parent.parent.relative_to(folder)} {path.stem}"
        for path in folder.rglob("checkpoint/epoch*.npz")
    )
    return (
        f"{len(done)} stages done; {points[-1] if points else 'no checkpoint'}"
    )


def weights(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a `.keras` file: weights, optimizer, MINE's average."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = np.array(node)

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(keep)
    return found


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a table, without what depends on the clock."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {name: value for name, value in row.items() if name not in TIMED}
        for row in rows
    ]


def compare(peace: Path, killed: Path) -> int:
    """Compares all models and tables.

    Returns:
        How many arrays were equal.

    Raises:
        SystemExit: something differs; names it.
    """
    kinds = ("model.keras", "*.csv", "*.npz")
    names = [
        {str(p.relative_to(run)) for kind in kinds for p in run.rglob(kind)}
        for run in (peace, killed)
    ]
    if names[0] != names[1]:
        sys.exit(f"only one has {sorted(names[0] ^ names[1])}")
    equal = 0
    for name in sorted(names[0]):
        one, other = peace / name, killed / name
        if name.endswith(".csv"):
            same = table(one) == table(other)
        elif name.endswith(".npz"):
            same = one.read_bytes() == other.read_bytes()
        else:
            a, b = weights(one), weights(other)
            equal += len(a)
            same = a.keys() == b.keys() and all(
                a[k].tobytes() == b[k].tobytes() for k in a
            )
        if not same:
            sys.exit(f"{name}: differs")
    return equal


def peacefully(work: Work, folder: Path) -> float:
    """Does it in one go; the processor time that it took, in seconds."""
    folder.parent.mkdir()
    used = wait(start(lambda: work(folder), folder), folder, float("inf"))
    assert used is not None
    return used


def killed(
    work: Work, folder: Path, kills: int, seconds: float, draw: random.Random
) -> int:
    """Does it, killed at random moments until it is done.

    Args:
        work: gets the folder; goes on where it stands.
        folder: new.
        kills: at most.
        seconds: processor time between two of them, at most.
        draw: draws the moments.

    Returns:
        The kills that were spent.
    """
    folder.parent.mkdir()
    for spent in range(kills + 1):
        last = spent == kills
        moment = float("inf") if last else draw.uniform(0, seconds)
        pid = start(lambda: work(folder), folder)
        if wait(pid, folder, moment) is not None:
            return spent
        print(f"killed after {moment:.1f} s; {stage(folder)}", flush=True)
    raise AssertionError("the last start is not killed")


def main() -> None:
    """Runs in peace, then kills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    # all that the forked processes need; nothing is run here
    with quiet():
        import kerasmi.cli.console
        import kerasmi.experiment  # noqa: F401

    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as made:
        peace = Path(made) / "peace" / "run"
        whole = peacefully(kerasmi_run, peace)
        print(f"in peace: {whole:.0f} s of one processor", flush=True)
        spent = runs = 0
        while spent < asked.kills:
            runs += 1
            # a folder of its own: the drawing of the phantom is killed too
            folder = Path(made) / f"killed{runs}" / "run"
            left = asked.kills - spent
            spent += killed(kerasmi_run, folder, left, whole, draw)
            equal = compare(peace, folder)
            print(f"run {runs} is the same: {equal} arrays and all tables")
    print(f"{spent} kills in {runs} runs: all bit-identical")


if __name__ == "__main__":
    main()
