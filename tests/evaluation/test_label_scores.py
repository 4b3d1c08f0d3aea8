"""Scores by label become a table that auc.evaluate reads."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kerasmi.evaluation import auc, label_scores
from kerasmi.evaluation.predictions import COLUMNS


def test_the_table_gives_the_aucs_of_the_columns():
    rng = np.random.default_rng(0)
    n = 40
    rows = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "study_id": [f"s{k}" for k in range(n)],
            "subject_id": [f"p{k // 2}" for k in range(n)],
            "split": "test",
            "view": "PA",
        }
    )
    targets, scores = rng.integers(-1, 2, (n, 2)), rng.normal(size=(n, 2))
    found = label_scores.table(rows, ["b", "a"], targets, scores, "t", "e")
    assert tuple(found.columns) == COLUMNS
    assert len(found) == 2 * n
    assert set(found["task"]) == {"t"}
    assert set(found["encoder"]) == {"e"}
    values = auc.evaluate(found, resamples=5).set_index("label")["value"]
    for k, label in enumerate(["b", "a"]):
        known = targets[:, k] >= 0
        expected = roc_auc_score(targets[known, k], scores[known, k])
        assert values[label] == pytest.approx(expected)
