"""The run folder: what a run was asked, what it did, how far it got.

    recipe.yaml         every value that has an effect
    environment.json    versions, machine, command; one entry for each start
    STAGE/done.json     written last: the stage is not run again
    .lock               held by the process that runs it

Every file appears whole or not at all.
"""

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from kerasmi import environment, recipe_yaml
from kerasmi import recipe as recipes
from kerasmi.errors import RecipeError, RunError
from kerasmi.folder import DONE, Folder, sync_folder
from kerasmi.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

RECIPE = "recipe.yaml"
_ENVIRONMENT = "environment.json"
GRID = "grid.yaml"
DATA_FOLDER = "data"
_MEMBER = re.compile(r"(labels.+-)?seed\d+")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole: beside its place, to the disk, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def _link(source: str, copy: str) -> None:
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


class Run(Folder):
    """A run folder and the recipe that it follows.

    Made by `Run.create`, which holds the folder's lock until `close`, or by
    `Run.open`, which only reads.
    """

    kind = "run"
    marker = RECIPE

    def __init__(self, path: Path, recipe: Recipe) -> None:
        super().__init__(path)
        self.recipe = recipe

    @classmethod
    def create(
        cls,
        output: str | os.PathLike[str],
        recipe: Recipe,
        resume: bool = False,
    ) -> Self:
        """A new run in the folder `output`, or the one that stands there.

        Args:
            output: the folder; made if need be.
            recipe: what the run follows.
            resume: continue the run that the folder holds, if it holds one.

        Raises:
            RunError: the folder cannot be written, belongs to something else
                or to another recipe, is in use, holds a run and `resume` is
                false, or a link.
        """
        run = cls(Path(output), recipe)
        run._begin(resume)
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """The run in a folder, to read.

        Raises:
            RunError: the folder holds no run.
        """
        path = Path(folder)
        if not (path / RECIPE).is_file():
            within = sorted(path.glob(f"*/*/{RECIPE}"))
            if (path / GRID).is_file() and within:
                raise RunError(
                    f"{path}: the folder of a grid; give one of its runs, such"
                    f" as {within[0].parent}"
                )
            raise RunError(
                f"{path}: not a run: it holds no {RECIPE}; `kerasmi run` makes"
                " one"
            )
        try:
            return cls(path, recipes.load(path / RECIPE))
        except RecipeError as error:
            raise RunError(str(error)) from None

    @property
    def data_folder(self) -> Path:
        """Where drawn data is kept: beside the run, or beside its grid."""
        if _MEMBER.fullmatch(self.path.name):
            for parents in (self.path.parents, self.path.absolute().parents):
                if len(parents) > 2 and (parents[1] / GRID).is_file():
                    return parents[2] / DATA_FOLDER
        return self.path.parent / DATA_FOLDER

    def check(self, resume: bool) -> None:
        """Refuses a folder that holds something else; see `Folder`."""
        self._refuse_file()
        if not self.started:
            self._refuse_foreign_files()
            return
        refuse_another(self.path, self.recipe)
        self._refuse_second_start(resume)
        self._refuse_links()

    def _record_start(self) -> None:
        starts = self.starts()
        if not self.started:
            write_text(self.path / RECIPE, recipes.dump(self.recipe))
        self._write_starts([*starts, environment.describe()])

    def starts(self) -> list[dict[str, Any]]:
        """What `environment.json` says of each start of the run.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / _ENVIRONMENT
        if not path.is_file():
            return []
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from None
        if not isinstance(found, list) or not all(
            isinstance(start, dict) for start in found
        ):
            raise RunError(f"{path}: expected a list, an entry for each start")
        return found

    def known_data(self) -> dict[str, Any]:
        """What the last start that opened the data recorded of it.

        Raises:
            RunError: as `starts`.
        """
        known = [start["data"] for start in self.starts() if "data" in start]
        return known[-1] if known else {}

    def _write_starts(self, starts: list[dict[str, Any]]) -> None:
        self.write_text(_ENVIRONMENT, json.dumps(starts, indent=2) + "\n")

    def record_environment(self, **facts: Any) -> None:
        """Adds facts about this start of the run to `environment.json`."""
        *earlier, last = self.starts()
        self._write_starts([*earlier, {**last, **facts}])

    def stage(self, name: str) -> Path:
        """The folder of a stage, such as `retrain/pathology9/tuned`; made."""
        folder = self._inside(name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def is_done(self, stage: str) -> bool:
        """Whether the stage was finished, in this process or an earlier."""
        return (self._inside(stage) / DONE).is_file()

    def facts(self, stage: str) -> dict[str, Any]:
        """What `mark_done` was told of a finished stage.

        Raises:
            RunError: its file cannot be read.
        """
        path = self._inside(stage) / DONE
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(
                f"{path}: cannot be read: {error}; remove it, and the stage is"
                " done anew with --resume"
            ) from None
        if not isinstance(found, dict):
            raise RunError(
                f"{path}: expected facts by name; remove it, and the stage is"
                " done anew with --resume"
            )
        return found

    def mark_done(self, stage: str, **facts: Any) -> None:
        """Marks the stage finished: `--resume` keeps it."""
        done = {"finished": environment.now(), **facts}
        self.stage(stage)
        self.write_text(f"{stage}/{DONE}", json.dumps(done, indent=2) + "\n")

    def clear(self, stage: str) -> None:
        """Empties the folder of an unfinished stage, to do it anew.

        Raises:
            ValueError: the stage is finished.
        """
        if self.is_done(stage):
            raise ValueError(f"{stage}: finished; expected an unfinished stage")
        shutil.rmtree(self._inside(stage), ignore_errors=True)
        self.stage(stage)

    def adopt(self, stage: str, donor: "Run") -> None:
        """Takes over a finished stage of another run, its files unchanged.

        The files are shared (hard links) where the disk can.

        Raises:
            ValueError: the stage is finished here, or unfinished there.
        """
        if not donor.is_done(stage):
            raise ValueError(f"{stage}: unfinished in {donor.path}")
        self.clear(stage)
        folder = self._inside(stage)
        beside = folder.with_name(f".{folder.name}")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(donor._inside(stage), beside, copy_function=_link)
        os.replace(beside, folder)
        sync_folder(folder.parent)

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file of the run, whole or not at all."""
        path = self._inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        return path

    def write_csv(self, name: str, frame: "pd.DataFrame") -> Path:
        """Writes a table of the run, without its index."""
        return self.write_text(name, frame.to_csv(index=False))

    def _inside(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/":
            raise ValueError(
                f"expected a path inside the run. Received: {name!r}"
            )
        return self.path.joinpath(*parts)


def refuse_another(folder: Path, recipe: Recipe) -> None:
    """Raises `RunError` where a folder holds the run of another recipe."""
    there = Run.open(folder).recipe
    differ = recipes.differences(there, recipe)
    for key, old, new in differ[:1]:
        more = f", and {len(differ) - 1} more differ" if differ[1:] else ""
        raise RunError(
            f"{folder}: holds the run of another recipe: {key} is"
            f" {_shown(old)} there and {_shown(new)} here{more}; give another"
            f" --output, or continue its own, {folder / RECIPE}"
        )


def _shown(value: Any) -> str:
    return "not used" if value is None else recipe_yaml.scalar(value)
