"""kerasmi's AdamW against Keras's over the weights of BERT-base.

    python -m benchmarks.optimizer
    python -m benchmarks.optimizer --layers 2 --rounds 9

One update of every variable, the gradient of the word pieces being sparse as
it is in training; biases and normalisation are not decayed. Processor time, in
turn; a median of rounds with the least and the most. The last columns are what
the updates have moved a weight by at most, and how far apart the two are. Of
the processor alone: a GPU is hidden.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import interleaved, sides

_VOCABULARY, _POSITIONS, _DIM, _HIDDEN = 28_996, 512, 768, 3072
_ROWS = 900  # word pieces of a batch
BAR, LAYERS = 2.0, 12  # of the whole BERT


def shapes(layers: int) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each variable of a BERT-base."""
    found: list[tuple[str, tuple[int, ...]]] = [
        ("embeddings", (_VOCABULARY, _DIM)),
        ("embeddings", (_POSITIONS, _DIM)),
        ("embeddings", (2, _DIM)),
    ]
    norm = [("gamma", (_DIM,)), ("beta", (_DIM,))]
    square = [("kernel", (_DIM, _DIM)), ("bias", (_DIM,))]
    wider = [("kernel", (_DIM, _HIDDEN)), ("bias", (_HIDDEN,))]
    narrower = [("kernel", (_HIDDEN, _DIM)), ("bias", (_DIM,))]
    layer = [*4 * square, *norm, *wider, *narrower, *norm]
    return [*found, *norm, *layers * layer]


def side(kind: type, layers: int) -> tuple[list[Any], Callable[[], object]]:
    """The variables, and an update of them all."""
    import keras
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    variables, gradients = [], []
    for name, shape in shapes(layers):
        weights = rng.normal(0.0, 0.02, shape).astype("float32")
        variables.append(keras.Variable(weights, name=name))
        slope = rng.normal(0.0, 1e-3, shape).astype("float32")
        gradients.append(tf.constant(slope))
    rows = tf.constant(rng.permutation(_VOCABULARY)[:_ROWS])
    slopes = tf.gather(gradients[0], rows)
    gradients[0] = tf.IndexedSlices(slopes, rows, variables[0].shape)
    optimizer = kind(1e-3, weight_decay=0.01)
    if kind is keras.optimizers.AdamW:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(variables)

    @tf.function
    def update() -> Any:
        optimizer.apply(gradients, variables)
        return tf.identity(optimizer.iterations.value)

    return variables, lambda: update().numpy()


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments = parser.parse_args()
    if len(arguments.threads) > 1:
        words = ["--layers", str(arguments.layers)]
        words += ["--rounds", str(arguments.rounds)]
        sides.each_threads("benchmarks.optimizer", words, arguments.threads)
        return
    sides.hold(*arguments.threads)
    sides.hide_gpus()
    import keras
    import numpy as np

    from kerasmi.optimizers import BertAdamW

    theirs, keras_update = side(keras.optimizers.AdamW, arguments.layers)
    ours, update = side(BertAdamW, arguments.layers)
    begun = [np.array(variable) for variable in theirs]
    spent = interleaved.processor_seconds(
        {"Keras": keras_update, "kerasmi": update}, arguments.rounds
    )
    apart = moved = 0.0
    for start, a, b in zip(begun, theirs, ours, strict=True):
        a, b = np.array(a), np.array(b)
        moved = max(moved, np.abs(a - start).max())
        apart = max(apart, np.abs(a - b).max())
    parameters = sum(variable.size for variable in begun)
    both = spent["Keras"], spent["kerasmi"]
    bar = BAR if arguments.layers == LAYERS else None
    row = {
        "parameters": f"{parameters / 1e6:.0f} M",
        "Keras, ms": interleaved.cells(both[0]),
        "kerasmi, ms": interleaved.cells(both[1]),
        "Keras / kerasmi": interleaved.ratio(*both),
        "bar": sides.verdict(statistics.median(interleaved.ratios(*both)), bar),
        "moved": f"{moved:.0e}",
        "apart": f"{apart:.0e}",
    }
    print(sides.markdown([row]))


if __name__ == "__main__":
    main()
