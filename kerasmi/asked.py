"""A sentence that a user types, for a trained text encoder."""

import numpy as np

from kerasmi.errors import DataError
from kerasmi.features import Features
from kerasmi.reporter import Reporter


def cleaned(sentence: str) -> str:
    """The sentence in one line, its spaces single, as records hold theirs.

    Raises:
        DataError: it holds neither a letter nor a digit.
    """
    words = " ".join(sentence.split())
    if not any(letter.isalnum() for letter in words):
        raise DataError(
            f"the sentence {sentence!r} is empty: it holds no word; give one"
            ' in quotes, such as "The heart is large."'
        )
    return words


def encoded(
    features: Features, sentence: str, reporter: Reporter
) -> np.ndarray:
    """`(1, D_text)` of a sentence; warns of what of it cannot be read."""
    for remark in features.unread(sentence):
        reporter.warning(f"{sentence!r}: {remark}")
    return features.texts([sentence])
