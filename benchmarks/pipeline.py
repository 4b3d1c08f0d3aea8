"""Images per second of the input pipeline, and how long training waits for it.

    python -m benchmarks pipeline
    python -m benchmarks pipeline --images 64 --rounds 3 --threads 1
    python -m benchmarks pipeline --device gpu

The reference's way: 16-bit PNG files of 256 x 300 pixels, read by OpenCV,
turned and shifted by PIL (nearest pixel, as torchvision does it), cropped,
divided by their maximum; three rows of 320 token ids made ready before, and
the image's row of a table; batches of 8 by torch's collate. Ours: the same
images in shards, one bilinear affine map, the report tokenised, batches of 8.

    shards  records read each time, as a large data set is: every shard stands
            64 times in an epoch, so that the buffer of 2,048 records stays full
    kept    decoded once and held, as a split of up to 256 MiB is

Seconds are those of the processor, medians over rounds (smallest and largest).
The last table is of the main job: the share of a step that training waits, by
the clock; `--device` says where its steps run. The processor makes batches in
any case.
"""

import argparse
import contextlib
import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sides

BAR, WAIT = 4.5, 0.05
BATCH, SIZE, TOKENS = 8, 256, 320
ROTATION, SHIFT = 20.0, 0.1  # degrees, share of the side
STEPS = 40  # of training, for each round
COPIES = 64  # of every shard in an epoch


def make(folder: Path, images: int) -> None:
    """Writes the same images as PNG files and as a data set."""
    import tensorflow as tf

    from kerasmi.data import stored_png
    from kerasmi.data.records import write
    from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9
    from kerasmi.data.sources import phantom

    drawn = phantom.Phantom(train=images, validation=2, test=2, size=SIZE)
    generator = np.random.default_rng(0)
    files = folder / "files"
    files.mkdir()

    def wider(record: Any) -> Any:
        gray = tf.io.decode_png(record.image).numpy()
        gray = np.pad(gray, ((0, 0), (22, 22), (0, 0)), "reflect")
        # the low byte is noise, as in a radiograph
        pixels = gray.astype(np.uint16) * 256
        pixels += generator.integers(0, 256, gray.shape, np.uint16)
        png = tf.io.encode_png(pixels).numpy()
        if record.split == "train":
            (files / f"{record.image_id}.png").write_bytes(png)
        # as an import stores it
        stored = stored_png.encode(pixels[..., 0])
        return dataclasses.replace(record, image=stored)

    write(
        map(wider, phantom.generate(drawn)),
        folder / "shards",
        name="benchmark",
        source="phantom",
        label_names=(*PATHOLOGY9, EDEMA_SEVERITY),
        made_by=dataclasses.asdict(drawn),
        image_size=SIZE,
    )


# === Workers: each round is one epoch ===


class Meter:
    """Processor seconds since it was last asked, prefetching between too."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def __call__(self) -> float:
        """Seconds."""
        now = time.process_time()
        spent, self._last = now - self._last, now
        return spent


def reference(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """PNG files with OpenCV and PIL."""
    import cv2
    import pandas as pd
    import torch
    from torch.utils.data import DataLoader

    cv2.setNumThreads(0)
    torch.set_num_threads(options.threads)
    files = sorted((options.folder / "files").glob("*.png"))
    table = pd.DataFrame({"study": range(len(files))}, [f.stem for f in files])
    texts = np.random.default_rng(0).integers(0, 28996, (3, TOKENS)).tolist()

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, number: int) -> tuple:
            file = files[number]
            pixels = cv2.imread(str(file), cv2.IMREAD_ANYDEPTH)
            tokens = [torch.tensor(row, dtype=torch.long) for row in texts]
            return published_image(pixels), *tokens, table.loc[file.stem].study

    loader = DataLoader(Images(), BATCH, shuffle=True, drop_last=True)
    meter = Meter()

    def epoch() -> dict[str, float]:
        count = sum(len(batch[0]) for batch in loader)
        return {"images": count, "cpu": meter()}

    return epoch


def published_image(pixels: np.ndarray) -> Any:
    """The affine map of torchvision by PIL, crop and scale: `(1, H, W)`.

    Args:
        pixels: `(H, W)` uint16.
    """
    import torch
    from PIL import Image

    # kept as the 16 bits that they are; PIL knows no signed ones
    image = Image.frombytes("I;16", pixels.shape[::-1], pixels.tobytes())
    width, height = image.size
    random = np.random.uniform
    angle = random(-ROTATION, ROTATION)
    down, right = random(-SHIFT, SHIFT) * height, random(-SHIFT, SHIFT) * width
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        inverse_affine((width / 2, height / 2), angle, (right, down)),
        Image.Resampling.NEAREST,
    )
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    square = np.asarray(image)[top : top + SIZE, left : left + SIZE]
    values = square.astype(np.float32)
    return torch.from_numpy(values / max(values.max(), 1e-3))[None]


def inverse_affine(
    centre: tuple[float, float], angle: float, shift: tuple[float, float]
) -> tuple[float, ...]:
    """Six numbers that take a pixel of the result to one of the source."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = centre[0] + shift[0], centre[1] + shift[1]
    return (
        cosine,
        sine,
        centre[0] - cosine * x - sine * y,
        -sine,
        cosine,
        centre[1] + sine * x - cosine * y,
    )


def ours(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """The pipeline over shards."""
    from kerasmi.data import kept, pipeline, stream
    from kerasmi.data.dataset import Dataset
    from kerasmi.data.records import read
    from kerasmi.models.text_encoder import TextEncoder, build_vocabulary
    from kerasmi.models.tokenizer import Tokenizer

    dataset = Dataset.open(options.folder / "shards")
    words = build_vocabulary(record.report for record in read(dataset, "train"))
    if options.worker == "shards":
        kept.KEPT_BYTES = stream.IN_MEMORY_BYTES = 0
        stream.batches = repeated(stream.batches)
    batches, steps = pipeline.pairs(
        dataset,
        "train",
        tokenizer=Tokenizer(TextEncoder.phantom(words).tokenizer),
        scope="global",
        batch_size=BATCH,
        image_size=SIZE,
        shuffle=True,
        augmentation=pipeline.Augmentation(ROTATION, 0.0, SHIFT),
        epochs=100_000,
        max_tokens=TOKENS,
    )
    iterator = iter(batches)
    meter = Meter()

    def epoch() -> dict[str, float]:
        count = sum(len(next(iterator)["images"]) for _ in range(steps))
        return {"images": count, "cpu": meter()}

    return epoch


def repeated(batches: Callable[..., Any]) -> Callable[..., Any]:
    """`stream.batches` of a data set that has every shard many times."""

    def of_many(dataset: Any, split: str, rows: Any, order: Any) -> Any:
        one = tuple(shard for shard in dataset.index if shard.split == split)
        many = dataclasses.replace(dataset, index=one * COPIES)
        records = sum(shard.records for shard in one)
        again = [rows + copy * records for copy in range(COPIES)]
        return batches(many, split, np.concatenate(again), order)

    return of_many


def waiting(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Steps of the main job, each after a new batch of its pipeline.

    The step itself is on one batch, so that what it waits is known apart.
    """
    from benchmarks import recipe_step

    sides.choose_device(options)
    _, model, train, _ = recipe_step.parts(
        "local_mine", ("pretrain.epochs=1000",)
    )
    step = model.make_train_function()
    iterator = iter(train)
    batches = recipe_step.endless(next(iterator))

    def steps() -> dict[str, float]:
        waited = worked = 0.0
        for _ in range(STEPS):
            begun = time.perf_counter()
            next(iterator)
            got = time.perf_counter()
            float(step(batches)["loss"])
            waited += got - begun
            worked += time.perf_counter() - got
        return {"waited": waited, "worked": worked}

    return steps


WORKERS = {
    "reference": reference,
    "shards": ours,
    "kept": ours,
    "waiting": waiting,
}


# === Tables ===


def throughput(
    folder: Path, options: argparse.Namespace, threads: int
) -> list[dict[str, str]]:
    """Images per second of a processor's time, side by side."""
    names = ("reference", "shards", "kept")
    with contextlib.ExitStack() as stack:
        made = {
            name: stack.enter_context(_side(name, folder, threads))
            for name in names
        }
        sides.interleave(made.values(), options.rounds)
        rates = {
            name: [
                images / cpu
                for images, cpu in zip(
                    side.values("images"), side.values("cpu"), strict=True
                )
            ]
            for name, side in made.items()
        }
        rows = []
        for name, side in made.items():
            found = sides.ratio(rates[name], rates["reference"])
            bar = None if name == "reference" else BAR
            rows.append(
                {
                    "pipeline": name,
                    "threads": str(threads),
                    "images / CPU s": sides.spread(rates[name], 0),
                    "times the reference": f"{found:.2f}",
                    "bar": sides.verdict(found, bar),
                    "peak, MiB": f"{max(side.values('peak_mib')):.0f}",
                }
            )
    return rows


def waits(
    folder: Path, options: argparse.Namespace, threads: int
) -> dict[str, str]:
    """The share of a step of the main job that training waits for data."""
    device = sides.device_words(options)
    with _side("waiting", folder, threads, device) as side:
        sides.interleave([side], options.rounds)
        shares = [
            100 * waited / (waited + worked)
            for waited, worked in zip(
                side.values("waited"), side.values("worked"), strict=True
            )
        ]
    met = statistics.median(shares) < 100 * WAIT
    return {
        "main job": "training waits for data, % of a step",
        "threads": str(threads),
        "share": sides.spread(shares, 1),
        "bar": f"< {WAIT:.0%}: {'met' if met else 'NOT met'}",
    }


def _side(
    name: str, folder: Path, threads: int, device: Iterable[str] = ()
) -> sides.Side:
    words = ["benchmarks.pipeline", "--worker", name, "--folder", str(folder)]
    words += ["--threads", str(threads), *device]
    return sides.Side(words, threads)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=128)
    add("--rounds", type=int, default=5)
    add("--threads", type=int, nargs="+", default=[1, 2])
    sides.add_device(parser)
    add("--worker", choices=(*WORKERS, "make"), help=argparse.SUPPRESS)
    add("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker == "make":
        make(options.folder, options.images)
        return
    if options.worker:
        (options.threads,) = options.threads
        sides.serve(WORKERS[options.worker](options))
        return
    told = sides.device_told(options)
    print(f"{sides.machine()}; {options.images} images; {told}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["benchmarks.pipeline", "--worker", "make", "--folder", name]
        sides.run([*words, "--images", str(options.images)])
        rows = [
            row
            for threads in options.threads
            for row in throughput(folder, options, threads)
        ]
        print(sides.markdown(rows), end="\n\n")
        found = [waits(folder, options, threads) for threads in options.threads]
        print(sides.markdown(found))


if __name__ == "__main__":
    main()
