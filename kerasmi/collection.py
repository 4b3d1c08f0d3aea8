"""Finished runs that may stand in one table, and their predictions."""

import itertools
import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kerasmi import recipe_yaml, written_tables
from kerasmi.environment import differences
from kerasmi.errors import RunError
from kerasmi.evaluation import variants
from kerasmi.evaluation.predictions import COLUMNS
from kerasmi.evaluation.untaught import notes
from kerasmi.recipe import Recipe
from kerasmi.runs import Run

RESULTS, PREDICTIONS = "results.csv", "predictions.csv"
_ENVIRONMENT = "environment.json"
_RECIPE = "recipe.yaml"
_AGAIN = "run it again with --resume, or restore the file"
# What the rows of one table have in common, beside the data itself.
_SAME = (
    "data.image_size",
    "data.uncertain",
    "data.blank",
    "retrain.tasks",
    "retrain.findings",
    "retrain.labels",
    "evaluate.confidence",
)


def find(folders: Iterable[Path]) -> tuple[list[Run], list[Path]]:
    """The finished runs in some folders, and the folders of unfinished ones.

    Args:
        folders: run folders, and folders that hold run folders at any depth.

    Raises:
        RunError: a folder is missing, is itself an unfinished run, or holds
            no finished run.
    """
    finished: dict[Path, Run] = {}
    unfinished: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise RunError(
                f"{folder}: no such folder; give that of a run or of a grid"
            )
        paths = sorted(path.parent for path in folder.rglob(_RECIPE))
        done = [path for path in paths if _is_finished(path)]
        if folder in paths and folder not in done:
            raise RunError(
                f"{folder}: not finished: it has no {RESULTS}; continue it with"
                f" `kerasmi run {folder / _RECIPE} --resume --output {folder}`"
            )
        if not done:
            raise RunError(
                f"{folder}: holds no finished run; `kerasmi run` makes one"
            )
        for path in paths:
            if path in done:
                finished.setdefault(path.resolve(), Run.open(path))
            else:
                unfinished.setdefault(path.resolve(), path)
    return list(finished.values()), list(unfinished.values())


def _is_finished(path: Path) -> bool:
    return all((path / name).is_file() for name in (RESULTS, PREDICTIONS))


def variant(recipe: Recipe) -> str:
    """The paper's name of what a recipe trains."""
    if recipe.objective is None:
        return variants.IMAGE_ONLY
    return variants.name(recipe.objective.scope, recipe.objective.bound)


def check(runs: Sequence[Run]) -> None:
    """Refuses runs that must not stand in one table.

    Raises:
        RunError: names two runs and in what they differ: data, label
            policies, tasks, findings, labelled images; or that they are the
            same variant with the same seed.
    """
    first = runs[0]
    for run in runs[1:]:
        for key, one, other in _differences(first, run):
            alike = [
                each for each in runs if not any(_differences(first, each))
            ]
            raise RunError(
                f"{run.path}: {key} is {other}, and {one} in {first.path};"
                " the runs of one table agree in it: make a table of each,"
                f" such as `kerasmi table {_folders(alike, runs)}`"
            )
    known: dict[tuple[str, int], Run] = {}
    for run in runs:
        this = (variant(run.recipe), run.recipe.seed)
        if this in known:
            raise RunError(
                f"{run.path}: {this[0]} with seed {this[1]}, which"
                f" {known[this].path} is too; leave one of them out"
            )
        known[this] = run


def _folders(chosen: Sequence[Run], runs: Sequence[Run]) -> str:
    """How to name some of the runs in a shell: by one pattern if it does."""
    split = [run.path.parts for run in chosen]
    if len({len(parts) for parts in split}) == 1:
        names = [sorted(set(column)) for column in zip(*split, strict=True)]
        pattern = Path(*(n[0] if len(n) == 1 else _any(n) for n in names))
        met = [run for run in runs if run.path.match(str(pattern))]
        if len(met) == len(chosen):
            # a star between quotes would be no star
            return "*".join(
                shlex.quote(p) if p else "" for p in str(pattern).split("*")
            )
    return shlex.join(str(run.path) for run in chosen)


def _any(names: Sequence[str]) -> str:
    """A pattern for names: what they begin with, and a star."""
    same = itertools.takewhile(
        lambda letters: len(set(letters)) == 1, zip(*names, strict=False)
    )
    return "".join(letters[0] for letters in same) + "*"


def _differences(a: Run, b: Run) -> Iterable[tuple[str, str, str]]:
    one, other = fingerprint(a), fingerprint(b)
    if one != other:
        yield "the data's fingerprint", one[:12], other[:12]
    mine, theirs = a.recipe.settings(), b.recipe.settings()
    for key in _SAME:
        values = [settings.get(key) for settings in (mine, theirs)]
        if key in ("retrain.tasks", "retrain.findings"):
            values = [tuple(sorted(value or ())) for value in values]
        if values[0] != values[1]:
            shown = [_shown(key, value) for value in values]
            yield key, shown[0], shown[1]


def _shown(key: str, value: Any) -> str:
    if key == "retrain.labels" and value is None:
        return "all"
    if isinstance(value, tuple):
        return ", ".join(value)
    return recipe_yaml.scalar(value)


def environment(run: Run) -> dict[str, Any]:
    """Everything that the starts of a run recorded, the latest last."""
    path = run.path / _ENVIRONMENT
    try:
        starts = json.loads(path.read_text("utf-8"))
        return {key: value for start in starts for key, value in start.items()}
    except (
        OSError,
        ValueError,
        AttributeError,
        TypeError,
        RecursionError,
    ):
        raise RunError(f"{path}: missing or damaged; {_AGAIN}") from None


def unlike(runs: Sequence[Run]) -> list[str]:
    """A line on each run that was made elsewhere than the first, or otherwise.

    Such runs may differ in more than what their recipes say.
    """
    first = environment(runs[0])
    lines = []
    for run in runs[1:]:
        found = differences(first, environment(run))
        if found:
            facts = "; ".join(f"{n}: {b}, not {a}" for n, a, b in found)
            lines.append(f"{run.path}: not made like {runs[0].path}: {facts}")
    return lines


def fingerprint(run: Run) -> str:
    """The fingerprint of a run's data.

    Raises:
        RunError: its environment.json does not tell.
    """
    found = environment(run).get("data_fingerprint")
    if not isinstance(found, str):
        raise RunError(
            f"{run.path / _ENVIRONMENT}: has no data_fingerprint, so the run"
            f" cannot be compared; {_AGAIN}"
        )
    return found


def predictions(runs: Sequence[Run]) -> pd.DataFrame:
    """The test predictions of all runs, with `variant` and `seed`.

    Raises:
        RunError: names the file that cannot be used.
    """
    frames = []
    for run in runs:
        path = run.path / PREDICTIONS
        frame = _read(path)
        missing = [name for name in COLUMNS if name not in frame]
        if missing:
            raise RunError(f"{path}: has no column {missing[0]!r}; {_AGAIN}")
        test = frame[frame["split"] == "test"]
        if test.empty:
            raise RunError(f"{path}: has no row of the test set; {_AGAIN}")
        frames.append(_of(run, test))
    return pd.concat(frames, ignore_index=True)


def untaught(runs: Sequence[Run]) -> pd.DataFrame:
    """What the runs say of labels that no training image taught.

    Returns:
        `notes` of `evaluation.untaught`, with `variant` and `seed`.

    Raises:
        RunError: names the file that cannot be used.
    """
    found = [_of(run, notes(_read(run.path / RESULTS))) for run in runs]
    return pd.concat(found, ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    try:
        return written_tables.read(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}; {_AGAIN}") from None


def _of(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(variant=variant(run.recipe), seed=run.recipe.seed)
