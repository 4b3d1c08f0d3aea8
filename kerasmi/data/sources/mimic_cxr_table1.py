"""The paper's Table 1, and ours beside it."""

import pandas as pd

from kerasmi.data.schema import BLANK, EDEMA_SEVERITY, UNCERTAIN

# Training and test images with a label of 0 or 1 (or a severity). Five test
# counts are printed in the paper (Support Devices to Lung Opacity); the others
# were counted in the authors' published test files.
TABLE1 = {
    "Support Devices": (76_492, 286),
    "Cardiomegaly": (65_129, 404),
    "Consolidation": (20_074, 95),
    "Edema": (56_203, 373),
    "Lung Opacity": (58_105, 318),
    "Pleural Effusion": (86_871, 451),
    "Pneumonia": (43_951, 195),
    "Pneumothorax": (56_472, 191),
    "Atelectasis": (50_416, 262),
    EDEMA_SEVERITY: (7_066, 141),
}


def against_paper(images: pd.DataFrame) -> pd.DataFrame:
    """Counts the labelled images of each set beside the paper's Table 1.

    The paper drops uncertain and blank labels, and has no validation set: its
    training images compare with `train` and `validation` together.

    Args:
        images: `Dataset.images`: `split` and the columns of the labels.

    Returns:
        One row for each label of Table 1 that `images` has: `label`, `train`,
        `validation`, `paper_train`, `train_difference` (train + validation -
        paper_train), `test`, `paper_test`, `test_difference`.
    """
    rows = []
    for label, (paper_train, paper_test) in TABLE1.items():
        if label not in images:
            continue
        used = ~images[label].isin([UNCERTAIN, BLANK])
        counts = images.loc[used, "split"].value_counts()
        train, validation, test = (
            int(counts.get(split, 0))
            for split in ("train", "validation", "test")
        )
        rows.append(
            {
                "label": label,
                "train": train,
                "validation": validation,
                "paper_train": paper_train,
                "train_difference": train + validation - paper_train,
                "test": test,
                "paper_test": paper_test,
                "test_difference": test - paper_test,
            }
        )
    return pd.DataFrame(rows)
