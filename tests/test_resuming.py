"""A training that is cut off anywhere ends as one that never was."""

import hashlib
import io
import json
import os
import signal
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
import small_models
import tensorflow as tf

from kerasmi import (
    callbacks,
    checkpoint_files,
    interruption,
    resuming,
    training_state,
)
from kerasmi.checkpoint_files import Position
from kerasmi.errors import RunError, TrainingError
from kerasmi.optimizers import paper
from kerasmi.reporter import Reporter

EPOCHS, STEPS = 3, 2
SCORE = "val_mutual_information"


class Heard(Reporter):
    def __init__(self):
        self.warnings = []
        self.messages = []

    def warning(self, text):
        self.warnings.append(text)

    def message(self, text):
        self.messages.append(text)


class CutOffError(Exception):
    """Stands for the end of the process: nothing is cleaned up."""


class CutAt(keras.callbacks.Callback):
    """Ends the training after some step, or does something else there."""

    def __init__(self, position, act=None):
        super().__init__()
        self.position = position
        self.act = act
        self.done = False

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.steps = epoch, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if Position(self.epoch, self.steps) == self.position and not self.done:
            self.done = True
            if self.act is None:
                raise CutOffError
            self.act()


def batches(epoch, step):
    """A function of epoch and step alone, as the pipeline's are."""
    made = [
        small_models.batch(6, texts=2, seed=10 * e + s)
        for e in range(epoch, EPOCHS)
        for s in range(STEPS)
    ][step:]
    joined = {k: np.concatenate([b[k] for b in made]) for k in made[0]}
    return tf.data.Dataset.from_tensor_slices(joined).batch(6)


def train(folder, *more, reporter=None, epochs=EPOCHS):
    """Trains in `folder`, from its last checkpoint on."""
    reporter = reporter or Reporter()
    folder.mkdir(exist_ok=True)
    start = resuming.begin(folder, reporter)
    # dropout: what it draws is state that Keras's own files lack
    model = small_models.model(
        region="logsumexp", dropout=0.3, normalize=True, temperature=2.0
    )
    # eagerly: tracing would cost more than all the steps
    optimizer = paper(model, 1e-2, warmup_steps=2)
    model.compile(optimizer, loss="mine", run_eagerly=True)
    held_out = small_models.batch(6, texts=2, seed=99)
    history = resuming.fit(
        model,
        batches,
        start,
        folder=folder,
        monitor=SCORE,
        epochs=epochs,
        steps=STEPS,
        callbacks=[
            callbacks.AnnealTemperature(0.5, EPOCHS * STEPS),
            callbacks.TensorBoard(
                str(folder / "tensorboard"), write_graph=start.fresh
            ),
            *more,
        ],
        reporter=reporter,
        validation_data=tf.data.Dataset.from_tensors(held_out),
        validation_steps=1,
    )
    return model, history


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    model, history = train(folder)
    return model, history, folder


def same(model, other, seeds=True):
    states = [dict(training_state.of_model(m)) for m in (model, other)]
    if not seeds:
        weights = {id(w) for m in (model, other) for w in m.weights}
        states = [
            {
                name: variable
                for name, variable in state.items()
                if not name.startswith("model/") or id(variable) in weights
            }
            for state in states
        ]
    for (name, a), (other_name, b) in zip(
        *(state.items() for state in states), strict=True
    ):
        assert name == other_name
        np.testing.assert_array_equal(np.array(a), np.array(b), err_msg=name)


def scalars(folder):
    """(tag, step) to value of all event files, each of them once."""
    found = {}
    for path in sorted(folder.rglob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if not value.tag.startswith(("epoch_", "evaluation_")):
                    continue
                key = (path.parent.name, value.tag, event.step)
                assert key not in found, key
                found[key] = float(tf.make_ndarray(value.tensor))
    return found


def assert_the_same(folder, model, history, whole):
    reference, told, reference_folder = whole
    same(model, reference)
    # Keras's own files lack the state of the seed generators
    loaded = keras.saving.load_model(folder / "model.keras")
    same(loaded, reference, seeds=False)
    pd.testing.assert_frame_equal(history, told)
    assert scalars(folder) == scalars(reference_folder)


def test_the_state_that_is_compared_has_all_parts(whole):
    names = [name for name, _ in training_state.of_model(whole[0])]
    parts = {name.split("/")[0] for name in names}
    assert parts == {"model", "optimizer", "loss"}
    model = whole[0]
    assert len(model.variables) > len(model.weights)  # seed generators
    slots = 2 * len(model.trainable_variables)
    assert sum(n.startswith("optimizer/") for n in names) > slots
    assert np.isfinite(float(model.objective.log_average))


@pytest.mark.parametrize("at", [Position(0, 2), Position(2, 1)], ids=str)
def test_a_training_cut_off_goes_on_to_the_same_result(tmp_path, whole, at):
    with pytest.raises(CutOffError):
        train(tmp_path, CutAt(at))
    model, history = train(tmp_path)
    assert_the_same(tmp_path, model, history, whole)


def test_a_signal_saves_the_step_and_the_rest_is_the_same(tmp_path, whole):
    at = Position(1, 1)
    send = CutAt(at, lambda: os.kill(os.getpid(), signal.SIGTERM))
    heard = Heard()
    with (
        interruption.handled(),
        pytest.raises(interruption.Interrupted, match=r"epoch 2, step 1 of 2"),
    ):
        train(tmp_path, send, reporter=heard)
    assert heard.messages[-1].startswith("SIGTERM: stops when")
    assert checkpoint_files.positions(tmp_path / "checkpoint")[-1] == at
    model, history = train(tmp_path)
    assert_the_same(tmp_path, model, history, whole)


def test_a_signal_after_the_last_step_waits_for_the_validation(tmp_path):
    at = Position(0, STEPS)
    send = CutAt(at, lambda: os.kill(os.getpid(), signal.SIGINT))
    with (
        interruption.handled(),
        pytest.raises(interruption.Interrupted, match="the end of epoch 1"),
    ):
        train(tmp_path, send)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1


def test_a_finished_training_is_read_back(tmp_path, whole):
    train(tmp_path)
    (tmp_path / "model.keras").unlink()
    model, history = train(tmp_path, CutAt(Position(0, 1)))
    assert_the_same(tmp_path, model, history, whole)


def test_a_model_is_on_the_disk_before_its_checkpoints_go(
    tmp_path, monkeypatch
):
    done, replace = [], os.replace

    class Saved:
        def save(self, path):
            path.write_bytes(b"weights")

    def synced(descriptor):
        done.append(os.stat(descriptor).st_ino)

    def named(beside, path):
        done.append("named")
        replace(beside, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    path = tmp_path / "model.keras"
    resuming._save(Saved(), path)
    assert done == [path.stat().st_ino, "named", tmp_path.stat().st_ino]
    assert [*tmp_path.iterdir()] == [path]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "altered":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: len(content) // 2] if how == "cut" else content)
    if how == "without sum":
        path.with_name(f"{path.name}.sha256").unlink()


def test_a_damaged_checkpoint_is_told_and_the_one_before_used(
    tmp_path, whole, monkeypatch
):
    monkeypatch.setattr(resuming, "OVERHEAD", 1e9)
    with pytest.raises(CutOffError):
        train(tmp_path, CutAt(Position(2, 1)))
    folder = tmp_path / "checkpoint"
    assert checkpoint_files.positions(folder) == [Position(1), Position(2)]
    damage(folder / Position(2).file, "altered")
    heard = Heard()
    model, history = train(tmp_path, reporter=heard)
    (warning,) = heard.warnings
    assert str(folder / Position(2).file) in warning
    assert "the one before it is used" in warning
    assert "goes on at epoch 2" in heard.messages[0]
    assert_the_same(tmp_path, model, history, whole)


def test_the_last_two_checkpoints_and_the_best_ones_are_kept(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(resuming, "OVERHEAD", 1e9)  # one after each epoch
    _, history = train(tmp_path)
    folder = tmp_path / "checkpoint"
    assert checkpoint_files.positions(folder) == [Position(2), Position(3)]
    before, *_ = history[SCORE][:-1].nlargest(1).index + 1
    best = {before, history[SCORE].idxmax() + 1}
    kept = {Position(n).file for n in (2, 3)}
    kept |= {checkpoint_files.best_file(n) for n in best}
    named = {path.name for path in folder.iterdir()}
    assert named == kept | {f"{name}.sha256" for name in kept}


def two_checkpoints(folder):
    """Checkpoints after epochs 1 and 2, and a log that grew with them."""
    (folder / "history.csv").write_text("12345")
    for epoch in (1, 2):
        facts = {"best": None, "sizes": {"history.csv": 2 * epoch}}
        path = folder / "checkpoint" / Position(epoch).file
        checkpoint_files.write(path, [("a", np.arange(9))], facts)
    return folder / "checkpoint"


def test_a_log_is_cut_back_to_the_checkpoint(tmp_path):
    two_checkpoints(tmp_path)
    assert resuming.begin(tmp_path, Reporter()).position == Position(2)
    assert (tmp_path / "history.csv").read_text() == "1234"


@pytest.mark.parametrize("how", ["altered", "cut", "without sum", "short log"])
def test_every_damage_is_found(tmp_path, how):
    folder = two_checkpoints(tmp_path)
    if how == "short log":
        (tmp_path / "history.csv").write_text("12")
    else:
        damage(folder / Position(2).file, how)
    heard = Heard()
    assert resuming.begin(tmp_path, heard).position == Position(1)
    assert len(heard.warnings) == 1
    assert checkpoint_files.positions(folder) == [Position(1)]
    assert (tmp_path / "history.csv").read_text() == "12"


def compressed(path):
    np.savez_compressed(path, facts=np.zeros(2**20, np.uint8))


def of_one_array_many_times(path):
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("facts.npy", "w") as member:
            np.save(member, np.zeros(2**10))
        archive.filelist *= 2**10


def of_a_header_alone(path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("facts.npy", content.getvalue())


def of_pickled_objects(path):
    np.savez(path, facts=np.array([{}], object))


def of_no_arrays(path):
    path.write_text("PK")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (compressed, "it is compressed"),
        (of_one_array_many_times, "its arrays are larger than the file"),
        (of_a_header_alone, "facts.npy is not as long as it says"),
        (of_pickled_objects, "it is no archive of arrays"),
        (of_no_arrays, "it is no archive of arrays"),
    ],
)
def test_what_no_training_wrote_is_damaged_whatever_its_checksum(
    tmp_path, made, told
):
    path = two_checkpoints(tmp_path) / Position(2).file
    made(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    heard = Heard()
    assert resuming.begin(tmp_path, heard).position == Position(1)
    (warning,) = heard.warnings
    assert f"{path}: a damaged checkpoint ({told});" in warning


def test_without_a_good_checkpoint_the_stage_starts_anew(tmp_path):
    folder = two_checkpoints(tmp_path)
    for position in checkpoint_files.positions(folder):
        damage(folder / position.file, "altered")
    heard = Heard()
    assert resuming.begin(tmp_path, heard).fresh
    assert len(heard.warnings) == 2
    assert not (tmp_path / "history.csv").exists()


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(
    tmp_path, whole, monkeypatch
):
    monkeypatch.setattr(resuming, "OVERHEAD", 1e9)
    real = checkpoint_files._to_disk

    def full(descriptor):
        raise OSError(28, "No space left on device")

    fill = CutAt(
        Position(2, 1),
        lambda: monkeypatch.setattr(checkpoint_files, "_to_disk", full),
    )
    with pytest.raises(
        TrainingError, match=r"No space left.*epoch 2 is intact"
    ):
        train(tmp_path, fill)
    folder = tmp_path / "checkpoint"
    assert not list(folder.glob(".*"))
    assert checkpoint_files.positions(folder) == [Position(1), Position(2)]
    monkeypatch.setattr(checkpoint_files, "_to_disk", real)
    model, history = train(tmp_path)
    assert_the_same(tmp_path, model, history, whole)


def test_a_disk_full_at_the_first_checkpoint_begins_the_stage_anew(
    tmp_path, whole, monkeypatch
):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "_to_disk", full)
        with pytest.raises(TrainingError) as caught:
            train(tmp_path)
    assert str(caught.value).endswith(
        "No space left on device. It is the first of this stage; stages that"
        " are finished are intact: make room and continue with --resume, which"
        " begins this one anew."
    )
    assert not resuming.has_checkpoint(tmp_path)
    model, history = train(tmp_path)
    assert_the_same(tmp_path, model, history, whole)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    with pytest.raises(CutOffError):
        train(tmp_path, CutAt(Position(1, 1)))
    start = resuming.begin(tmp_path, Reporter())
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.compile("adam", "mse")
    with pytest.raises(RunError, match="of another model"):
        training_state.restore(other, start.checkpoint.arrays, tmp_path)


def test_short_epochs_go_without_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "OVERHEAD", 1e-9)
    written = []
    write = checkpoint_files.write
    monkeypatch.setattr(
        checkpoint_files,
        "write",
        lambda path, *rest: (written.append(path.name), write(path, *rest)),
    )
    train(tmp_path)
    epochs = [name for name in written if name.startswith("epoch")]
    assert epochs == [Position(1).file, Position(EPOCHS).file]


def test_a_checksum_is_what_sha256sum_reads(tmp_path):
    path = tmp_path / Position(1, 2).file
    checkpoint_files.write(path, [("a", np.arange(3))], {"b": 0.1})
    digest, name = (tmp_path / f"{path.name}.sha256").read_text().split()
    assert (len(digest), name) == (64, "epoch0001-step000002.npz")
    found = checkpoint_files.read(path)
    assert found.facts == json.loads('{"b": 0.1}')
    np.testing.assert_array_equal(found.arrays["a"], [0, 1, 2])
