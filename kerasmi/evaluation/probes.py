"""Frozen image features read by a linear probe and by nearest neighbours.

What a representation holds without any training of the network: logistic
regression on the features, and the labels of the most similar images.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kerasmi.evaluation.auc import auc

LINEAR, NEIGHBOURS = "linear_probe", "knn"
# Inverse strengths of the penalty, and numbers of neighbours; validation picks.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
NUMBERS = (1, 3, 5, 10, 20, 50, 100)


@dataclasses.dataclass(frozen=True)
class Part:
    """Images with features and targets.

    Attributes:
        features: `(n, D)` float.
        targets: `(n, L)` 0, 1 or -1 (ignored).
    """

    features: np.ndarray
    targets: np.ndarray


@dataclasses.dataclass(frozen=True)
class Probed:
    """Scores of a probe.

    Attributes:
        scores: `(n, L)`, NaN for a label that could not be learnt.
        setting: what validation picked, such as `"C=0.1"`.
        validation: mean AUC over the labels on the validation images.
    """

    scores: np.ndarray
    setting: str
    validation: float


def linear(train: Part, validation: Part, images: np.ndarray) -> Probed:
    """Logistic regression of each label on standardised features.

    Args:
        train: labelled images.
        validation: picks the strength of the penalty, one for all labels.
        images: `(n, D)` features to score.

    Raises:
        ValueError: no label has both classes in training and validation.
    """

    def fit(strength: float) -> Callable:
        def model() -> object:
            return make_pipeline(
                StandardScaler(),
                LogisticRegression(C=strength, max_iter=2000),
            )

        return model

    choices = {f"C={strength:g}": fit(strength) for strength in STRENGTHS}
    return _best(choices, train, validation, images)


def neighbours(train: Part, validation: Part, images: np.ndarray) -> Probed:
    """The share of positives among the k most similar images, by cosine.

    Args:
        train: labelled images; for each label those whose target counts.
        validation: picks k, one for all labels.
        images: `(n, D)` features to score.

    Raises:
        ValueError: no label has both classes in training and validation.
    """
    fewest = min(
        ((column >= 0).sum() for column in train.targets.T if _learns(column)),
        default=0,
    )

    def fit(number: int) -> Callable:
        return lambda: KNeighborsClassifier(number, metric="cosine")

    choices = {
        f"k={number}": fit(number) for number in NUMBERS if number <= fewest
    }
    return _best(choices, train, validation, images)


def _best(
    choices: dict[str, Callable],
    train: Part,
    validation: Part,
    images: np.ndarray,
) -> Probed:
    """The choice with the highest mean validation AUC, the first if equal."""
    best: tuple[float, str] = (-np.inf, "")
    for setting, make in choices.items():
        scores = _scores(make, train, validation.features)
        value = _mean_auc(validation.targets, scores)
        if value > best[0]:
            best = (value, setting)
    value, setting = best
    if not setting:
        raise ValueError(
            "No label has a positive and a negative image both in training "
            "and in validation."
        )
    scores = _scores(choices[setting], train, images)
    return Probed(scores, setting, value)


def _scores(make: Callable, train: Part, images: np.ndarray) -> np.ndarray:
    scores = np.full((len(images), train.targets.shape[1]), np.nan)
    for k, column in enumerate(train.targets.T):
        known = column >= 0
        if _learns(column):
            model = make()
            model.fit(train.features[known], column[known].astype(int))
            scores[:, k] = model.predict_proba(images)[:, 1]
    return scores


def _learns(column: np.ndarray) -> bool:
    """Whether a label has both classes."""
    return bool((column == 0).any() and (column == 1).any())


def _mean_auc(targets: np.ndarray, scores: np.ndarray) -> float:
    values = [
        auc(column[column >= 0], score[column >= 0])
        for column, score in zip(targets.T, scores.T, strict=True)
        if np.isfinite(score).all()
    ]
    defined = [value for value in values if isinstance(value, float)]
    return float(np.mean(defined)) if defined else -np.inf


def severity_targets(levels: np.ndarray) -> np.ndarray:
    """`(n, 3)` targets `level >= 1, 2, 3`; -1 where the level is unknown."""
    levels = np.asarray(levels).reshape(-1, 1)
    return np.where(levels < 0, -1, (levels >= np.arange(1, 4)).astype(int))


def undefined(probed: Probed, labels: Sequence[str]) -> list[str]:
    """Labels that the labelled images do not let a probe learn."""
    lost = ~np.isfinite(probed.scores).all(axis=0)
    return [label for label, gone in zip(labels, lost, strict=True) if gone]
