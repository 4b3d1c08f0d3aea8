"""Where the right candidate stands among all, ties counted exactly.

Candidates of equal score stand in random order: every value below is the
expectation over it. So a critic that cannot tell candidates apart reads what
chance gives, and never more.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ranks:
    """How the best right candidate of each query stands.

    Attributes:
        better: `(Q,)` int, wrong candidates with a higher score.
        tied: `(Q,)` int, wrong candidates with the same score.
        right: `(Q,)` int, right candidates with that score, at least 1.
    """

    better: np.ndarray
    tied: np.ndarray
    right: np.ndarray

    @property
    def rank(self) -> np.ndarray:
        """`(Q,)` expected rank of the first right candidate, the best is 1."""
        return self.better + (self.tied + self.right + 1) / (self.right + 1)

    def hits(self, k: int) -> np.ndarray:
        """`(Q,)` probability that a right candidate is among the first k."""
        missed = np.ones(len(self.better))
        for place in range(k):
            wrong = np.maximum(self.tied - place, 0)
            among = np.maximum(self.tied + self.right - place, 1)
            drawn = place < k - self.better
            missed = np.where(drawn, missed * wrong / among, missed)
        return 1.0 - missed


def rank(scores: np.ndarray, right: np.ndarray) -> Ranks:
    """Ranks the candidates of each query by their scores.

    Args:
        scores: `(Q, C)` float, higher is better.
        right: `(Q, C)` bool, which candidates are right.

    Raises:
        ValueError: other shapes, scores that are not finite, or a query
            without a right candidate.
    """
    scores, right = np.asarray(scores), np.asarray(right, bool)
    if scores.ndim != 2 or scores.shape != right.shape:
        raise ValueError(
            "scores and right must be two (queries, candidates) of one shape. "
            f"Received: {scores.shape} and {right.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("Scores must be finite; the critic has diverged.")
    if not right.any(axis=1).all():
        raise ValueError("Every query needs a right candidate.")
    best = scores.max(axis=1, where=right, initial=-np.inf)[:, None]
    same = scores == best
    return Ranks(
        ((scores > best) & ~right).sum(axis=1),
        (same & ~right).sum(axis=1),
        (same & right).sum(axis=1),
    )


def chance(right: np.ndarray, candidates: int) -> Ranks:
    """What a critic gives that scores every candidate the same.

    Args:
        right: `(Q,)` int, right candidates of each query.
        candidates: all candidates of a query.
    """
    right = np.asarray(right)
    return Ranks(np.zeros_like(right), candidates - right, right)
