"""The AUCs that the paper printed, to stand beside ours.

Liao et al., "Multimodal Representation Learning via Maximizing Local Mutual
Information", MICCAI 2021, Tables 2 and 3: two decimals, no seeds, no intervals.
"""

import pandas as pd

from kerasmi.evaluation.variants import IMAGE_ONLY, Method

SOURCE = "paper (MIMIC-CXR)"
CITATION = "Liao et al., MICCAI 2021, doi:10.1007/978-3-030-87196-3_26"
# What its captions say of the averages, which its tables do not hold.
AVERAGES = {
    "edema_severity": "tuned local-mi .88 ± .05, tuned global-mi .85 ± .06",
    "pathology9": "tuned local-mi .84 ± .05, tuned global-mi .81 ± .05",
}

# The order of the columns below: that of the paper's rows, CPC before MINE.
_METHODS = (
    Method(IMAGE_ONLY, "image_only"),
    Method("global-mi-cpc", "frozen"),
    Method("global-mi-mine", "frozen"),
    Method("global-mi-cpc", "tuned"),
    Method("global-mi-mine", "tuned"),
    Method("local-mi-cpc", "frozen"),
    Method("local-mi-mine", "frozen"),
    Method("local-mi-cpc", "tuned"),
    Method("local-mi-mine", "tuned"),
)
_AUCS = {
    "edema_severity": {
        "Edema Severity 0|123": ".80 .81 .83 .81 .82 .77 .76 .87 .83",
        "Edema Severity 01|23": ".71 .77 .78 .79 .81 .72 .76 .83 .85",
        "Edema Severity 012|3": ".90 .93 .89 .93 .93 .75 .86 .97 .93",
    },
    "pathology9": {
        "Atelectasis": ".76 .65 .63 .74 .77 .74 .61 .73 .86",
        "Cardiomegaly": ".71 .79 .79 .81 .81 .73 .77 .82 .84",
        "Consolidation": ".78 .67 .65 .81 .82 .65 .65 .83 .83",
        "Edema": ".89 .81 .81 .87 .88 .78 .80 .89 .89",
        "Lung Opacity": ".86 .69 .68 .83 .84 .66 .69 .82 .88",
        "Pleural Effusion": ".69 .74 .74 .90 .90 .69 .72 .92 .92",
        "Pneumonia": ".75 .71 .70 .75 .76 .61 .66 .78 .79",
        "Pneumothorax": ".65 .65 .66 .75 .77 .70 .67 .79 .76",
        "Support Devices": ".72 .70 .68 .77 .79 .72 .74 .87 .81",
    },
}


def aucs(task: str) -> pd.DataFrame:
    """The published AUCs of a task: `variant`, `encoder`, `label`, `mean`."""
    rows = [
        {
            "variant": method.variant,
            "encoder": method.encoder,
            "label": label,
            "mean": float(value),
        }
        for label, values in _AUCS.get(task, {}).items()
        for method, value in zip(_METHODS, values.split(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["variant", "encoder", "label", "mean"])
