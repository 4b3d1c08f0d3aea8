import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import batch, model

from kerasmi import callbacks, optimizers
from kerasmi.evaluation import figures
from kerasmi.evaluation.region_examples import RegionExamples
from kerasmi.reporter import Reporter


def train(folder):
    made = model(normalize=True)
    optimizer = optimizers.paper(made, 1e-3, 1e-4)
    made.compile(optimizer, loss="cpc", run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices(batch(8, texts=2)).batch(4)
    pictures = batch(2)["images"][..., 0]

    def draw():
        maps = np.arange(32.0).reshape(2, 4, 4)
        figure = figures.region_maps(pictures, ["one.", "two."], maps)
        return figures.to_array(figure)

    made.fit(
        data,
        validation_data=data,
        epochs=2,
        verbose=0,
        shuffle=False,
        callbacks=[
            callbacks.Progress(Reporter(), 2, 2, 4, {}),
            callbacks.TensorBoard(str(folder)),
            callbacks.Pictures(folder / "pictures", "sentences", draw, 2),
        ],
    )


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The address of a TensorBoard that watches a folder of logs."""
    folder = tmp_path_factory.mktemp("logs")
    train(folder)
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main"),
            *("--logdir", str(folder), "--host", "127.0.0.1", "--port", "0"),
            "--load_fast=false",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield address(server)
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stderr.close()


def address(server):
    for line in server.stderr:
        if "http://" in line:
            return "http://" + line.split("http://")[1].split()[0].rstrip("/")
    return pytest.fail("TensorBoard did not start")


def get(board, path, **query):
    url = f"{board}/data/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def tags(board, plugin, run, wanted):
    """The tags of a run, once `wanted`, the last written, is among them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            found = json.loads(get(board, f"plugin/{plugin}/tags"))
        except urllib.error.URLError:
            found = {}
        if wanted in found.get(run, ()):
            return found[run]
        time.sleep(0.5)
    return pytest.fail(f"no {wanted} of {run} within two minutes: {found}")


def values(board, tag):
    """The values of a training scalar, one for each of the two epochs."""
    answer = get(board, "plugin/scalars/scalars", run="train", tag=tag)
    points = json.loads(answer)
    assert [step for _, step, _ in points] == [0, 1]
    return [value for _, _, value in points]


def test_scalars_are_served_over_http(board):
    last = "epoch_learning_rate/bert_adam_w"
    names = tags(board, "scalars", "train", last)
    for name in (
        "mutual_information",
        "ceiling",
        "mean_score_positives",
        "mean_score_negatives",
        "effective_negatives",
        "region_entropy",
        "gradient_norm",
        "images_per_second",
        "learning_rate/adam",
        "learning_rate/bert_adam_w",
    ):
        assert f"epoch_{name}" in names
    rates = {"adam": 1e-3, "bert_adam_w": 1e-4}
    for name, rate in rates.items():
        found = values(board, f"epoch_learning_rate/{name}")
        assert found == pytest.approx([rate, rate])
    for name in ("images_per_second", "gradient_norm", "effective_negatives"):
        assert all(value > 0 for value in values(board, f"epoch_{name}"))
    # nats, from one region (0) to all sixteen alike
    entropy = values(board, "epoch_region_entropy")
    assert all(0 <= value <= np.log(16) + 1e-6 for value in entropy)
    assert values(board, "epoch_ceiling") == pytest.approx([np.log(7)] * 2)
    tags(board, "scalars", "validation", "epoch_mutual_information")


def test_pictures_are_served_over_http(board):
    tags(board, "images", "pictures", "sentences")
    (first, *_) = json.loads(
        get(
            board,
            "plugin/images/images",
            run="pictures",
            tag="sentences",
            sample=0,
        )
    )
    url = f"{board}/data/plugin/images/individualImage?{first['query']}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        picture = answer.read()
    assert picture.startswith(b"\x89PNG")
    assert tf.io.decode_png(picture).shape[0] > 100


def test_keras_still_asks_for_the_learning_rate_where_it_is_overridden():
    # private in Keras: a rename must be noticed
    made = model()
    made.compile(keras.optimizers.SGD(0.25, name="plain"))
    board = callbacks.TensorBoard("unused")
    board._model = made
    theirs = keras.callbacks.TensorBoard._collect_learning_rate(board, {})
    assert theirs == {"learning_rate": 0.25}
    assert board._collect_learning_rate({"loss": 1.0}) == {
        "loss": 1.0,
        "learning_rate/plain": 0.25,
    }


@pytest.mark.parametrize("show", [True, False])
def test_sentences_of_people_are_no_part_of_a_picture(show):
    examples = RegionExamples(
        [np.zeros((64, 64), np.uint8)],
        ["The heart is large."],
        np.zeros((1, 4, 4), np.float32),
        [None],
        64,
    )
    figure = examples.draw(show)
    words = " ".join(
        text.get_text()
        for axes in figure.axes
        for text in (axes.title, *axes.texts)
    )
    assert ("heart" in words) == show
    assert ("sentence 1" in words) != show
