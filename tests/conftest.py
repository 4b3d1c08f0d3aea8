"""Shared fixtures; logical CPUs wherever a test asks for several devices."""

import gc
import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["line_coverage"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection():
    # before any test file is read: logical devices are fixed once TensorFlow
    # starts, and a file may make a tensor
    gc.disable()
    from kerasmi import distribute

    distribute.set_intra_op_threads(1)  # as the phantom's recipes ask
    distribute.configure(4)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    # two workers take files in this order: a long one must not be the last
    if hasattr(config, "workerinput"):
        slow = {i.path for i in items if i.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    # what is imported by now stays; looking through it costs a tenth of a run
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 5)
    gc.enable()


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are a dot: drawing them takes most of the time of a page."""
    from matplotlib.figure import Figure

    from kerasmi.evaluation import drawing, report_html

    def dot(figure, file, dpi):
        empty = Figure((0.1, 0.1), dpi=10)
        empty.savefig(file, format="png")

    for module in (drawing, report_html):
        monkeypatch.setattr(module, "write", dot)


@pytest.fixture(scope="module")
def shallow():
    """The phantom's networks have fewer layers; maps and features as they are.

    To trace and to compile them takes most of the time of a small run.
    """
    from trained_runs import shallow

    with shallow():
        yield


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


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder that may not be looked into, by root neither."""
    folder, stat = tmp_path / "closed", Path.stat
    folder.mkdir()

    def refused(path, **options):
        if folder in path.absolute().parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    return folder


@pytest.fixture
def hang_ups():
    """The end of a terminal counts, though the tests were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
