"""The folder of a grid: its members are ordinary run folders in it.

grid.yaml              the grid, every value
VARIANT/seedN/         a run, or
VARIANT/labelsL-seedN/
"""

import os
from pathlib import Path
from typing import Self

from kerasmi import grid_text, stages, written_tables
from kerasmi.errors import RunError
from kerasmi.folder import Folder
from kerasmi.grid_schema import Member, Plan, pretraining
from kerasmi.runs import GRID, Run, refuse_another, write_text

RESULTS = "results.csv"
REPORT = "report.html"  # the last file of a run


class GridFolder(Folder):
    """A grid's folder, made by `create`, which holds its lock until `close`.

    Attributes:
        plan: what the grid is to run.
    """

    kind = "grid"
    marker = GRID

    def __init__(self, path: Path, plan: Plan) -> None:
        super().__init__(path)
        self.plan = plan
        self._pretraining = {
            m.name: pretraining(m.recipe) for m in plan.members
        }

    @classmethod
    def create(
        cls, output: str | os.PathLike[str], plan: Plan, resume: bool = False
    ) -> Self:
        """A new grid in the folder `output`, or the one that stands there.

        Args:
            output: the folder; made if need be.
            plan: what to run. A resumed grid may grow, by seeds for instance.
            resume: continue the grid that the folder holds, if it holds one.

        Raises:
            RunError: as for a run; or the folder holds runs that the plan
                lacks, or that follow another recipe.
        """
        folder = cls(Path(output), plan)
        folder._begin(resume)
        return folder

    def check(self, resume: bool) -> None:
        """Refuses a folder that holds something else; see `Folder`."""
        self._refuse_file()
        if not self.started:
            self._refuse_foreign_files()
            return
        planned = {member.name: member.recipe for member in self.plan.members}
        for path in sorted(self.path.glob(f"*/*/{Run.marker}")):
            name = path.parent.relative_to(self.path).as_posix()
            if name not in planned:
                raise RunError(
                    f"{self.path}: holds the run {name}, which is not of this"
                    " grid; give another --output"
                )
            refuse_another(path.parent, planned[name])
        self._refuse_second_start(resume)
        self._refuse_links()

    def _record_start(self) -> None:
        write_text(self.path / GRID, grid_text.dump(self.plan))

    def run_of(self, member: Member) -> Run:
        """A member's run, whether it has begun or not; to read."""
        return Run(self.path / member.name, member.recipe)

    def is_finished(
        self, member: Member, encoders: tuple[str, ...] | None = None
    ) -> bool:
        """Whether a member is done with these encoders, its page and all."""
        recipe, run = member.recipe, self.run_of(member)
        encoders = encoders or recipe.retrain.encoders
        results = run.path / RESULTS
        if not (results.is_file() and (run.path / REPORT).is_file()):
            return False
        if not all(map(run.is_done, stages.retraining(recipe, encoders))):
            return False
        # written before these encoders were done, it lacks them
        found = written_tables.read(results)[["task", "encoder"]]
        wanted = {(t, e) for t in recipe.retrain.tasks for e in encoders}
        return wanted <= set(found.itertuples(index=False, name=None))

    def with_results(self) -> list[tuple[Member, Run]]:
        """The members that have been evaluated, with some encoders at least."""
        every = [(each, self.run_of(each)) for each in self.plan.members]
        return [one for one in every if (one[1].path / RESULTS).is_file()]

    def missing(self) -> list[str]:
        """The members and encoders that are not finished, in words."""
        return [
            f"{member.name} {encoder}"
            for member in self.plan.members
            for encoder in member.recipe.retrain.encoders
            if not self.is_finished(member, (encoder,))
        ]

    def same_pretraining(self, member: Member) -> list[Run]:
        """The members whose pretraining is this one's too, itself included."""
        if member.recipe.objective is None:
            return []
        asked = self._pretraining[member.name]
        return [
            self.run_of(other)
            for other in self.plan.members
            if self._pretraining[other.name] == asked
        ]

    def donor(self, member: Member) -> Run | None:
        """A run with the finished pretraining that a member would repeat."""
        if self.run_of(member).is_done(stages.PRETRAIN):
            return None
        for run in self.same_pretraining(member):
            if run.is_done(stages.PRETRAIN):
                return run
        return None
