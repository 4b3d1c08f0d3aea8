"""The images of a split that a sentence fits best, by a trained critic."""

import dataclasses

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure

from kerasmi import asked, features, representations
from kerasmi.data import images
from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read
from kerasmi.data.schema import BLANK, Record
from kerasmi.evaluation.contact_sheet import contact_sheet
from kerasmi.evaluation.headed import headed
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.reporter import Reporter, counted
from kerasmi.runs import Run
from kerasmi.sheet import found, names

# Sentences of the split that an image's scores are compared with, for CPC.
COMPARED = 256
TEXT = "report"


@dataclasses.dataclass(frozen=True)
class Retrieved:
    """The best images for a sentence.

    Attributes:
        sentence: the sentence.
        table: a row for each image, the best first: rank (from 1), image_id,
            study_id, subject_id, score (nats above the average image of the
            split) and, where it may be shown, report.
        records: their records, in the same order.
        split: the split.
        candidates: images of the split.
    """

    sentence: str
    table: pd.DataFrame
    records: list[Record]
    split: str
    candidates: int

    def draw(self) -> Figure:
        """A contact sheet, the best image first."""
        shown = TEXT in self.table
        page = contact_sheet(
            [_pixels(record.image) for record in self.records],
            [_findings(record) for record in self.records],
            titles=[
                f"{row.rank}.  {row.score:+.2f}  {row.image_id}"
                for row in self.table.itertuples()
            ],
            sentences=[r.sentences if shown else () for r in self.records],
            regions=[_regions(record) for record in self.records],
            names=names(self.records),
        )
        note = (
            f"best {len(self.records)} of"
            f" {counted(self.candidates, f'{self.split} image')}; rank, score "
            "in nats above the average image, image id"
        )
        return headed(page, self.sentence, note)


def retrieve(
    run: Run,
    sentence: str,
    *,
    split: str = "test",
    count: int = 12,
    show_text: bool = False,
    reporter: Reporter | None = None,
) -> Retrieved:
    """Ranks the images of a split by their score with a sentence.

    The score of image i is `log e^f(i) / mean_j e^f(j)` over the images j of
    the split, which estimates `log p(i|s) / p(i)`: 0 nats is an average image
    and the log of their number the most. A critic trained by CPC from image
    to text knows f only up to a function of the image, so there the
    log-mean-exp over up to 256 sentences of the split is taken off first,
    image by image, as the softmax of Eq. 4 does.

    Args:
        run: a run with a finished pretraining.
        sentence: what to look for.
        split: the split whose images are ranked, all of them.
        count: images wanted; fewer where the split has fewer.
        show_text: show reports that may be of people; those of the phantom
            are always shown.
        reporter: told of progress, warned of unknown words.

    Raises:
        RunError: the run has no finished pretraining.
        DataError: data that cannot be used, or an empty sentence.
    """
    reporter = reporter or Reporter()
    sentence = asked.cleaned(sentence)
    features.check(run)
    dataset = representations.open_data(run, reporter)
    rows = dataset.rows(split)
    model = Features.open(run)
    if not model.is_local:
        reporter.message(
            "the run's scope is global: it read whole reports; the sentence"
            " is read as one"
        )
    scores = _scores(model, dataset, split, sentence, reporter)
    best = np.argsort(-scores, kind="stable")[:count]
    table = rows.iloc[best][["image_id", "study_id", "subject_id"]]
    table = table.reset_index(drop=True).assign(score=scores[best])
    table.insert(0, "rank", np.arange(1, len(best) + 1))
    by_id = {r.image_id: r for r in read(dataset, split, table["image_id"])}
    records = [by_id[image_id] for image_id in table["image_id"]]
    if show_text or dataset.source == "phantom":
        table[TEXT] = [record.report for record in records]
    return Retrieved(sentence, table, records, split, len(rows))


def _scores(
    model: Features,
    dataset: Dataset,
    split: str,
    sentence: str,
    reporter: Reporter,
) -> np.ndarray:
    """`(I,)` float64 scores of all images of the split, in nats."""
    texts = asked.encoded(model, sentence, reporter)
    if _is_gauge_of_image(model):
        drawn = _some_sentences(HeldOutSplit(model, dataset, split))
        texts = np.concatenate([texts, model.texts(drawn)])
    number = len(dataset.rows(split))
    reporter.start("images", number, "image")
    blocks = []
    for regions in model.region_blocks(dataset, split, None):
        scores = model.scores(regions, texts).astype(float)
        own, others = scores[:, 0], scores[:, 1:]
        blocks.append(own - _log_mean_exp(others) if others.size else own)
        reporter.advance(len(own))
    reporter.finish()
    scores = np.concatenate(blocks)
    return scores - _log_mean_exp(scores[None])


def _is_gauge_of_image(model: Features) -> bool:
    target = model.recipe.objective
    return target is not None and (target.bound, target.direction) == (
        "cpc",
        "image_to_text",
    )


def _some_sentences(split: HeldOutSplit) -> list[str]:
    """Sentences of the split, as often as they were written."""
    written = split.written["text"].to_numpy()
    rng = np.random.default_rng(0)
    drawn = rng.choice(written, min(COMPARED, len(written)), replace=False)
    return [split.distinct_texts[text] for text in drawn]


def _log_mean_exp(scores: np.ndarray) -> np.ndarray:
    """`(rows,)` log of the mean of `exp(scores)` of each row."""
    peak = scores.max(axis=1, keepdims=True)
    return peak[:, 0] + np.log(np.exp(scores - peak).mean(axis=1))


def _pixels(png: bytes) -> np.ndarray:
    return images.decode(tf.constant(png)).numpy()


def _findings(record: Record) -> list[str] | None:
    """Names of the findings; None where nothing is known."""
    known = record.labels if record.truth is None else record.truth
    unknown = all(value == BLANK for value in known.values())
    return None if unknown else found(record)


def _regions(record: Record) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(cells, np.uint8)
        for name, cells in (record.regions or {}).items()
    }
