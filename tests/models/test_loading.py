"""A `.keras` file of anyone: read, and nothing in it executed."""

import pathlib
import zipfile

import keras
import numpy as np
import pytest

from kerasmi.models import loading


def sequential(*layers):
    return keras.Sequential([keras.Input((2,)), *layers])


def test_a_model_is_read_as_keras_reads_it(tmp_path):
    made = sequential(keras.layers.Dense(3))
    made.save(tmp_path / "own.keras")
    found = loading.load(tmp_path / "own.keras")
    points = np.eye(2, dtype="float32")
    np.testing.assert_array_equal(found(points), made(points))


def test_a_lambda_layer_is_not_executed(tmp_path):
    ran = tmp_path / "ran"

    def leave_a_mark(x):
        pathlib.Path(ran).touch()
        return x

    layer = keras.layers.Lambda(lambda x: leave_a_mark(x))
    made = sequential()
    made.add(layer)
    made.save(tmp_path / "own.keras")
    ran.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="Python code, which is not executed"):
        loading.load(tmp_path / "own.keras")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"../ran": b"precious"}, r"'\.\./ran', which is no part"),
        ({"assets/../../ran": b"precious"}, "which is no part"),
        ({"ran.py": b"print()"}, "'ran.py', which is no part"),
        ({"model.weights.h5": bytes(2**26)}, "would unpack to 67,108,864"),
        ({"config.json": b"{"}, "."),
        ({}, "."),
    ],
)
def test_an_archive_that_is_no_model_is_refused(tmp_path, members, words):
    with zipfile.ZipFile(tmp_path / "own.keras", "w", 8) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=words) as refusal:
        loading.load(tmp_path / "own.keras")
    assert len(str(refusal.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.keras"]


def test_what_is_no_archive_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        loading.load(tmp_path / "gone.keras")
    (tmp_path / "own.keras").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"damaged, or no \.keras file"):
        loading.load(tmp_path / "own.keras")
