"""The true critic, log p/q, through every bound: no training, known truths.

Bars: the table of estimators.md, 3.5a and 5.2, whose standard errors they hold.
"""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from kerasmi import bounds
from kerasmi.metrics import MutualInformation

DIM = 20


def _gaussian_scores(information, number, rng):
    """log p(x, y) / p(x) p(y) of pairs of correlated d=20 Gaussians."""
    rho2 = 1 - math.exp(-2 * information / DIM)
    x = rng.standard_normal((number, DIM))
    noise = rng.standard_normal((number, DIM))
    y = math.sqrt(rho2) * x + math.sqrt(1 - rho2) * noise
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :]
    cross = x @ y.T
    exponent = 2 * math.sqrt(rho2) * cross - rho2 * squares
    return information + exponent / (2 * (1 - rho2))


def _channel_scores(copies, rng, number=64, statuses=4, flip=0.1):
    """log p/q of `copies` uniform channels of some statuses."""
    x = rng.integers(0, statuses, (number, copies))
    flips = rng.random((number, copies)) < flip
    other = (x + rng.integers(1, statuses, (number, copies))) % statuses
    y = np.where(flips, other, x)
    same = (x[:, None] == y[None]).sum(-1)
    log_same = math.log(statuses * (1 - flip))
    log_other = math.log(statuses * flip / (statuses - 1))
    return same * log_same + (copies - same) * log_other


@functools.cache
def _graph(bound):
    return tf.function(lambda f: bound(f, *_masks(len(f))))


def _masks(size):
    own = np.eye(size, dtype=bool)
    return own, ~own


def _mean(bound, batches):
    values = [float(_graph(bound)(tf.constant(scores))) for scores in batches]
    return float(np.mean(values))


@functools.cache
def _gaussian_batches(information, size=64, number=200, seed=0):
    rng = np.random.default_rng(seed)
    return [_gaussian_scores(information, size, rng) for _ in range(number)]


def _shifted_nwj(scores, positives, negatives):
    return bounds.nwj(scores + 1, positives, negatives)  # its optimum: 1 + f*


@pytest.mark.parametrize(
    ("information", "bound", "expected", "tolerance"),
    [
        (1, bounds.infonce, 0.958, 0.04),
        (1, bounds.infonce_text_to_image, 0.958, 0.04),
        (1, bounds.donsker_varadhan, 1.00, 0.05),
        (1, _shifted_nwj, 1.00, 0.05),
        (2, bounds.infonce, 1.807, 0.06),
        (2, bounds.infonce_symmetric, 1.807, 0.06),
        (2, bounds.donsker_varadhan, 2.00, 0.08),
        (2, _shifted_nwj, 2.00, 0.08),
        (2, bounds.smile, 2.028, 0.08),
        (3, bounds.infonce, 2.51, 0.06),
        (3, bounds.donsker_varadhan, 3.02, 0.10),
        (10, bounds.infonce, 4.124, 0.02),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_true_gaussian_critic(information, bound, expected, tolerance):
    value = _mean(bound, _gaussian_batches(information))
    assert value == pytest.approx(expected, abs=tolerance)


def _smile_1(scores, positives, negatives):
    return bounds.smile(scores, positives, negatives, clip=1.0)


# The rest of table 3.5a, row by row: truth, batch, and what bounds read there.
TABLE = {
    (0.5, 64): (0.494, 0.508, 0.508, 0.508, 0.582),
    (1, 64): (0.958, 1.001, 1.000, 1.003, 1.184),
    (1, 256): (0.984, 0.995, 0.995, 0.997, 1.177),
    (2, 64): (1.807, 2.006, 2.001, 2.028, 2.365),
    (2, 256): (1.932, 1.996, 1.996, 2.024, 2.369),
    (3, 64): (2.513, 3.022, 3.008, 3.104, 3.532),
    (4, 64): (3.071, 4.073, 4.018, 4.286, 4.668),
    (4, 256): (3.546, None, None, 4.262, 4.659),
    (6, 64): (3.735, 6.16, None, 6.712, 6.823),
    (10, 64): (4.124, None, None, 12.04, 10.99),
    (10, 256): (5.436, None, None, 12.01, 11.01),
}  # None: a standard deviation above one nat, no bar
COLUMNS = (
    bounds.infonce,
    bounds.donsker_varadhan,
    _shifted_nwj,
    bounds.smile,
    _smile_1,
)


@pytest.mark.parametrize(("information", "size"), TABLE)
def test_every_row_of_the_published_table(information, size):
    number = 200 if size == 64 else 25
    batches = _gaussian_batches(information, size, number)
    for bound, expected in zip(COLUMNS, TABLE[information, size], strict=True):
        if expected is None:
            continue
        values = [float(_graph(bound)(tf.constant(f))) for f in batches]
        # both means are of a sample: four standard errors of their difference
        error = np.std(values) * math.sqrt(1 / number + 1 / min(number, 150))
        assert np.mean(values) == pytest.approx(expected, abs=4 * error + 5e-4)


def test_infonce_stays_below_its_ceiling_at_ten_nats():
    assert _mean(bounds.infonce, _gaussian_batches(10)) < math.log(64)


def test_more_candidates_tighten_infonce():
    value = _mean(bounds.infonce, _gaussian_batches(2, size=256, number=50))
    assert value == pytest.approx(1.932, abs=0.05)


def test_smile_overestimates_at_high_information():
    value = _mean(bounds.smile, _gaussian_batches(6))
    assert value == pytest.approx(6.71, abs=0.2)


def test_effective_negatives_shrink_with_the_information():
    fractions = []
    for scores in _gaussian_batches(1, size=256, number=20):
        negatives = ~np.eye(256, dtype=bool)
        effective = float(bounds.effective_negatives(scores, negatives))
        fractions.append(effective / negatives.sum())
    assert np.mean(fractions) == pytest.approx(math.exp(-2), rel=0.15)


def test_true_channel_critic():
    rng = np.random.default_rng(3)
    batches = [_channel_scores(1, rng) for _ in range(400)]
    assert 0.94 <= _mean(bounds.donsker_varadhan, batches) <= 0.96
    assert _mean(bounds.infonce, batches) == pytest.approx(0.92, abs=0.03)


def test_true_channel_critic_of_ten_statuses():
    rng = np.random.default_rng(5)
    batches = [
        _channel_scores(1, rng, statuses=10, flip=0.2) for _ in range(200)
    ]
    truth = math.log(10) + 0.8 * math.log(0.8) + 0.2 * math.log(0.2 / 9)
    assert truth == pytest.approx(1.363, abs=1e-3)
    assert _mean(bounds.infonce, batches) == pytest.approx(1.316, abs=0.03)
    for bound in (bounds.donsker_varadhan, _shifted_nwj):
        assert _mean(bound, batches) == pytest.approx(1.362, abs=0.03)


def test_true_channel_critic_of_four_statuses_at_once():
    rng = np.random.default_rng(4)
    batches = [_channel_scores(4, rng) for _ in range(200)]
    truth = 4 * (math.log(4) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1 / 3))
    assert truth == pytest.approx(3.805, abs=1e-3)
    value = _mean(bounds.donsker_varadhan, batches)
    assert value == pytest.approx(truth, abs=0.1)
    assert _mean(bounds.infonce, batches) == pytest.approx(3.176, abs=0.05)


def test_one_pooled_partition_is_nearer_the_truth_than_a_mean_of_batches():
    metric = MutualInformation("mine")
    labels = np.eye(4, dtype="int32")  # 1 own, 0 other
    update = tf.function(lambda f: metric.update_state(labels, f))
    batches = _gaussian_batches(2, size=4, number=1000, seed=5)
    for scores in batches:
        update(tf.constant(scores))
    assert _mean(bounds.donsker_varadhan, batches) > 2.2
    assert float(metric.result()) == pytest.approx(2.0, abs=0.15)
