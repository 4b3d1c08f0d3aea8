"""Laws that the estimate of docs/scale.md obeys, whatever is assumed."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks import sizing
from kerasmi.models.image_encoder import PRESETS

MACHINE = sizing.Machine()


def test_one_gpu_has_nobody_to_talk_to():
    one = sizing.estimate(1, "sentences", 64, MACHINE)
    assert one["talk, ms"] == 0
    whole = sizing.PAIRS * sizing.EPOCHS / one["pairs/s"] / 60
    assert one["minutes"] == pytest.approx(whole)


def test_work_follows_the_rate_and_talk_the_wire():
    fast = dataclasses.replace(MACHINE, peak=2 * MACHINE.peak)
    near = dataclasses.replace(MACHINE, wire=2 * MACHINE.wire)
    base, work, talk = (
        sizing.estimate(8, "reports", 64, each)
        for each in (MACHINE, fast, near)
    )
    assert work["work, ms"] == pytest.approx(base["work, ms"] / 2)
    assert work["talk, ms"] == base["talk, ms"]
    assert talk["talk, ms"] == pytest.approx(base["talk, ms"] / 2)
    assert talk["work, ms"] == base["work, ms"]


def test_the_critic_is_counted_as_the_encoders_give_it():
    assert PRESETS["resnet_paper"]["filters"][-2] == sizing.DIM
    # half of the texts on each of two GPUs, and all of the images
    one, two = sizing.of_critic(2, 1), sizing.of_critic(2, 2)
    assert one / 2 < two < one


def test_what_a_core_reaches_is_between_nothing_and_all():
    for kind in sizing.TOKENS:
        assert 0.2 < sizing.utilisation(kind) < 1


@pytest.mark.parametrize("kind", sizing.TOKENS)
def test_what_was_measured_stands_among_the_results(kind):
    root = Path(__file__).parents[1]
    results = (root / "benchmarks/README.md").read_text()
    row = f"| padded alike, {sizing.TOKENS[kind]} tokens |"
    (ours, *_) = (
        line.split("|")[3].split()[0]
        for line in results.splitlines()
        if line.startswith(row)
    )
    assert float(ours) == sizing.MEASURED[kind]
    page = (root / "docs/scale.md").read_text()
    for told in (
        f"{ours} s",
        f"{sizing.utilisation(kind):.0%}".replace("%", " %"),
        f"{sizing.CORE / 1e9:.0f} GFLOP/s",
    ):
        assert told in " ".join(page.split()), told


@pytest.mark.parametrize("kind", sizing.TOKENS)
def test_the_tables_of_the_page_are_printed(kind, capsys):
    sizing.main(["--texts", kind])
    printed = capsys.readouterr().out
    table = printed[printed.index("| GPUs") :]
    page = Path(__file__).parents[1] / "docs/scale.md"
    assert table in page.read_text()
