"""A whole run in half precision, from the phantom to the page."""

import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.resume import weights
from kerasmi.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow")]

SMALL = (
    "data.images={train: 32, validation: 24, test: 24}",
    "critic.hidden_dims=[8, 4]",
    "pretrain.epochs=1",
    "pretrain.batch_size=8",
    "pretrain.warmup_steps=2",
    "pretrain.sentences=1",
    "retrain.encoders=[tuned]",
    "retrain.tasks=[edema_severity]",
    "retrain.batch_size=8",
    "retrain.epochs=1",
    "retrain.labels=16",
    "evaluate.bootstrap=20",
)


@pytest.mark.parametrize(
    ("precision", "recipe"),
    [("mixed_float16", "local_mine"), ("mixed_bfloat16", "local_cpc")],
)
def test_a_run_in_half_precision_ends_with_finite_numbers(
    tmp_path, undrawn, precision, recipe
):
    run = tmp_path / "run"
    words = ["run", recipe, *SMALL, f"precision={precision}"]
    done = CliRunner().invoke(main, [*words, "--output", str(run)])
    assert done.exit_code == 0, done.output
    for stage in ("pretrain", "retrain/edema_severity/tuned"):
        history = pd.read_csv(run / stage / "history.csv")
        assert np.isfinite(history.to_numpy(float)).all(), history
        arrays = weights(run / stage / "model.keras")
        assert all(np.isfinite(each).all() for each in arrays.values())
        assert _policy(run / stage) == precision
    scores = pd.read_csv(run / "predictions.csv")["score"]
    assert scores.between(0, 1).all()
    assert (run / "report.html").is_file()


def _policy(stage):
    """The one policy that a saved model names beside float32."""
    with zipfile.ZipFile(stage / "model.keras") as archive:
        text = archive.read("config.json").decode()
    (found,) = set(re.findall(r"mixed_b?float16", text))
    return found
