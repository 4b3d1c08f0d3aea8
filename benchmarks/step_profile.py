"""Where the time of one training step goes, by TensorFlow's profiler.

    python -m benchmarks step_profile
    python -m benchmarks step_profile --against ce4b565
    python -m benchmarks step_profile --device gpu

The step is that of a recipe (`local_mine`) on its own data, one thread, with
a fixed batch, so that the input pipeline is not in it. Processor time is of
interleaved rounds without the profiler. The profiler's milliseconds are by the
clock and stretched by other load and by itself: read them as shares. On a GPU
seconds are of the clock, until the last step is done, and the profile is of
the processor, which gives the GPU its work.
"""

import argparse
import contextlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import sides

PARTS = {
    "optimizer": r"optimizer|adam|Adam",
    "image encoder": r"image_encoder|lower|upper|stage\d|stem",
    "text encoder": r"text_encoder|bert|transformer|embedding",
    "critic": r"critic",
}
KINDS = {
    "convolution": r"Conv2D",
    "matrix product": r"MatMul|Einsum",
    "normalisation": r"FusedBatchNorm|LayerNorm",
    "dropout": r"Random|Stateless.*Uniform",
    "elementwise": r"^(_?Fused)?(Add|Mul|Sub|Relu|Sqrt|Rsqrt|Square|RealDiv|"
    r"Select|Erf|Tanh|Exp|Log|Cast|Neg|BiasAdd|Max|Min|Sigmoid|Less|Greater)",
    "reduction": r"Sum|Mean|Softmax|Moments",
    "moving data": r"Pad|Concat|Slice|Transpose|Reshape|Tile|Gather|Pack|Split",
}


def part(name: str) -> str:
    """The part of the model that an operation's name belongs to."""
    return _first(PARTS, name)


def kind(operation: str) -> str:
    """What sort of work a type of operation is."""
    return _first(KINDS, operation)


def _first(table: dict[str, str], text: str) -> str:
    found = (key for key, pattern in table.items() if re.search(pattern, text))
    return next(found, "rest")


def operations(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Name, type and milliseconds of every operation that was profiled."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    for file in folder.rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
        for plane in space.planes:
            if plane.name != "/host:CPU":
                continue
            names = {
                number: metadata.name
                for number, metadata in plane.event_metadata.items()
            }
            for line in plane.lines:
                for event in line.events:
                    name, _, operation = names[event.metadata_id].rpartition(
                        ":"
                    )
                    operation = operation.split("#")[0]
                    # `Class::Method` is the runtime's own, around operations
                    is_operation = name and not name.endswith(":")
                    if is_operation and re.fullmatch(r"_?[A-Z]\w+", operation):
                        yield name, operation, event.duration_ps / 1e9


def profiled(step: Callable[[], Any], steps: int) -> dict[str, dict]:
    """Milliseconds a step by part of the model and by kind of work."""
    import tensorflow as tf

    # operations that TensorFlow thinks cheap too
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            for _ in range(steps):
                step()
        found = list(operations(Path(folder)))
    by_part: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    for name, operation, milliseconds in found:
        by_part[part(name)] += milliseconds / steps
        by_kind[kind(operation)] += milliseconds / steps
    number = len(found) / steps
    return {"by part": by_part, "by kind": by_kind, "operations": number}


def worker(options: argparse.Namespace) -> Callable[[], dict]:
    """Profiles first; then each round is `steps` steps, timed."""
    from benchmarks import recipe_step

    sides.choose_device(options)
    steps = options.steps
    step, _ = recipe_step.make(options.recipe)
    for _ in range(5):
        step()
    rounds = 0

    def one() -> dict:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            return profiled(step, steps)
        for _ in range(steps):
            logs = step()
        float(logs["loss"])  # waits for the device
        return {}

    return one


def main() -> None:
    """Prints milliseconds a step: in all, by part, and by kind of work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--recipe", default="local_mine")
    add("--steps", type=int, default=20, help="of each round")
    add("--rounds", type=int, default=5)
    add("--against", help="a commit, profiled beside")
    add("--here", action="store_true", help=argparse.SUPPRESS)
    sides.add_device(parser)
    options = parser.parse_args()
    if options.here:
        sides.serve(worker(options))
        return
    words = ["benchmarks.step_profile", "--here", "--recipe", options.recipe]
    words += ["--steps", str(options.steps), *sides.device_words(options)]
    clock = sides.clock(options)
    with contextlib.ExitStack() as stack:
        trees = stack.enter_context(sides.trees(options.against))
        made = {}
        for name, tree in trees.items():
            made[name] = stack.enter_context(sides.Side(words, 1, tree))
            # or the profiles would be in each other's way
            made[name].wait()
        sides.interleave(made.values(), options.rounds)
        spent = {
            name: [1000 * s / options.steps for s in side.values(clock)]
            for name, side in made.items()
        }
        profiles = {name: side.first for name, side in made.items()}
    rows = [
        {
            "side": name,
            f"{clock} ms a step": sides.spread(spent[name], 1),
            "operations a step": f"{profiles[name]['operations']:.0f}",
        }
        for name in made
    ]
    told = sides.device_told(options)
    print(f"{sides.machine()}; {options.recipe}, one thread, {told}\n")
    print(sides.markdown(rows))
    for table in ("by part", "by kind"):
        columns = {name: one[table] for name, one in profiles.items()}
        print(f"\n{sides.side_by_side(f'ms, {table}', columns)}")


if __name__ == "__main__":
    main()
