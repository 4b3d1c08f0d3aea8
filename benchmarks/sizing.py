"""How long the paper's pretraining would take on 1 to 64 GPUs: an estimate.

    python -m benchmarks sizing
    python -m benchmarks sizing --texts reports --peak 990 --utilisation 0.2
    python -m benchmarks sizing --batch 16 --wire 100e9

Nothing is run: operations of a step are counted by formula (`flops.py`), and
divided by a rate that is assumed. The one measured figure is the utilisation
of the CPU, processor seconds of a step of 8 pairs on one core of 105 GFLOP/s
(`python -m benchmarks train_step`, the older EPYC of benchmarks/README.md); a
GPU's is assumed to be lower. Workers prepare whole batches, so that the input
of each machine must keep pace with all GPUs; `python -m benchmarks pipeline`
measures images a second of a core.
"""

import argparse
from dataclasses import dataclass

from benchmarks import flops

PAIRS, EPOCHS = 250_000, 5
GPUS = (1, 2, 4, 8, 16, 32, 64)
SIDE, REGIONS, DIM, TEXT_DIM, HIDDEN = 256, 16, 512, 768, (1024, 512)
PARAMETERS = 108e6 + 11.2e6 + 1.8e6  # BERT-base, images, critic
TOKENS = {"sentences": 32, "reports": 112}
# processor seconds of a step of 8 pairs (resnet256_6_2_1, global), texts padded
# alike, and the core's rate of products: benchmarks/README.md, older EPYC
MEASURED = {"sentences": 1.76, "reports": 5.21}
CORE = 105e9


@dataclass(frozen=True)
class Machine:
    """What is assumed of the hardware.

    Attributes:
        peak: of a GPU, in TFLOP/s.
        utilisation: share of it that a step reaches.
        wire: bytes a second between GPUs, the slowest link.
        images: that a core prepares in a second.
    """

    peak: float = 312.0
    utilisation: float = 0.3
    wire: float = 20e9
    images: float = 300.0


def per_pair(kind: str, preset: str = "resnet_paper") -> float:
    """FLOP of a training step for each pair, without the critic."""
    from kerasmi.models.image_encoder import PRESETS

    upper = preset == "resnet256_6_2_1"
    image = flops.residual(1, SIDE, PRESETS[preset], upper=upper)
    text = flops.bert(1, TOKENS[kind], 12, first_only=True)
    return float(flops.TRAINING * (image + text))


def of_critic(batch: int, gpus: int) -> float:
    """FLOP of the critic on one GPU: all images, its own texts."""
    rows, texts = batch * REGIONS, batch // gpus
    one = flops.critic(rows, texts, DIM, TEXT_DIM, HIDDEN)
    return float(flops.TRAINING * one)


def utilisation(kind: str) -> float:
    """What one core reaches, from the measured step of 8 pairs."""
    work = 8 * per_pair(kind, "resnet256_6_2_1")
    return work / MEASURED[kind] / CORE


def of_core(kind: str) -> float:
    """Seconds that one core takes for a pair of a batch of 64."""
    work = per_pair(kind) + of_critic(64, 1) / 64
    return work / (utilisation(kind) * CORE)


def estimate(
    gpus: int, kind: str, each: int, machine: Machine
) -> dict[str, float]:
    """Of a training with `each` pairs on every GPU.

    Returns:
        Milliseconds of a step's work and of its communication, pairs a
        second, minutes of the training, cores of each machine that its input
        takes, and MB of scores that every GPU holds.
    """
    batch = each * gpus
    work = each * per_pair(kind) + of_critic(batch, gpus)
    compute = work / (machine.peak * 1e12 * machine.utilisation)
    scores = 4 * batch**2  # of the best region alone, see `all_pairs.reduced`
    sent = 2 * 4 * PARAMETERS + scores + 4 * batch * REGIONS * DIM
    talk = sent * (gpus - 1) / gpus / machine.wire
    rate = batch / (compute + talk)
    return {
        "batch": batch,
        "work, ms": 1e3 * compute,
        "talk, ms": 1e3 * talk,
        "pairs/s": rate,
        "minutes": PAIRS * EPOCHS / rate / 60,
        "cores": rate / machine.images,
        "scores, MB": scores / 1e6,
    }


_DECIMALS = {"talk, ms": 0, "minutes": 1, "cores": 0, "scores, MB": 1}


def _cell(name: str, value: float) -> str:
    """As it stands in docs/scale.md: no more digits than an estimate has."""
    if isinstance(value, int):
        return f"{value:,}"
    if name in _DECIMALS:
        return f"{value:,.{_DECIMALS[name]}f}"
    return f"{value:.1f}" if value < 100 else f"{float(f'{value:.3g}'):,.0f}"


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    base = Machine()
    parser.add_argument("--texts", choices=TOKENS, default="sentences")
    parser.add_argument("--batch", type=int, default=64, help="pairs of a GPU")
    parser.add_argument("--peak", type=float, default=base.peak)
    parser.add_argument("--utilisation", type=float, default=base.utilisation)
    parser.add_argument("--wire", type=float, default=base.wire)
    parser.add_argument("--images-per-second", type=float, default=base.images)
    given = parser.parse_args(arguments)
    machine = Machine(
        given.peak,
        given.utilisation,
        given.wire,
        images=given.images_per_second,
    )
    kind = given.texts
    print(
        f"{PAIRS:,} pairs x {EPOCHS} epochs, {kind} of {TOKENS[kind]} tokens:"
        f" {per_pair(kind) / 1e9:.1f} GFLOP a pair without the critic"
    )
    print(
        f"measured on a core: {utilisation(kind):.0%} of {CORE / 1e9:.0f}"
        f" GFLOP/s; assumed of a GPU: {machine.utilisation:.0%} of"
        f" {machine.peak:.0f} TFLOP/s, {machine.wire / 1e9:.0f} GB/s"
    )
    days = PAIRS * EPOCHS * of_core(kind) / 86400
    print(f"at the measured rate one core would take {days:.0f} days")
    rows = [
        {"GPUs": n, **estimate(n, kind, given.batch, machine)} for n in GPUS
    ]
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(_cell(*pair) for pair in row.items()) + " |")


if __name__ == "__main__":
    main()
