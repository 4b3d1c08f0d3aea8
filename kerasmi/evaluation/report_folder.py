"""What a run folder or a grid folder holds, read for its page."""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml

from kerasmi import written_tables
from kerasmi.errors import RunError
from kerasmi.evaluation.region_examples import RegionExamples

RECIPE, GRID = "recipe.yaml", "grid.yaml"
EVALUATION = "evaluation"
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST = 2**20  # bytes of YAML; a grid of ten thousand runs has less
_INTERVAL = ("value", "low", "high", "chance")
_AUCS = (
    ("task", "label", "encoder", "note"),
    ("value", "low", "high", "n_positive", "n_negative"),
)
# Files that pages are made of: the columns of words, and those of numbers.
_COLUMNS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "results.csv": (
        ("task", "label", "encoder", "metric"),
        ("value", "low", "high", "n_positive", "n_negative"),
    ),
    "predictions.csv": (
        ("task", "encoder", "label", "split"),
        ("target", "score"),
    ),
    "mutual_information.csv": (
        ("pairs", "name"),
        (
            *("value", "standard_error", "ceiling"),
            *("calibrated", "calibrated_error"),
        ),
    ),
    "history.csv": ((), ("epoch",)),
    # of `kerasmi evaluate`
    "retrieval.csv": (("direction", "metric"), _INTERVAL),
    "grounding.csv": (("finding", "metric"), _INTERVAL),
    "zero_shot.csv": _AUCS,
    "probes.csv": _AUCS,
    "sentence_kinds.csv": (
        ("kind",),
        (
            *("nats", "standard_error", "share", "carried"),
            *("n_sentences", "n_subjects"),
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class LogLine:
    """A line of `log.txt`."""

    time: str
    level: str
    text: str


class _Loader(yaml.BaseLoader):
    """Every value as it is written; no alias, which no run writes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node and those within it."""
        # as text each stands for all it names: a few bytes for gigabytes
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise yaml.MarkedYAMLError(
                problem=f"the alias *{alias.anchor} is refused",
                problem_mark=alias.start_mark,
            )
        return super().compose_node(parent, index)


def plain_time(stamp: str) -> str:
    """A time as it is read: no `T`, no zone."""
    return stamp[:19].replace("T", " ") if stamp[:1].isdigit() else stamp


class Folder:
    """Files of a folder; each is None where it is not there.

    Every method raises `RunError` where a file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def table(self, name: str) -> pd.DataFrame | None:
        """A CSV file; ids stay text."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            frame = written_tables.read(path)
            _check(frame, path.name)
        except (OSError, ValueError) as error:
            raise _broken(path, error) from None
        return frame

    def picture(self, name: str) -> bytes | None:
        """A PNG file."""
        path = self.path / name
        if not path.is_file():
            return None
        content = path.read_bytes()
        if not content.startswith(_PNG):
            raise _broken(path, ValueError("not a PNG"))
        return content

    def json(self, name: str) -> Any:
        """A JSON file."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _broken(path, error) from None

    def values(self, name: str) -> dict[str, str]:
        """A YAML file as dotted keys and the values as they are written."""
        path = self.path / name
        try:
            loaded = yaml.load(_bounded_text(path), _Loader)
        except (
            OSError,
            ValueError,
            RecursionError,
            yaml.YAMLError,
        ) as error:
            raise _broken(path, error) from None
        if not isinstance(loaded, dict):
            raise RunError(f"{path}: not a recipe")
        return dict(_flat(loaded))

    def pictures(self, folder: str) -> list[Path]:
        """The PNG files of a folder in it, by name."""
        return sorted((self.path / folder).glob("*.png"))


class RunFolder(Folder):
    """A run, finished or not."""

    @functools.cached_property
    def recipe(self) -> dict[str, str]:
        """Dotted keys to values as written; `null` is the word."""
        return self.values(RECIPE)

    @functools.cached_property
    def starts(self) -> list[dict[str, Any]]:
        """What `environment.json` tells of each start."""
        return self.json("environment.json") or []

    @functools.cached_property
    def results(self) -> pd.DataFrame | None:
        """`results.csv`."""
        return self.table("results.csv")

    @functools.cached_property
    def log(self) -> list[LogLine]:
        """`log.txt`."""
        path = self.path / "log.txt"
        if not path.is_file():
            return []
        lines = path.read_text("utf-8", errors="replace").splitlines()
        parts = [line.split(" ", 2) for line in lines]
        return [LogLine(*part) for part in parts if len(part) == 3]

    @property
    def data(self) -> dict[str, Any]:
        """What is known of the data, from the last start that knew it."""
        known = [one["data"] for one in self.starts if "data" in one]
        return known[-1] if known else {}

    @property
    def fingerprint(self) -> str:
        """Of the data; empty where no start came so far."""
        known = [start.get("data_fingerprint", "") for start in self.starts]
        return next(filter(None, reversed(known)), "")

    @property
    def is_phantom(self) -> bool:
        """Whether its images and reports are drawn, nobody's."""
        return self.recipe.get("data.source") == "phantom"

    @property
    def pretrains(self) -> bool:
        """Whether its recipe has an objective."""
        return any(key.startswith("objective.") for key in self.recipe)

    def expected(self) -> list[str]:
        """The stages of the recipe by folder."""
        first = ["pretrain"] if self.pretrains else []
        tasks = listed(self.recipe.get("retrain.tasks", ""))
        encoders = listed(self.recipe.get("retrain.encoders", ""))
        return first + [f"retrain/{t}/{e}" for t in tasks for e in encoders]

    def finished(self, stage: str) -> str | None:
        """When a stage was finished, None if it was not.

        A stage of several networks is when all are that began, with whichever
        encoder of the task.
        """
        task = (self.path / stage).parent
        parts = {
            path.parent.name
            for encoder in listed(self.recipe.get("retrain.encoders", ""))
            for path in (task / encoder).glob("*/history.csv")
        }
        ends = [self.json(f"{stage}/{part}/done.json") for part in parts]
        ends = ends or [self.json(f"{stage}/done.json")]
        if not all(ends):
            return None
        return max(str(end["finished"]) for end in ends)

    def histories(self) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
        """Task, encoder, label (empty for all) and history of re-training."""
        for path in sorted((self.path / "retrain").glob("**/history.csv")):
            parts = path.relative_to(self.path / "retrain").parts[:-1]
            history = self.table(str(path.relative_to(self.path)))
            if history is not None and len(parts) in (2, 3):
                task, encoder, *label = parts
                yield task, encoder, "".join(label), history

    @functools.cached_property
    def examples(self) -> RegionExamples | None:
        """The sentences with their maps."""
        path = self.path / "pretrain" / "sentences_and_regions.npz"
        if not path.is_file():
            return None
        try:
            return RegionExamples.load(path)
        except (OSError, ValueError) as error:
            raise _broken(path, error) from None


class GridFolder(Folder):
    """A grid: runs of several recipes and seeds."""

    @functools.cached_property
    def recipe(self) -> dict[str, str]:
        """`grid.yaml`, dotted."""
        return self.values(GRID)

    @property
    def variants(self) -> list[str]:
        """The variants that the grid asks for, in its order."""
        files = listed(self.recipe.get("grid.recipes", ""))
        return [
            PurePosixPath(file).name.removesuffix(".yaml") for file in files
        ]

    @functools.cached_property
    def members(self) -> dict[str, RunFolder]:
        """Name, such as `local_cpc/seed0`, to the run, in order."""
        found = [path.parent for path in self.path.glob(f"*/*/{RECIPE}")]
        return {
            f"{path.parent.name}/{path.name}": RunFolder(path)
            for path in sorted(found, key=self._place)
        }

    def _place(self, path: Path) -> tuple[int, str, list[float], str]:
        """Sorts by variant, then by labels and seed as numbers, `all` last."""
        variant, name = path.parent.name, path.name
        order = self.variants
        place = order.index(variant) if variant in order else len(order)
        words = re.findall(r"(?<=labels)all|\d+(?:\.\d+)?", name)
        numbers = [math.inf if each == "all" else float(each) for each in words]
        return place, variant, numbers, name


def listed(value: str) -> list[str]:
    """The entries of a list as `Folder.values` writes it."""
    return [entry for entry in value.split(", ") if entry]


def _bounded_text(path: Path) -> str:
    """Raises `ValueError` where a file has more than `_LARGEST` bytes."""
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST:,} bytes")
    return content.decode("utf-8")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, ", ".join(map(str, value))
        else:
            yield prefix + key, str(value)


def _check(frame: pd.DataFrame, name: str) -> None:
    """Raises `ValueError` where a file of a run is not of its form."""
    words, numbers = _COLUMNS.get(name, ((), ()))
    if name == "history.csv":
        numbers = (*numbers, *frame.columns)
    for column in (*words, *numbers):
        if column not in frame:
            raise ValueError(f"it has no column {column!r}")
        if column in numbers and not pd.api.types.is_numeric_dtype(
            frame[column]
        ):
            raise ValueError(f"its column {column!r} is no number throughout")


def _broken(path: Path, error: Exception) -> RunError:
    again = "run it again with --resume, or restore the file"
    if path.parent.name == EVALUATION:
        again = f"run `kerasmi evaluate {path.parents[1]}` again, or remove it"
    return RunError(f"{path}: cannot be read: {error}; {again}")
