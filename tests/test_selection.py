"""Nothing is trained on a test image, and no epoch is chosen by one."""

import keras
import pandas as pd
import pytest

from kerasmi import build, distribute, pretrain, retrain, stages
from kerasmi import recipe as recipes
from kerasmi.data.dataset import Dataset
from kerasmi.reporter import Reporter

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow")]

EPOCHS = 3
SMALL = (
    "data.images={train: 48, validation: 48, test: 24}",
    "critic.hidden_dims=[8, 4]",
    f"pretrain.epochs={EPOCHS}",
    "pretrain.batch_size=16",
    "pretrain.warmup_steps=2",
    "pretrain.sentences=1",
    f"retrain.epochs={EPOCHS}",
    "retrain.batch_size=16",
    "retrain.labels=32",
    "retrain.tasks=[pathology9]",
)


@pytest.fixture(scope="module")
def recipe():
    return recipes.load("local_mine", SMALL)


@pytest.fixture(scope="module")
def dataset(recipe, tmp_path_factory):
    return build.data(recipe, tmp_path_factory.mktemp("data"), Reporter())


@pytest.fixture
def seen(monkeypatch):
    """The splits whose rows or files have been asked for."""
    splits = set()

    def watched(ask):
        def asked(dataset, split, *args):
            splits.add(split)
            return ask(dataset, split, *args)

        return asked

    for name in ("rows", "shards", "shard_sizes"):
        monkeypatch.setattr(Dataset, name, watched(getattr(Dataset, name)))
    return splits


def best_epoch(folder, score):
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == EPOCHS
    return int(history[score].idxmax()) + 1


def steps_of_the_kept_model(folder):
    model = keras.saving.load_model(folder / "model.keras")
    return int(model.optimizer.iterations.numpy())


def test_pretraining_and_its_read_out_never_see_the_test_set(
    recipe, dataset, seen, tmp_path, undrawn
):
    pretrain.run(recipe, dataset, tmp_path, Reporter(), distribute.strategy())
    assert seen == {"train", "validation"}
    best = best_epoch(tmp_path, "val_mutual_information")
    assert steps_of_the_kept_model(tmp_path) == best * (48 // 16)


def test_retraining_sees_the_test_set_only_to_predict(
    recipe, dataset, seen, tmp_path, monkeypatch
):
    before = []
    monkeypatch.setattr(
        retrain, "predict", lambda *args: before.extend(sorted(seen))
    )
    (task,) = stages.tasks(recipe)
    retrain.run(
        recipe,
        dataset,
        task,
        "image_only",
        None,
        tmp_path,
        Reporter(),
        distribute.strategy(),
    )
    assert before == ["train", "validation"]
    best = best_epoch(tmp_path, "val_auc")
    assert steps_of_the_kept_model(tmp_path) == best * (32 // 16)
