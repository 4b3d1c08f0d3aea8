"""Which sentences carry the information: a read-out, sentence by sentence.

A read-out is a mean over matched pairs (image, sentence); a kind of sentence
has the mean over its own pairs. The kinds' means, weighted by their shares of
the pairs, sum to the read-out.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kerasmi.evaluation import mutual_information
from kerasmi.evaluation.estimates import partition
from kerasmi.evaluation.held_out import HeldOut

ALL, OTHER, SEVERAL = "all sentences", "other", "several findings"
DENIED, SEVERAL_DENIED = "no ", "several findings denied"
# What names a finding in a sentence that nobody has labelled.
_NAMES = {
    "Atelectasis": r"atelecta|collapse|volume loss",
    "Cardiomegaly": r"cardiomegaly|heart|cardiac (silhouette|size|enlarge)",
    "Consolidation": r"consolidat",
    "Edema": r"edema|congesti|vascularity|pulmonary vessels|interstitial mark",
    "Lung Opacity": r"opaci|infiltrat|nodul|lungs? (is|are) .*clear"
    r"|clear lungs?",
    "Pleural Effusion": r"effusion|pleural (fluid|space)|costophrenic"
    r"|hydrothorax",
    "Pneumonia": r"pneumoni",
    "Pneumothorax": r"pneumothora|pleural air",
    "Support Devices": r"\b(tubes?|lines?|catheters?|picc|pacemakers?|leads?)\b"
    r"|\bdevices?\b|port-a-cath",
}
_KNOWN = {name: re.compile(words, re.I) for name, words in _NAMES.items()}
_DENIES = re.compile(
    r"\b(no|not|without|negative for|free of|absent|normal|clear|sharp|dry"
    r"|unremarkable|resolved)\b",
    re.I,
)


def kind(sentence: str, finding: str = "") -> str:
    """The finding a sentence tells of, `"no ..."` where it denies it.

    Without a known finding the words decide, by a rule that is right for most
    sentences and meant for a breakdown, not as a labeller: a sentence that
    names findings and holds a word of denial denies them.

    Args:
        sentence: its words.
        finding: what it is known to tell of as present or possible; empty
            where unknown or nothing.

    Returns:
        A finding, `"no "` and a finding, `"several findings"`, `"several
        findings denied"`, or `"other"`.
    """
    if finding:
        return finding
    named = [name for name, words in _KNOWN.items() if words.search(sentence)]
    if not named:
        return OTHER
    denied = _DENIES.search(sentence) is not None
    if len(named) > 1:
        return SEVERAL_DENIED if denied else SEVERAL
    return DENIED + named[0] if denied else named[0]


def evaluate(
    pairs: HeldOut,
    kinds: Sequence[str],
    *,
    bound: str,
    direction: str = "image_to_text",
) -> pd.DataFrame:
    """The nats of each kind of sentence, the most in sum first.

    Read by Donsker-Varadhan where the training bound permits it, else by
    InfoNCE in the direction of training with all other texts (images) as
    candidates.

    Args:
        pairs: scores of held-out images and sentences.
        kinds: for each text of `pairs` its kind.
        bound: that the critic was trained on.
        direction: of a critic trained by cpc.

    Returns:
        A row for all sentences, then one per kind: kind, read_out, nats (mean
        over its pairs), standard_error (over subjects, the log-partition held
        fixed), share (of all pairs), carried (`nats * share`), n_sentences,
        n_subjects.

    Raises:
        ValueError: not one kind for each text.
    """
    if len(kinds) != len(pairs.text_studies):
        raise ValueError(
            f"Expected a kind for each of {len(pairs.text_studies)} texts. "
            f"Received: {len(kinds)}."
        )
    name = mutual_information.read_outs_for(bound, direction)[0]
    if not name.startswith("infonce"):
        name = "donsker_varadhan"
    pointwise = _contributions(pairs, name)
    texts = pd.DataFrame(
        {
            "kind": list(kinds),
            "weight": pairs.text_weights / pairs.text_weights.sum(),
            "nats": pointwise,
            "subject": pairs.text_subjects,
        }
    )
    rows = [_row(ALL, texts)]
    rows += [_row(str(of), mine) for of, mine in texts.groupby("kind")]
    frame = pd.DataFrame(rows)
    frame.insert(1, "read_out", name)
    order = frame["carried"].where(frame["kind"] != ALL, np.inf)
    return frame.iloc[np.argsort(-order, kind="stable")].reset_index(drop=True)


def _row(name: str, texts: pd.DataFrame) -> dict:
    weight = texts["weight"].to_numpy()
    nats = float(weight @ texts["nats"] / weight.sum())
    of_subject = (texts["weight"] * (texts["nats"] - nats)).groupby(
        texts["subject"]
    )
    parts = of_subject.sum().to_numpy() / weight.sum()
    groups = len(parts)
    error = np.nan
    if groups > 1:
        error = float(np.sqrt(groups / (groups - 1) * (parts @ parts)))
    return {
        "kind": name,
        "nats": nats,
        "standard_error": error,
        "share": float(weight.sum()),
        "carried": float(nats * weight.sum()),
        "n_sentences": len(texts),
        "n_subjects": groups,
    }


def _contributions(pairs: HeldOut, name: str) -> np.ndarray:
    """`(T,)` what each text adds to the read-out: the mean over its images."""
    images, texts = _matched(pairs)
    own = pairs.scores[images, texts].astype(float)
    if name == "donsker_varadhan":
        values = own - partition(pairs, lambda f: f).log_mean
    else:
        rows, columns = _log_mean_negatives(pairs)
        forward = _told_apart(own, *(part[images] for part in rows))
        backward = _told_apart(own, *(part[texts] for part in columns))
        values = {
            "infonce_image_to_text": forward,
            "infonce_text_to_image": backward,
            "infonce_symmetric": (forward + backward) / 2,
        }[name]
    count = len(pairs.text_studies)
    return np.bincount(texts, values, count) / np.bincount(texts, None, count)


def _matched(pairs: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Image and text of each matched pair."""
    order = np.argsort(pairs.image_studies, kind="stable")
    ranked = pairs.image_studies[order]
    first = np.searchsorted(ranked, pairs.text_studies, side="left")
    last = np.searchsorted(ranked, pairs.text_studies, side="right")
    images = [order[a:b] for a, b in zip(first, last, strict=True)]
    return np.concatenate(images), np.repeat(
        np.arange(len(first)), last - first
    )


def _told_apart(
    own: np.ndarray, log_mean: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """InfoNCE of each pair among `count` negatives, in nats."""
    everyone = np.logaddexp(own, log_mean + np.log(count))
    return own - everyone + np.log1p(count)


def _log_mean_negatives(
    pairs: HeldOut,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Log-mean-exp and number of the negatives of each image and each text."""
    images, texts = pairs.scores.shape
    weights = pairs.text_weights
    by_image, image_counts = np.empty(images), np.empty(images)
    by_text, text_counts = np.full(texts, -np.inf), np.zeros(texts)
    for rows, scores, negatives in pairs.blocks():
        kept = np.where(negatives, scores, -np.inf)
        # Each row and column by its own peak: their gauges may lie far apart.
        sums = np.logaddexp.reduce(kept + np.log(weights), axis=1)
        by_image[rows] = sums - np.log(negatives @ weights)
        image_counts[rows] = negatives.sum(axis=1)
        by_text = np.logaddexp(by_text, np.logaddexp.reduce(kept, axis=0))
        text_counts += negatives.sum(axis=0)
    by_text -= np.log(text_counts)
    return (by_image, image_counts), (by_text, text_counts)
