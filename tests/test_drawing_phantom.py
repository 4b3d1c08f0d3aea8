"""Runs that start together share one phantom."""

import errno
import fcntl
import re
import threading

import pytest

from kerasmi import build, drawing_phantom
from kerasmi import recipe as recipes
from kerasmi.data import publishing
from kerasmi.data.dataset import Dataset
from kerasmi.errors import DataError
from kerasmi.reporter import Reporter

SMALL = ("data.images={train: 16, validation: 2, test: 2}", "retrain.labels=2")


class Told(Reporter):
    """Remembers what it is told."""

    def __init__(self):
        self.messages, self.stages = [], []

    def message(self, text):
        self.messages.append(text)

    def start(self, stage, *arguments, **options):
        self.stages.append(stage)


@pytest.fixture
def recipe():
    return recipes.load("local_mine", SMALL)


def test_two_runs_at_once_draw_it_once(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing_phantom, "_WAIT", 0.01)
    drawing, may_end = threading.Event(), threading.Event()

    class First(Told):
        def start(self, stage, *arguments, **options):
            super().start(stage)
            drawing.set()
            assert may_end.wait(60)

    class Second(Told):
        def message(self, text):
            super().message(text)
            may_end.set()

    first, second = First(), Second()
    made = []
    other = threading.Thread(
        target=lambda: made.append(build.data(recipe, tmp_path, first))
    )
    other.start()
    try:
        assert drawing.wait(60)
        found = build.data(recipe, tmp_path, second)
    finally:
        may_end.set()
        other.join()
    assert found.fingerprint == made[0].fingerprint
    assert (first.stages, second.stages) == (["data"], [])
    (message,) = second.messages
    assert "waits for" in message
    assert str(tmp_path / drawing_phantom.name(recipe)) in message


def test_one_whose_first_writer_ends_without_it_draws_it(
    recipe, tmp_path, monkeypatch
):
    folder = tmp_path / drawing_phantom.name(recipe)
    partial = tmp_path / f".{folder.name}.partial"
    partial.mkdir()
    lock = (partial / ".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # the other process ends while this one sleeps
    monkeypatch.setattr(
        drawing_phantom.time, "sleep", lambda seconds: lock.close()
    )
    told = Told()
    assert build.data(recipe, tmp_path, told).counts["train"]["images"] == 16
    assert told.stages == ["data"]
    assert len(told.messages) == 1


def test_a_disk_without_locks_is_not_waited_for(recipe, tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    def waits(seconds):
        raise AssertionError("waits for another process")

    monkeypatch.setattr(publishing.fcntl, "flock", no_locks)
    monkeypatch.setattr(drawing_phantom.time, "sleep", waits)
    folder = tmp_path / drawing_phantom.name(recipe)
    words = f"{folder}: could not be written: No locks available"
    with pytest.raises(DataError, match=re.escape(words)):
        build.data(recipe, tmp_path, Told())


def test_what_is_no_data_set_is_not_waited_for(recipe, tmp_path):
    folder = tmp_path / drawing_phantom.name(recipe)
    folder.mkdir()
    (folder / "other").touch()
    with pytest.raises(DataError, match=r"dataset\.json"):
        build.data(recipe, tmp_path, Told())


def test_the_same_phantom_is_opened_again(recipe, tmp_path):
    first = build.data(recipe, tmp_path, Told())
    again = Told()
    assert build.data(recipe, tmp_path, again).fingerprint == first.fingerprint
    assert again.stages == []
    assert isinstance(first, Dataset)
