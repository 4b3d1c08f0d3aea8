"""The re-trainings of a run, two at once or one after the other."""

import functools
import os
import signal
import threading

import pandas as pd
import pytest

from benchmarks import resume
from kerasmi import (
    build,
    distribute,
    interruption,
    retrain,
    retrainings,
    side_by_side,
    stages,
)
from kerasmi import recipe as recipes
from kerasmi.errors import TrainingError
from kerasmi.interruption import Interrupted
from kerasmi.reporter import Reporter
from kerasmi.run_log import RunLog
from kerasmi.runs import Run

SMALL = (
    "data.images={train: 96, validation: 48, test: 48}",
    "retrain.epochs=3",
    "retrain.labels=40",
    "retrain.batch_size=16",
)
WAIT = 60  # seconds, where nothing waits unless something is wrong


@pytest.fixture(scope="module")
def recipe():
    return recipes.load("local_mine", SMALL)


@pytest.fixture(scope="module")
def dataset(recipe, tmp_path_factory):
    return build.data(recipe, tmp_path_factory.mktemp("data"), Reporter())


@pytest.fixture
def names(recipe):
    return list(stages.retraining(recipe, recipe.retrain.encoders))


def all_done(run, names):
    return [name for name in names if run.is_done(name)]


def retrained(folder, recipe, dataset, encoder=None, reporter=None):
    with Run.create(folder, recipe, resume=True) as run:
        retrainings.run(
            recipe,
            run,
            dataset,
            encoder,
            reporter or Reporter(),
            distribute.strategy(),
        )
    return run


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
def test_two_at_once_come_out_as_one_after_the_other(
    dataset, tmp_path, monkeypatch
):
    one_task = ("retrain.tasks=[pathology9]", "retrain.epochs=2")
    recipe = recipes.load("local_mine", (*SMALL, *one_task))
    names = list(stages.retraining(recipe, recipe.retrain.encoders))
    assert len(names) == 2
    threads = set()
    real = retrain.run

    def watched(*arguments):
        threads.add(threading.get_ident())
        return real(*arguments)

    monkeypatch.setattr(retrain, "run", watched)
    encoder = build.image_encoder(recipe)
    for name, number in (("in_turn", 1), ("beside", 2)):
        monkeypatch.setattr(side_by_side, "at_once", lambda n=number: n)
        threads.clear()
        run = retrained(tmp_path / name, recipe, dataset, encoder)
        assert len(threads) == number
        assert all_done(run, names) == names
        assert {run.facts(name)["at_once"] for name in names} == {number}
        for history in run.path.rglob("history.csv"):
            # the one column that tells of the clock
            frame = pd.read_csv(history).drop(columns="images_per_second")
            frame.to_csv(history, index=False)
    equal = resume.compare(tmp_path / "in_turn", tmp_path / "beside")
    assert equal > 100


class Played:
    """Stands for `retrain.run`: two stages meet, then do as they are told."""

    def __init__(self, *acts):
        self.acts = list(acts)
        self.begun = []
        self.turn = threading.Lock()
        self.meeting = threading.Barrier(2, timeout=WAIT)

    def __call__(
        self, recipe, dataset, task, mode, encoder, folder, reporter, *_
    ):
        with self.turn:
            self.begun.append(task.stage(mode))
            act = self.acts.pop(0)
        reporter.start(task.stage(mode), 1)
        self.meeting.wait()
        act(folder)
        reporter.finish()
        return pd.DataFrame({"image_id": ["a"]})


def fail(folder):
    raise TrainingError(f"{folder}: the loss became NaN")


class Heard(Reporter):
    def __init__(self):
        self.messages = []
        self.warnings = []

    def message(self, text):
        self.messages.append(text)

    def warning(self, text):
        self.warnings.append(text)


class Signalled:
    """An act that trains until it is asked to stop, after a signal comes."""

    def __init__(self, number):
        self.begun = threading.Event()
        self.number = number
        threading.Thread(target=self.signal, daemon=True).start()

    def signal(self):
        if self.begun.wait(WAIT):
            os.kill(os.getpid(), self.number)

    def __call__(self, folder):
        with interruption.deferred(lambda text: None):
            self.begun.set()
            for _ in range(WAIT * 100):
                if interruption.requested():
                    raise Interrupted(f"saved in {folder}")
                threading.Event().wait(0.01)


@pytest.fixture
def played(monkeypatch):
    monkeypatch.setattr(side_by_side, "at_once", lambda: 2)

    def play(*acts):
        made = Played(*acts)
        monkeypatch.setattr(retrain, "run", made)
        return made

    return play


def test_where_one_fails_the_other_is_finished_and_none_begun(
    played, recipe, dataset, tmp_path
):
    played = played(fail, lambda _: None)
    log = tmp_path / "log.txt"

    def work():
        with RunLog(log, Reporter()) as reporter:
            retrained(tmp_path / "run", recipe, dataset, reporter=reporter)

    with pytest.raises(TrainingError, match="became NaN"):
        work()
    failed, finished = played.begun
    run = Run.open(tmp_path / "run")
    assert all_done(run, played.begun) == [finished]
    last = log.read_text().splitlines()[-1]
    assert f"ERROR {failed}: TrainingError: " in last


def test_of_two_failures_the_second_is_warned_of(
    played, recipe, dataset, tmp_path
):
    played, heard = played(fail, fail), Heard()
    with pytest.raises(TrainingError) as failed:
        retrained(tmp_path / "run", recipe, dataset, reporter=heard)
    told = [str(failed.value), *heard.warnings]
    for name in played.begun:
        (_,) = [text for text in told if f"{name}: the loss" in text]


def test_a_signal_stops_both_and_is_told_of_both(
    played, recipe, dataset, names, tmp_path
):
    heard, train = Heard(), Signalled(signal.SIGINT)
    played = played(train, train)
    with interruption.handled(), pytest.raises(Interrupted) as stopped:
        retrained(tmp_path / "run", recipe, dataset, reporter=heard)
    # the longest first
    assert set(played.begun) == {n for n in names if n.endswith("tuned")}
    for name in played.begun:
        assert f"saved in {tmp_path / 'run' / name}" in str(stopped.value)
    assert heard.messages == [
        "SIGINT: stops when the step of each stage is saved"
    ]
    assert not interruption.requested()


def test_a_second_signal_waits_for_both_as_it_says(
    played, recipe, dataset, names, tmp_path
):
    heard, both = Heard(), threading.Barrier(2, timeout=WAIT)

    def train(folder):
        with interruption.deferred(lambda text: None):
            if both.wait() == 0:
                for _ in range(2):
                    told = len(heard.messages)
                    os.kill(os.getpid(), signal.SIGINT)
                    for _ in range(WAIT * 100):
                        if len(heard.messages) > told:
                            break
                        threading.Event().wait(0.01)
            both.wait()
            raise Interrupted(f"saved in {folder}")

    played = played(train, train)
    with interruption.handled(), pytest.raises(Interrupted) as stopped:
        retrained(tmp_path / "run", recipe, dataset, reporter=heard)
    for name in played.begun:
        assert f"saved in {tmp_path / 'run' / name}" in str(stopped.value)
    assert heard.messages == [
        "SIGINT: stops when the step of each stage is saved",
        "SIGINT: waits for steps that are under way; SIGKILL ends them unsaved",
    ]
    assert not interruption.requested()


def test_a_signal_beside_a_failure_stops_and_the_failure_is_warned_of(
    played, recipe, dataset, tmp_path
):
    heard = Heard()
    played = played(fail, Signalled(signal.SIGTERM))
    with interruption.handled(), pytest.raises(Interrupted, match="saved in"):
        retrained(tmp_path / "run", recipe, dataset, reporter=heard)
    failed = tmp_path / "run" / played.begun[0]
    assert heard.warnings == [f"TrainingError: {failed}: the loss became NaN"]


def test_a_signal_that_wakes_another_thread_is_heard(
    played, recipe, dataset, tmp_path
):
    def train(folder, is_told=False):
        with interruption.deferred(lambda text: None):
            if is_told:
                # by now the main thread sleeps, and what it is told waits
                threading.Event().wait(0.3)
                signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            for _ in range(1000):
                if interruption.requested():
                    raise Interrupted(f"saved in {folder}")
                threading.Event().wait(0.01)

    played = played(train, functools.partial(train, is_told=True))
    with interruption.handled(), pytest.raises(Interrupted) as stopped:
        retrained(tmp_path / "run", recipe, dataset, reporter=Heard())
    for name in played.begun:
        assert f"saved in {tmp_path / 'run' / name}" in str(stopped.value)


def test_ctrl_c_without_a_handler_stops_both_at_their_next_step(
    played, recipe, dataset, tmp_path
):
    train = Signalled(signal.SIGINT)
    played = played(train, train)
    # a shell may have had it ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as stopped:
            retrained(tmp_path / "run", recipe, dataset)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.type is KeyboardInterrupt
    assert len(played.begun) == 2
    assert all_done(Run.open(tmp_path / "run"), played.begun) == []
    assert not interruption.requested()


def test_after_a_signal_no_other_stage_is_begun(
    played, recipe, dataset, tmp_path
):
    noted = threading.Barrier(2, timeout=WAIT)

    def trained(folder):
        if noted.wait() == 0:
            interruption._handle(signal.SIGINT, None)
        noted.wait()

    played = played(trained, trained)
    with pytest.raises(Interrupted):
        retrained(tmp_path / "run", recipe, dataset)
    assert len(played.begun) == 2
    run = Run.open(tmp_path / "run")
    assert all_done(run, played.begun) == played.begun


def test_several_devices_take_one_after_the_other(
    recipe, dataset, names, tmp_path, monkeypatch, two_devices
):
    monkeypatch.setattr(side_by_side, "at_once", lambda: 2)
    threads = []

    def watched(*arguments):
        threads.append(threading.current_thread())
        return pd.DataFrame({"image_id": ["a"]})

    monkeypatch.setattr(retrain, "run", watched)
    with Run.create(tmp_path / "run", recipe) as run:
        retrainings.run(recipe, run, dataset, None, Reporter(), two_devices)
    assert threads == [threading.main_thread()] * len(names)
