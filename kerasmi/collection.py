"""Finished runs in folders, and what their files say."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kerasmi import written_tables
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
