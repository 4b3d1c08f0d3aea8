"""Classification without training: which of two sentences fits the image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

PROMPTS = ("label", "positive", "negative")
# `{a}` is the finding with its article, `{bare}` without.
TEMPLATES = (
    ("There is {a}.", "No {bare}."),
    ("There is {a}.", "There is no {bare}."),
    ("{a} is seen.", "No evidence of {bare}."),
)
# Findings that are counted, so that English wants an article.
_COUNTED = {
    "Fracture": "a fracture",
    "Lung Lesion": "a lung lesion",
    "Lung Opacity": "a lung opacity",
    "Pleural Effusion": "a pleural effusion",
    "Pneumothorax": "a pneumothorax",
    "Support Devices": "a support device",
}


def default_prompts(labels: Sequence[str]) -> pd.DataFrame:
    """Pairs of sentences for each label.

    Args:
        labels: names such as `"Pleural Effusion"`.

    Returns:
        Frame with the columns `PROMPTS`, a row for each label and template.
    """
    rows = [
        (label, *(_filled(template, label) for template in pair))
        for label in labels
        for pair in TEMPLATES
    ]
    return pd.DataFrame(rows, columns=list(PROMPTS))


def _filled(template: str, label: str) -> str:
    with_article = _COUNTED.get(label, label.lower())
    bare = with_article.removeprefix("a ")
    text = template.format(a=with_article, bare=bare)
    return text[0].upper() + text[1:]


def texts(prompts: pd.DataFrame) -> list[str]:
    """The distinct sentences of the prompts."""
    return list(dict.fromkeys([*prompts["positive"], *prompts["negative"]]))


def label_scores(
    prompts: pd.DataFrame, scores: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """How much better the positive sentences of each label fit, in nats.

    The score of the positive sentence less that of the negative one, averaged
    over the label's rows: what the critic leaves open for each image (its
    gauge) cancels.

    Args:
        prompts: columns `PROMPTS`, one or more rows for each label.
        scores: `(I, T)` of the images with `texts(prompts)`.
        labels: the L labels wanted.

    Returns:
        `(I, L)` float64.
    """
    place = {text: at for at, text in enumerate(texts(prompts))}
    found = []
    for label in labels:
        mine = prompts[prompts["label"] == label]
        sides = [
            scores[:, [place[text] for text in mine[side]]].mean(
                axis=1, dtype=float
            )
            for side in ("positive", "negative")
        ]
        found.append(sides[0] - sides[1])
    return np.stack(found, axis=1)
