"""What a bound is of: all pairs of the batches of all replicas, scored."""

import dataclasses

import tensorflow as tf
from keras import ops

from kerasmi import distribute, pair_scores, regions, repeated_texts
from kerasmi.critics import Critic
from kerasmi.models import pair_inputs
from kerasmi.pairs import IGNORED, label_pairs
from kerasmi.types import Tensor


@dataclasses.dataclass(frozen=True)
class Rules:
    """How the regions of an image count, and whose negatives.

    Attributes:
        region: of `regions.REGION_RULES`.
        temperature: of `"logsumexp"`, a scalar.
        negatives: `"global"` or `"replica"`.
    """

    region: str
    temperature: Tensor
    negatives: str

    @property
    def of_pairs(self) -> str:
        """The rule as a function of (image, text), which `matched` is not."""
        return "max" if self.region == "matched" else self.region

    @property
    def held_out(self) -> "Rules":
        """The same, with the rule that a bound is read by."""
        return dataclasses.replace(self, region=self.of_pairs)


def reduced(
    critic: Critic,
    rules: Rules,
    image_features: Tensor,
    text_features: Tensor,
    study_ids: Tensor,
    is_text: Tensor,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels, scores, weights of regions and scores to report of all pairs.

    Each replica scores its own texts against the images of all replicas (the
    critic's work is shared), then the columns are gathered, so that every
    replica holds the same matrix and any bound can be read from it. With
    `negatives="replica"` it scores its own images alone, and the pairs of two
    replicas are ignored, with a score of 0.

    Args:
        critic: built.
        rules: of regions and negatives.
        image_features: `(b, N, D_image)` of this replica.
        text_features: `(b, K, D_text)` of this replica.
        study_ids: `(b,)` int64.
        is_text: `(b, K)` int32, 0 for padding alone.
        training: whether the critic's normalisation uses the batch.

    Returns:
        pairs `(B, B * K)` int32 in {1, 0, -1}, scores `(B, B * K)` float32,
        the weights `(B, N, K)` of the regions of each image for its own texts,
        and the scores `(B, B * K)` that a bound is reported of: the same, but
        those of `max`, without a gradient, where the rule is `matched`. `B`
        counts the images of all replicas.
    """
    K = ops.shape(text_features)[1]
    is_shared = rules.negatives == "global"
    if is_shared:
        image_features = distribute.gather(image_features)
    # the name that a profile shows its work under
    with tf.name_scope("critic"):
        images, texts = critic.project(
            image_features, rows(text_features), training
        )
        weights = critic.head_weights()
        by_image = ops.reshape(texts, (-1, K, texts.shape[-1]))
        own_images = distribute.own(images) if is_shared else images
        own = _own_weights(critic, rules, own_images, by_image, weights)
        chosen = distribute.gather(own) if is_shared else own
        # reports are hardly ever alike, sentences are
        is_one = text_features.shape[1] == 1
        if rules.region == "matched":
            fixed = _without_gradient(images, texts, weights)
            found = [
                pair_scores.matched_scores(
                    critic, images, by_image, weights, chosen
                ),
                _scores_of_pairs(critic, rules, *fixed, is_one),
            ]
        else:
            found = [
                _scores_of_pairs(critic, rules, images, texts, weights, is_one)
            ]
        if not training:
            # a step of training knows it by its gradient, at no cost
            unknown = pair_inputs.unknown_where_unknown
            found = [unknown(image_features, scores) for scores in found]
    # one gather of both, as replicas must take their gathers in one order
    both = ops.stack(found, axis=1)
    if not is_shared:
        pairs = _labels(rules, study_ids, is_text)
        pairs = distribute.block_diagonal(pairs, fill=IGNORED)
        both = distribute.block_diagonal(both)
        return pairs, both[:, 0], distribute.gather(own), both[:, -1]
    study_ids, is_text = map(distribute.gather, (study_ids, is_text))
    pairs = _labels(rules, study_ids, is_text)
    both = distribute.gather(both, axis=2)
    return pairs, both[:, 0], chosen, both[:, -1]


def rows(text_features: Tensor) -> Tensor:
    """`(B, K, D_text)` -> `(B * K, D_text)`, as a critic takes texts."""
    return ops.reshape(text_features, (-1, text_features.shape[-1]))


def _labels(rules: Rules, study_ids: Tensor, is_text: Tensor) -> Tensor:
    """Labels `(B, B * K)`; pairs of a text that there is not are ignored."""
    pairs = label_pairs(study_ids, ops.shape(is_text)[1])
    counted = ops.reshape(is_text, (1, -1)) > 0
    if rules.region == "matched":
        # a region of such an image is chosen by none of its texts
        chosen = ops.tile(is_text, (1, ops.shape(is_text)[0])) > 0
        counted = ops.logical_and(counted, chosen)
    return ops.where(counted, pairs, IGNORED)


def _scores_of_pairs(
    critic: Critic,
    rules: Rules,
    images: Tensor,
    texts: Tensor,
    weights: list[Tensor],
    is_one: bool,
) -> Tensor:
    """Scores `(B, b * K)` by a rule of an image and a text alone."""
    repeats = not is_one and repeated_texts.pays()
    kind = repeated_texts if repeats else pair_scores
    return kind.reduced_scores(
        critic, images, texts, weights, rules.of_pairs, rules.temperature
    )


def _without_gradient(
    images: Tensor, texts: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    images, texts, *weights = map(ops.stop_gradient, (images, texts, *weights))
    return images, texts, weights


def _own_weights(
    critic: Critic,
    rules: Rules,
    images: Tensor,
    texts: Tensor,
    weights: list[Tensor],
) -> Tensor:
    """Weights of the regions for each image's own texts, `(b, N, K)`.

    From the `(b, N, H)` and `(b, K, H)` projections of this replica, without
    a gradient. Of `matched` it is the region of the best own score.
    """
    images, texts, weights = _without_gradient(images, texts, weights)
    scores = critic.row_scores(images[:, :, None], texts[:, None], weights)
    own = regions.region_weights(scores, rules.of_pairs, rules.temperature)
    return ops.stop_gradient(own)
