"""The main job, `kerasmi run recipes/local_mine.yaml`, phase by phase.

    python -m benchmarks phantom
    python -m benchmarks phantom --against ce4b565
    python -m benchmarks phantom --threads 1 --set pretrain.epochs=2

Runs it from an empty folder, in a process of its own, and reads its log and
the processor's clock four times a second. Against another commit, a worktree
of it does the same job, run after run in turn. Seconds of the processor are
of all threads and of the workers that draw the phantom; `start and rest` is
imports, tracing before the first stage, and what lies between stages. On a GPU
the wall's seconds are those to read.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks import sides

BAR = 2.0
RECIPE = Path("recipes") / "local_mine.yaml"
STAGES = 4  # of the recipe's re-training
EVERY = 0.25  # seconds
REST = "start and rest"
DRAW = "draw the phantom"
READ = "pretrain: read-out"
RETRAIN = "re-training"  # stages of which may be done side by side
END = "evaluation and report"
_TICKS = os.sysconf("SC_CLK_TCK")


def phase(log: str, stages: int) -> str:
    """The phase that a run is in, from its log so far.

    Args:
        log: lines of `log.txt`: a time, a level and a text.
        stages: how many stages its re-training has.
    """
    found = re.findall(r" INFO (\S+): (starts|done)", log)
    if not found:
        return REST
    retrained = [what for stage, what in found if stage.startswith("retrain/")]
    if retrained:
        return END if retrained.count("done") == stages else RETRAIN
    stage, what = found[-1]
    if what == "starts":
        return DRAW if stage == "data" else stage
    return READ if stage == "pretrain" else REST


def processor(pid: int) -> float:
    """Seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def measure(
    tree: Path | None, threads: int, overrides: list[str]
) -> tuple[dict[str, float], dict[str, float], float]:
    """Runs the main job once.

    Returns:
        Processor seconds and wall seconds of each phase, and the peak of its
        memory in MiB.
    """
    recipe = (tree or sides.ROOT) / RECIPE
    spent: dict[str, float] = defaultdict(float)
    passed: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as name:
        output = Path(name) / "run"
        words = ["kerasmi.cli", "run", str(recipe), "--output", str(output)]
        process = subprocess.Popen(
            [sys.executable, "-m", *words, *overrides],
            stdout=subprocess.DEVNULL,
            **sides.surroundings(tree, threads),
        )
        used, clock, now = 0.0, time.monotonic(), REST
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                total = usage.ru_utime + usage.ru_stime
            else:
                total = processor(process.pid)
            spent[now] += total - used
            passed[now] += time.monotonic() - clock
            used, clock = total, time.monotonic()
            if pid:
                break
            log = output / "log.txt"
            if log.exists():
                now = phase(log.read_text(), STAGES)
            time.sleep(EVERY)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return dict(spent), dict(passed), usage.ru_maxrss / 1024


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--against", help="a commit that does the same beside")
    add("--rounds", type=int, default=1)
    add("--threads", type=int, default=2)
    sides.add_device(parser)
    add("--set", nargs="*", default=[], help="overrides of the recipe")
    arguments = parser.parse_args()
    os.environ.update(sides.device_environment(arguments))
    told = sides.device_told(arguments)
    print(f"{sides.machine()}; {arguments.threads} thread(s); {told}\n")
    with sides.trees(arguments.against) as trees:
        runs: dict[str, list] = {side: [] for side in trees}
        for _ in range(arguments.rounds):
            for side, tree in trees.items():
                found = measure(tree, arguments.threads, arguments.set)
                runs[side].append(found)
    for number, title in enumerate(("processor seconds", "wall seconds")):
        columns = {
            side: _means([found[number] for found in all_of])
            for side, all_of in runs.items()
        }
        print(sides.side_by_side(title, columns, 1), end="\n\n")
    for side, all_of in runs.items():
        print(f"peak of {side}: {max(found[2] for found in all_of):.0f} MiB")
    if arguments.against:
        for number, seconds in enumerate(("of the processor", "on the clock")):
            totals = {
                side: [sum(found[number].values()) for found in all_of]
                for side, all_of in runs.items()
            }
            times = sides.ratio(totals[arguments.against], totals[sides.HERE])
            told = sides.verdict(times, BAR)
            print(
                f"\n{times:.2f} times faster than {arguments.against} by"
                f" seconds {seconds}, {told}"
            )


def _means(runs: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in runs for name in one)
    return {
        name: sum(one.get(name, 0.0) for one in runs) / len(runs)
        for name in names
    }


if __name__ == "__main__":
    main()
