"""The sides of `benchmarks critic` compute the same, and its rows add up."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import critic as benchmark
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
