"""One training step beside the published one, at the paper's size.

    python -m benchmarks train_step
    python -m benchmarks train_step --tokens 32 --rounds 3 --batch 8 --layers 12
    python -m benchmarks train_step --only padded --tokens 32 112
    python -m benchmarks train_step --device gpu

The reference is `benchmarks/reference_step.py`, in PyTorch: image network at
256 pixels, BERT, all texts padded to one length, pairs built one by one.

    padded     both sides compute every token of texts padded alike; global
    reports    each batch padded to its bucket, reports of 62 to 112 tokens,
               against the reference's fixed 320; global
    sentences  the same with sentences of 12 to 27 tokens; the local objective
               on the same network's 64 regions, against the reference's step,
               which is global: its local objective was not published

Sides are processes asked in turn; seconds are medians over rounds (smallest
and largest in brackets), of the processor on a CPU and of the clock on a GPU.
GFLOP are counted by formula, the rate is that of large matrix products in
TensorFlow, timed in the same rounds.
"""

import argparse
import contextlib
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import flops, recipe_step, sides

FIXED = 320  # tokens of the reference
LENGTHS = {"reports": (62, 112), "sentences": (12, 27)}
BARS = {FIXED: 1.2, 112: 1.25, 32: 1.25, "reports": 3.0, "sentences": 7.0}
PRESET = "resnet256_6_2_1"  # the released network, on both sides
HIDDEN = (1024, 512)
VOCABULARY = 28996  # word pieces of the cased BERT
GEMM = (4096, 1024, 4096, 3)  # rows, inner, columns, times


def lengths(kind: str, batch: int) -> np.ndarray:
    """Tokens of each text, `[CLS]` and `[SEP]` counted, drawn alike."""
    low, high = LENGTHS[kind]
    return np.random.default_rng(0).integers(low, high, batch, endpoint=True)


def bucket(longest: int) -> int:
    """The length that the pipeline pads a batch to."""
    from kerasmi.data.texts import BUCKETS, bucket_sizes

    return min(b for b in bucket_sizes(FIXED, BUCKETS) if b >= longest)


def only_winners(images: int, regions: int, texts: int) -> bool:
    """Whether Eq. 5's maximum has a gradient of the best regions alone."""
    from kerasmi.pair_scores import KEPT_FLOATS

    floats = images * regions * texts * HIDDEN[0]
    return regions > 1 and floats > KEPT_FLOATS["max"]


# === Workers ===


def ours(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Our step on a fixed batch; says its GFLOP and the padded length."""
    import tensorflow as tf

    sides.choose_device(options)
    import keras

    from kerasmi import optimizers
    from kerasmi.critics import ConcatCritic
    from kerasmi.models.exact_bert import ExactBertBackbone
    from kerasmi.models.image_encoder import PRESETS, ImageEncoder
    from kerasmi.models.image_text_model import ImageTextModel
    from kerasmi.models.text_encoder import TextEncoder

    keras.utils.set_random_seed(0)
    scope = "local" if options.kind == "sentences" else "global"
    backbone = ExactBertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=options.layers,
        num_heads=12,
        hidden_dim=768,
        intermediate_dim=3072,
        dropout=0.1,
        max_sequence_length=512,
    )
    model = ImageTextModel(
        ImageEncoder.from_preset(PRESET, scope),
        TextEncoder(backbone, pooling="cls" if scope == "local" else "pooler"),
        ConcatCritic(HIDDEN),
    )
    model.compile(
        optimizers.paper(model, 5e-4, 2e-5, weight_decay=0.1), loss="mine"
    )
    count = options.batch
    if options.kind == "padded":
        real = np.full(count, options.tokens)
        tokens = options.tokens
    else:
        real = lengths(options.kind, count)
        tokens = bucket(real.max())
    generator = np.random.default_rng(1)
    mask = np.arange(tokens) < real[:, None]
    ids = generator.integers(5, VOCABULARY, (count, tokens)) * mask
    batch = {
        "images": tf.constant(
            generator.random((count, 256, 256, 1), np.float32)
        ),
        "token_ids": tf.constant(ids[:, None], tf.int32),
        "padding_mask": tf.constant(mask[:, None]),
        "study_ids": tf.range(count, dtype=tf.int64),
    }
    train = model.make_train_function()
    batches = recipe_step.endless(batch)
    regions, dim = model.image_encoder.output_shape[1:]
    gflop = flops.TRAINING * (
        flops.residual(count, 256, PRESETS[PRESET], scope == "global")
        # of the tokens that are there: padding is not computed
        + sum(
            flops.bert(1, int(n), options.layers, first_only=True) for n in real
        )
    )
    gflop += flops.critic_step(
        count,
        regions,
        count,
        dim,
        768,
        HIDDEN,
        winners=only_winners(count, regions, count),
    )

    def step() -> dict[str, float]:
        logs = train(batches)
        loss = float(logs["loss"])  # waits for the device
        return {"loss": loss, "gflop": gflop / 1e9, "tokens": tokens}

    return step


def reference(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """The reference's step on a fixed batch."""
    import torch

    from kerasmi.models.image_encoder import PRESETS

    torch.set_num_threads(options.threads)
    device = sides.choose_torch_device(options)
    from benchmarks.reference_step import Step

    step = Step(
        options.batch,
        options.tokens,
        options.layers,
        VOCABULARY,
        device=device,
    )
    count = options.batch
    settings = PRESETS[PRESET]
    gflop = flops.TRAINING * (
        flops.residual(count, 256, settings, upper=True)
        + flops.bert(count, options.tokens, options.layers)
        + flops.critic_of_pairs(count**2, 768, 768, HIDDEN)
    )
    return lambda: {**step(), "gflop": gflop / 1e9, "tokens": options.tokens}


def sgemm(options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Large matrix products in TensorFlow: what the machine can do."""
    import tensorflow as tf

    sides.choose_device(options)
    rows, inner, columns, times = GEMM
    one, two = tf.ones((rows, inner)), tf.ones((inner, columns))

    @tf.function
    def multiply(one: Any, two: Any) -> Any:
        # each product is another, or they would be computed once
        return tf.add_n(
            [tf.reduce_sum(tf.matmul(one + n, two)) for n in range(times)]
        )

    gflop = times * flops.dense(rows, inner, columns) / 1e9

    def step() -> dict[str, float]:
        float(multiply(one, two))
        return {"gflop": gflop}

    return step


WORKERS = {"ours": ours, "reference": reference, "sgemm": sgemm}


# === Tables ===


class Row:
    """A comparison: our step of one kind against the reference's."""

    def __init__(self, kind: str, tokens: int, batch: int) -> None:
        self.kind, self.tokens, self.batch = kind, tokens, batch
        self.bar = BARS.get(tokens if kind == "padded" else kind)

    @property
    def name(self) -> str:
        """What is compared."""
        if self.kind == "padded":
            return f"padded alike, {self.tokens} tokens, batch {self.batch}"
        return f"{self.kind} to their bucket, batch {self.batch}"


def compare(
    rows: list[Row], options: argparse.Namespace, threads: int
) -> list[dict[str, str]]:
    """Runs all sides that rows of one length of the reference need."""
    clock = sides.clock(options)
    with contextlib.ExitStack() as stack:
        made: dict[tuple, sides.Side] = {}

        def side(worker: str, kind: str, tokens: int, batch: int) -> sides.Side:
            key = (worker, kind, tokens, batch)
            if key not in made:
                words = ["benchmarks.train_step", "--worker", worker]
                words += ["--kind", kind, "--tokens", str(tokens)]
                words += ["--batch", str(batch)]
                words += ["--layers", str(options.layers)]
                words += ["--threads", str(threads)]
                words += sides.device_words(options)
                made[key] = stack.enter_context(sides.Side(words, threads))
                # one after another, or all their first steps hold memory
                made[key].wait()
            return made[key]

        pairs = [
            (
                row,
                side("reference", "padded", row.tokens, row.batch),
                side("ours", row.kind, row.tokens, row.batch),
            )
            for row in rows
        ]
        gemm = side("sgemm", "padded", 0, 0)
        sides.interleave(made.values(), options.rounds)
        rate = gemm.values("gflop")[0] / statistics.median(gemm.values(clock))
        return [
            _line(*pair, rate, clock, threads, options.layers) for pair in pairs
        ]


def _line(
    row: Row,
    theirs: sides.Side,
    mine: sides.Side,
    rate: float,
    clock: str,
    threads: int,
    layers: int,
) -> dict[str, str]:
    found = sides.ratio(theirs.values(clock), mine.values(clock))
    line = {
        "step": row.name,
        "threads": str(threads),
        "reference, s": sides.spread(theirs.values(clock)),
        "ours, s": sides.spread(mine.values(clock)),
        "tokens": f"{mine.rounds[0]['tokens']:.0f}",
        "times faster": f"{found:.2f}",
        # bars are for the whole BERT
        "bar": sides.verdict(found, row.bar if layers == 12 else None),
        "by the wall": (
            f"{sides.ratio(theirs.values('wall'), mine.values('wall')):.2f}"
        ),
    }
    for name, one in (("reference", theirs), ("ours", mine)):
        gflop = one.rounds[0]["gflop"]
        share = gflop / statistics.median(one.values(clock)) / rate
        line[f"GFLOP, {name}"] = f"{gflop:.0f}"
        line[f"of sgemm, {name}"] = f"{share:.0%}"
        line[f"peak, {name}, GiB"] = f"{max(one.values('peak_mib')) / 1024:.1f}"
    line["sgemm, GFLOP/s"] = f"{rate:.0f}"
    return line


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    kinds = ("padded", *LENGTHS)
    add("--only", nargs="+", choices=kinds, default=kinds, help="comparisons")
    add("--tokens", nargs="+", type=int, default=[FIXED, 112, 32])
    add("--batch", nargs="+", type=int, default=[8], help="8 to 64")
    add("--layers", type=int, default=12, help="of BERT")
    add("--rounds", type=int, default=3)
    add("--threads", nargs="+", type=int, default=[1, 2])
    sides.add_device(parser)
    add("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    add("--kind", choices=kinds, default="padded", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        (options.tokens,), (options.batch,) = options.tokens, options.batch
        (options.threads,) = options.threads
        sides.serve(WORKERS[options.worker](options))
        return
    rows = [
        Row("padded", tokens, batch)
        for tokens in options.tokens
        for batch in options.batch
        if "padded" in options.only
    ]
    rows += [
        Row(kind, FIXED, batch)
        for kind in LENGTHS
        for batch in options.batch
        if kind in options.only
    ]
    print(
        f"{sides.machine()}; BERT of {options.layers} layers; "
        f"{sides.device_told(options)}; {options.rounds} rounds\n"
    )
    table = []
    for threads in options.threads:
        for group in dict.fromkeys((row.tokens, row.batch) for row in rows):
            chosen = [r for r in rows if (r.tokens, r.batch) == group]
            table += compare(chosen, options, threads)
    print(sides.markdown(table))


if __name__ == "__main__":
    main()
