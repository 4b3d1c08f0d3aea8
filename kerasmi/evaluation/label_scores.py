"""Scores of images for labels as a table of predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kerasmi.evaluation.predictions import COLUMNS


def table(
    rows: pd.DataFrame,
    labels: Sequence[str],
    targets: np.ndarray,
    scores: np.ndarray,
    task: str,
    encoder: str,
) -> pd.DataFrame:
    """Scores as a table of predictions, for `kerasmi.evaluation.auc.evaluate`.

    Args:
        rows: one row per image: image_id, study_id, subject_id, split.
        labels: L names.
        targets: `(I, L)` 0, 1 or -1 (ignored).
        scores: `(I, L)` float.
        task: what the labels belong to.
        encoder: what gave the scores.
    """
    identity = rows[["image_id", "study_id", "subject_id", "split"]]
    frames = [
        identity.assign(
            task=task,
            encoder=encoder,
            label=label,
            target=targets[:, k].astype(int),
            score=scores[:, k],
        )
        for k, label in enumerate(labels)
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]
