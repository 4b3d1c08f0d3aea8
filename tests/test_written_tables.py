import numpy as np
import pandas as pd

from kerasmi import written_tables


def test_words_stay_words_and_numbers_numbers(tmp_path):
    frame = pd.DataFrame(
        {
            "subject_id": ["NA", "007", "null"],
            "label": ["None", "01", "1e5"],
            "score": [0.5, np.nan, -np.inf],
            "count": [1, 2, 3],
            "note": ["", "not defined", ""],
        }
    )
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    read = written_tables.read(path)
    for name in ("subject_id", "label", "score", "count"):
        pd.testing.assert_series_equal(read[name], frame[name])
    assert read["note"].isna().tolist() == [True, False, True]


def test_kinds_are_as_asked(tmp_path):
    path = tmp_path / "table.csv"
    pd.DataFrame({"label": ["a", "b"], "n": [1.0, None]}).to_csv(path)
    assert written_tables.read(path, {"n": "Int64"})["n"].dtype == "Int64"
