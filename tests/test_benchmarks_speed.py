"""What the speed benchmarks count, compare and run, by second opinions."""

import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.utils.flop_counter import FlopCounterMode

# The repository's own benchmarks/, not a package of that name elsewhere.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import __main__ as runner
from benchmarks import (
    flops,
    main_job,
    pipeline,
    recipe_step,
    reference_step,
    sides,
    train_step,
)
from kerasmi import bounds, pair_scores
from kerasmi.critics import ConcatCritic
from kerasmi.models.direct_steps import _Traced
from kerasmi.models.image_encoder import PRESETS

ROOT = Path(__file__).parents[1]


def _scores(study_ids):
    """Random scores of all pairs, and those of the reference's two lists."""
    generator = np.random.default_rng(0)
    count = len(study_ids)
    scores = generator.normal(size=(count, count)).astype(np.float32)
    features = torch.arange(count, dtype=torch.float32)[:, None]
    positives, negatives = reference_step.build_pairs(
        features, features, study_ids
    )
    table = torch.from_numpy(scores)
    return scores, *(
        table[pairs[:, 0].long(), pairs[:, 1].long()]
        for pairs in (positives, negatives)
    )


def test_the_reference_maximises_our_equation_3_over_the_same_pairs():
    study_ids = [7, 8, 7, 9]
    scores, positives, negatives = _scores(study_ids)
    ids = np.asarray(study_ids)
    matched = np.eye(4, dtype=bool)
    shuffled = ids[:, None] != ids[None]
    ours = bounds.donsker_varadhan(scores, matched, shuffled)
    theirs = reference_step.bound_loss(positives, negatives)
    assert len(negatives) == 10
    assert float(ours) == pytest.approx(-float(theirs), abs=1e-6)


def test_a_step_of_the_reference_moves_every_kernel():
    step = reference_step.Step(3, 6, layers=1, vocabulary=50)
    parts = (step.image_network, step.bert, step.critic)
    kernels = [p for part in parts for p in part.parameters() if p.ndim > 1]
    before = [kernel.detach().clone() for kernel in kernels]
    assert math.isfinite(step()["loss"])
    pairs = zip(before, kernels, strict=True)
    assert all((old != new).any() for old, new in pairs)


def test_the_reference_updates_as_its_formula_says():
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    bias = torch.nn.Parameter(torch.tensor([1.0]))
    weight.grad, bias.grad = torch.tensor([[0.5, 0.0]]), torch.tensor([-2.0])
    reference_step.AdamW([weight, bias], rate=0.1, decay=0.5).step()
    moved = 0.1 * 0.1 / math.sqrt(0.001)  # rate, first over second moment
    kept = 1 - 0.1 * 0.5
    expected = [[(1 - moved) * kept, -2.0 * kept]]
    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-4)
    np.testing.assert_allclose(bias.detach(), [1 + moved], rtol=1e-4)


def _counted(function, *arguments):
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops()


def test_berts_operations_are_those_that_torch_counts():
    bert = reference_step.Bert(11, layers=2, dim=8, heads=2)
    ids = torch.zeros((3, 5), dtype=torch.long)
    counted = _counted(bert, ids, torch.ones_like(ids))
    pooler = flops.dense(3, 8, 8)
    assert flops.bert(3, 5, 2, dim=8, inner=32) + pooler == counted


def test_the_image_networks_operations_are_those_that_torch_counts():
    network = reference_step.ImageNetwork()
    counted = _counted(network, torch.zeros(1, 1, 256, 256))
    settings = PRESETS["resnet256_6_2_1"]
    assert flops.residual(1, 256, settings, upper=True) == counted


def test_operations_of_small_parts_by_hand():
    # 2 x 3 x 4 multiplications and as many additions
    assert flops.dense(2, 3, 4) == 48
    # one token: 4 projections of 2x2, scores and mix of 2, twice 2x3
    assert flops.bert(1, 1, 1, dim=2, inner=3) == 2 * (4 * 4 + 2 * 2 + 2 * 6)
    # one layer asked by the first of two tokens: keys and values of both
    asked = flops.bert(1, 2, 1, dim=2, inner=3, first_only=True)
    assert asked == 2 * (2 * 4 + 2 * 8 + 2 * 4 + 2 * 6)
    # split: 2 regions and 3 texts once each, 6 pairs for the rest
    split = flops.critic(2, 3, 5, 7, (4,))
    assert split == 2 * (2 * 5 * 4 + 3 * 7 * 4 + 6 * 4)
    assert flops.critic_of_pairs(6, 5, 7, (4,)) == 2 * 6 * (12 * 4 + 4)


@pytest.mark.parametrize("winners", [False, True])
def test_the_critics_operations_are_of_the_rows_that_it_scores(
    winners, monkeypatch
):
    images, regions, texts, hidden = 3, 4, 5, (16, 8)
    rows, score = [], ConcatCritic.row_scores

    def counted(self, *arguments):
        scores = score(self, *arguments)
        rows.append(int(tf.size(scores)))
        return scores

    monkeypatch.setattr(ConcatCritic, "row_scores", counted)
    kept = 0 if winners else 10**6
    monkeypatch.setitem(pair_scores.KEPT_FLOATS, "max", kept)
    keras.utils.set_random_seed(0)
    critic = ConcatCritic(hidden)
    critic.build((images, regions, 7), (texts, 9))
    image = tf.random.stateless_normal((images, regions, 7), (0, 0))
    text = tf.random.stateless_normal((texts, 9), (0, 1))
    with tf.GradientTape() as tape:
        tape.watch([image, text])
        projections = critic.project(image, text, training=True)
        weights = critic.head_weights()
        scores = pair_scores.reduced_scores(critic, *projections, weights)
    tape.gradient(scores, [image, text, *critic.trainable_variables])
    every, best = images * regions * texts, images * texts
    # the second time under a tape; no two regions tie
    assert rows == ([every, best] if winners else [every])
    projected = flops.dense(images * regions, 7, 16) + flops.dense(texts, 9, 16)
    # in rows: three times what has a gradient, and what has none
    scored = every + 3 * best if winners else 3 * every
    head = flops.dense(scored, 16, 8) + flops.dense(scored, 8, 1)
    found = flops.critic_step(images, regions, texts, 7, 9, hidden, winners)
    assert found == 3 * projected + head


def test_the_winners_of_the_papers_step_alone_have_a_gradient():
    assert not train_step.only_winners(2, 16, 8)
    assert train_step.only_winners(8, 64, 8)
    assert not train_step.only_winners(64, 1, 64)


def test_the_runner_lists_every_benchmark_of_the_folder():
    helpers = {
        "flops",
        "heap",
        "soak_verdict",
        "interleaved",
        "sides",
        "recipe_step",
        "reference_step",
        *(path.stem for path in (ROOT / "benchmarks").glob("mi_*.py")),
    }
    files = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    named = {module.split(".")[1] for module in runner.present().values()}
    assert named >= files - helpers


def test_the_runner_names_what_there_is_and_refuses_what_is_not(capsys):
    assert runner.main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in runner.present())
    assert runner.main(["nothing"]) == 2
    assert "train_step" in capsys.readouterr().err


def test_a_benchmark_is_reached_through_the_runner(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "train_step", "--help"])
    # run as a program, of which Python warns where it is imported too
    monkeypatch.delitem(sys.modules, "benchmarks.train_step")
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(ROOT / "benchmarks"), run_name="__main__")
    assert "--tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], main_job.REST),
        (["data: starts: phantom"], main_job.DRAW),
        (["pretrain: starts: local mine"], "pretrain"),
        (["pretrain: done, validation 0.4"], main_job.READ),
        (["retrain/a/tuned: starts: x", "a word"], main_job.RETRAIN),
        (["retrain/a/tuned: done"], main_job.RETRAIN),
        (
            ["retrain/a/tuned: done", "retrain/a/frozen: done, x 1"],
            main_job.END,
        ),
    ],
)
def test_a_phase_is_read_from_the_log(lines, expected):
    log = "".join(f"2026-01-01T00:00:00+00:00 INFO {x}\n" for x in lines)
    assert main_job.phase(log, 2) == expected


def test_the_published_affine_turns_about_the_centre():
    matrix = pipeline.inverse_affine((3.0, 5.0), 90.0, (1.0, -2.0))
    source = np.reshape(matrix, (2, 3)) @ [3.0 + 1.0, 5.0 - 2.0, 1.0]
    np.testing.assert_allclose(source, [3.0, 5.0], atol=1e-12)
    still = pipeline.inverse_affine((3.0, 5.0), 0.0, (0.0, 0.0))
    np.testing.assert_allclose(still, [1, 0, 0, 0, 1, 0], atol=1e-12)


def test_published_images_keep_sixteen_bits(monkeypatch):
    monkeypatch.setattr(pipeline, "ROTATION", 0.0)
    monkeypatch.setattr(pipeline, "SHIFT", 0.0)
    pixels = np.random.default_rng(0).integers(0, 65536, (256, 300), np.uint16)
    image = pipeline.published_image(pixels)
    square = pixels[:, 22:278].astype(np.float32)
    np.testing.assert_allclose(image[0], square / square.max(), rtol=1e-6)


def test_a_verdict_says_whether_its_bar_is_met():
    assert sides.verdict(1.2, 1.2) == ">= 1.2: met"
    assert sides.verdict(1.19, 1.2) == ">= 1.2: NOT met"
    assert sides.verdict(149.0, 150.0, below=True) == "< 150: met"
    assert sides.verdict(150.0, 150.0, below=True) == "< 150: NOT met"
    assert sides.ratio([4.0, 100.0, 4.0], [2.0, 1.0, 2.0]) == 2.0


def test_a_worker_has_as_many_cores_as_threads():
    look = ["-c", "import os; print(len(os.sched_getaffinity(0)))"]
    before = os.sched_getaffinity(0)
    for threads in (1, 2):
        surroundings = sides.surroundings(None, threads)
        told = subprocess.check_output([sys.executable, *look], **surroundings)
        assert int(told) == min(threads, len(before))
    assert os.sched_getaffinity(0) == before


def test_the_step_of_a_recipe_is_that_of_a_run():
    images = {"train": 16, "validation": 8, "test": 8}
    overrides = ("retrain.labels=8", "retrain.tasks=[edema_severity]")
    step, model = recipe_step.make("local_mine", overrides, images)
    assert np.isfinite(float(step()["loss"]))
    step()
    assert int(model.optimizer.iterations) == 2
    # Keras's path leaves it without a trace
    assert isinstance(model.train_function, _Traced)
    assert model.train_function._trace is not None
