import io

import pandas as pd
import pytest
import rich.console

from kerasmi.cli import console
from kerasmi.cli.console import ConsoleReporter


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def _reporter(terminal):
    written = io.StringIO()
    screen = rich.console.Console(
        file=written,
        force_terminal=terminal,
        color_system=None,
        width=120,
        markup=False,
        highlight=False,
    )
    return ConsoleReporter(screen), written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (72, "1:12"), (3 * 3600 + 245, "3:04:05")],
)
def test_a_duration_reads_as_a_clock(seconds, text):
    assert console.clock(seconds) == text


def test_a_line_for_each_epoch_says_what_is_left(clock):
    reporter, written = _reporter(terminal=False)
    with reporter:
        reporter.start("pretrain", 30, "step", "local MINE, 3 epochs")
        clock[0] += 36
        reporter.epoch(1, 3, bound=0.3123, ceiling=4.159, images_per_second=410)
    assert written.getvalue().splitlines() == [
        "pretrain  local MINE, 3 epochs  30 steps",
        "pretrain  epoch 1/3  bound 0.312 nats  ceiling 4.159 nats"
        "  410 images/s  1:12 left",
    ]


def test_the_live_line_holds_stage_epoch_values_and_time_left(clock):
    reporter, _ = _reporter(terminal=True)
    with reporter:
        reporter.start("pretrain", 30, epochs=3)
        assert str(reporter._line()).startswith("pretrain  epoch 1/3  ----")
        reporter.epoch(1, 3)
        clock[0] += 10
        reporter.advance(15, bound=0.5, images_per_second=99.6)
        line = str(reporter._line())
    assert line == (
        "pretrain  epoch 2/3  ============------------  bound 0.500 nats"
        "  100 images/s  0:10 left"
    )


def test_the_live_line_may_be_drawn_while_values_come():
    reporter, _ = _reporter(terminal=False)

    class Slow(float):
        def __format__(self, how):
            reporter.advance(ceiling=4.0)
            reporter.epoch(1, 3, images_per_second=9.0)
            return super().__format__(how)

    reporter.start("pretrain", 30)
    reporter.advance(bound=Slow(0.5))
    assert "bound 0.500 nats" in str(reporter._line())
    assert "ceiling 4.000 nats  9 images/s" in str(reporter._line())


def test_the_live_line_is_gone_in_the_end():
    reporter, written = _reporter(terminal=True)
    with reporter:
        reporter.start("data", 5, "image")
        reporter.advance(5)
        reporter.finish(images=5)
    assert reporter._screen._live is None
    assert (
        written.getvalue()
        .splitlines()[-1]
        .endswith("data  done in 0:00  images 5")
    )


def test_an_error_ends_the_live_line():
    reporter, _ = _reporter(terminal=True)
    reporter.start("data", 5, "image")
    reporter.__exit__(RuntimeError, RuntimeError(), None)
    assert reporter._screen._live is None


def test_brackets_in_a_message_are_printed():
    reporter, written = _reporter(terminal=False)
    reporter.warning("expected [a, b]")
    assert written.getvalue() == "Warning: expected [a, b]\n"


def test_a_table_goes_to_stdout(capsys):
    reporter, written = _reporter(terminal=False)
    frame = pd.DataFrame({"label": ["Edema", "x"], "auc": [0.87654, None]})
    reporter.table("AUC", frame)
    shown = capsys.readouterr().out
    assert shown.split() == ["AUC", "label", "auc", "Edema", "0.877", "x", "-"]
    assert written.getvalue() == ""


def test_stages_beside_each_other_have_a_live_line_each(clock):
    reporter, written = _reporter(terminal=True)
    with reporter:
        one, other = reporter.beside(), reporter.beside()
        one.start("frozen", 10)
        other.start("tuned", 20)
        one.advance(5)
        lines = [str(line) for line in reporter._screen._shown().renderables]
        assert [line.split()[0] for line in lines] == ["frozen", "tuned"]
        assert "============------------" in lines[0]
        one.finish()
        assert len(reporter._screen._shown().renderables) == 1
        other.finish()
        assert reporter._screen._live is None
    assert "frozen  done in 0:00" in written.getvalue()


def test_the_notes_of_a_table_are_below_it(capsys):
    reporter, _ = _reporter(terminal=False)
    note = "a note that would make each line of the table wide"
    frame = pd.DataFrame({"label": ["a", "b", "c"], "note": [note, "", note]})
    reporter.table("AUC", frame)
    assert capsys.readouterr().out.splitlines() == [
        *("", "AUC", ""),
        *("label note", "    a    1", "    b     ", "    c    1"),
        *("", f"note 1: {note}", ""),
    ]
