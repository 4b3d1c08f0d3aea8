"""Your own images and texts: from a table to batches for a model.

python examples/own_data.py --help
"""

import argparse
import csv
from pathlib import Path

from kerasmi.data import records
from kerasmi.data.importing import import_items
from kerasmi.data.labels import table1
from kerasmi.data.sources.phantom import Phantom, generate
from kerasmi.data.sources.table import Table
from kerasmi.errors import KerasmiError


def write_something(folder: Path, images: int) -> Path:
    """Writes pictures and a table, in place of the ones you have."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "notes.csv"
    phantom = Phantom(train=images, validation=0, test=0)
    with table.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "patient", "projection", "note", "edema"])
        for number, record in enumerate(generate(phantom)):
            file = f"{number:05d}.png"
            (folder / file).write_bytes(record.image)
            edema = {1: "yes", 0: "no", -1: "maybe"}.get(
                record.labels["Edema"], ""
            )
            note = record.report
            rows.writerow([file, record.subject_id, record.view, note, edema])
    return table


def main(folder: Path, images: int) -> None:
    """Imports a table and looks at what came of it."""
    table = write_something(folder / "mine", images)

    # 1. Say which column is what. What has no column is left out; `subject`
    #    should not be: it keeps a person's images in one set.
    source = Table(
        table,
        columns={
            "image": "file",
            "subject": "patient",
            "view": "projection",
            "text": "note",
        },
        labels={"Edema": "edema"},
        label_values={"yes": 1, "no": 0, "maybe": -1},
    )

    # 2. Import it; run again after an interruption, it goes on.
    dataset = import_items(source, folder / "records", image_size=64)

    # 3. What became of every row.
    print((dataset.path / "audit.md").read_text())
    print(table1(dataset.images).to_string(index=False))

    # 4. A record is one image with its study.
    record = next(records.read(dataset, "train"))
    print(record.view, *record.sentences, sep="\n- ")

    # 5. An experiment on it: the same recipes, another `data`, and your
    #    labels in place of the paper's. A few images make few steps: no
    #    warm-up, and all labelled images. runs/local_mine is the phantom's.
    print(
        f"kerasmi run local_mine data.source=records data.path={dataset.path}"
        " data.image_size=64 retrain.tasks='[findings]'"
        " retrain.findings='[Edema]' retrain.labels=all"
        " pretrain.warmup_steps=0 --output runs/own"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/own_data"))
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    try:
        main(arguments.folder, arguments.images)
    except KerasmiError as error:
        # such as a folder that holds the data of another number of images
        parser.exit(2, f"Error: {error}\n")
