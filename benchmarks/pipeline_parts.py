"""Where the time of one image goes in the input pipeline, part by part.

    python -m benchmarks pipeline_parts
    python -m benchmarks pipeline_parts --images 256 --rounds 9

The images and shards of `pipeline`, read as a large data set is, on one thread.
Each side does what the one before it does, and one thing more; what a part
costs is the difference. Processor microseconds an image: median over rounds,
smallest and largest in brackets.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import pipeline, sides

PARTS = {
    "records": "read, check, shuffle, batch",
    "parsed": "parse",
    "pixels": "find the pixels",
    "moved": "the affine map",
    "texts": "join, tokenise, pack",
}


def worker(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """The pipeline up to one part; each round is `images` images."""
    from kerasmi.data import augment, stream, texts, wire
    from kerasmi.data.dataset import Dataset
    from kerasmi.data.records import read
    from kerasmi.models.text_encoder import TextEncoder, build_vocabulary
    from kerasmi.models.tokenizer import Tokenizer

    stream.IN_MEMORY_BYTES = 0
    dataset = Dataset.open(options.folder / "shards")
    words = build_vocabulary(record.report for record in read(dataset, "train"))
    tokenizer = Tokenizer(TextEncoder.phantom(words).tokenizer)
    motion = augment.Augmentation(pipeline.ROTATION, 0.0, pipeline.SHIFT)
    margin = augment.margin(motion, pipeline.SIZE)
    last = list(PARTS).index(options.worker)

    def work(seed: Any, _: Any, serialized: Any) -> Any:
        record = wire.parse(serialized, ("image", "study_number", "sentences"))
        if last == 1:
            return record
        rows = augment.read_rows(record["image"], pipeline.SIZE, margin)
        if last == 2:
            return rows
        motions = augment.draw(motion, seed, pipeline.BATCH)
        made = augment.warp(rows, motions, pipeline.SIZE)
        if last == 3:
            return made
        joined = texts.join_sentences(record["sentences"])
        return made, texts.pack(joined, tokenizer, pipeline.TOKENS)

    order = stream.Order(pipeline.BATCH, shuffle=True, epochs=1000)
    source = pipeline.repeated(stream.batches)
    rows = np.arange(dataset.counts["train"]["images"])
    batches = source(dataset, "train", rows, order)
    if last:
        batches = stream.mapped(batches, work)
    iterator = iter(stream.ahead(batches))
    meter = pipeline.Meter()

    def one() -> dict[str, float]:
        for _ in range(len(rows) // pipeline.BATCH):
            next(iterator)
        return {"cpu": meter(), "images": len(rows)}

    return one


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=256)
    add("--rounds", type=int, default=5)
    add("--worker", choices=PARTS, help=argparse.SUPPRESS)
    add("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        sides.serve(worker(options))
        return
    print(f"{sides.machine()}; {options.images} images, one thread\n")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        words = ["benchmarks.pipeline", "--worker", "make", "--folder", name]
        sides.run([*words, "--images", str(options.images)])
        found = {}
        for part in PARTS:
            words = ["benchmarks.pipeline_parts", "--worker", part]
            side = sides.Side([*words, "--folder", name])
            found[part] = stack.enter_context(side)
        sides.interleave(found.values(), options.rounds)
        spent = {
            part: [
                1e6 * cpu / images
                for cpu, images in zip(
                    side.values("cpu"), side.values("images"), strict=True
                )
            ]
            for part, side in found.items()
        }
    before, rows = 0.0, []
    for part, values in spent.items():
        middle = statistics.median(values)
        rows.append(
            {
                "part": PARTS[part],
                "us an image, up to it": sides.spread(values, 0),
                "of itself": f"{middle - before:.0f}",
            }
        )
        before = middle
    print(sides.markdown(rows))


if __name__ == "__main__":
    main()
