"""Small tables of pictures and invented notes, as a user might have them."""

import csv

import numpy as np
from PIL import Image

NOTES = (
    "The heart is large. No effusion.",
    "Lungs are clear. 1.8 cm nodule on the left.",
    "",
    "No pneumothorax.",
)
COLUMNS = ("image", "subject", "view", "text", "edema")


def picture(file, number, size=(8, 8)):
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, size, np.uint8)
    Image.fromarray(pixels).save(file)


def rows(images):
    """Two images of a subject, two subjects with the same notes."""
    return [
        {
            "image": f"{number:04d}.png",
            "subject": f"own-{number // 2}",
            "view": ("PA", "AP")[number % 2],
            "text": NOTES[number // 2 % len(NOTES)],
            "edema": (1, 0, -1, "")[number % 4],
        }
        for number in range(images)
    ]


def write_table(folder, images=24, columns=COLUMNS, made=None, pictures=True):
    """Writes `own.csv` and its pictures; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    made = rows(images) if made is None else made
    with (folder / "own.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(made)
    for number, row in enumerate(made if pictures else ()):
        picture(folder / row["image"], number)
    return folder / "own.csv"
