"""Probes on features whose labels are known functions of them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kerasmi.evaluation import probes
from kerasmi.evaluation.probes import Part

PROBES = [probes.linear, probes.neighbours]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads cost more than these small fits."""
    with threadpool_limits(1):
        yield


def part(n, seed, noise=0.0, labels=2):
    """Features of 5 dimensions; label k is the sign of the k-th."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 5))
    noisy = features[:, :labels] + noise * rng.normal(size=(n, labels))
    return Part(features, (noisy > 0).astype(int))


@pytest.fixture(scope="module")
def parts():
    return part(200, 0, 0.5), part(100, 1, 0.5), part(150, 2, 0.5)


def auc(targets, scores):
    return [
        roc_auc_score(*pair) for pair in zip(targets.T, scores.T, strict=True)
    ]


def test_the_linear_probe_recovers_a_linearly_separable_label():
    train, validation, test = (part(200, seed) for seed in range(3))
    found = probes.linear(train, validation, test.features)
    assert min(auc(test.targets, found.scores)) > 0.99


def test_the_linear_probe_does_not_depend_on_the_features_scale(parts):
    train, validation, test = parts
    scale, shift = np.array([1e-3, 1, 50, 1e4, 7]), np.arange(5) * 10
    plain = probes.linear(train, validation, test.features)
    moved = probes.linear(
        Part(train.features * scale + shift, train.targets),
        Part(validation.features * scale + shift, validation.targets),
        test.features * scale + shift,
    )
    np.testing.assert_allclose(moved.scores, plain.scores, atol=1e-3)
    assert moved.setting == plain.setting


def test_the_linear_probe_is_the_regression_of_scikit_learn(parts):
    train, validation, test = parts
    found = probes.linear(train, validation, test.features)
    strength = float(found.setting.removeprefix("C="))
    scaler = StandardScaler().fit(train.features)
    for k in range(2):
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(scaler.transform(train.features), train.targets[:, k])
        expected = model.predict_proba(scaler.transform(test.features))[:, 1]
        np.testing.assert_allclose(found.scores[:, k], expected, atol=1e-6)


def test_neighbours_score_the_share_of_positives_by_cosine(parts):
    train, validation, test = parts
    found = probes.neighbours(train, validation, test.features)
    number = int(found.setting.removeprefix("k="))
    for image, scores in zip(test.features[:20], found.scores, strict=False):
        cosines = [
            one @ image / np.linalg.norm(one) / np.linalg.norm(image)
            for one in train.features
        ]
        nearest = np.argsort(cosines)[::-1][:number]
        np.testing.assert_allclose(scores, train.targets[nearest].mean(axis=0))


def test_neighbours_see_the_direction_and_not_the_length(parts):
    train, validation, test = parts
    longer = test.features * np.random.default_rng(0).uniform(1, 9, (150, 1))
    plain = probes.neighbours(train, validation, test.features)
    moved = probes.neighbours(train, validation, longer)
    np.testing.assert_array_equal(plain.scores, moved.scores)


@pytest.mark.parametrize("probe", PROBES)
def test_validation_picks_the_setting_and_nothing_else_does(
    probe, parts, monkeypatch
):
    train, validation, test = parts
    monkeypatch.setattr(probes, "STRENGTHS", (1e-4, 1e-2, 1.0))
    monkeypatch.setattr(probes, "NUMBERS", (1, 10, 50))
    found = probe(train, validation, test.features)
    settings = []
    for number, strength in zip(probes.NUMBERS, probes.STRENGTHS, strict=True):
        monkeypatch.setattr(probes, "STRENGTHS", (strength,))
        monkeypatch.setattr(probes, "NUMBERS", (number,))
        alone = probe(train, validation, validation.features)
        mean = np.mean(auc(validation.targets, alone.scores))
        assert alone.validation == pytest.approx(mean)
        settings.append((mean, alone.setting))
    assert (found.validation, found.setting) == max(settings)


@pytest.mark.parametrize("probe", PROBES)
def test_an_image_is_scored_alike_whatever_is_scored_beside_it(probe, parts):
    train, validation, test = parts
    whole = probe(train, validation, test.features)
    some = probe(train, validation, -test.features[::-1])
    assert (some.setting, some.validation) == (whole.setting, whole.validation)
    few = probe(train, validation, test.features[:7])
    np.testing.assert_allclose(few.scores, whole.scores[:7], atol=1e-9)


@pytest.mark.parametrize("probe", PROBES)
def test_an_image_whose_target_is_ignored_does_not_count(probe, parts):
    train, validation, test = parts
    targets = train.targets[:, :1].copy()
    targets[50:] = -1
    known = Part(validation.features, validation.targets[:, :1])
    found = probe(Part(train.features, targets), known, test.features)
    alone = probe(Part(train.features[:50], targets[:50]), known, test.features)
    assert found.setting == alone.setting
    np.testing.assert_allclose(found.scores, alone.scores, atol=1e-9)


@pytest.mark.parametrize("probe", PROBES)
def test_a_label_without_both_classes_is_not_learnt_nor_in_the_way(
    probe, parts
):
    train, validation, test = parts
    # Two images are known of label 2, both positive.
    rare = np.r_[1, 1, np.full(198, -1)][:, None]
    found = probe(
        Part(train.features, np.hstack([train.targets, rare])),
        Part(
            validation.features,
            np.hstack([validation.targets, validation.targets[:, :1]]),
        ),
        test.features,
    )
    without = probe(train, validation, test.features)
    np.testing.assert_array_equal(found.scores[:, :2], without.scores)
    assert (found.setting, found.validation) == (
        without.setting,
        without.validation,
    )
    assert probes.undefined(found, ["a", "b", "c"]) == ["c"]
    assert probes.undefined(without, ["a", "b"]) == []


def test_there_are_never_more_neighbours_than_labelled_images(parts):
    train, validation, test = parts
    few = Part(train.features[:4], train.targets[:4, :1])
    assert set(few.targets[:, 0]) == {0, 1}
    known = Part(validation.features, validation.targets[:, :1])
    found = probes.neighbours(few, known, test.features)
    assert found.setting in ("k=1", "k=3")


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("lacking", ["training", "validation"])
def test_no_label_with_both_classes_is_refused(probe, parts, lacking):
    train, validation, test = parts
    positive = np.ones_like(train.targets)
    if lacking == "training":
        train = Part(train.features, positive)
    else:
        validation = Part(validation.features, positive[:100])
    with pytest.raises(ValueError, match="both in training and in validation"):
        probe(train, validation, test.features)


def test_severities_are_three_questions():
    found = probes.severity_targets(np.array([0, 1, 2, 3, -1]))
    expected = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [-1, -1, -1]]
    assert found.tolist() == expected
