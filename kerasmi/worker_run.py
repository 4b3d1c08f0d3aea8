"""The run folder of a worker that is not the chief: a copy, thrown away.

All workers do the same work in the same order, files included: writing a model
takes part of every worker where a metric is summed over them. Only the chief
writes into the run folder; the others read what it held at the start, and
write beside nobody.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from kerasmi.errors import RunError
from kerasmi.folder import LOCK
from kerasmi.recipe import Recipe
from kerasmi.runs import Run, refuse_another


class WorkerRun(Run):
    """A copy of the chief's run in a temporary folder; `close` removes it."""

    def __init__(self, path: Path, recipe: Recipe, original: Path) -> None:
        super().__init__(path, recipe)
        self.original = original

    @classmethod
    def copy(cls, output: str | os.PathLike[str], recipe: Recipe) -> Self:
        """Copies the chief's run folder as it now stands.

        Args:
            output: the folder, as the chief knows it.
            recipe: what the run follows.

        Raises:
            RunError: this machine does not see the folder, or it holds the
                run of another recipe.
        """
        original = Path(output)
        if not Run(original, recipe).started:
            raise RunError(
                f"{original}: this worker sees no run there. The workers need"
                " one file system: give an --output that all of them see"
            )
        refuse_another(original, recipe)
        scratch = Path(tempfile.mkdtemp(prefix="kerasmi-worker-"))
        copied = cls(scratch / original.absolute().name, recipe, original)
        # logs too: a checkpoint without the logs it was made with is refused
        without = shutil.ignore_patterns(LOCK)
        try:
            shutil.copytree(original, copied.path, ignore=without)
        except BaseException:
            copied.close()
            raise
        return copied

    @property
    def data_folder(self) -> Path:
        """Where the chief keeps drawn data."""
        return Run(self.original, self.recipe).data_folder

    def discard(self) -> None:
        """As `close`: nothing of it is kept in any case."""
        self.close()

    def close(self) -> None:
        """Removes the copy."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
