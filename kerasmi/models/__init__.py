"""Encoders, the joint model and the classifier.

Importing this package registers all that a saved model is made of:
`import kerasmi.models`, then `keras.saving.load_model(...)`.
"""

from kerasmi import critics, losses, optimizers  # noqa: F401 (registered)
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.text_encoder import TextEncoder, build_vocabulary
from kerasmi.models.tokenizer import Tokenizer

__all__ = [
    "ImageClassifier",
    "ImageEncoder",
    "ImageTextModel",
    "TextEncoder",
    "Tokenizer",
    "build_vocabulary",
]
