"""The nats of kinds of sentences sum to the read-out of all of them."""

import math

import numpy as np
import pytest

from kerasmi.evaluation import mutual_information as mi
from kerasmi.evaluation import sentence_kinds
from kerasmi.evaluation.held_out import HeldOut

BOUNDS = [
    ("mine", "image_to_text"),
    ("nwj", "image_to_text"),
    ("cpc", "image_to_text"),
    ("cpc", "text_to_image"),
    ("cpc", "symmetric"),
]


def single(n=12, seed=0):
    """One image and one text for each study, two studies a subject."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, n)) + 2 * np.eye(n)
    order = rng.permutation(n)
    return HeldOut(
        scores[:, order], np.arange(n), np.arange(n)[order], np.arange(n) // 2
    )


def several(seed=0):
    """Studies of one to three images and one to three texts."""
    rng = np.random.default_rng(seed)
    images = np.array([0, 0, 0, 1, 2, 2, 3, 4, 5, 5])
    texts = rng.permutation([0, 0, 1, 1, 1, 2, 3, 4, 4, 5, 5, 5])
    scores = rng.normal(size=(len(images), len(texts)))
    return HeldOut(scores, images, texts, images // 2)


def kinds_of(pairs, seed=1):
    rng = np.random.default_rng(seed)
    return rng.choice(["Edema", "no Edema", "other"], len(pairs.text_studies))


# The sum


@pytest.mark.parametrize("made", [single, several])
@pytest.mark.parametrize(("bound", "direction"), BOUNDS)
def test_what_the_kinds_carry_adds_up_to_the_whole(made, bound, direction):
    pairs = made()
    found = sentence_kinds.evaluate(
        pairs, kinds_of(pairs), bound=bound, direction=direction
    )
    whole, kinds = found.iloc[0], found.iloc[1:]
    assert whole["kind"] == sentence_kinds.ALL
    assert kinds["carried"].sum() == pytest.approx(whole["nats"])
    assert kinds["share"].sum() == pytest.approx(1)
    assert kinds["n_sentences"].sum() == len(pairs.text_studies)
    assert kinds["carried"].is_monotonic_decreasing
    assert set(kinds["kind"]) == {"Edema", "no Edema", "other"}


@pytest.mark.parametrize("made", [single, several])
@pytest.mark.parametrize("bound", ["mine", "nwj", "smile", "jensen_shannon"])
def test_the_whole_is_the_read_out_of_donsker_and_varadhan(made, bound):
    pairs = made()
    whole = sentence_kinds.evaluate(pairs, kinds_of(pairs), bound=bound).iloc[0]
    read = mi.read_out("donsker_varadhan", pairs, bound=bound)
    assert whole["read_out"] == read.name
    assert whole["nats"] == pytest.approx(read.value)


@pytest.mark.parametrize("direction", mi.DIRECTIONS)
def test_the_whole_is_infonce_with_all_others_as_candidates(direction):
    pairs = single()
    whole = sentence_kinds.evaluate(
        pairs, kinds_of(pairs), bound="cpc", direction=direction
    ).iloc[0]
    read = mi.infonce(pairs, direction=direction, candidates=12)
    assert whole["read_out"] == read.name
    assert whole["nats"] == pytest.approx(read.value)


@pytest.mark.parametrize("direction", mi.DIRECTIONS)
def test_infonce_of_studies_with_several_texts_is_the_formula(direction):
    pairs = several()
    scores = pairs.scores.astype(float)
    images, texts = pairs.image_studies, pairs.text_studies
    own_of, whose = pairs.subjects, pairs.text_subjects
    weight = [
        (images == study).sum() / (texts == study).sum() for study in texts
    ]

    def forward(i, t):
        others = [c for c in range(len(texts)) if whose[c] != own_of[i]]
        total = sum(weight[c] * math.exp(scores[i, c]) for c in others)
        mean = total / sum(weight[c] for c in others)
        count = len(others)
        everyone = math.exp(scores[i, t]) + count * mean
        return scores[i, t] - math.log(everyone / (count + 1))

    def backward(i, t):
        others = [j for j in range(len(images)) if own_of[j] != whose[t]]
        everyone = sum(math.exp(scores[j, t]) for j in [i, *others])
        return scores[i, t] - math.log(everyone / (len(others) + 1))

    ways = {"image_to_text": [forward], "text_to_image": [backward]}
    values = {}
    for t in range(len(texts)):
        own = np.flatnonzero(images == texts[t])
        values[t] = np.mean(
            [
                np.mean([way(i, t) for i in own])
                for way in ways.get(direction, [forward, backward])
            ]
        )
    found = sentence_kinds.evaluate(
        pairs,
        [f"{t:02}" for t in range(len(texts))],
        bound="cpc",
        direction=direction,
    ).set_index("kind")
    for t in range(len(texts)):
        assert found.loc[f"{t:02}", "nats"] == pytest.approx(values[t])
        share = weight[t] / sum(weight)
        assert found.loc[f"{t:02}", "share"] == pytest.approx(share)


@pytest.mark.parametrize("direction", ["image_to_text", "text_to_image"])
@pytest.mark.parametrize("made", [single, several])
def test_what_infonce_ignores_changes_nothing_however_large(made, direction):
    pairs = made()
    # Whole numbers: the sums in float32 lose few digits.
    gauge = np.random.default_rng(2).integers(-2000, 2000, pairs.scores.shape)
    gauge = gauge[:, :1] if direction == "image_to_text" else gauge[:1]
    moved = HeldOut(
        pairs.scores + gauge,
        pairs.image_studies,
        pairs.text_studies,
        pairs.image_subjects,
    )
    tables = [
        sentence_kinds.evaluate(
            one, kinds_of(pairs), bound="cpc", direction=direction
        )
        for one in (pairs, moved)
    ]
    np.testing.assert_allclose(*(t["nats"] for t in tables), atol=1e-3)


def test_constant_scores_carry_nothing():
    pairs = several()
    flat = HeldOut(
        np.full_like(pairs.scores, 3), pairs.image_studies, pairs.text_studies
    )
    for bound, direction in BOUNDS:
        found = sentence_kinds.evaluate(
            flat, kinds_of(pairs), bound=bound, direction=direction
        )
        np.testing.assert_allclose(found["nats"], 0, atol=1e-6)


def test_blocks_of_rows_do_not_change_the_table(monkeypatch):
    pairs = several()
    for bound, direction in BOUNDS:
        with monkeypatch.context() as patch:
            settings = {"bound": bound, "direction": direction}
            whole = sentence_kinds.evaluate(pairs, kinds_of(pairs), **settings)
            patch.setattr("kerasmi.evaluation.held_out.BLOCK_ENTRIES", 30)
            parts = sentence_kinds.evaluate(pairs, kinds_of(pairs), **settings)
        numbers = ["nats", "carried", "share"]
        np.testing.assert_allclose(parts[numbers], whole[numbers])


# The rows


def test_the_standard_error_is_over_the_subjects_of_the_kind():
    pairs = single()
    kinds = np.full(12, "other", object)
    kinds[(pairs.text_subjects == 1) | (pairs.text_subjects == 4)] = "Edema"
    kinds[pairs.text_studies == 0] = "Pneumonia"
    found = sentence_kinds.evaluate(pairs, kinds, bound="mine")
    found = found.set_index("kind")
    # Two subjects with two texts each: means a and b stand (a - b) / 2 from
    # theirs, and sqrt(2 / 1 * 2 ((a - b) / 4)^2) = |a - b| / 2.
    own = pairs.matched
    a, b = (own[pairs.subjects == one].mean() for one in (1, 4))
    edema = found.loc["Edema"]
    assert edema["standard_error"] == pytest.approx(abs(a - b) / 2)
    assert (edema["n_sentences"], edema["n_subjects"]) == (4, 2)
    assert np.isnan(found.loc["Pneumonia", "standard_error"])
    assert found.loc["Pneumonia", "n_subjects"] == 1


def test_a_kind_is_wanted_for_each_text():
    with pytest.raises(ValueError, match="each of 12 texts"):
        sentence_kinds.evaluate(single(), ["other"] * 11, bound="mine")


# What a sentence tells of


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Small left pleural effusion.", "Pleural Effusion"),
        ("No pleural effusion.", "no Pleural Effusion"),
        (
            "There is no pleural effusion or pneumothorax.",
            "several findings denied",
        ),
        ("Edema and effusions have increased.", "several findings"),
        ("The heart is normal in size.", "no Cardiomegaly"),
        ("The lungs are clear.", "no Lung Opacity"),
        ("An endotracheal tube is in place.", "Support Devices"),
        ("Unchanged tubercle.", "other"),
        ("Comparison is made with the prior study.", "other"),
        ("", "other"),
    ],
)
def test_the_words_decide_where_nothing_is_known(sentence, kind):
    assert sentence_kinds.kind(sentence) == kind


def test_a_known_finding_goes_before_the_words():
    assert sentence_kinds.kind("No pleural effusion.", "Edema") == "Edema"
