"""Imports, trains and evaluates for an hour in one process: nothing may grow.

    python -m benchmarks soak --minutes 60

Each loop draws a table of pictures and reports of its own, imports it, runs a
small experiment on the records (pretraining, both re-trainings), evaluates it,
writes its report, removes all of it and forgets it. Then it prints the memory
of the process, what of it is allocated, its open file handles and its threads,
and what the work folder held. The first loops warm up (imports, caches, pools
of threads) and count for nothing; at the end the others are held to the bars,
and one that is not met gives exit status 1.

TensorFlow keeps what oneDNN compiled for the last 1024 shapes that each of its
threads met. The loops that warm up pretrain for more epochs, to meet more of
them sooner (`--fill`); without it, those caches are what grows for hours. The
tables have as many images each, as said in their column `split`: else the last
batch of re-training would have a number of its own in each loop, and another
hundred shapes (`--hashed`: the subjects alone say what is held out). XLA keeps
a thread for each of its functions that ever ran at the same moment as others:
these are made before the first loop, or it would be chance when.

It runs with MALLOC_ARENA_MAX=1, as `docs/scale.md` tells processes that train
for long to do; set the variable before to see it with another number. pyarrow,
which kerasmi does not need and pandas uses where it is installed, would start
threads of its own allocator as it pleases: it gets the system's.
"""

import argparse
import csv
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import heap, soak_verdict
from kerasmi.cli import starting
from kerasmi.cli.quiet import quiet

EPOCHS = 2  # of pretraining
FILL = 60  # while warming up
ARENAS = "MALLOC_ARENA_MAX"  # of glibc
ARROW = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
IMAGES = {"train": 112, "validation": 24, "test": 24}
LABEL = "Lung Opacity"  # half of the images: any split has both classes
SMALL = (
    "data.source=records",
    "data.image_size=64",
    "critic.hidden_dims=[8, 4]",
    "pretrain.batch_size=8",
    "pretrain.warmup_steps=2",
    "pretrain.sentences=2",
    "retrain.tasks=[findings]",
    f"retrain.findings=[{LABEL}]",
    "retrain.labels=all",
    "retrain.batch_size=16",
    "retrain.epochs=2",
    "evaluate.bootstrap=20",
)


def write_table(folder: Path, seed: int, hashed: bool = False) -> Path:
    """Draws the phantom's pictures and reports as somebody's own table."""
    from kerasmi.data.sources.phantom import Phantom, generate

    folder.mkdir()
    phantom = Phantom(**IMAGES, seed=seed)
    columns = ["image", "subject", "text", LABEL]
    if not hashed:
        columns.append("split")
    with open(folder / "own.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, columns, extrasaction="ignore")
        rows.writeheader()
        for number, record in enumerate(generate(phantom)):
            name = f"{number}.png"
            (folder / name).write_bytes(record.image)
            rows.writerow(
                {
                    "image": name,
                    "subject": record.subject_id,
                    "text": record.report,
                    LABEL: record.truth[LABEL],
                    "split": record.split,
                }
            )
    return folder / "own.csv"


def once(
    folder: Path, seed: int, epochs: int = EPOCHS, hashed: bool = False
) -> None:
    """Table, import, run, evaluation and report, by the public functions."""
    from kerasmi import evaluating, experiment, recipe, runs
    from kerasmi.data.importing import import_items
    from kerasmi.data.sources.table import Table
    from kerasmi.evaluation import report
    from kerasmi.reporter import Reporter

    table = write_table(folder / "own", seed, hashed)
    source = Table(table, labels=[LABEL])
    records = folder / "records"
    # one thread decodes: a pool of processes would hide what it leaks
    import_items(source, records, image_size=64, workers=1)
    words = (*SMALL, f"data.path={records}", f"seed={seed}")
    words += (f"pretrain.epochs={epochs}",)
    loaded = recipe.load("local_mine", words)
    with runs.Run.create(folder / "run", loaded) as made:
        experiment.run(loaded, made, Reporter())
    evaluating.evaluate(
        runs.Run.open(folder / "run"), ("mi", "retrieval", "probe")
    )
    report.write(folder / "run")


def size(folder: Path) -> float:
    """MiB of all files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files) / 2**20


def soak(
    minutes: float,
    most: int | None,
    seeds: int | None,
    warm_up: int = soak_verdict.WARM_UP,
    fill: int = FILL,
    hashed: bool = False,
) -> list[soak_verdict.Loop]:
    """Loops until the time or the number is spent; prints each."""
    from kerasmi import experiment

    begun = time.monotonic()
    loops: list[soak_verdict.Loop] = []
    print(
        "| loop | minutes | memory, MiB | allocated, MiB | handles | threads |"
        " disk, MiB |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for number in itertools.count(1):
        folder = Path(tempfile.mkdtemp(prefix="kerasmi-soak-"))
        try:
            seed = number if seeds is None else number % seeds
            epochs = fill if number <= warm_up else EPOCHS
            once(folder, seed, epochs, hashed)
            disk = size(folder)
        finally:
            shutil.rmtree(folder)
        experiment.forget()
        now = soak_verdict.held(begun, disk)
        loops.append(now)
        print(
            f"| {number} | {now.hours * 60:.1f} | {now.rss:.1f} |"
            f" {now.used:.1f} | {now.handles} | {now.threads.total()} |"
            f" {now.disk:.1f} |",
            flush=True,
        )
        if number == most or now.hours * 60 >= minutes:
            return loops


def fill_streams(number: int) -> None:
    """Has XLA make the threads that it keeps: a stream for each call at once.

    Args:
        number: calls at once, more than any loop makes.
    """
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def busy(x: tf.Tensor) -> tf.Tensor:
        for _ in range(20):
            x = tf.sin(x)
        return x

    values = tf.ones((3_000_000,))  # some tens of milliseconds
    busy(values)
    together = threading.Barrier(number)

    def call(_: int) -> None:
        together.wait()
        busy(values)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(call, range(number)))


def with_arenas() -> None:
    """Starts this process anew, with one arena, unless their number is set.

    The memory allocator reads it before anything else runs.
    """
    if ARENAS not in os.environ:
        words = [sys.executable, "-m", "benchmarks.soak", *sys.argv[1:]]
        os.execve(sys.executable, words, {**os.environ, **ARROW, ARENAS: "1"})


def main() -> int:
    """Soaks, and gives the verdict; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--loops", type=int, help="stop after so many")
    parser.add_argument("--warm-up", type=int, default=soak_verdict.WARM_UP)
    parser.add_argument(
        "--seeds",
        type=int,
        help="tables and trainings in turn, not new ones in each loop: caches"
        " of what has been met before then no longer fill",
    )
    parser.add_argument(
        "--fill",
        type=int,
        default=FILL,
        help=f"epochs of pretraining while warming up ({EPOCHS} afterwards)",
    )
    parser.add_argument(
        "--hashed",
        action="store_true",
        help="other numbers of images in the splits of each table",
    )
    asked = parser.parse_args()
    if not heap.is_known():
        sys.exit("what is allocated can be told with glibc 2.33 or later alone")
    with_arenas()
    starting.set_up_libraries()  # as a command does
    with quiet():
        import tensorflow as tf

        from kerasmi import distribute

        tf.get_logger().setLevel("ERROR")
        distribute.configure(1)
        distribute.set_intra_op_threads(1)  # as the recipe has it
        distribute.make_deterministic()
        tf.config.list_logical_devices()
    # two stages at once, each with as many maps at once as there are cores
    fill_streams(2 * len(os.sched_getaffinity(0)))
    loops = soak(
        asked.minutes,
        asked.loops,
        asked.seeds,
        asked.warm_up,
        asked.fill,
        asked.hashed,
    )
    try:
        bars = soak_verdict.verdict(loops, asked.warm_up)
    except ValueError as error:
        sys.exit(str(error))
    print()
    for bar in bars:
        print(f"- {bar.words}: {'met' if bar.met else 'NOT met'}")
    return 0 if all(bar.met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
