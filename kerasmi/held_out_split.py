"""A split of the data as a trained model sees it: texts, features, scores."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read
from kerasmi.errors import DataError, RunError
from kerasmi.evaluation.held_out import HeldOut
from kerasmi.features import Features


@dataclasses.dataclass(frozen=True)
class Said:
    """What is known of the texts of one image, text by text.

    Attributes:
        texts: `(k,)` int, its texts among the distinct ones.
        findings: k names, `""` where unknown or nothing.
        cells: k masks of the true cells, `b""` where unknown or nowhere.
    """

    texts: np.ndarray
    findings: tuple[str, ...]
    cells: tuple[bytes, ...]


class HeldOutSplit:
    """The images of a split that have text; each thing is worked out once.

    With the local scope the texts are the sentences of the reports, all of
    them; with the global scope the reports. A distinct text is encoded and
    scored once, however often it was written.

    Args:
        features: the trained model.
        dataset: the records.
        split: the split.

    Raises:
        DataError: the split has no image with text.
    """

    def __init__(
        self, features: Features, dataset: Dataset, split: str
    ) -> None:
        self.features = features
        self.dataset = dataset
        self.split = split
        rows = dataset.rows(split)
        self.rows = rows[rows["sentences"] > 0].reset_index(drop=True)
        if self.rows.empty:
            raise DataError(
                f"{dataset.path}: no {split} image has a report with a"
                " sentence; there is no text to compare the images with."
            )

    @functools.cached_property
    def _read(self) -> tuple[list[str], list[Said]]:
        numbers: dict[str, int] = {}
        said = []
        local = self.features.is_local
        for record in read(self.dataset, self.split, self.rows["image_id"]):
            count = len(record.sentences) if local else 1
            texts = record.sentences if local else (record.report,)
            said.append(
                Said(
                    np.array(
                        [numbers.setdefault(t, len(numbers)) for t in texts]
                    ),
                    (record.sentence_findings if local else ())
                    or ("",) * count,
                    (record.sentence_regions if local else ())
                    or (b"",) * count,
                )
            )
        return list(numbers), said

    @property
    def distinct_texts(self) -> list[str]:
        """The U distinct texts."""
        return self._read[0]

    @property
    def said(self) -> list[Said]:
        """What each image's texts are."""
        return self._read[1]

    @functools.cached_property
    def regions(self) -> np.ndarray:
        """`(I, N, D_image)` float32."""
        wanted = self.rows["image_id"]
        return self.features.regions(self.dataset, self.split, wanted)

    @functools.cached_property
    def text_features(self) -> np.ndarray:
        """`(U, D_text)` float32 of the distinct texts."""
        return self.features.texts(self.distinct_texts)

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """`(I, U)` float32 of all images with all distinct texts."""
        return self.features.scores(self.regions, self.text_features)

    @functools.cached_property
    def subjects(self) -> np.ndarray:
        """`(I,)` int subject of each image."""
        return pd.factorize(self.rows["subject_id"])[0]

    @functools.cached_property
    def studies(self) -> np.ndarray:
        """`(I,)` int study of each image."""
        return pd.factorize(self.rows["study_id"])[0]

    @functools.cached_property
    def written(self) -> pd.DataFrame:
        """A row for each text of each study: study, image, text, place.

        `image` is one that the text was written for and `place` the text's
        among that image's; images of a study with one report share a row.
        """
        rows = {}
        for image, (study, one) in enumerate(
            zip(self.studies.tolist(), self.said, strict=True)
        ):
            report = (study, tuple(one.texts.tolist()))
            if report not in rows:
                rows[report] = [
                    (study, image, text, place)
                    for place, text in enumerate(report[1])
                ]
        return pd.DataFrame(
            [row for report in rows.values() for row in report],
            columns=["study", "image", "text", "place"],
        )

    def held_out(self) -> HeldOut:
        """The scores of all images with all texts, for read-outs.

        Raises:
            DataError: too few subjects.
            RunError: the critic has diverged, so that a score is no number.
        """
        written = self.written
        wrong = self.scores.size - int(np.isfinite(self.scores).sum())
        if wrong:
            raise RunError(
                f"{self.features.recipe.name}: the critic has diverged: "
                f"{wrong} of {self.scores.size} scores of {self.split} images "
                "and texts are not finite; train again with a lower "
                "pretrain.learning_rate"
            )
        try:
            return HeldOut(
                self.scores[:, written["text"]],
                self.studies,
                written["study"].to_numpy(),
                self.subjects,
            )
        except ValueError as error:
            raise DataError(
                f"{self.dataset.path}: {self.split}: {error}"
            ) from None
