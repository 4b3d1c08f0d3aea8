"""Features of a split, for use elsewhere: images, regions, texts, with ids.

OUT/images.npz    .csv    one feature for each image
OUT/regions.npz   .csv    local scope: one for each region of each image
OUT/sentences.npz .csv    local scope: one for each sentence of each image
OUT/reports.npz   .csv    global scope: one for each image with a report

Arrays with a row for each region or text lie in a file while they are made:
the regions of 250,000 images at the paper's scale are 8 GB. Texts stand beside
their npz, a line each: an array would give each the room of the longest.
"""

import dataclasses
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

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
FEATURES, TEXT = "features", "text"
_REMEDY = "give another --output"
# Floats that are copied or put into words at once.
_AT_ONCE = 2_000_000


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
        """What the npz holds: `features`, and each id as an array; no text."""
        ids = {
            str(name): column.to_numpy()
            if pd.api.types.is_numeric_dtype(column)
            else column.to_numpy(dtype=str)
            for name, column in self.ids.items()
            if name != TEXT
        }
        return {FEATURES: self.features, **ids}

    def frames(self) -> Iterator[pd.DataFrame]:
        """What the CSV holds, part by part, at least one part.

        The ids, then `f0` to `f(D-1)`, a row each. Regions have their row and
        column after the ids, counted from 0.
        """
        for part in _parts(len(self.ids), math.prod(self.features.shape[1:])):
            yield self._frame(self.ids[part], self.features[part])

    def _frame(self, ids: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
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
        OutputError: the folder exists, cannot be written, or is behind a link
            out of the run.
    """
    if not formats or set(formats) - set(FORMATS):
        raise ValueError(
            f"`formats`: expected some of {FORMATS}. Received: {formats}"
        )
    reporter = reporter or Reporter()
    folder = output or default_folder(run, split)
    if output is None:
        output_files.check_within(folder, run.path)
    output_files.check_folder(folder, new=True)
    feature_module.check(run)
    dataset = representations.open_data(run, reporter)
    model = Features.open(run)
    with (
        output_files.new_folder(folder, remedy=_REMEDY) as partial,
        tempfile.TemporaryDirectory(prefix=".", dir=partial) as scratch,
    ):
        made = embedded(
            model, dataset, split, show_text, reporter, Path(scratch)
        )
        with output_files.written(folder, remedy=_REMEDY):
            _write(partial, made, formats)
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
    scratch: Path,
) -> dict[str, Embedded]:
    """The features of a split, by the name of their file.

    Args:
        model: the trained model.
        dataset: the records.
        split: the split.
        show_text: see `embed`.
        reporter: told of progress.
        scratch: folder for arrays that are not kept in memory.
    """
    rows = dataset.rows(split)
    means: list[np.ndarray] = []

    def encoded() -> Iterator[np.ndarray]:
        reporter.start("images", len(rows), "image")
        for block in model.region_blocks(dataset, split, None):
            means.append(block.mean(axis=1))
            yield block.reshape(len(block), *model.grid, -1)
            reporter.advance(len(block))
        reporter.finish()

    grid = _on_disk(scratch / "regions.npy", len(rows), encoded())
    ids = rows[IDS].reset_index(drop=True)
    made = {"images": Embedded(ids, np.concatenate(means))}
    if model.is_local:
        made["regions"] = Embedded(ids, grid)
    if (rows["sentences"] > 0).any():
        shown = show_text or dataset.source == "phantom"
        seen = HeldOutSplit(model, dataset, split)
        name = "sentences" if model.is_local else "reports"
        made[name] = _texts(seen, shown, scratch)
    else:
        reporter.message(f"no {split} image has a report: no texts")
    return made


def _texts(seen: HeldOutSplit, shown: bool, scratch: Path) -> Embedded:
    """The texts of each image; the features of equal texts are equal."""
    numbers = [said.texts for said in seen.said]
    image = np.repeat(np.arange(len(numbers)), [len(each) for each in numbers])
    text = np.concatenate(numbers)
    ids = seen.rows[IDS].iloc[image].reset_index(drop=True)
    if seen.features.is_local:
        ids["sentence"] = np.concatenate([np.arange(len(n)) for n in numbers])
    if shown:
        ids[TEXT] = [seen.distinct_texts[number] for number in text]
    distinct = seen.text_features
    blocks = (
        distinct[text[part]] for part in _parts(len(text), distinct.shape[1])
    )
    features = _on_disk(scratch / "texts.npy", len(text), blocks)
    return Embedded(ids, features)


def _parts(rows: int, floats: int) -> Iterator[slice]:
    """Slices of rows with `floats` each; one, if there is no row."""
    step = max(1, _AT_ONCE // max(1, floats))
    for start in range(0, max(rows, 1), step):
        yield slice(start, start + step)


def _on_disk(path: Path, rows: int, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Blocks of float32 under one another, as an array that lies in a file.

    Args:
        path: the file, made anew.
        rows: how many all blocks have.
        blocks: `(b, ...)` each, at least one.
    """
    # Written as a stream: a full disk is an error, where a map is a crash.
    with output_files.written(path, remedy=_REMEDY):
        stream = path.open("wb")
    with stream:
        shape: tuple[int, ...] = ()
        # making a block may fail too, which is not told as of this file
        for block in blocks:
            with output_files.written(path, remedy=_REMEDY):
                if not shape:
                    shape = (rows, *block.shape[1:])
                    _write_header(stream, shape)
                stream.write(np.ascontiguousarray(block, "<f4").data)
                stream.flush()
    # refused where the rows are not as many as the header says
    whole: np.ndarray = np.load(path, mmap_mode="r")
    return whole


def _write_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    write = np.lib.format.write_array_header_1_0
    write(stream, header)  # type: ignore[no-untyped-call]


def _write(
    folder: Path, made: dict[str, Embedded], formats: Sequence[str]
) -> None:
    for name, one in made.items():
        if "npz" in formats:
            np.savez(folder / f"{name}.npz", **one.arrays())
            if TEXT in one.ids:
                _write_lines(folder / f"{name}.jsonl", one.ids[TEXT])
        if "csv" in formats:
            path = folder / f"{name}.csv"
            with path.open("w", encoding="utf-8", newline="") as stream:
                for number, frame in enumerate(one.frames()):
                    # nine digits give every float32 back
                    frame.to_csv(
                        stream,
                        index=False,
                        header=number == 0,
                        float_format="%.9g",
                        lineterminator="\n",
                    )


def _write_lines(path: Path, texts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for text in texts:
            line = json.dumps({TEXT: text}, ensure_ascii=False)
            stream.write(f"{line}\n")
