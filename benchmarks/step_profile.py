"""Where the time of one training step goes, by TensorFlow's profiler.

    python -m benchmarks step_profile
    python -m benchmarks step_profile --against ce4b565

The step is that of a recipe (`local_mine`) on its own data, one thread, with
a fixed batch, so that the input pipeline is not in it. Times are of operations
as the profiler saw them, in milliseconds a step: read them as shares; other
load on the machine stretches them.
"""

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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
                number: metadata.display_name or metadata.name
                for number, metadata in plane.event_metadata.items()
            }
            for line in plane.lines:
                for event in line.events:
                    name, _, operation = names[event.metadata_id].rpartition(
                        ":"
                    )
                    if name and re.fullmatch(r"_?[A-Z]\w+", operation):
                        yield name, operation, event.duration_ps / 1e9


def measure(recipe_name: str, steps: int, dump: Path | None = None) -> dict:
    """Profiles `steps` steps; milliseconds a step by part and by kind."""
    sides.one_thread()
    import tensorflow as tf

    from benchmarks.recipe_step import make

    step, _ = make(recipe_name)
    for _ in range(5):
        step()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            step()
        tf.profiler.experimental.stop()
        found = list(operations(Path(folder)))
    if dump is not None:
        dump.write_text(json.dumps(found))
    answer: dict = {"by part": Counter(), "by kind": Counter()}
    for name, operation, milliseconds in found:
        answer["by part"][part(name)] += milliseconds / steps
        answer["by kind"][kind(operation)] += milliseconds / steps
    return answer


def main() -> None:
    """Prints milliseconds a step, by part of the model and by kind of work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", default="local_mine")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--against", help="a commit, profiled beside")
    parser.add_argument("--dump", type=Path, help="file for all operations")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        found = measure(arguments.recipe, arguments.steps, arguments.dump)
        print(json.dumps(found))
        return
    command = ["benchmarks.step_profile", "--here"]
    command += ["--recipe", arguments.recipe, "--steps", str(arguments.steps)]
    if arguments.dump:
        command += ["--dump", str(arguments.dump.resolve())]
    columns = {}
    with sides.trees(arguments.against) as trees:
        for side, tree in trees.items():
            columns[side] = sides.answer(command, tree)
    for table in ("by part", "by kind"):
        print(f"\nms a step, {table}\n")
        print(
            sides.side_by_side(table, {s: c[table] for s, c in columns.items()})
        )


if __name__ == "__main__":
    main()
