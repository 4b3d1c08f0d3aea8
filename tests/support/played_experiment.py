"""An experiment that trains nothing: stages, predictions, results at once."""

import itertools

import numpy as np
import pandas as pd

from kerasmi import stages
from kerasmi.evaluation import auc

SUBJECTS = 24


class PlayedExperiment:
    """Stands for `kerasmi.experiment`.

    Attributes:
        calls: (member, encoders, donor) of each run.
        trained: (member, stage) of each stage, in order.
        fail: member or (member, stage) -> exception to raise there.
    """

    def __init__(self):
        self.calls = []
        self.trained = []
        self.fail = {}
        self.forgotten = 0

    def run(
        self,
        recipe,
        run,
        reporter,
        *,
        devices=1,
        encoders=None,
        pretrained=None,
    ):
        name = "/".join(run.path.parts[-2:])
        donor = pretrained and "/".join(pretrained.path.parts[-2:])
        self.calls.append((name, encoders, donor))
        run.record_environment(data_fingerprint="f" * 64, devices=devices)
        self._raise(name)
        if recipe.objective is not None and not run.is_done("pretrain"):
            if pretrained:
                run.adopt("pretrain", pretrained)
            else:
                self._train(run, name, "pretrain", reporter)
        chosen = encoders or recipe.retrain.encoders
        for stage in stages.retraining(recipe, chosen):
            if not run.is_done(stage):
                self._train(run, name, stage, reporter)
        predictions = self._predictions(recipe, run)
        results = auc.evaluate(predictions, resamples=9, seed=recipe.seed)
        run.write_csv("predictions.csv", predictions)
        run.write_csv("results.csv", results)
        run.write_text("report.html", "the page")
        reporter.table("AUC", results)

    def forget(self):
        self.forgotten += 1

    def describe(self, recipe, beside, devices):
        return [("pretrain", f"{recipe.name}"), ("critic", "64-32-1")]

    def _raise(self, *where):
        error = self.fail.get(where if len(where) > 1 else where[0])
        if error is not None:
            raise error

    def _train(self, run, name, stage, reporter):
        reporter.start(stage, 2)
        run.write_text(f"{stage}/model.keras", f"weights of {name}")
        self._raise(name, stage)
        self.trained.append((name, stage))
        labels = run.recipe.retrain.labels or 100
        if isinstance(labels, float):
            labels = round(100 * labels)
        run.mark_done(stage, seconds=2.0, labelled_images=labels)
        reporter.finish()

    def _predictions(self, recipe, run):
        tasks = stages.tasks(recipe)
        frames = [
            _predicted(recipe, task, encoder)
            for task, encoder in itertools.product(
                tasks, recipe.retrain.encoders
            )
            if run.is_done(task.stage(encoder))
        ]
        return pd.concat(frames, ignore_index=True)


def _predicted(recipe, task, encoder):
    """Targets that all runs share, scores that each has of its own."""
    known = np.random.default_rng(0).integers(0, 4, SUBJECTS)
    number = [recipe.seed, len(recipe.name), len(encoder), len(task.labels)]
    rng = np.random.default_rng(number)
    ids = [f"i{k:03}" for k in range(SUBJECTS)]
    identity = pd.DataFrame(
        {
            "task": task.name,
            "encoder": encoder,
            "image_id": ids,
            "study_id": ids,
            "subject_id": ids,
            "split": "test",
        }
    )
    if task.name == "edema_severity":
        levels = rng.dirichlet(np.ones(4), SUBJECTS)
        return auc.severity_predictions(identity, known, levels)
    frames = [
        identity.assign(
            label=label, target=(known > k % 3), score=rng.random(SUBJECTS)
        ).astype({"target": int})
        for k, label in enumerate(task.labels)
    ]
    return pd.concat(frames, ignore_index=True)
