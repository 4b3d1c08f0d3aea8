"""The log of a run: what is kept of what a reporter is told."""

import pandas as pd
import pytest

from kerasmi import environment
from kerasmi.reporter import Reporter
from kerasmi.run_log import RunLog


class Heard(Reporter):
    """Notes every call."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("_") or name == "calls":
            return super().__getattribute__(name)
        calls = super().__getattribute__("calls")
        return lambda *args, **named: calls.append((name, args, named))


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "now", lambda: "2026-01-02T03:04:05")
    return tmp_path / "log.txt"


def lines(path):
    return path.read_text("utf-8").splitlines()


def test_lines_have_a_time_a_level_and_one_line_of_text(path):
    log = RunLog(path, Reporter())
    log.message("a folder")
    log.warning("casing\n  of the text")
    log.start("pretrain", 12, "step", "local mine")
    log.finish(validation=0.25)
    log.start("data", 3, "image")
    assert lines(path) == [
        "2026-01-02T03:04:05 INFO a folder",
        "2026-01-02T03:04:05 WARNING casing of the text",
        "2026-01-02T03:04:05 INFO pretrain: starts: local mine",
        "2026-01-02T03:04:05 INFO pretrain: done, validation 0.25",
        "2026-01-02T03:04:05 INFO data: starts: 3 images",
    ]


def test_everything_is_passed_on(path):
    heard = Heard()
    log = RunLog(path, heard)
    frame = pd.DataFrame()
    log.message("a")
    log.warning("b")
    log.start("c", 2, "step", "d", epochs=3)
    log.advance(2, bound=0.5)
    log.epoch(1, 3, bound=0.5)
    log.finish(bound=0.5)
    log.table("e", frame)
    log.beside()
    assert heard.calls == [
        ("message", ("a",), {}),
        ("warning", ("b",), {}),
        ("start", ("c", 2, "step", "d", 3), {}),
        ("advance", (2,), {"bound": 0.5}),
        ("epoch", (1, 3), {"bound": 0.5}),
        ("finish", (), {"bound": 0.5}),
        ("table", ("e", frame), {}),
        ("beside", (), {}),
    ]
    public = {name for name in vars(Reporter) if not name.startswith("_")}
    assert {name for name, _, _ in heard.calls} == public


def test_what_ends_the_run_is_its_last_line(path):
    def fail():
        with RunLog(path, Reporter()) as log:
            log.start("pretrain", 12)
            raise OSError("disk\nfull")

    with pytest.raises(OSError, match="full"):
        fail()
    assert lines(path)[-1] == (
        "2026-01-02T03:04:05 ERROR pretrain: OSError: disk full"
    )


def test_a_later_start_goes_on_in_the_same_file(path):
    for text in ("first", "second"):
        with RunLog(path, Reporter()) as log:
            log.message(text)
    assert [line.split()[-1] for line in lines(path)] == ["first", "second"]


def test_stages_beside_each_other_share_the_file(path):
    def fail():
        with RunLog(path, Reporter()) as log:
            one, other = log.beside(), log.beside()
            one.start("frozen", 1)
            other.start("tuned", 1)
            one.finish()
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [line.split(" ", 1)[1] for line in lines(path)] == [
        "INFO frozen: starts: 1 step",
        "INFO tuned: starts: 1 step",
        "INFO frozen: done",
        "ERROR tuned: OSError: disk full",
    ]
