"""Time of `kerasmi data inspect` on an index of 300,000 images.

python -m benchmarks.inspect_index
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi.data import publishing
from kerasmi.data.dataset import IMAGES
from kerasmi.data.schema import BLANK, CHEXPERT14, EDEMA_SEVERITY, UNCERTAIN
from kerasmi.data.shards import Shard

LABELS = (*CHEXPERT14, EDEMA_SEVERITY)
SHARD = 512  # records
BYTES = SHARD * 90_000
SHARES = {"train": 0.96, "validation": 0.02, "test": 0.02}


def table(images: int) -> pd.DataFrame:
    """Rows as long as those of MIMIC-CXR, four images for each subject."""
    random = np.random.default_rng(0)
    number = np.arange(images)
    split = np.repeat(list(SHARES), np.diff(_edges(images)))
    first = np.repeat(_edges(images)[:-1], np.diff(_edges(images)))
    frame = pd.DataFrame(
        {
            "image_id": [f"{n:08x}-" * 4 + f"{n:08x}" for n in number],
            "study_id": 50_000_000 + number // 2,
            "subject_id": 10_000_000 + number // 4,
            "split": split,
            "view": random.choice(["AP", "PA"], images),
            "sentences": random.integers(0, 12, images),
        }
    )
    for label in LABELS:
        top = 4 if label == EDEMA_SEVERITY else 2
        values = [BLANK, UNCERTAIN, *range(top)]
        frame[label] = random.choice(values, images)
    frame["shard"] = (number - first) // SHARD
    frame["position"] = (number - first) % SHARD
    return frame[publishing.columns(LABELS, has_truth=False)]


def write(folder: Path, images: int) -> None:
    """Writes a whole index; its shards are empty files of the right size."""
    rows = table(images)
    rows.to_csv(folder / IMAGES, index=False)
    shards, counts = [], {}
    for split, part in rows.groupby("split", sort=False):
        sizes = part.groupby("shard").size()
        for number, records in sizes.items():
            name = f"{split}-{number:05d}-of-{len(sizes):05d}.tfrecord"
            with (folder / name).open("wb") as file:
                file.truncate(BYTES)
            shards.append(Shard(name, split, int(records), BYTES, "0" * 64))
        counts[split] = {
            "images": len(part),
            "with_text": int((part["sentences"] > 0).sum()),
            "studies": part["study_id"].nunique(),
            "subjects": part["subject_id"].nunique(),
        }
    header = publishing.header(
        name="large",
        source="benchmark",
        label_names=LABELS,
        made_by={},
        image_size=256,
    )
    publishing.write_index(folder, header, shards, counts)


def _edges(images: int) -> np.ndarray:
    shares = np.cumsum([0, *SHARES.values()])
    return np.round(shares * images).astype(int)


def main() -> None:
    """Prints the size of the index and the seconds of each of the runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.images)
        size = (Path(folder) / IMAGES).stat().st_size / 2**20
        print(f"{arguments.images:,} images, {IMAGES} of {size:.0f} MiB")
        command = [sys.executable, "-m", "kerasmi.cli", "data", "inspect"]
        for _ in range(arguments.runs):
            start = time.monotonic()
            subprocess.run([*command, folder], check=True, capture_output=True)
            print(f"{time.monotonic() - start:.2f} s")


if __name__ == "__main__":
    main()
