"""The text encoder in training, against KerasHub's layers on the same weights.

    python -m benchmarks.text_encoder
    python -m benchmarks.text_encoder --cases "phantom, 16" --rounds 9

Forward and backward of a batch with dropout 0.1, in turn; processor time, a
median of rounds with the least and the most. KerasHub's side, too, computes
the last layer for [CLS] alone (`kerasmi.models.first_token`). Every batch has
other texts. BERT-base is cut to `--layers`; a layer more costs the same again.
Of the processor alone: a GPU is hidden.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import interleaved, sides


class Case(NamedTuple):
    """Texts `(images, per_image, length)`, some alike, some shorter."""

    images: int
    per_image: int
    length: int
    distinct: int
    tokens: tuple[int, int]
    phantom: bool = False


CASES = {
    "phantom, 96 x 16": Case(16, 6, 16, 70, (4, 15), phantom=True),
    "phantom, 96 x 24": Case(16, 6, 24, 70, (4, 19), phantom=True),
    "BERT-base, 8 x 320, no padding": Case(8, 1, 320, 8, (320, 320)),
    "BERT-base, 8 x 320, reports of 62-112": Case(8, 1, 320, 8, (62, 112)),
    "BERT-base, 8 x 112, no padding": Case(8, 1, 112, 8, (112, 112)),
    "BERT-base, 8 x 112, reports of 62-112": Case(8, 1, 112, 8, (62, 112)),
    "BERT-base, 8 x 32, no padding": Case(8, 1, 32, 8, (32, 32)),
    "BERT-base, 8 x 32, sentences of 12-27": Case(8, 1, 32, 8, (12, 27)),
}


def encoder(case: Case, layers: int) -> Any:
    """A text encoder of fresh weights."""
    import keras

    from kerasmi.models.exact_bert import ExactBertBackbone
    from kerasmi.models.text_encoder import SPECIAL_TOKENS, TextEncoder

    keras.utils.set_random_seed(0)
    if case.phantom:
        words = [f"word{index}" for index in range(318)]
        return TextEncoder.phantom([*SPECIAL_TOKENS, *words])
    backbone = ExactBertBackbone(
        vocabulary_size=28_996,
        num_layers=layers,
        num_heads=12,
        hidden_dim=768,
        intermediate_dim=3072,
    )
    return TextEncoder(backbone)


def batch(case: Case, vocabulary: int, seed: int) -> dict[str, Any]:
    """Texts at random, the first of them the longest."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    least, most = case.tokens
    lengths = rng.integers(least, most + 1, case.distinct)
    lengths[0] = most
    mask = np.arange(case.length) < lengths[:, None]
    ids = rng.integers(5, vocabulary, mask.shape) * mask
    texts = case.images * case.per_image
    again = rng.integers(0, case.distinct, texts - case.distinct)
    which = rng.permutation([*range(case.distinct), *again])
    shape = (case.images, case.per_image, case.length)
    return {
        "token_ids": tf.constant(ids[which].reshape(shape), tf.int32),
        "padding_mask": tf.constant(mask[which].reshape(shape)),
    }


def side(
    made: Any, batches: list[dict[str, Any]], features: Callable[[Any], Any]
) -> Callable[[], object]:
    """Gradients of all weights for each batch."""
    import tensorflow as tf

    values = [v.value for v in made.trainable_variables]

    @tf.function(reduce_retracing=True)
    def step(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(features(inputs) ** 2)
        # something of each gradient, so that none is left out
        used = tape.gradient(loss, values)
        parts = [getattr(gradient, "values", gradient)[:1] for gradient in used]
        return loss, [tf.reduce_sum(part) for part in parts]

    def run() -> None:
        for inputs in batches:
            loss, _ = step(inputs)
            loss.numpy()

    return run


def measured(case: Case, layers: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of both sides for all batches of a round."""
    import tensorflow as tf

    made = encoder(case, layers)
    vocabulary = made.backbone.vocabulary_size
    count = 10 if case.phantom else 1
    batches = [batch(case, vocabulary, seed) for seed in range(count)]

    def kerashub(inputs: dict[str, Any]) -> Any:
        shape = (-1, case.length)
        ids = tf.reshape(inputs["token_ids"], shape)
        mask = tf.cast(tf.reshape(inputs["padding_mask"], shape), tf.int32)
        return made._features(ids, mask, training=True)

    def kerasmi(inputs: dict[str, Any]) -> Any:
        return made(inputs, training=True)

    both = {
        "KerasHub": side(made, batches, kerashub),
        "kerasmi": side(made, batches, kerasmi),
    }
    spent = interleaved.processor_seconds(both, rounds)
    return {name: [s / count for s in each] for name, each in spent.items()}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments = parser.parse_args()
    if len(arguments.threads) > 1:
        words = ["--cases", *arguments.cases, "--layers", str(arguments.layers)]
        words += ["--rounds", str(arguments.rounds)]
        sides.each_threads("benchmarks.text_encoder", words, arguments.threads)
        return
    sides.hold(*arguments.threads)
    sides.hide_gpus()
    print("| texts | KerasHub, ms | kerasmi, ms | KerasHub / kerasmi |")
    print("|---|---|---|---|")
    for name in arguments.cases:
        spent = measured(CASES[name], arguments.layers, arguments.rounds)
        print(
            f"| {name} "
            f"| {interleaved.cells(spent['KerasHub'])} "
            f"| {interleaved.cells(spent['kerasmi'])} "
            f"| {interleaved.ratio(spent['KerasHub'], spent['kerasmi'])} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
