"""Work in processes of its own: their order and their environment."""

import os

import pytest

from kerasmi.data import in_processes

THREADS = "OPENBLAS_NUM_THREADS"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers):
    with in_processes.mapper(workers) as each:
        assert list(each(abs, range(-9, 0))) == [*range(9, 0, -1)]


def test_processes_compute_on_one_core_each(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    before = dict(os.environ)
    with in_processes.mapper(2) as each:
        assert dict(os.environ) == before
        assert set(each(os.getenv, [THREADS] * 8)) == {"1"}


def test_what_the_environment_says_already_is_kept(monkeypatch):
    monkeypatch.setenv(THREADS, "3")
    with in_processes.mapper(2) as each:
        assert set(each(os.getenv, [THREADS] * 8)) == {"3"}
    assert os.environ[THREADS] == "3"
