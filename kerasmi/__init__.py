"""Learn image representations from image-report pairs by maximising MI.

The public names load on first use, so that `import kerasmi` does not wait for
TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ConcatCritic": "kerasmi.critics",
    "SeparableCritic": "kerasmi.critics",
    "CPC": "kerasmi.losses",
    "MINE": "kerasmi.losses",
    "MutualInformation": "kerasmi.metrics",
    "ImageClassifier": "kerasmi.models.image_classifier",
    "ImageEncoder": "kerasmi.models.image_encoder",
    "ImageTextModel": "kerasmi.models.image_text_model",
    "TextEncoder": "kerasmi.models.text_encoder",
    "Tokenizer": "kerasmi.models.tokenizer",
}
_MODULES = (
    "bounds",
    "callbacks",
    "critics",
    "data",
    "distribute",
    "errors",
    "evaluation",
    "experiment",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "pairs",
    "recipe",
    "regions",
    "runs",
)

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"kerasmi.{name}")
    raise AttributeError(f"module 'kerasmi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
