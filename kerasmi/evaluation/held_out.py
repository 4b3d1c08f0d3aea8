"""Scores of held-out pairs, and which of them are matched.

The joint law that a score matrix stands for is the one training draws from:
an image uniformly, then one of its study's texts uniformly. Where studies have
several images or texts the weights below follow from it, so that positives and
negatives have the same marginals (else a bound would count the difference).

Negatives are pairs of different subjects: what two studies of one patient have
in common is no draw of an image and a text that know nothing of each other.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np

from kerasmi.reporter import counted

# Rows are taken in blocks of about this many entries (32 MB in float64).
BLOCK_ENTRIES = 4_000_000
# Calibration takes halves of the subjects. Of three, each text has a negative
# in its half wherever `shuffled` has paired it.
LEAST_SUBJECTS = 6


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A critic's scores of all pairs of held-out images and texts.

    Attributes:
        scores: `(I, T)` float32, image i with text c.
        image_studies: `(I,)` int study of each image.
        text_studies: `(T,)` int study whose images each text is paired with.
        image_subjects: `(I,)` int; by default the studies.
        text_origins: `(T,)` int subject each text was written for; by default
            that of `text_studies`. It differs only after `shuffled`.

    Raises:
        ValueError: shapes that do not fit, scores that are not finite, a study
            without an image or without a text, or a single subject.
    """

    scores: np.ndarray
    image_studies: np.ndarray
    text_studies: np.ndarray
    image_subjects: np.ndarray | None = None
    text_origins: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("image_studies", "text_studies"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        scores = np.asarray(self.scores, np.float32)
        object.__setattr__(self, "scores", scores)
        _check(self)

    @classmethod
    def from_blocks(
        cls,
        blocks: Iterable[np.ndarray],
        image_studies: np.ndarray,
        text_studies: np.ndarray,
        image_subjects: np.ndarray | None = None,
    ) -> "HeldOut":
        """Fills the matrix from blocks of rows, in the order of the images."""
        scores = np.empty((len(image_studies), len(text_studies)), np.float32)
        filled = 0
        for block in blocks:
            rows = np.asarray(block)
            if rows.shape[1:] != scores.shape[1:]:
                raise ValueError(
                    f"A block must be (rows, {scores.shape[1]}). Received "
                    f"shape: {rows.shape}."
                )
            if filled + len(rows) > len(scores):
                filled += len(rows)
                break
            scores[filled : filled + len(rows)] = rows
            filled += len(rows)
        if filled != len(scores):
            raise ValueError(
                f"The blocks must hold {len(scores)} rows, one per image. "
                f"Received {filled} or more."
            )
        return cls(scores, image_studies, text_studies, image_subjects)

    @functools.cached_property
    def subjects(self) -> np.ndarray:
        """`(I,)` subject of each image."""
        if self.image_subjects is None:
            return self.image_studies
        return np.asarray(self.image_subjects)

    @functools.cached_property
    def origins(self) -> np.ndarray:
        """`(T,)` subject each text was written for."""
        if self.text_origins is None:
            return self.text_subjects
        return np.asarray(self.text_origins)

    @functools.cached_property
    def text_subjects(self) -> np.ndarray:
        """`(T,)` subject of the study each text is paired with."""
        subject = dict(
            zip(
                self.image_studies.tolist(),
                self.subjects.tolist(),
                strict=True,
            )
        )
        return np.array([subject[s] for s in self.text_studies.tolist()])

    @functools.cached_property
    def text_weights(self) -> np.ndarray:
        """`(T,)` images of the text's study over texts of that study."""
        images = _count(self.image_studies, self.text_studies)
        return images / _count(self.text_studies, self.text_studies)

    @functools.cached_property
    def matched(self) -> np.ndarray:
        """`(I,)` mean score of each image with the texts of its study."""
        means = np.empty(len(self.scores))
        order = np.argsort(self.text_studies, kind="stable")
        ranked = self.text_studies[order]
        first = np.searchsorted(ranked, self.image_studies, side="left")
        last = np.searchsorted(ranked, self.image_studies, side="right")
        for i, (start, stop) in enumerate(zip(first, last, strict=True)):
            means[i] = self.scores[i, order[start:stop]].mean(dtype=float)
        return means

    @functools.cached_property
    def n_positives(self) -> int:
        """Matched pairs: each image with every text of its study."""
        return int(_count(self.text_studies, self.image_studies).sum())

    @functools.cached_property
    def largest_negative(self) -> float:
        """The largest score of a negative pair."""
        return max(
            float(scores.max(where=negatives, initial=-np.inf))
            for _, scores, negatives in self.blocks()
        )

    def negatives(
        self,
        rows: slice | np.ndarray,
        columns: slice | np.ndarray = slice(None),
    ) -> np.ndarray:
        """`(rows, columns)` bool: pairs of different subjects.

        Of those that texts are paired with, and that they were written for.
        """
        images = self.subjects[rows, None]
        paired, written = self.text_subjects[columns], self.origins[columns]
        return (images != paired) & (images != written)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yields row slices with float64 scores and the mask of negatives."""
        images, texts = self.scores.shape
        step = max(1, BLOCK_ENTRIES // texts)
        for start in range(0, images, step):
            rows = slice(start, min(start + step, images))
            yield rows, self.scores[rows].astype(float), self.negatives(rows)

    def halves(self, seed: int = 0) -> tuple["HeldOut", "HeldOut"]:
        """Two halves that share no subject, at random."""
        subjects = np.unique(self.subjects)
        if len(subjects) < LEAST_SUBJECTS:
            raise ValueError(
                f"Calibration needs at least {LEAST_SUBJECTS} subjects, three "
                f"in each half. Received: {len(subjects)}."
            )
        drawn = np.random.default_rng(seed).permutation(subjects)
        first = drawn[: len(drawn) // 2]
        return self._part(first), self._part(drawn[len(drawn) // 2 :])

    def shuffled(self, seed: int = 0) -> "HeldOut":
        """The same scores with whole studies re-paired across subjects.

        Every study's texts go to a study of another subject, so images and
        texts are independent and the true information is 0. Pairs that were
        matched are left out of the negatives. What a read-out gives here is
        said under `permute_across_subjects`.
        """
        studies, first = np.unique(self.image_studies, return_index=True)
        subjects = self.subjects[first]
        order = permute_across_subjects(subjects, seed)
        # The texts of study `order[k]` go to the images of study k.
        goes_to = np.empty_like(studies)
        goes_to[order] = studies
        paired = goes_to[np.searchsorted(studies, self.text_studies)]
        return dataclasses.replace(
            self, text_studies=paired, text_origins=self.origins
        )

    def _part(self, subjects: np.ndarray) -> "HeldOut":
        rows = np.flatnonzero(np.isin(self.subjects, subjects))
        columns = np.flatnonzero(np.isin(self.text_subjects, subjects))
        return HeldOut(
            self.scores[np.ix_(rows, columns)],
            self.image_studies[rows],
            self.text_studies[columns],
            self.subjects[rows],
            self.origins[columns],
        )


def permute_across_subjects(
    subject_ids: np.ndarray, seed: int = 0
) -> np.ndarray:
    """A permutation that never keeps a text with its own subject.

    Item i's image goes with item `p[i]`'s text. Give one item per study, so
    that the sentences of a report stay together and texts of one subject go to
    others.

    What to expect: the true information of such pairs is 0, but a read-out of
    a critic *trained on matched pairs* is not. For a fixed critic f, DV gives
    `E_q[f] - log E_q[exp f]`, which is at most 0 (Jensen) and far below it when
    f is confident. Within 0 ± .02 must lie (a) a critic trained on shuffled
    pairs, and (b) the calibrated read-out (`calibrate=True`), whose family of
    critics contains the constant one.

    Args:
        subject_ids: `(n,)` subject of each item.
        seed: of the generator.

    Returns:
        `(n,)` int permutation with `subject_ids[p] != subject_ids` everywhere.

    Raises:
        ValueError: one subject holds more than half of the items.
    """
    subject_ids = np.asarray(subject_ids)
    subjects, index, counts = np.unique(
        subject_ids, return_inverse=True, return_counts=True
    )
    largest = int(counts.max(initial=0))
    if 2 * largest > len(subject_ids):
        raise ValueError(
            "No permutation can part every item from its subject when one "
            f"subject holds more than half. Received {len(subject_ids)} items, "
            f"{largest} of one subject."
        )
    generator = np.random.default_rng(seed)
    place = generator.permutation(len(subjects))[index]
    order = np.lexsort((generator.random(len(index)), place))
    # Subjects are runs of at most `largest`: a shift by it leaves every run,
    # and does not come round to it again as 2 * largest <= n.
    permutation = np.empty(len(order), np.int64)
    permutation[order] = np.roll(order, -largest)
    return permutation


def _count(among: np.ndarray, of: np.ndarray) -> np.ndarray:
    values, counts = np.unique(among, return_counts=True)
    return counts[np.searchsorted(values, of)]


def _check(pairs: HeldOut) -> None:
    expected = (len(pairs.image_studies), len(pairs.text_studies))
    if pairs.scores.shape != expected:
        raise ValueError(
            "scores must be (images, texts), as many as study ids: "
            f"{expected}. Received shape: {pairs.scores.shape}."
        )
    if not np.isfinite(pairs.scores).all():
        raise ValueError("Scores must be finite; the critic has diverged.")
    for name, like in (("image_subjects", 0), ("text_origins", 1)):
        given = getattr(pairs, name)
        if given is not None and np.shape(given) != (expected[like],):
            raise ValueError(
                f"{name} must have shape ({expected[like]},). Received: "
                f"{np.shape(given)}."
            )
    images, texts = set(pairs.image_studies), set(pairs.text_studies)
    if images != texts:
        raise ValueError(
            "Every study needs an image and a text. Without a text: "
            f"{counted(len(images - texts), 'study', 'studies')}; without an "
            f"image: {len(texts - images)}. Leave them out first."
        )
    subjects = len(np.unique(pairs.subjects))
    if subjects < 2:
        raise ValueError(
            "A read-out needs negatives: studies of at least two subjects. "
            f"Received: {subjects}."
        )
