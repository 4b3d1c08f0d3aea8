"""Texts that stand in a batch more than once are scored once.

Of the sentences of a batch of reports many are alike, and the encoder gives
them one feature. Their scores are then the same, and so is the sum of their
gradients: the function is that of `kerasmi.pair_scores`.

Rows are matched by value. Other texts whose projections are equal to the last
bit, as of a layer that starts at zero, have the right scores too, but the whole
gradient goes to the first of them.
"""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from kerasmi import pair_scores
from kerasmi.types import Tensor

# the texts that are scored are filled up to a multiple
MULTIPLE = 4


def pays() -> bool:
    """Whether repeated texts are looked for here.

    Returns:
        False inside a function that XLA compiles, whose shapes are fixed, and
        beside a GPU, which would wait for their number.
    """
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        return False
    return not tf.config.list_physical_devices("GPU")


def reduced_scores(
    head: pair_scores.Head,
    image: Tensor,
    text: Tensor,
    weights: list[Tensor],
    rule: str = "max",
    temperature: float | Tensor = 1.0,
) -> Tensor:
    """`pair_scores.reduced_scores`, with each distinct text scored once.

    Args:
        head: of a critic.
        image: `(B, N, H)` float projections of regions.
        text: `(C, H)` float projections of texts; rows of the same bits are
            one text.
        weights: of the head.
        rule: `"max"`, `"logsumexp"` or `"mean"`.
        temperature: of `"logsumexp"`, without a gradient.

    Returns:
        `(B, C)`.
    """
    distinct, which = tf.raw_ops.UniqueV2(
        x=tf.stop_gradient(text), axis=tf.constant([0])
    )
    which = tf.ensure_shape(which, text.shape[:1])
    number, texts = tf.shape(distinct)[0], tf.shape(which)[0]
    first = tf.math.unsorted_segment_min(tf.range(texts), which, number)
    # oneDNN compiles a kernel for each number: the first text again fills up
    fill = tf.minimum(-number % MULTIPLE, texts - number)
    first = tf.pad(first, [[0, fill]])
    scores = pair_scores.reduced_scores(
        head,
        image,
        tf.gather(text, first),
        weights,
        rule,
        temperature,
        most_texts=text.shape[0],
    )
    return tf.gather(scores, which, axis=1)
