"""Pairs and critic alone, forward and backward: time and memory over batches.

    python -m benchmarks critic
    python -m benchmarks critic --scopes local --batches 64 256 --rounds 5
    python -m benchmarks critic --batches 1024 --rounds 0
    python -m benchmarks critic --scopes local --rule logsumexp --batches 256
    python -m benchmarks critic --threads 1 2 --device gpu

Features are given: 16 regions of 512 and sentences of 768 (local), one region
of 768 and reports of 768 (global). The critic is the paper's (1024, 512), the
bound Eq. 4, the region rule Eq. 5's maximum unless `--rule` says otherwise; the
bars are for the maximum.

    plain      every pair stands in one array, by concatenation
    kept       the first layer is split; the hidden layers of all pairs are kept
    kerasmi    what a training step does
    published  global: pairs built one by one in a loop that copies the matrix
               of negatives for each, in PyTorch, with one sum over negatives

Sides are processes asked in turn; seconds of the processor on a CPU, of the
clock on a GPU: the median over rounds, smallest and largest in brackets. With
`--rounds 0` it is the first call, without tracing. MB are the most that a step
held beside what was loaded, traced and given before it.
"""

import argparse
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import sides

HIDDEN = (1024, 512)
REGIONS = {"local": 16, "global": 1}
IMAGE = {"local": 512, "global": 768}
TEXT = 768
SIDES = ("plain", "kept", "kerasmi", "published")
# larger batches are left out: they would take minutes or all memory
LARGEST = {
    "local": {"plain": 64, "kept": 128},
    "global": {"plain": 256, "kept": 256, "published": 64},
}
BARS = {("local", "plain"): 6.5, ("global", "published"): 40.0}
MEMORY_BAR = 20.0  # plain / kerasmi, local
BARS_AT = 64
# of kerasmi, local, by batch: MB held beside the base, MiB of the process
MOST_HELD = {256: 150.0}
MOST_IN_ALL = {1024: 4096.0}


# === Workers ===


def work(options: argparse.Namespace) -> None:
    """Serves one side; see `sides.serve`."""
    (scope,), (batch,) = options.scopes, options.batches
    if options.side == "published":
        step = published(scope, batch, sides.choose_torch_device(options))
    else:
        sides.choose_device(options)
        step = in_tensorflow(
            options.side, scope, batch, options.device, options.rule
        )
    base = forget_peak()
    sides.serve(lambda: {**(step() or {}), "base_mib": base})


def forget_peak() -> float:
    """Resets the peak that `sides.peak_mib` reads, and returns it, MiB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return sides.peak_mib()


def features(scope: str, batch: int) -> tuple[Any, Any]:
    """`(B, N, D_image)` and `(B, D_text)` float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (batch, REGIONS[scope], IMAGE[scope])
    return (
        rng.standard_normal(shape, np.float32),
        rng.standard_normal((batch, TEXT), np.float32),
    )


def in_tensorflow(
    name: str, scope: str, batch: int, device: str, rule: str = "max"
) -> Callable[[], Any]:
    """A traced step of one of the sides in TensorFlow, as a function."""
    import tensorflow as tf

    from kerasmi import losses
    from kerasmi.critics import ConcatCritic
    from kerasmi.pairs import label_pairs

    place = "/GPU:0" if device == "gpu" else "/CPU:0"
    with tf.device(place):
        image, text = map(tf.constant, features(scope, batch))
        critic = ConcatCritic(HIDDEN)
        critic.build(image.shape, text.shape)
        loss = losses.CPC()
        scores_of = {"plain": plain, "kept": kept, "kerasmi": ours}[name]

        @tf.function
        def step(image: Any, text: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([image, text])
                scores = scores_of(critic, image, text, rule)
                value = loss(label_pairs(tf.range(batch)), scores)
            weights = [v.value for v in critic.trainable_variables]
            return value, tape.gradient(value, [image, text, *weights])

        step.get_concrete_function(image, text)

    def synchronised() -> dict[str, float]:
        return {"loss": float(step(image, text)[0])}

    return synchronised


def plain(critic: Any, image: Any, text: Any, rule: str = "max") -> Any:
    """Scores `(B, B)`: the critic on the concatenation of every pair."""
    import tensorflow as tf

    from kerasmi import regions

    B, N, _ = image.shape
    C = text.shape[0]
    x = tf.concat(
        [
            tf.broadcast_to(image[:, :, None], (B, N, C, image.shape[-1])),
            tf.broadcast_to(text, (B, N, C, text.shape[-1])),
        ],
        axis=-1,
    )
    x = tf.reshape(x, (B * N * C, -1))
    kernels = [critic.image_projection.kernel, critic.text_projection.kernel]
    kernel = tf.concat([k.value for k in kernels], axis=0)
    x = tf.nn.relu(x @ kernel + critic.image_projection.bias)
    for layer in critic.hidden:
        x = tf.nn.relu(x @ layer.kernel.value + layer.bias)
    x = x @ critic.score.kernel.value + critic.score.bias
    return regions.reduce_regions(tf.reshape(x, (B, N, C)), rule)


def kept(critic: Any, image: Any, text: Any, rule: str = "max") -> Any:
    """Scores `(B, B)`, differentiated through all regions."""
    from kerasmi import regions

    return regions.reduce_regions(critic(image, text, training=True), rule)


def ours(critic: Any, image: Any, text: Any, rule: str = "max") -> Any:
    """Scores `(B, B)` as `ImageTextModel` makes them."""
    from kerasmi import pair_scores

    projections = critic.project(image, text, training=True)
    weights = critic.head_weights()
    return pair_scores.reduced_scores(critic, *projections, weights, rule)


def published(scope: str, batch: int, place: str) -> Callable[[], Any]:
    """The loops of `reference_step`, on given features; place: of torch."""
    import torch
    from torch import nn

    from benchmarks import reference_step

    torch.manual_seed(0)
    torch.set_num_threads(torch.get_num_threads())
    image, text = (
        torch.tensor(x, device=place) for x in features(scope, batch)
    )
    image = image[:, 0].requires_grad_()
    text = text.requires_grad_()
    widths = (image.shape[1] + TEXT, *HIDDEN)
    dense = [
        part
        for one, two in itertools.pairwise(widths)
        for part in (nn.Linear(one, two), nn.ReLU())
    ]
    critic = nn.Sequential(*dense, nn.Linear(HIDDEN[-1], 1)).to(place)

    leaves = (image, text, *critic.parameters())

    def step() -> dict[str, float]:
        for leaf in leaves:
            leaf.grad = None  # or the next would be added to it
        pairs = reference_step.build_pairs(image, text, list(range(batch)))
        loss = reference_step.bound_loss(*map(critic, pairs))
        loss.backward()
        return {"loss": float(loss.detach())}

    return step


# === Tables ===


def measured(
    scope: str, batch: int, threads: int, options: argparse.Namespace
) -> dict[str, str]:
    """A row: every side of one batch that is not too large for it."""
    names = [n for n in SIDES if batch <= _largest(scope, n, options.largest)]
    if options.only:
        names = [name for name in names if name in options.only]
    with contextlib.ExitStack() as stack:
        running = {}
        for name in names:
            words = ["benchmarks.critic", "--side", name, "--scopes", scope]
            words += ["--batches", str(batch), *sides.device_words(options)]
            words += ["--rule", options.rule]
            side = stack.enter_context(sides.Side(words, threads))
            side.wait()  # or the first calls would be in each other's way
            running[name] = side
        sides.interleave(running.values(), options.rounds)
        barred = options.rule == "max"
        found = row(scope, batch, running, sides.clock(options), barred)
        return {"threads": str(threads), "rule": options.rule, **found}


def _largest(scope: str, name: str, asked: int | None) -> float:
    if scope == "local" and name == "published":
        return 0  # the released code has no local objective
    if name == "kerasmi":
        return float("inf")
    return asked or LARGEST[scope][name]


def row(
    scope: str,
    batch: int,
    running: dict[str, sides.Side],
    clock: str,
    barred: bool,
) -> dict[str, str]:
    """Seconds, MB and ratios of what was measured, and the bars of a batch."""
    seconds = {
        name: side.values(clock) or [side.first[clock]]
        for name, side in running.items()
    }
    # of every call: the largest says what has to be there
    peaks = {
        name: max(each["peak_mib"] for each in [side.first, *side.rounds])
        for name, side in running.items()
    }
    memory = {
        name: peaks[name] - side.first["base_mib"]
        for name, side in running.items()
    }
    at_64 = barred and batch == BARS_AT
    local = barred and scope == "local"
    cells = {"scope": scope, "batch": str(batch)}
    for name in SIDES:
        if name in running:
            cells[f"{name}, s"] = sides.spread(seconds[name], 3)
    for name in ("plain", "published"):
        if name in running and "kerasmi" in running:
            value = sides.ratio(seconds[name], seconds["kerasmi"])
            bar = BARS.get((scope, name)) if at_64 else None
            met = f" ({sides.verdict(value, bar)})" if bar else ""
            cells[f"{name} / kerasmi"] = f"{value:.1f}{met}"
    for name in ("plain", "kept", "kerasmi"):
        if name in running:
            value = memory[name] * 2**20 / 1e6
            bar = MOST_HELD.get(batch) if local and name == "kerasmi" else None
            met = f" ({sides.verdict(value, bar, below=True)})" if bar else ""
            cells[f"{name}, MB"] = f"{value:.0f}{met}"
    if local and batch in MOST_IN_ALL and "kerasmi" in running:
        met = sides.verdict(peaks["kerasmi"], MOST_IN_ALL[batch], below=True)
        cells["kerasmi, MiB in all"] = f"{peaks['kerasmi']:.0f} ({met})"
    if {"plain", "kerasmi"} <= set(running):
        value = memory["plain"] / memory["kerasmi"]
        shown = local and at_64
        met = f" ({sides.verdict(value, MEMORY_BAR)})" if shown else ""
        cells["MB, plain / kerasmi"] = f"{value:.1f}{met}"
    return cells


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scopes", nargs="+", choices=REGIONS, default=list(REGIONS)
    )
    batches = [8, 16, 32, 64, 128, 256]
    parser.add_argument(
        "--batches",
        nargs="+",
        type=int,
        default=batches,
        help="8 to 256 unless asked for others: 1024 takes minutes a call",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    sides.add_device(parser)
    rules = ("max", "logsumexp", "mean")
    parser.add_argument("--rule", choices=rules, default="max")
    parser.add_argument("--only", nargs="+", choices=SIDES)
    parser.add_argument(
        "--largest", type=int, help="batch of all sides but kerasmi's"
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main() -> None:
    """Measures and prints the table."""
    options = parsed()
    if options.side:
        work(options)
        return
    rows = [
        measured(scope, batch, threads, options)
        for threads in options.threads
        for scope in options.scopes
        for batch in options.batches
    ]
    columns = dict.fromkeys(key for each in rows for key in each)
    print(sides.markdown([{**dict.fromkeys(columns, "-"), **r} for r in rows]))
    print(f"\n{sides.machine()}; {sides.device_told(options)}")


if __name__ == "__main__":
    main()
