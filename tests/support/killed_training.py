"""A small training, killed and resumed; prints how it went.

    python killed_training.py FOLDER

Each start is a process forked from this one, which imports TensorFlow and runs
nothing: a process that has run TensorFlow cannot be forked.
"""

import random
import sys
from pathlib import Path

import numpy as np
import test_resuming

from benchmarks import resume
from kerasmi import resuming, training_state

KILLS = 3


def train(folder):
    """The training of tests/test_resuming.py; its end goes to `end.npz`."""
    resuming.OVERHEAD = 1e9
    model, history = test_resuming.train(folder)
    state = {
        name.replace("/", "_"): np.array(value)
        for name, value in training_state.of_model(model)
    }
    np.savez(folder / "end.npz", **state, history=history.to_numpy())
    return 0


def main(made):
    whole, entered = resume.peacefully(train, made / "peace" / "run")
    end = np.load(made / "peace/run/end.npz")
    left = resume.moments(entered, whole, KILLS, random.Random(0))
    spent = runs = 0
    while spent < KILLS:
        runs += 1
        folder = made / f"killed{runs}" / "run"
        at = left[spent:]
        fell = resume.killed(train, folder, at, list(entered))
        spent += len(fell)
        for where in fell:
            print(f"killed: {where}")
        found = np.load(folder / "end.npz")
        assert found.files == end.files
        for name in end.files:
            assert found[name].tobytes() == end[name].tobytes(), name
    print(f"{spent} kills, {len(end.files)} arrays: bit-identical")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
