"""Records of images with their reports, and the batches made of them.

`write` makes a data set of `Record`s, `Dataset.open` opens it, `pairs` and
`labelled` stream it. Names load on first use, so that a command that only
describes a data set does not wait for TensorFlow.
"""

import importlib
from typing import Any

_HOME = {
    "Record": "schema",
    "Dataset": "dataset",
    "read": "records",
    "write": "records",
    "Augmentation": "augment",
    "pairs": "pipeline",
    "labelled": "pipeline",
    "explain_data_error": "faults",
}

__all__ = [
    "Augmentation",
    "Dataset",
    "Record",
    "explain_data_error",
    "labelled",
    "pairs",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
