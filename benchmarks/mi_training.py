"""Trains a critic on pairs and scores held-out ones, with kerasmi's parts."""

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasmi.critics import ConcatCritic
from kerasmi.evaluation.held_out import HeldOut
from kerasmi.losses import LOSSES
from kerasmi.metrics import MutualInformation
from kerasmi.pairs import label_pairs
from kerasmi.regions import reduce_regions
from kerasmi.types import Tensor

# Region features `(n, N, D_image)` and text features `(n * m, D_text)`.
Features = tuple[np.ndarray, np.ndarray]
ROWS = 32  # images scored at a time
EVERY = 100  # steps between two looks at the validation pairs


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a training may spend.

    Attributes:
        steps: of Adam, its rate decaying by a cosine to 1 %.
        batch: images of a step.
        rate: of learning, at the start.
        hidden: widths of the critic's layers.
    """

    steps: int
    batch: int = 64
    rate: float = 1e-3
    hidden: tuple[int, ...] = (128, 128)


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A critic with its region rule: scores of images and whole texts.

    Attributes:
        critic: of regions and sentences.
        rule: of `kerasmi.regions`.
        sentences: of each text; their scores add up, as independent
            statuses do in `log p/q`.
    """

    critic: ConcatCritic
    rule: str = "max"
    sentences: int = 1

    def reduced(self, scores: Tensor) -> Tensor:
        """`(B, N, C * m)` scores of the critic to `(B, C)`."""
        scores = reduce_regions(
            scores, self.rule, texts_per_image=self.sentences
        )
        if self.sentences == 1:
            return scores
        images = ops.shape(scores)[0]
        return ops.sum(
            ops.reshape(scores, (images, -1, self.sentences)), axis=2
        )

    def __call__(self, regions: Tensor, texts: Tensor) -> Tensor:
        """Scores of every image with every text, `(B, C)` float32."""
        return self.reduced(self.critic(regions, texts))


def train(
    bound: str,
    batches: Iterator[Features],
    budget: Budget,
    seed: int,
    *,
    rule: str = "max",
    sentences: int = 1,
    validation: Features | None = None,
) -> Scorer:
    """A critic trained to maximise a bound.

    Args:
        bound: a name in `kerasmi.losses.LOSSES`.
        batches: of `budget.batch` images and their texts.
        budget: steps, batch, learning rate and widths.
        seed: of the critic's weights.
        rule: of `kerasmi.regions`.
        sentences: of each text.
        validation: pairs by whose value of `bound` the weights are chosen;
            None keeps the last ones, for batches that never repeat.

    Returns:
        The critic and its rule.
    """
    keras.utils.set_random_seed(seed)
    scorer = Scorer(ConcatCritic(budget.hidden), rule, sentences)
    step = _step(scorer, bound, budget)
    best, kept = -np.inf, None
    for number in range(1, budget.steps + 1):
        step(*map(tf.constant, next(batches)))
        if validation is not None and number % EVERY == 0:
            value = _validate(scorer, bound, validation)
            if value > best:
                best, kept = value, scorer.critic.get_weights()
    if kept is not None:
        scorer.critic.set_weights(kept)
    return scorer


def _step(scorer: Scorer, bound: str, budget: Budget) -> Callable:
    loss = LOSSES[bound]()
    schedule = keras.optimizers.schedules.CosineDecay(
        budget.rate, budget.steps, alpha=0.01
    )
    optimizer = keras.optimizers.Adam(schedule)
    labels = label_pairs(np.arange(budget.batch))

    # Nothing here branches on a tensor, so there is nothing to convert.
    @tf.function(autograph=False)
    def step(regions: tf.Tensor, texts: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            scores = scorer(regions, texts)
            value = loss(labels, scores)
        weights = scorer.critic.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)
        loss.update(labels, scores)

    return step


def _validate(scorer: Scorer, bound: str, pairs: Features) -> float:
    """The pooled value of the training bound, in blocks of 256 images."""
    metric = MutualInformation(bound)
    regions, texts = pairs
    for first in range(0, len(regions) - 255, 256):
        part = slice(first, first + 256)
        scores = scorer(tf.constant(regions[part]), tf.constant(texts[part]))
        metric.update_state(label_pairs(np.arange(256)), scores)
    return float(metric.result())


def held_out(scorer: Scorer, regions: np.ndarray, texts: np.ndarray) -> HeldOut:
    """The scores of all pairs of held-out images and texts.

    Args:
        scorer: a trained critic.
        regions: `(n, N, D_image)` float32.
        texts: `(n * m, D_text)` float32.

    Returns:
        `HeldOut` of `(n, n)` scores, each image a subject of its own.
    """
    ids, columns = np.arange(len(regions)), tf.constant(texts)
    is_selected = scorer.rule == "matched"
    # The selection needs each image's own text, so all rows at once.
    function = scorer.critic if is_selected else scorer
    of_rows = tf.function(function, autograph=False)
    blocks = (
        of_rows(tf.constant(regions[first : first + ROWS]), columns).numpy()
        for first in range(0, len(regions), ROWS)
    )
    if is_selected:
        whole = scorer.reduced(tf.constant(np.concatenate(list(blocks))))
        return HeldOut(np.asarray(whole), ids, ids)
    return HeldOut.from_blocks(blocks, ids, ids)


def one_region(x: np.ndarray) -> np.ndarray:
    """`(n, ...)` values as one region each: `(n, 1, D)` float32."""
    return x.reshape(len(x), 1, -1).astype("float32")
