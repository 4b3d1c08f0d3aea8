"""Features and scores of a trained joint model, in blocks of bounded memory."""

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from keras import ops

from kerasmi import (
    critics,  # noqa: F401  registers what a run was saved with
    round_numbers,
    side_by_side,
)
from kerasmi.data import augment, pipeline, texts
from kerasmi.data.dataset import Dataset
from kerasmi.errors import RunError
from kerasmi.models import loading, parts
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.recipe import Recipe
from kerasmi.runs import RECIPE, Run
from kerasmi.types import Tensor

PRETRAIN = "pretrain"
IMAGES_AT_ONCE = 64
TEXTS_AT_ONCE = 128
PAIRS_AT_ONCE = 16
# The critic's hidden layers hold a few hundred floats for each.
SCORES_AT_ONCE = 200_000
_UNKNOWN = "[UNK]"


class Features:
    """The encoders and the critic of a recipe, applied to any number.

    All results are float32 arrays; training-time randomness is off.

    Args:
        recipe: says how images and texts are prepared.
        model: the trained model.

    Attributes:
        recipe: as given.
        model: as given.
    """

    def __init__(self, recipe: Recipe, model: ImageTextModel) -> None:
        self.recipe = recipe
        self.model = model
        self._tokenizer = model.text_encoder.word_pieces
        size = recipe.data.image_size
        image = _spec(None, size, size, 1)
        ids, mask = (
            _spec(None, 1, None, of=tf.int32),
            _spec(None, 1, None, of=tf.bool),
        )
        self._image = round_numbers.of_rows(
            round_numbers.traced(self._encode_images, image)
        )
        self._text = round_numbers.of_rows(
            round_numbers.traced(self._encode_texts, ids, mask),
            # their lengths differ too: fewer rows for each of them
            round_numbers.power_of_two,
        )
        regions = _spec(*model.image_encoder.output_shape)
        text = _spec(None, 1, parts.text_dim(model.text_encoder))
        self._score = round_numbers.of_pairs(
            round_numbers.traced(model.score, regions, text)
        )
        self._region_scores = round_numbers.traced(
            model.region_scores, regions, text
        )

    @classmethod
    def open(cls, run: Run) -> "Features":
        """The model of a run's finished pretraining.

        Raises:
            RunError: the run does not pretrain, has not done so yet, or its
                model cannot be read.
        """
        check(run)
        path = run.path / PRETRAIN / "model.keras"
        model = loading.of_run(path)
        if not isinstance(model, ImageTextModel):
            raise RunError(
                f"{path}: a {type(model).__name__}, not the model of a run;"
                " restore the file, or run the recipe anew"
            )
        return cls(run.recipe, model)

    @property
    def is_local(self) -> bool:
        """Whether texts are sentences, and an image has several regions."""
        target = self.recipe.objective
        return target is not None and target.scope == "local"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the regions; `(1, 1)` with the global scope."""
        return self.model.image_encoder.grid

    # === Features ===

    def regions(
        self,
        dataset: Dataset,
        split: str,
        image_ids: Iterable[str] | None,
    ) -> np.ndarray:
        """`(I, N, D_image)`, in the order of the data set."""
        return np.concatenate(
            list(self.region_blocks(dataset, split, image_ids))
        )

    def region_blocks(
        self,
        dataset: Dataset,
        split: str,
        image_ids: Iterable[str] | None,
    ) -> Iterator[np.ndarray]:
        """Yields `(b, N, D_image)`, in the order of the data set."""
        batches, _ = pipeline.images(
            dataset,
            split,
            batch_size=IMAGES_AT_ONCE,
            image_size=self.recipe.data.image_size,
            image_ids=image_ids,
        )
        yield from side_by_side.each(lambda b: self._image(b).numpy(), batches)

    def regions_of_pngs(self, pngs: Sequence[bytes]) -> np.ndarray:
        """`(I, N, D_image)` of a few images as grayscale PNGs."""
        size = self.recipe.data.image_size
        return self._image(augment.load(tf.constant(list(pngs)), size)).numpy()

    def texts(self, sentences: Sequence[str]) -> np.ndarray:
        """`(T, D_text)` of sentences or reports."""
        blocks = (
            self._pack(sentences[start : start + TEXTS_AT_ONCE])
            for start in range(0, len(sentences), TEXTS_AT_ONCE)
        )
        found = side_by_side.each(lambda b: self._text(*b).numpy(), blocks)
        return np.concatenate(list(found))

    def unread(self, sentence: str) -> list[str]:
        """What of a sentence the text encoder cannot read, in words.

        Unknown is a word that becomes [UNK], or is spelled out letter by
        letter as a small vocabulary does with words of no training report.

        Returns:
            Remarks such as that some words are unknown; empty if it reads all.
        """
        words = re.findall(r"\w+|[^\w\s]", sentence)
        tokenizer = self.model.text_encoder.tokenizer
        pieces = [
            [tokenizer.id_to_token(int(number)) for number in row.numpy()]
            for row in self._tokenizer(tf.constant(words))
        ]
        unknown = [
            word
            for word, own in zip(words, pieces, strict=True)
            if _UNKNOWN in own or _is_spelled_out(own)
        ]
        remarks = []
        if unknown:
            named = ", ".join(dict.fromkeys(unknown))
            remarks.append(f"unknown to the text encoder: {named}")
        number = sum(map(len, pieces))
        most = self.recipe.text_encoder.max_tokens - 2
        if number > most:
            remarks.append(
                f"only the first {most} of its {number} word pieces are read"
            )
        return remarks

    # === Scores ===

    def scores(self, regions: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """`(I, T)` scores of all images with all texts, regions reduced.

        Args:
            regions: `(I, N, D_image)`.
            texts: `(T, D_text)`.
        """
        found = np.empty((len(regions), len(texts)), np.float32)
        most = max(1, SCORES_AT_ONCE // regions.shape[1])
        wide = max(1, min(len(texts), round_numbers.rounded_down(most)))
        high = round_numbers.rounded_down(max(1, most // wide))

        def fill(left: int, top: int) -> None:
            columns = tf.constant(texts[left : left + wide, None])
            rows = tf.constant(regions[top : top + high])
            block = self._score(rows, columns).numpy()
            found[top : top + high, left : left + wide] = block

        corners = itertools.product(
            range(0, len(texts), wide), range(0, len(regions), high)
        )
        for _ in side_by_side.each(lambda corner: fill(*corner), corners):
            pass
        return found

    def maps(self, regions: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """`(n, rows, columns)` score of each region of image i with text i.

        Args:
            regions: `(n, N, D_image)`.
            texts: `(n, D_text)`.
        """
        found = np.empty(regions.shape[:2], np.float32)
        for start in range(0, len(regions), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            scores = self._region_scores(
                tf.constant(regions[part]), tf.constant(texts[part, None])
            )
            own = np.arange(scores.shape[0])
            found[part] = scores.numpy()[own, :, own]
        return found.reshape(-1, *self.grid)

    def _pack(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        return texts.pack(
            tf.constant(list(sentences))[:, None],
            self._tokenizer,
            self.recipe.text_encoder.max_tokens,
            texts.HELD_OUT_BUCKETS,
        )

    def _encode_images(self, images: Tensor) -> Tensor:
        encoded = self.model.image_encoder(images, training=False)
        return ops.cast(encoded, "float32")

    def _encode_texts(self, token_ids: Tensor, padding_mask: Tensor) -> Tensor:
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        encoded = self.model.text_encoder(inputs, training=False)
        return ops.cast(encoded[:, 0], "float32")


def check(run: Run) -> None:
    """Refuses a run without a trained joint model; loads nothing.

    Raises:
        RunError: the run does not pretrain, or has not done so yet.
    """
    if run.recipe.objective is None:
        raise RunError(
            f"{run.path}: has no pretrain stage: its recipe is image-only;"
            " give a run of a recipe with an objective"
        )
    if not run.is_done(PRETRAIN):
        again = ["kerasmi", "run", str(run.path / RECIPE), "--resume"]
        again += ["--output", str(run.path)]
        raise RunError(
            f"{run.path}: its pretrain stage is not finished; continue it"
            f" with `{shlex.join(again)}`"
        )


def _is_spelled_out(pieces: list[str]) -> bool:
    return len(pieces) > 1 and all(
        len(piece.removeprefix("##")) == 1 for piece in pieces
    )


def _spec(*shape: int | None, of: tf.DType = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec(shape, of)
