"""Probes of features that are known, on labels that are known."""

import numpy as np
import pytest
from played_features import PlayedFeatures, png, recipe, record, write
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kerasmi import labelled, probing, stages
from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9
from kerasmi.errors import DataError
from kerasmi.evaluation import auc, probes

SIZES = {"train": 60, "validation": 24, "test": 30}
RECIPE = ("retrain.labels=null", "retrain.tasks=[pathology9, edema_severity]")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads cost more than these small fits."""
    with threadpool_limits(1):
        yield


def labels_of(level, split):
    """All findings are there from level 2 on; one is never taught."""
    taught = level % 2 if split == "test" else 1
    present = dict.fromkeys(PATHOLOGY9, int(level >= 2))
    return {**present, "Pneumonia": taught, EDEMA_SEVERITY: level}


def made(split, changed=lambda known, k: known):
    """Brighter images have more severe oedema."""
    for k in range(SIZES[split]):
        level = k % 4
        rng = np.random.default_rng((len(split), k))
        pixels = 40 * level + 30 + rng.integers(0, 30, (8, 8))
        name = f"{split}{k:02}"
        yield record(
            *(name, name, name, ("Stable.",)),
            split=split,
            image=png(pixels),
            labels=changed(labels_of(level, split), k),
        )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probing") / "records"
    return write(folder, [one for split in SIZES for one in made(split)])


def evaluate(dataset, *overrides, split="test"):
    features = PlayedFeatures(recipe(*RECIPE, *overrides))
    return probing.evaluate(features, dataset, split)


@pytest.fixture(scope="module")
def table(dataset):
    return evaluate(dataset).set_index(["task", "encoder", "label"])


def test_both_probes_read_what_the_features_hold(table):
    # Brightness tells the level, by a step.
    known = table.drop(index="Pneumonia", level="label")["value"]
    assert len(known) == 2 * (9 + 4)
    assert (known == 1).all()


def test_each_task_has_its_labels_and_their_mean(table):
    cuts = [f"{EDEMA_SEVERITY} {cut}" for cut in auc.SEVERITY_CUTS]
    for encoder in (probes.LINEAR, probes.NEIGHBOURS):
        for task, labels in (
            ("pathology9", PATHOLOGY9),
            ("edema_severity", cuts),
        ):
            rows = table.xs((task, encoder), level=(0, 1))
            assert rows.index.tolist() == [*labels, auc.MEAN]
            assert rows["setting"].nunique() == 1
    cut = table.loc[("edema_severity", probes.LINEAR, cuts[0])]
    assert (cut["n_positive"], cut["n_negative"]) == (22, 8)


def test_a_label_that_lacks_a_class_is_said_not_to_be_defined(table):
    row = table.loc[("pathology9", probes.LINEAR, "Pneumonia")]
    assert np.isnan(row["value"])
    assert (row["n_positive"], row["n_negative"]) == (0, 0)
    assert row["note"] == "not defined: the labelled images lack a class"
    mean = table.loc[("pathology9", probes.LINEAR, auc.MEAN)]
    assert "8 of 9 labels, without Pneumonia" in mean["note"]


def test_the_linear_probe_is_the_regression_of_scikit_learn(tmp_path):
    def noisy(known, k):
        flip = np.random.default_rng(k).random() < 0.3
        return {**known, "Edema": known["Edema"] ^ int(flip)}

    records = [one for split in SIZES for one in made(split, noisy)]
    dataset = write(tmp_path / "noisy", records)
    found = evaluate(dataset, "retrain.tasks=[pathology9]", "retrain.labels=40")
    found = found.set_index(["encoder", "label"]).sort_index()
    row = found.loc[(probes.LINEAR, "Edema")]
    asked = recipe(*RECIPE, "retrain.labels=40")
    (task, _) = stages.tasks(asked)
    chosen = set(labelled.drawn_images(asked, dataset, task))
    assert len(chosen) == 40
    features = PlayedFeatures(asked)

    def means(split, ids=None):
        regions = features.regions(dataset, split, ids)
        return regions.mean(axis=1)

    def edema(split, ids=None):
        return dataset.rows(split, ids)["Edema"].to_numpy()

    scaler = StandardScaler().fit(means("train", chosen))
    strength = float(row["setting"].removeprefix("C="))
    model = LogisticRegression(C=strength, max_iter=2000)
    model.fit(scaler.transform(means("train", chosen)), edema("train", chosen))
    scores = model.decision_function(scaler.transform(means("test")))
    expected = roc_auc_score(edema("test"), scores)
    assert row["value"] == pytest.approx(expected)
    assert 0.5 < expected < 1


def test_the_labels_of_the_test_images_pick_no_setting(dataset, tmp_path):
    def swapped(known, k):
        return {**known, EDEMA_SEVERITY: 3 - known[EDEMA_SEVERITY]}

    records = [
        *(one for split in ("train", "validation") for one in made(split)),
        *made("test", swapped),
    ]
    other = write(tmp_path / "swapped", records)
    one, two = (
        evaluate(each, "retrain.tasks=[edema_severity]")
        for each in (dataset, other)
    )
    assert one["setting"].tolist() == two["setting"].tolist()
    mine = one["encoder"] == probes.LINEAR
    np.testing.assert_allclose(
        one.loc[mine, "value"] + two.loc[mine, "value"], 1
    )


def test_the_labels_asked_for_are_the_only_ones_read(dataset, monkeypatch):
    asked = []
    blocks = PlayedFeatures.region_blocks

    def watched(self, dataset, split, image_ids):
        asked.append((split, None if image_ids is None else len(image_ids)))
        return blocks(self, dataset, split, image_ids)

    monkeypatch.setattr(PlayedFeatures, "region_blocks", watched)
    evaluate(dataset, "retrain.labels=20", "retrain.tasks=[edema_severity]")
    assert sorted(asked) == [
        ("test", None),
        ("train", 20),
        ("validation", None),
    ]


def test_heads_of_one_label_are_probed_as_their_task(dataset):
    one, two = (
        evaluate(dataset, "retrain.tasks=[pathology9]", f"retrain.heads={head}")
        for head in ("multilabel", "binary")
    )
    np.testing.assert_array_equal(one["value"], two["value"])


def test_a_task_without_two_classes_is_refused(tmp_path):
    def same(known, k):
        return {**known, EDEMA_SEVERITY: 0}

    records = [one for split in SIZES for one in made(split, same)]
    dataset = write(tmp_path / "same", records)
    with pytest.raises(DataError, match=r"same: edema_severity: No label has"):
        evaluate(dataset, "retrain.tasks=[edema_severity]")
