"""Shared fixtures; two logical CPUs wherever a test asks for two devices."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items):
    # before any test runs: logical devices are fixed once TensorFlow starts
    if any("two_devices" in getattr(i, "fixturenames", ()) for i in items):
        from kerasmi import distribute

        distribute.configure(2)


@pytest.fixture
def two_devices():
    """A strategy over two logical CPUs."""
    from kerasmi import distribute

    return distribute.strategy(2)
