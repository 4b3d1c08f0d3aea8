"""Peak memory of importing 500 and 50,000 tiny images, each on its own.

python -m benchmarks.import_memory
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasmi.data.importing import import_items
from kerasmi.data.sources.table import Table

SIZE = 16


def write_table(folder: Path, images: int) -> Path:
    """Writes rows of subjects with two images and a note of their own."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 1))
    png = tf.io.encode_png(pixels.astype(np.uint8)).numpy()
    (folder / "one.png").write_bytes(png)
    with (folder / "own.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "image_id", "subject", "text", "Edema"])
        for number in range(images):
            text = f"The heart is large. Nodule of {number} mm. No effusion."
            subject = f"p{number // 2}"
            rows.writerow(["one.png", f"i{number}", subject, text, number % 2])
    return folder / "own.csv"


def measure(images: int) -> dict[str, float]:
    """Imports in this process; returns MiB at the peak, and images/s."""
    with tempfile.TemporaryDirectory() as name:
        table = write_table(Path(name), images)
        start = time.monotonic()
        import_items(
            Table(table, labels=["Edema"]), Path(name) / "out", image_size=SIZE
        )
        seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images": images, "peak_mib": peak, "per_second": images / seconds}


def main() -> None:
    """Prints one line for each size, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[500, 50_000])
    parser.add_argument("--here", action="store_true", help="No subprocess.")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.images[0])))
        return
    module = [sys.executable, "-m", "benchmarks.import_memory", "--here"]
    peaks = []
    for images in arguments.images:
        answer = subprocess.run(
            [*module, "--images", str(images)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = json.loads(answer.stdout.splitlines()[-1])
        peaks.append(found["peak_mib"])
        print(
            f"{images:7,} images  peak {found['peak_mib']:7.1f} MiB  "
            f"{found['per_second']:6.0f} images/s"
        )
    print(f"largest / smallest peak  {max(peaks) / min(peaks):.3f}")


if __name__ == "__main__":
    main()
