"""The stages of a recipe by name: `pretrain`, `retrain/TASK/ENCODER[/LABEL]`.

Imports no framework, so that a command can say at once what is done.
"""

import dataclasses
import urllib.parse

from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9
from kerasmi.recipe import Recipe

PRETRAIN = "pretrain"
# of the tasks that have their labels from the paper
LABELS = {"pathology9": PATHOLOGY9, "edema_severity": (EDEMA_SEVERITY,)}


@dataclasses.dataclass(frozen=True)
class Task:
    """What one network of the re-training predicts.

    Attributes:
        name: the task, `"pathology9"`, `"edema_severity"` or `"findings"`.
        labels: names of its labels.
        head: the classifier's head.
        siblings: labels of the task, where the network predicts one of them.
    """

    name: str
    labels: tuple[str, ...]
    head: str
    siblings: tuple[str, ...] = ()

    @property
    def is_part(self) -> bool:
        """Whether it predicts one label of a task of several."""
        return len(self.siblings) > 1

    @property
    def whole(self) -> "Task":
        """The task with all its labels."""
        return dataclasses.replace(
            self, labels=self.siblings or self.labels, siblings=()
        )

    def stage(self, encoder: str) -> str:
        """The stage that trains it, with an encoder of the recipe."""
        parts = ["retrain", self.name, encoder]
        if self.is_part:
            parts.append(folder(self.labels[0]))
        return "/".join(parts)


def folder(label: str) -> str:
    """A label as the name of a folder: a user's may hold any character."""
    name = urllib.parse.quote(label.replace(" ", "_"), safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def tasks(recipe: Recipe) -> list[Task]:
    """The networks that the recipe trains for each encoder.

    One for each task; with `retrain.heads: binary`, one for each finding.
    """
    return [
        part
        for name in recipe.retrain.tasks
        for part in _networks(
            recipe, Task(name, labels(recipe, name), "multilabel")
        )
    ]


def labels(recipe: Recipe, name: str) -> tuple[str, ...]:
    """The labels of a task: the paper's, or the findings of the recipe."""
    return LABELS.get(name) or recipe.retrain.findings or ()


def _networks(recipe: Recipe, task: Task) -> list[Task]:
    if task.labels == (EDEMA_SEVERITY,):
        head = recipe.retrain.severity_head
        return [dataclasses.replace(task, head=head)]
    if recipe.retrain.heads == "multilabel":
        return [task]
    return [
        dataclasses.replace(task, labels=(one,), siblings=task.labels)
        for one in task.labels
    ]


def parts(recipe: Recipe) -> dict[str, list[str]]:
    """Each task with each encoder, `retrain/TASK/ENCODER`, and its stages.

    It is one stage itself; with `retrain.heads: binary`, one for each finding.
    """
    found: dict[str, list[str]] = {}
    for task in tasks(recipe):
        for encoder in recipe.retrain.encoders:
            stage = task.whole.stage(encoder)
            found.setdefault(stage, []).append(task.stage(encoder))
    return found


def retraining(recipe: Recipe, encoders: tuple[str, ...]) -> list[str]:
    """The re-training stages of some encoders, in the order they run."""
    return [
        task.stage(encoder)
        for task in tasks(recipe)
        for encoder in recipe.retrain.encoders
        if encoder in encoders
    ]
