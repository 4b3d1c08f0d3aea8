"""The known truths of benchmarks/mutual_information.py, by second opinions."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from scipy import integrate, linalg, stats
from sklearn.metrics import mutual_info_score

# The repository's own benchmarks/, not a package of that name elsewhere.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import (
    mi_gaussian,
    mi_peer,
    mi_samplers,
    mutual_information,
)
from benchmarks.mi_rows import Row, within
from benchmarks.mi_samplers import BENCHMARK_MI, Statuses
from benchmarks.mi_training import Scorer, held_out
from kerasmi.evaluation.estimates import ReadOut

TASKS = {task.name: task for task in BENCHMARK_MI}


def _generator(seed=0):
    return np.random.default_rng(seed)


def test_the_tasks_have_the_truths_that_benchmark_mi_publishes():
    truths = {name: round(task.truth, 4) for name, task in TASKS.items()}
    assert truths == {
        "1v1-normal-0.75": 0.4133,
        "multinormal-dense-25-25-0.5": 1.2922,
        "1v1-additive-0.1": 1.7094,
        "spiral-multinormal-sparse-3-3-2-2.0": 1.0217,
    }


@pytest.mark.parametrize("name", list(TASKS)[:2])
def test_gaussian_samples_have_the_canonical_correlations_of_their_truth(name):
    x, y = TASKS[name].sample(40_000, _generator())
    q, r = (np.linalg.qr(v - v.mean(0))[0] for v in (x, y))
    correlations = np.linalg.svd(q.T @ r, compute_uv=False)
    information = -0.5 * np.log1p(-(correlations**2)).sum()
    # Biased up by D_x D_y / 2n.
    assert information == pytest.approx(TASKS[name].truth, abs=0.01)


@pytest.mark.parametrize("information", [0.5, 2, 10])
def test_correlated_gaussians_share_what_they_are_asked_to(information):
    task = mi_samplers.correlated(information)
    assert task.truth == pytest.approx(information)
    rho = mi_samplers.correlation(information)
    x, y = task.sample(20_000, _generator())
    assert np.corrcoef(x[:, 3], y[:, 3])[0, 1] == pytest.approx(rho, abs=0.02)
    assert np.corrcoef(x[:, 3], y[:, 4])[0, 1] == pytest.approx(0, abs=0.02)


def test_the_true_critic_is_the_ratio_of_the_densities():
    rho = mi_samplers.correlation(2, dim=3)
    x, y = mi_samplers.correlated(2, dim=3).sample(5, _generator())
    covariance = np.kron([[1, rho], [rho, 1]], np.eye(3))
    joint = stats.multivariate_normal(np.zeros(6), covariance)
    single = stats.multivariate_normal(np.zeros(3), np.eye(3))
    expected = [
        [
            joint.logpdf(np.r_[a, b]) - single.logpdf(a) - single.logpdf(b)
            for b in y
        ]
        for a in x
    ]
    np.testing.assert_allclose(mi_samplers.log_ratio(x, y, 2), expected)


def test_additive_noise_has_the_entropy_of_its_sum_less_that_of_the_noise():
    task = TASKS["1v1-additive-0.1"]
    grid = np.linspace(-0.1, 1.1, 200_001)
    overlap = np.minimum(grid + 0.1, 1) - np.maximum(grid - 0.1, 0)
    density = np.clip(overlap, 1e-12, None) / 0.2
    entropy = -integrate.trapezoid(density * np.log(density), grid)
    assert task.truth == pytest.approx(entropy - math.log(0.2), abs=1e-4)
    # Cells can but lose; (cells of x) (cells of y) / 2n is the bias upwards.
    x, y = (v[:, 0] for v in task.sample(400_000, _generator()))
    found = mutual_info_score(np.floor(50 * x), np.floor(50 * y))
    assert task.truth - 0.12 < found < task.truth + 50 * 60 / 800_000


def test_the_spiral_turns_by_the_matrix_exponential_and_keeps_lengths():
    x, y = TASKS["spiral-multinormal-sparse-3-3-2-2.0"].sample(4, _generator())
    base = mi_samplers.gaussian("", _sparse(), 3)
    for turned, plain, plane in zip(
        (x, y), base.sample(4, _generator()), ((0, 1), (1, 2)), strict=True
    ):
        generator = np.zeros((3, 3))
        generator[plane], generator[plane[::-1]] = -1, 1
        for got, start in zip(turned, plain, strict=True):
            matrix = linalg.expm(generator * (start @ start) / 3)
            np.testing.assert_allclose(got, matrix @ start)
    assert base.truth == pytest.approx(-math.log(1 - 0.8**2))


def _sparse():
    covariance = np.eye(6)
    for one in (0, 1):
        covariance[one, one + 3] = covariance[one + 3, one] = 0.8
    return covariance


@pytest.mark.parametrize(
    "task",
    [
        Statuses(),
        Statuses(flip=0.1),
        Statuses(statuses=3, regions=5, flip=0.3),
        Statuses(sentences=2, flip=0.1),
        Statuses(related=False),
    ],
    ids=str,
)
def test_statuses_told_share_with_those_seen_what_sklearn_counts(task):
    status, named, told = task.draw(200_000, _generator())
    seen = np.take_along_axis(status, named, axis=1)
    place = task.statuses ** np.arange(task.sentences)
    found = mutual_info_score(seen @ place, told @ place)
    assert found == pytest.approx(task.truth, abs=0.005)


def test_features_hold_the_statuses_and_names_and_nothing_else_shared():
    task = Statuses(sentences=2)
    image, text = task.sample(50, _generator())
    status, named, told = task.draw(50, _generator())
    text = text.reshape(50, 2, -1)
    assert (text[..., :4].argmax(-1) == named).all()
    assert (text[..., 4:8].argmax(-1) == told).all()
    assert (image[..., -4:].argmax(-1) == np.arange(4)).all()
    # One rotated one-hot for each status.
    codes = np.unique(image[..., :4].round(4).reshape(-1, 4), axis=0)
    assert len(codes) == 4
    np.testing.assert_allclose(codes @ codes.T, np.eye(4), atol=1e-3)
    seen = np.take_along_axis(status, named, axis=1)
    assert (seen == told).all()


def test_the_true_critic_meets_every_bar_of_the_table():
    rows, checks = mi_gaussian.oracle(quick=True)
    assert len(rows) == len(mi_gaussian.ORACLE) + 2
    assert all(row.met for row in rows), [r for r in rows if not r.met]
    assert all(check.met for check in checks)
    assert all(check.met for check in mutual_information.never_above(rows))


def test_scores_of_a_report_are_the_sums_over_its_sentences():
    image, text = Statuses(sentences=2).sample(3, _generator())
    scores = image @ text.T
    expected = scores.max(axis=1).reshape(3, 3, 2).sum(axis=2)
    found = held_out(Scorer(_dot, "max", 2), image, text)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)


def test_the_rule_matched_selects_by_the_own_text_over_all_rows():
    image, text = Statuses().sample(70, _generator())  # more than one block
    scores = image @ text.T
    own = scores[np.arange(70), :, np.arange(70)].argmax(axis=1)
    found = held_out(Scorer(_dot, "matched"), image, text)
    np.testing.assert_allclose(
        found.scores,
        scores[np.arange(70), own],
        rtol=1e-5,
        atol=1e-6,  # of sums of products of about 1
    )


def _dot(regions, texts):
    # Stands in for a critic: (B, N, D) and (C, D) to (B, N, C).
    return ops.matmul(regions, ops.transpose(texts))


def _row(name, value, truth=1.0, negatives=1000, reliable=True):
    found = ReadOut(
        name, value, 0.01, 5.0, 9, negatives, 50, 50, reliable, True
    )
    return Row(3, "case", "mine", truth, found, 9, within(truth, 0.1))


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (_row("infonce_image_to_text", 1.02), None),
        (_row("infonce_image_to_text", 1.04), "InfoNCE at most truth"),
        (_row("infonce_image_to_text", 5.1, truth=6), "InfoNCE at most log"),
        (_row("donsker_varadhan", 1.04), None),
        (_row("donsker_varadhan", 1.06), "DV and NWJ at most truth"),
        (_row("nwj", 1.06, negatives=5), "DV and NWJ flagged"),
        (_row("nwj", 1.06, negatives=5, reliable=False), None),
        (_row("smile", 1.06), "SMILE at most"),
    ],
)
def test_a_value_above_the_truth_is_found(row, broken):
    failed = [
        check.claim
        for check in mutual_information.never_above([row])
        if not check.met
    ]
    if broken is None:
        assert not failed
    else:
        assert any(claim.startswith(broken) for claim in failed)


def test_a_bar_is_met_up_to_its_ends():
    assert _row("nwj", 1.1).met
    assert not _row("nwj", 1.1001).met


def test_a_folder_of_something_else_is_never_made_the_peers(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SystemExit, match="name another folder"):
        mi_peer.environment(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_item_7_alone_has_no_rows_and_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mutual_information", "--items", "7"])
    with pytest.raises(SystemExit, match="2"):
        mutual_information.main()
    assert "name some of 2 to 6" in capsys.readouterr().err
