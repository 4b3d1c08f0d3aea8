"""Two workers on loopback do what two replicas of one process do."""

import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import shared_work

from kerasmi import launching
from kerasmi.runs import Run

SUPPORT = Path(shared_work.__file__).parent


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """What either of two workers has, what the launcher told, and where."""
    folder, told = tmp_path_factory.mktemp("workers"), []
    with pytest.MonkeyPatch.context() as patch:
        here = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", f"{SUPPORT}{os.pathsep}{here}")
        program = [sys.executable, shared_work.__file__, str(folder)]
        status = launching.run(program, 2, 1, told.append)
    assert status == 0
    found = [dict(np.load(folder / f"{index}.npz")) for index in (0, 1)]
    return found, told, folder


@pytest.fixture(scope="module")
def workers(launched):
    """What either worker has, once both are done."""
    return launched[0]


@pytest.fixture(scope="module")
def replicas():
    from kerasmi import distribute

    distribute.configure(2)
    return shared_work.all_of_it(distribute.strategy(2))


@pytest.mark.usefixtures("two_devices")
def test_workers_have_the_weights_and_logs_of_local_replicas(workers, replicas):
    assert all(worker["replicas"] == 2 for worker in workers)
    for worker in workers:
        assert replicas.keys() <= worker.keys()
        for name, value in replicas.items():
            np.testing.assert_allclose(
                worker[name], value, rtol=1e-5, atol=1e-6, err_msg=name
            )


def test_workers_agree_to_the_last_bit(workers):
    first, second = workers
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_the_loop_of_the_documentation_equals_fit(workers):
    for worker in workers:
        fitted = [name for name in worker if name.startswith("joint/")]
        assert len(fitted) > 5
        for name in fitted:
            other = worker[name.replace("joint", "loop")]
            np.testing.assert_array_equal(worker[name], other)


def test_the_others_find_what_the_chief_makes_first(workers):
    assert all(worker["there"] for worker in workers)


def test_every_worker_knows_whether_all_agree(workers):
    for worker in workers:
        assert worker["same"]
        assert not worker["other"]


def test_keras_still_needs_both_overrides(workers):
    # If this fails, Keras trains with several workers as it is shipped:
    # drop `_maybe_symbolic_build` from the models, and docs/scale.md's word.
    assert all(worker["as_shipped"] != "" for worker in workers)
    assert hasattr(keras.Model, "_maybe_symbolic_build")


@pytest.mark.slow
def test_a_worker_killed_mid_epoch_is_restarted_to_the_same_result(
    two_devices, launched, tmp_path
):
    found, told, folder = launched
    assert told == [
        "worker 1 was ended by SIGKILL; all workers start anew and resume"
    ]
    with Run.create(tmp_path / "whole", shared_work.asked()) as run:
        whole = shared_work.resumed(two_devices, run)
    assert [worker["begun"] for worker in found] == [1, 1]
    for worker in found:
        for name, value in whole.items():
            if name != "begun":
                np.testing.assert_allclose(
                    worker[name], value, rtol=1e-5, atol=1e-6, err_msg=name
                )
    # the chief's alone: three epochs, each once
    history = (folder / "run/pretrain/history.csv").read_text()
    assert len(history.splitlines()) == 4
