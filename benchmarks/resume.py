"""Kills a run at random moments, and compares it with one left in peace.

    python -m benchmarks.resume --kills 20

The run in peace tells how long it is in each of its places: drawing the data,
every epoch of every stage, what follows a training, the evaluation. The
moments of the kills are drawn one from each of as many equal parts of its
processor time, so they fall on all of it. A killed run suffers every few of
them: it is killed (SIGKILL, with all its processes) once it has been in the
place of the moment for as long as the run in peace had been, and goes on with
`--resume`; the last start ends it. Then every weight, optimizer slot and moving
average of each `model.keras`, and every table, must equal those of the run in
peace, bit for bit. Only throughput (`images_per_second`) and times differ by
nature.

The runs are as small as they can be: it is their ends that count.
"""

import argparse
import collections
import csv
import io
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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

START = "start and data"
KILLS = 5  # in one run, at most

Work = Callable[[Path], int]

# where the forked run is: its place, a line feed, and the step in it
_HERE = mmap.mmap(-1, 128)


def tell(place: str, step: str = "") -> None:
    """The run says where it is, to the process that watches it."""
    words = f"{place}\n{step}".encode()
    _HERE[:] = words.ljust(len(_HERE), b"\0")


def told() -> tuple[str, str]:
    """Where the run is: its place, and the step in it."""
    words = _HERE[:].rstrip(b"\0").decode("utf-8", "replace")
    place, _, step = words.partition("\n")
    return place, step


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        at: seconds of the processor, of the run in peace.
        place: where it was then.
        since: seconds of the processor that it had been there.
    """

    at: float
    place: str
    since: float


def moments(
    entered: dict[str, float], whole: float, kills: int, draw: random.Random
) -> list[Moment]:
    """Draws a moment from each of `kills` equal parts of a run.

    Args:
        entered: places in their order, with the processor time of each.
        whole: the processor time of the run.
        kills: how many, in order.
        draw: draws them.
    """
    found = []
    for part in range(kills):
        at = (part + draw.random()) * whole / kills
        before = [place for place, since in entered.items() if since <= at]
        place = before[-1] if before else next(iter(entered))
        found.append(Moment(at, place, max(0.0, at - entered[place])))
    return found


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
    """The run of the benchmark, from where it stands; tells where it is."""
    from kerasmi import resuming
    from kerasmi.cli import main
    from kerasmi.evaluation import auc

    resuming.OVERHEAD = 1e9  # a checkpoint after every epoch, short as it is
    fit, evaluate = resuming.fit, auc.evaluate

    def fitted(*given: Any, **how: Any) -> Any:
        stage = os.path.relpath(how["folder"], folder)
        how["callbacks"] = [*how["callbacks"], teller(stage, how["steps"])]
        try:
            return fit(*given, **how)
        finally:
            tell(f"{stage}, after training")

    def evaluated(*given: Any, **how: Any) -> Any:
        tell("evaluation and report")
        return evaluate(*given, **how)

    resuming.fit, auc.evaluate = fitted, evaluated
    words = ["run", "local_mine", *SMALL, "--resume", "--output", str(folder)]
    try:
        main(words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def teller(stage: str, steps: int) -> Any:
    """A callback that tells of every epoch and step of a stage."""
    import keras

    class Teller(keras.callbacks.Callback):
        place = stage

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.place = f"{stage}, epoch {epoch + 1}"
            tell(self.place, f"step 1 of {steps}")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            step = min(batch + 2, steps)
            tell(self.place, f"step {step} of {steps}")

        def on_test_begin(self, logs: Any = None) -> None:
            tell(self.place, "validation")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            tell(self.place, "checkpoint")

    return Teller()


def log(folder: Path) -> str:
    """The end of what a run told."""
    return Path(f"{folder}.log").read_text("utf-8")[-2000:]


def wait(pid: int, folder: Path, due: Callable[[float], bool]) -> float | None:
    """Kills a run when it is due.

    Args:
        pid: of the run.
        folder: of the run.
        due: from the processor time that the run has used.

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
        if due(used):
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)


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


def peacefully(work: Work, folder: Path) -> tuple[float, dict[str, float]]:
    """Does it in one go.

    Returns:
        The processor time that it took, in seconds, and its places in their
        order with the processor time at which it came to each.
    """
    folder.parent.mkdir()
    entered: dict[str, float] = {}

    def look(used: float) -> bool:
        entered.setdefault(told()[0], used)
        return False

    tell(START)
    used = wait(start(lambda: work(folder), folder), folder, look)
    assert used is not None
    return used, entered


def killed(
    work: Work, folder: Path, at: list[Moment], order: list[str]
) -> list[str]:
    """Does it, killed at some moments and done in the end.

    Args:
        work: gets the folder; goes on where it stands.
        folder: new.
        at: the moments, in order.
        order: the places of a run, in order.

    Returns:
        Where it was at each kill; fewer than `at` where it ended before.
    """
    folder.parent.mkdir()
    fell = []
    for moment in at:
        since: list[float] = []

        def due(
            used: float, moment: Moment = moment, since: list[float] = since
        ) -> bool:
            place = told()[0]
            there = order.index(place) if place in order else -1
            if there >= order.index(moment.place) and not since:
                since.append(used)
            return bool(since) and used - since[0] >= moment.since

        tell(order[0])
        if wait(start(lambda: work(folder), folder), folder, due) is not None:
            return fell
        fell.append(", ".join(filter(None, told())))
    tell(order[0])
    wait(start(lambda: work(folder), folder), folder, lambda used: False)
    return fell


def shared_out(at: list[Moment]) -> list[list[Moment]]:
    """Each run gets moments from all over it, in order, `KILLS` at most."""
    runs = -(-len(at) // KILLS)
    return [at[first::runs] for first in range(runs)]


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
    begun = os.times()
    fallen: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as made:
        peace = Path(made) / "peace" / "run"
        whole, entered = peacefully(kerasmi_run, peace)
        print(f"in peace: {whole:.0f} s of one processor", flush=True)
        left = moments(entered, whole, asked.kills, draw)
        runs = 0
        while left:
            for at in shared_out(left):
                runs += 1
                # a folder of its own: the drawing of the phantom is killed too
                folder = Path(made) / f"killed{runs}" / "run"
                fell = killed(kerasmi_run, folder, at, list(entered))
                equal = compare(peace, folder)
                for moment, where in zip(at, fell, strict=False):
                    left.remove(moment)
                    fallen[where.split(",")[0]] += 1
                    print(f"run {runs}, killed at {moment.at:.1f} s: {where}")
                print(
                    f"run {runs}, killed {len(fell)} times: {equal} arrays and"
                    " all tables bit-identical",
                    flush=True,
                )
            # what came too late, as a resumed run is shorter: a little earlier
            left = [replace(m, since=draw.uniform(0, m.since)) for m in left]
    for stage, kills in fallen.items():
        print(f"{stage}: {kills} kills")
    used = sum(os.times()[:4]) - sum(begun[:4])
    print(
        f"{fallen.total()} kills in {runs} runs: all bit-identical;"
        f" {used / 60:.1f} minutes of one processor"
    )


if __name__ == "__main__":
    main()
