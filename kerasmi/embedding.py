"""Features of a split, for use elsewhere: images, regions, texts, with ids.

OUT/images.npz    .csv    one feature for each image
OUT/regions.npz   .csv    local scope: one for each region of each image
OUT/sentences.npz .csv    local scope: one for each sentence of each image
OUT/reports.npz   .csv    global scope: one for each image with a report
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi import features as feature_module
from kerasmi import output_files, representations
from kerasmi.data.dataset import Dataset
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

FORMATS = ("npz", "csv")
FOLDER = "embeddings"
IDS = ["image_id", "study_id", "subject_id"]
FEATURES = "features"


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Features and what each row of them is of.

    Attributes:
        ids: n rows.
        features: `(n, D)` float32, or `(n, rows, columns, D)` of regions.
    """

    ids: pd.DataFrame
    features: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """What the npz holds: `features`, and each id as an array."""
        ids = {
            str(name): column.to_numpy()
            if pd.api.types.is_numeric_dtype(column)
            else column.to_numpy(dtype=str)
            for name, column in self.ids.items()
        }
        return {FEATURES: self.features, **ids}

    def frame(self) -> pd.DataFrame:
        """What the CSV holds: the ids, then `f0` to `f(D-1)`, a row each.

        Regions have their row and column after the ids, counted from 0.
        """
        ids, values = self.ids, self.features
        if values.ndim == 4:
            _, rows, columns, _ = values.shape
            ids = ids.loc[ids.index.repeat(rows * columns)]
            places = np.tile(
                np.indices((rows, columns)).reshape(2, -1), len(values)
            )
            ids = ids.assign(row=places[0], column=places[1])
            values = values.reshape(-1, values.shape[-1])
        names = [f"f{number}" for number in range(values.shape[1])]
        frame = pd.DataFrame(values, columns=names)
        return pd.concat([ids.reset_index(drop=True), frame], axis=1)


def embed(
    run: Run,
    *,
    split: str = "test",
    output: Path | None = None,
    formats: Sequence[str] = FORMATS,
    show_text: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Writes the features of a split.

    Args:
        run: a run with a finished pretraining.
        split: the split; all of its images.
        output: folder to make; None: `RUN/embeddings/SPLIT`.
        formats: of `FORMATS`.
        show_text: write the texts beside their features though they may be of
            people; those of the phantom are always written.
        reporter: told of what is written.

    Returns:
        The folder.

    Raises:
        RunError: the run has no finished pretraining.
        DataError: data that cannot be used.
        OutputError: the folder exists or cannot be written.
    """
    if not formats or set(formats) - set(FORMATS):
        raise ValueError(
            f"`formats`: expected some of {FORMATS}. Received: {formats}"
        )
    reporter = reporter or Reporter()
    folder = output or default_folder(run, split)
    output_files.check_folder(folder, new=True)
    feature_module.check(run)
    dataset = representations.open_data(run, reporter)
    made = embedded(Features.open(run), dataset, split, show_text, reporter)
    _write(folder, made, formats)
    for name, one in made.items():
        shape = ", ".join(map(str, one.features.shape))
        reporter.message(f"{name}: ({shape}) float32")
    return folder


def default_folder(run: Run, split: str) -> Path:
    """Where the features of a split go if nothing else is said."""
    return run.path / FOLDER / split


def embedded(
    model: Features,
    dataset: Dataset,
    split: str,
    show_text: bool,
    reporter: Reporter,
) -> dict[str, Embedded]:
    """The features of a split, by the name of their file."""
    rows = dataset.rows(split)
    reporter.start("images", len(rows), "image")
    blocks = []
    for block in model.region_blocks(dataset, split, None):
        blocks.append(block)
        reporter.advance(len(block))
    reporter.finish()
    regions = np.concatenate(blocks)
    ids = rows[IDS].reset_index(drop=True)
    made = {"images": Embedded(ids, regions.mean(axis=1))}
    if model.is_local:
        grid = regions.reshape(len(regions), *model.grid, -1)
        made["regions"] = Embedded(ids, grid)
    if (rows["sentences"] > 0).any():
        shown = show_text or dataset.source == "phantom"
        seen = HeldOutSplit(model, dataset, split)
        name = "sentences" if model.is_local else "reports"
        made[name] = _texts(seen, shown)
    else:
        reporter.message(f"no {split} image has a report: no texts")
    return made


def _texts(seen: HeldOutSplit, shown: bool) -> Embedded:
    """The texts of each image; the features of equal texts are equal."""
    numbers = [said.texts for said in seen.said]
    image = np.repeat(np.arange(len(numbers)), [len(each) for each in numbers])
    text = np.concatenate(numbers)
    ids = seen.rows[IDS].iloc[image].reset_index(drop=True)
    if seen.features.is_local:
        ids["sentence"] = np.concatenate([np.arange(len(n)) for n in numbers])
    if shown:
        ids["text"] = [seen.distinct_texts[number] for number in text]
    return Embedded(ids, seen.text_features[text])


def _write(
    folder: Path, made: dict[str, Embedded], formats: Sequence[str]
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)
        )
        try:
            for name, one in made.items():
                if "npz" in formats:
                    np.savez(partial / f"{name}.npz", **one.arrays())
                if "csv" in formats:
                    # nine digits give every float32 back
                    one.frame().to_csv(
                        partial / f"{name}.csv",
                        index=False,
                        float_format="%.9g",
                    )
            partial.chmod(0o755)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise output_files.OutputError(
            f"{folder}: cannot be written: {error.strerror or error}"
        ) from None
