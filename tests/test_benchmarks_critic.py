"""The sides of `benchmarks critic` compute the same, and its rows add up."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from benchmarks import critic as benchmark
from benchmarks import reference_step
from kerasmi import pair_scores
from kerasmi.critics import ConcatCritic


@pytest.mark.parametrize(
    ("scope", "rule"),
    [("local", "max"), ("local", "logsumexp"), ("global", "max")],
)
def test_all_sides_give_the_same_scores(scope, rule):
    made = ConcatCritic((8, 4))
    image, text = map(tf.constant, benchmark.features(scope, 3))
    made.build(image.shape, text.shape)
    sides = (benchmark.plain, benchmark.kept, benchmark.ours)
    plain, kept, ours = (side(made, image, text, rule) for side in sides)
    assert plain.shape == (3, 3)
    np.testing.assert_allclose(kept, plain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("scope", "rule"),
    [("local", "max"), ("local", "logsumexp"), ("global", "max")],
)
def test_so_do_they_where_ours_works_in_blocks(scope, rule, monkeypatch):
    monkeypatch.setitem(pair_scores.KEPT_FLOATS, rule, 0)
    monkeypatch.setattr(pair_scores, "KEPT_FLOATS_OF_ONE_REGION", 0)
    # two texts of one image in a block
    monkeypatch.setattr(
        pair_scores, "BLOCK_FLOATS", 2 * 8 * benchmark.REGIONS[scope]
    )
    test_all_sides_give_the_same_scores(scope, rule)


class _Side:
    def __init__(self, seconds, peak):
        self.first = {"cpu": 9.0, "peak_mib": peak, "base_mib": 10.0}
        self.rounds = [{"cpu": s, "peak_mib": peak} for s in seconds]

    def values(self, name):
        return [each[name] for each in self.rounds]


def test_a_row_has_ratios_of_medians_and_says_which_bar_is_met():
    running = {
        "plain": _Side([6.0, 7.0, 20.0], 1010.0),
        "kerasmi": _Side([1.0, 1.0, 2.0], 50.0),
    }
    cells = benchmark.row("local", 64, running, "cpu", barred=True)
    assert cells["plain / kerasmi"] == "7.0 (>= 6.5: met)"
    assert cells["MB, plain / kerasmi"] == "25.0 (>= 20: met)"
    assert cells["kerasmi, MB"] == "42"  # 40 MiB
    running["kerasmi"] = _Side([2.0], 110.0)
    cells = benchmark.row("local", 64, running, "cpu", barred=True)
    assert "NOT met" in cells["plain / kerasmi"]
    assert "NOT met" in cells["MB, plain / kerasmi"]


def test_memory_has_bars_of_its_own_for_large_local_batches():
    running = {"kerasmi": _Side([], 150.0)}
    cells = benchmark.row("local", 256, running, "cpu", barred=True)
    assert cells["kerasmi, MB"] == "147 (< 150: met)"
    cells = benchmark.row("global", 256, running, "cpu", barred=True)
    assert cells["kerasmi, MB"] == "147"
    running = {"kerasmi": _Side([], 4100.0)}
    cells = benchmark.row("local", 256, running, "cpu", barred=True)
    assert cells["kerasmi, MB"].endswith("(< 150: NOT met)")
    cells = benchmark.row("local", 1024, running, "cpu", barred=True)
    assert cells["kerasmi, MiB in all"] == "4100 (< 4096: NOT met)"
    cells = benchmark.row("local", 1024, running, "cpu", barred=False)
    assert "kerasmi, MiB in all" not in cells


def test_the_published_loop_starts_each_round_without_a_gradient(monkeypatch):
    found, build = [], reference_step.build_pairs

    def spied(image, text, study_ids):
        found.append((image.grad, text.grad))
        return build(image, text, study_ids)

    monkeypatch.setattr(reference_step, "build_pairs", spied)
    step = benchmark.published("global", 3, "cpu")
    assert step() == step()
    assert found == 2 * [(None, None)]


def test_torch_is_told_of_tf32_and_names_a_gpu_that_it_does_not_find(
    monkeypatch,
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ["--side", "published", "--scopes", "global", "--batches", "8"]
    options = benchmark.parsed([*words, "--device", "gpu", "--tf32"])
    products = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [kind.allow_tf32 for kind in products]
    try:
        with pytest.raises(SystemExit, match="--device gpu: torch finds none"):
            benchmark.work(options)
        assert [kind.allow_tf32 for kind in products] == [True, True]
    finally:
        for kind, value in zip(products, before, strict=True):
            kind.allow_tf32 = value
