"""Shared fixtures; logical CPUs wherever a test asks for several devices."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items):
    # before any test runs: logical devices are fixed once TensorFlow starts
    names = {n for i in items for n in getattr(i, "fixturenames", ())}
    if names & {"two_devices", "four_devices"}:
        from kerasmi import distribute

        distribute.configure(4 if "four_devices" in names else 2)


@pytest.fixture
def two_devices():
    """A strategy over two logical CPUs."""
    from kerasmi import distribute

    return distribute.strategy(2)


@pytest.fixture
def four_devices():
    """A strategy over four logical CPUs."""
    from kerasmi import distribute

    return distribute.strategy(4)
