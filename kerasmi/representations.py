"""What the representations of a run can do: tables and their figures.

mi          held-out mutual information, and which sentences carry it
retrieval   the report of an image, and the image of a report
zero_shot   findings from prompt sentences, without training
grounding   whether the maps of sentences point at the true places
probe       linear probe and nearest neighbours on frozen features
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerasmi import build, given, grounded, measure, probing
from kerasmi.data import labels as label_policy
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import PATHOLOGY9
from kerasmi.errors import DataError
from kerasmi.evaluation import (
    auc,
    figures,
    grounding,
    label_scores,
    retrieval,
    sentence_kinds,
    tables,
    zero_shot,
)
from kerasmi.evaluation import representation_figures as pictured
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.recipe import Recipe
from kerasmi.reporter import Reporter, counted
from kerasmi.runs import Run

PARTS = ("mi", "retrieval", "zero_shot", "grounding", "probe")


@dataclasses.dataclass(frozen=True)
class Result:
    """A table, what a reader sees of it, and its picture."""

    name: str
    title: str
    table: pd.DataFrame
    shown: pd.DataFrame
    draw: Callable[[], Figure] | None = None


@dataclasses.dataclass
class Evaluation:
    """The evaluations of one run on one split; what they share is kept.

    Attributes:
        run: a run with a finished pretraining.
        dataset: its records.
        split: the split to evaluate.
        reporter: told of everything.
        prompts: a CSV of prompts, see `given.prompts`; None: the default ones.
        boxes: a CSV of boxes, see `given.boxes`; None: the records' regions.
        candidates: of InfoNCE's read-outs of `mi`, see `measure.table`.
    """

    run: Run
    dataset: Dataset
    split: str
    reporter: Reporter
    prompts: Path | None = None
    boxes: Path | None = None
    candidates: int | None = None

    @functools.cached_property
    def features(self) -> Features:
        """The trained model."""
        return Features.open(self.run)

    @functools.cached_property
    def seen(self) -> HeldOutSplit:
        """The split as the model sees it."""
        return HeldOutSplit(self.features, self.dataset, self.split)

    @property
    def _resampling(self) -> dict:
        settings = self.run.recipe.evaluate
        return {
            "resamples": settings.bootstrap,
            "confidence": settings.confidence,
        }

    @property
    def _judged(self) -> str:
        """What answers are counted as, for the titles."""
        if self.dataset.has_truth:
            return "against the truth"
        data = self.run.recipe.data
        return f"labels: uncertain {data.uncertain}, blank {data.blank}"

    def permits(self, part: str) -> str:
        """Why the run does not permit a part; empty where it does."""
        if part == "grounding" and self.features.grid == (1, 1):
            return (
                "the run's scope is global: its image is one region; give a run"
                " with objective.scope=local"
            )
        if part == "grounding" and not (self.boxes or self.dataset.has_regions):
            return "the data hold no regions; give a file of --boxes"
        if part == "zero_shot" and not (self.prompts or self._labels):
            return "the data hold no label of Pathology9; give --prompts"
        return ""

    @property
    def _labels(self) -> list[str]:
        there = self.dataset.label_names
        return [label for label in PATHOLOGY9 if label in there]

    # === Parts ===

    def mi(self) -> list[Result]:
        """Held-out MI; with the local scope, also by kind of sentence."""
        table = measure.table(self.seen, self.candidates)
        results = [
            Result(
                "mutual_information",
                f"Held-out mutual information (nats, {self.split})",
                table,
                measure.shown(table),
            )
        ]
        if self.features.is_local:
            results.append(self._kinds())
        return results

    def _kinds(self) -> Result:
        seen, (target, _) = self.seen, build.stage(self.run.recipe)
        kinds = [
            sentence_kinds.kind(
                seen.distinct_texts[text], seen.said[image].findings[place]
            )
            for image, text, place in seen.written[
                ["image", "text", "place"]
            ].itertuples(index=False)
        ]
        table = sentence_kinds.evaluate(
            seen.held_out(),
            kinds,
            bound=target.bound,
            direction=target.direction,
        )
        names = {
            "kind": "sentences about",
            "nats": "nats",
            "standard_error": "+-",
            "share": "share",
            "carried": "carried",
            "n_sentences": "sentences",
        }
        return Result(
            "sentence_kinds",
            f"Which sentences carry the nats ({self.split},"
            f" {table['read_out'].iloc[0]}; +- with the partition held fixed)",
            table,
            table[list(names)].rename(columns=names),
            lambda: pictured.kinds(table),
        )

    def retrieval(self) -> list[Result]:
        """R@k and median rank, both ways."""
        seen, (target, _) = self.seen, build.stage(self.run.recipe)
        reports, report_of = retrieval.distinct_reports(
            [said.texts for said in seen.said]
        )
        written = np.bincount(
            seen.written["text"], minlength=len(seen.distinct_texts)
        )
        scores = retrieval.report_scores(
            seen.scores,
            reports,
            written,
            by_text=(target.bound, target.direction)
            == ("cpc", "text_to_image"),
        )
        table = retrieval.evaluate(
            scores, report_of, seen.subjects, **self._resampling
        )
        title = (
            f"Retrieval ({self.split}: {counted(len(seen.rows), 'image')},"
            f" {counted(len(reports), 'distinct report')})"
        )
        return [
            Result(
                "retrieval",
                title,
                table,
                pictured.with_interval(table, ["direction", "metric"]),
                lambda: pictured.retrieved(table),
            )
        ]

    def zero_shot(self) -> list[Result]:
        """AUC of the difference of a positive and a negative sentence."""
        if self.prompts is None:
            prompts = zero_shot.default_prompts(self._labels)
        else:
            prompts = given.prompts(self.prompts, self.dataset)
        labels = list(dict.fromkeys(prompts["label"]))
        texts = zero_shot.texts(prompts)
        for text in texts:
            for remark in self.features.unread(text):
                self.reporter.warning(f"prompt {text!r}: {remark}")
        rows = self.dataset.rows(self.split)
        regions = self.features.regions(self.dataset, self.split, None)
        scores = self.features.scores(regions, self.features.texts(texts))
        data = self.run.recipe.data
        targets = label_policy.targets(
            rows,
            labels,
            truth=self.dataset.has_truth,
            uncertain=data.uncertain,
            blank=data.blank,
        )
        table = auc.evaluate(
            label_scores.table(
                rows,
                labels,
                targets,
                zero_shot.label_scores(prompts, scores, labels),
                "zero_shot",
                "prompts",
            ),
            split=self.split,
            seed=self.run.recipe.seed,
            **self._resampling,
        )
        return [
            Result(
                "zero_shot",
                f"Zero-shot AUC ({self.split}, {self._judged})",
                table,
                tables.summary(table).drop(columns="task"),
                lambda: figures.forest(table),
            )
        ]

    def grounding(self) -> list[Result]:
        """Pointing, rank of the true region, and CNR where there are boxes."""
        grounded.check(self.seen)
        if self.boxes is None:
            cases, what = grounded.of_regions(self.seen), "known regions"
        else:
            cases, others = grounded.of_boxes(self.seen, self.boxes)
            what = "boxes"
            if others:
                self.reporter.message(f"{self.boxes}: {others}")
        try:
            table = grounding.evaluate(cases, **self._resampling)
        except ValueError as error:
            raise DataError(f"{self.dataset.path}: {error}") from None
        return [
            Result(
                "grounding",
                f"Grounding ({self.split}, {what})",
                table,
                pictured.with_interval(table, ["finding", "metric"]),
                lambda: pictured.pointing(table),
            )
        ]

    def probe(self) -> list[Result]:
        """AUC of probes on frozen features."""
        if self.split == "validation":
            self.reporter.warning(
                "probe: its settings were picked on the same images: the AUCs"
                " are optimistic"
            )
        table = probing.evaluate(self.features, self.dataset, self.split)
        of = table[["encoder", "task", "setting"]].drop_duplicates()
        for line in of.itertuples(index=False):
            self.reporter.message(
                f"probe: {line.task}, {line.encoder}: {line.setting}"
            )
        return [
            Result(
                "probes",
                f"AUC of probes on frozen features ({self.split},"
                f" {self._judged})",
                table,
                tables.summary(table),
                lambda: figures.forest(table),
            )
        ]


def open_data(run: Run, reporter: Reporter) -> Dataset:
    """The data that a run was of; a phantom is drawn again where it is gone.

    A relative path is that of the folder where the run was started.

    Raises:
        DataError: they are gone, or are not those of the run any more.
    """
    dataset = build.data(_from_anywhere(run), run.data_folder, reporter)
    made = run.facts("pretrain").get("data_fingerprint")
    if made is not None and made != dataset.fingerprint:
        raise DataError(
            f"{dataset.path}: not the data of the run {run.path}: its"
            f" fingerprint is {dataset.fingerprint[:12]}, the run's"
            f" {made[:12]}; bring the old data back, or run again."
        )
    return dataset


def _from_anywhere(run: Run) -> Recipe:
    """The recipe, its data found though another folder is the current one."""
    data = run.recipe.data
    if data.path is None or data.path.exists():
        return run.recipe
    known = run.known_data().get("path")
    if known is None:
        return run.recipe
    found = data.model_copy(update={"path": Path(known)})
    return run.recipe.model_copy(update={"data": found})
