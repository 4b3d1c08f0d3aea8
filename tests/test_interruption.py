import signal

import pytest

from kerasmi import interruption
from kerasmi.interruption import Interrupted

pytestmark = pytest.mark.usefixtures("hang_ups")


def ignore(text):
    pass


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_stops_what_has_nothing_to_save(number):
    with interruption.handled(), pytest.raises(Interrupted):
        signal.raise_signal(number)


def test_the_first_signal_is_noted_and_the_second_stops():
    told = []

    def work():
        with interruption.deferred(told.append):
            assert not interruption.requested()
            signal.raise_signal(signal.SIGTERM)
            assert interruption.requested()
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second signal stops at once")

    with interruption.handled(), pytest.raises(Interrupted):
        work()
    assert told == [
        "SIGTERM: stops when this step is saved; once more stops at once"
    ]


def test_a_signal_that_nobody_acted_on_stops_at_the_end():
    done = []

    def work():
        with interruption.deferred(ignore):
            signal.raise_signal(signal.SIGINT)
            done.append("the work")

    with interruption.handled(), pytest.raises(Interrupted):
        work()
    assert done == ["the work"]
    assert not interruption.requested()


def test_a_signal_is_noted_until_the_outer_block_is_left():
    def work():
        with interruption.deferred(ignore):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(Interrupted), interruption.deferred(ignore):
                pass
            assert interruption.requested()

    with interruption.handled(), pytest.raises(Interrupted):
        work()
    assert not interruption.requested()


def test_a_request_is_noted_within_a_block_alone():
    def work():
        with interruption.deferred(ignore):
            interruption.request()
            assert interruption.requested()

    interruption.request()
    assert not interruption.requested()
    with pytest.raises(Interrupted):
        work()
    assert not interruption.requested()


def test_under_nohup_the_end_of_a_terminal_stops_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption.handled():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_keeps_nothing_from_being_saved():
    def gone(text):
        raise OSError("Input/output error")

    done = []

    def work():
        with interruption.deferred(gone):
            signal.raise_signal(signal.SIGHUP)
            done.append("saved")

    with interruption.handled(), pytest.raises(Interrupted):
        work()
    assert done == ["saved"]


@pytest.mark.parametrize("first", interruption.SIGNALS)
def test_a_terminal_that_ends_is_no_second_word(first):
    done = []

    def work():
        with interruption.deferred(ignore):
            signal.raise_signal(first)
            signal.raise_signal(signal.SIGHUP)
            done.append("saved")
            signal.raise_signal(signal.SIGTERM)
            done.append("more")

    with interruption.handled(), pytest.raises(Interrupted):
        work()
    assert done == ["saved"]


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with interruption.handled():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert before == [signal.getsignal(n) for n in interruption.SIGNALS]


def test_an_interrupted_run_is_no_ordinary_error():
    # what catches errors of one run of a grid must not catch this
    assert not issubclass(Interrupted, Exception)
