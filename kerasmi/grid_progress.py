"""The progress of a whole grid: which run it is at, and how long it takes."""

import functools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from kerasmi import stages
from kerasmi.data.dataset import Dataset
from kerasmi.grid_folder import GridFolder
from kerasmi.grid_schema import Member
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter

if TYPE_CHECKING:
    import pandas as pd


class GridProgress(Reporter):
    """Tells of a run of a grid under its name; a grid has one table at the end.

    Args:
        inner: where to tell.
        name: of the run.
    """

    def __init__(self, inner: Reporter, name: str) -> None:
        self._inner = inner
        self._name = name

    def message(self, text: str) -> None:
        """Something worth knowing."""
        self._inner.message(f"{self._name}  {text}")

    def warning(self, text: str) -> None:
        """Something that may make the result worse than it could be."""
        self._inner.warning(f"{self._name}: {text}")

    def start(
        self,
        stage: str,
        total: int,
        unit: str = "step",
        detail: str = "",
        epochs: int | None = None,
    ) -> None:
        """A stage of the run begins."""
        name = f"{self._name}  {stage}"
        self._inner.start(name, total, unit, detail, epochs)

    def advance(self, steps: int = 1, **values: float) -> None:
        """Some units of the stage are done."""
        self._inner.advance(steps, **values)

    def epoch(self, epoch: int, epochs: int, **values: float) -> None:
        """An epoch is done."""
        self._inner.epoch(epoch, epochs, **values)

    def finish(self, **values: float) -> None:
        """The stage is done."""
        self._inner.finish(**values)

    def table(self, title: str, frame: "pd.DataFrame") -> None:
        """Left out: it stands in the run's folder."""

    def beside(self) -> "GridProgress":
        """Under the same name, for a stage that is done while others are."""
        return GridProgress(self._inner.beside(), self._name)


def steps(recipe: Recipe, encoders: Iterable[str]) -> dict[str, int]:
    """Training steps of each stage, as near as can be said before it runs.

    Args:
        recipe: what would run.
        encoders: those to re-train.

    Raises:
        DataError: the records are missing or damaged.
    """
    data, settings = recipe.data, recipe.retrain
    images = data.images.train
    if data.source != "phantom":
        images = _training_images(data.path)
    labels = settings.labels or images
    labelled = round(images * labels) if isinstance(labels, float) else labels
    found = {}
    if recipe.pretrain is not None:
        of_epoch = images // recipe.pretrain.batch_size
        found[stages.PRETRAIN] = of_epoch * recipe.pretrain.epochs
    of_epoch = math.ceil(labelled / settings.batch_size)
    for stage in stages.retraining(recipe, tuple(encoders)):
        found[stage] = of_epoch * settings.epochs
    return found


@functools.cache
def _training_images(records: Path) -> int:
    return Dataset.open(records).counts["train"]["images"]


def seconds_left(
    folder: GridFolder, chosen: Mapping[str, tuple[str, ...]]
) -> float | None:
    """How long the unfinished stages of the chosen members may take.

    From the times of finished stages, per step: of the same variant and stage
    where there is one, else of the same stage, else of any.

    Args:
        folder: the grid's folder.
        chosen: encoders to re-train, by the name of the member.

    Returns:
        Seconds; None before any stage is finished.
    """
    rates = _rates(folder)
    if not rates:
        return None
    members = [m for m in folder.plan.members if m.name in chosen]
    total = 0.0
    planned: set[Path] = set()
    for member in members:
        run = folder.run_of(member)
        shared = {one.path for one in folder.same_pretraining(member)} & planned
        for stage, count in steps(member.recipe, chosen[member.name]).items():
            if run.is_done(stage):
                continue
            if stage == stages.PRETRAIN and (shared or folder.donor(member)):
                continue
            total += count * _rate(rates, member, stage)
        planned.add(run.path)
    return total


def _rates(folder: GridFolder) -> dict[tuple[str, str], list[float]]:
    """Seconds per step of finished stages, by variant and stage."""
    found: dict[tuple[str, str], list[float]] = {}
    for member in folder.plan.members:
        run = folder.run_of(member)
        encoders = member.recipe.retrain.encoders
        for stage, count in steps(member.recipe, encoders).items():
            facts = run.facts(stage) if run.is_done(stage) else {}
            # of stages at once each takes its time, and they share it
            seconds = (facts.get("seconds") or 0) / facts.get("at_once", 1)
            if seconds and count:
                rates = found.setdefault((member.variant, stage), [])
                rates.append(seconds / count)
    return found


def _rate(
    rates: Mapping[tuple[str, str], list[float]], member: Member, stage: str
) -> float:
    same = [
        rate
        for (variant, of), found in rates.items()
        for rate in found
        if of == stage and variant == member.variant
    ]
    like = [r for (_, of), found in rates.items() for r in found if of == stage]
    return fmean(same or like or [r for found in rates.values() for r in found])
