"""Splits: a subject's images stay together."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from kerasmi.data.schema import SPLITS
from kerasmi.errors import DataError
from kerasmi.reporter import counted


def by_subject(
    subject_ids: Iterable[str], fractions: Mapping[str, float], seed: int = 0
) -> np.ndarray:
    """Assigns each subject to a split by a hash of its id.

    A subject's split depends on nothing but its id, the fractions and the
    seed: neither the order nor the other subjects move it, so that a data set
    may grow without leaking. The shares are met on average.

    Args:
        subject_ids: `n` ids, with repeats.
        fractions: Split to its share of the subjects; they sum to 1.
        seed: Another seed, another split.

    Returns:
        `(n,)` names of splits.
    """
    if set(fractions) - set(SPLITS):
        raise ValueError(
            f"fractions must name splits among {SPLITS}, received "
            f"{list(fractions)}."
        )
    shares = [fractions.get(split, 0.0) for split in SPLITS]
    # asked this way, since nothing is true of a share that is no number
    if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):
        given = ",".join(f"{name}={fractions[name]:g}" for name in fractions)
        raise ValueError(
            f"received {given}; none may be negative and they must sum to 1 "
            "(a split left out is 0)."
        )
    present = [split for split in SPLITS if fractions.get(split, 0.0) > 0]
    edges = np.cumsum([fractions[split] for split in present])[:-1]
    numbers = [_uniform(subject, seed) for subject in subject_ids]
    return np.asarray(present)[np.searchsorted(edges, numbers, side="right")]


def assert_disjoint(frame: pd.DataFrame) -> None:
    """Checks that no subject is in two splits.

    Args:
        frame: Has the columns `subject_id` and `split`.

    Raises:
        DataError: Names the first such row and the splits of its subject,
            whom it does not name.
    """
    pairs = frame[["subject_id", "split"]].drop_duplicates()
    twice = pairs[pairs.duplicated("subject_id", keep=False)]
    if len(twice):
        first = twice[twice["subject_id"] == twice["subject_id"].iloc[0]]
        raise DataError(
            f"the subject of row {first.index[0]} is in the splits "
            f"{' and '.join(first['split'])} "
            "(in more than one: "
            f"{counted(twice['subject_id'].nunique(), 'subject')}); a subject "
            "must stay in one split."
        )


def _uniform(subject: str, seed: int) -> float:
    """Returns a number in [0, 1) that depends on the two alone."""
    digest = hashlib.blake2b(f"{seed}:{subject}".encode(), digest_size=8)
    return (int.from_bytes(digest.digest(), "big") >> 11) / 2.0**53
