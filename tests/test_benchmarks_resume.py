"""kill -9 at random moments, as `benchmarks.resume` does it to whole runs."""

import csv
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import resume

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_a_training_killed_three_times_ends_as_one_left_in_peace(tmp_path):
    paths = map(str, (TESTS.parent, TESTS, TESTS / "support"))
    done = subprocess.run(
        [sys.executable, TESTS / "support/killed_training.py", tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *kills, last = done.stdout.splitlines()
    assert len(kills) == 3
    assert last.startswith("3 kills, ")
    assert last.endswith(" arrays: bit-identical")


def _model(path, weight):
    import h5py

    path.parent.mkdir(parents=True)
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["layers/dense/vars/0"] = np.float32(weight)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
    path.with_suffix(".h5").unlink()


def _history(path, rate, loss):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "images_per_second", "loss"])
        rows.writerow([0, rate, loss])


@pytest.fixture
def two(tmp_path):
    for name, rate in (("a", 10), ("b", 20)):
        _model(tmp_path / name / "pretrain/model.keras", 0.1)
        _history(tmp_path / name / "pretrain/history.csv", rate, 0.5)
    return tmp_path / "a", tmp_path / "b"


def test_runs_that_differ_in_throughput_alone_are_the_same(two):
    assert resume.compare(*two) == 1


def test_one_bit_of_a_weight_is_told(two):
    path = two[1] / "pretrain/model.keras"
    path.unlink()
    path.parent.joinpath("history.csv").unlink()
    path.parent.rmdir()
    _model(path, np.nextafter(np.float32(0.1), np.float32(1)))
    _history(two[1] / "pretrain/history.csv", 10, 0.5)
    with pytest.raises(SystemExit, match=r"model.keras: differs"):
        resume.compare(*two)


def test_a_table_that_differs_is_told(two):
    _history(two[1] / "pretrain/history.csv", 10, 0.25)
    with pytest.raises(SystemExit, match=r"history.csv: differs"):
        resume.compare(*two)


def test_a_file_that_one_run_lacks_is_told(two):
    (two[0] / "results.csv").write_text("task\n")
    with pytest.raises(SystemExit, match=r"only one has \['results.csv'\]"):
        resume.compare(*two)
