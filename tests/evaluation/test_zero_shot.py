"""Zero-shot scores: differences of sentences, free of the image's gauge."""

import numpy as np
import pandas as pd
import pytest

from kerasmi.data.schema import CHEXPERT14
from kerasmi.evaluation import zero_shot

PROMPTS = pd.DataFrame(
    [
        ("Edema", "wet lungs", "dry lungs"),
        ("Pneumonia", "pneumonia", "dry lungs"),
        ("Edema", "edema", "no edema"),
    ],
    columns=list(zero_shot.PROMPTS),
)


def test_a_label_scores_the_mean_difference_of_its_sentences():
    texts = zero_shot.texts(PROMPTS)
    assert texts == [
        *("wet lungs", "pneumonia", "edema", "dry lungs", "no edema")
    ]
    scores = np.array([[1.0, 2.0, 4.0, 0.5, 3.0]])
    found = zero_shot.label_scores(PROMPTS, scores, ["Edema", "Pneumonia"])
    edema = ((1.0 - 0.5) + (4.0 - 3.0)) / 2
    np.testing.assert_allclose(found, [[edema, 2.0 - 0.5]])


def test_a_function_of_the_image_changes_nothing():
    rng = np.random.default_rng(0)
    scores, gauge = rng.normal(size=(9, 5)), rng.normal(0, 100, (9, 1))
    labels = ["Pneumonia", "Edema"]
    np.testing.assert_allclose(
        zero_shot.label_scores(PROMPTS, scores + gauge, labels),
        zero_shot.label_scores(PROMPTS, scores, labels),
        atol=1e-9,
    )


def test_a_function_of_the_text_does_not_change_the_order_of_the_images():
    rng = np.random.default_rng(1)
    scores, gauge = rng.normal(size=(9, 5)), rng.normal(0, 10, 5)
    found = [
        zero_shot.label_scores(PROMPTS, one, ["Edema"])[:, 0]
        for one in (scores, scores + gauge)
    ]
    np.testing.assert_array_equal(*(np.argsort(one) for one in found))


def test_swapping_the_sentences_changes_the_sign():
    scores = np.random.default_rng(2).normal(size=(4, 5))
    swapped = PROMPTS.rename(
        columns={"positive": "negative", "negative": "positive"}
    )
    places = [
        zero_shot.texts(PROMPTS).index(text)
        for text in zero_shot.texts(swapped)
    ]
    np.testing.assert_allclose(
        zero_shot.label_scores(swapped, scores[:, places], ["Edema"]),
        -zero_shot.label_scores(PROMPTS, scores, ["Edema"]),
    )


@pytest.mark.parametrize(
    ("label", "first"),
    [
        ("Pleural Effusion", ("There is a pleural effusion.", "No pleural")),
        ("Atelectasis", ("There is atelectasis.", "No atelectasis.")),
        ("Support Devices", ("There is a support device.", "No support dev")),
    ],
)
def test_the_default_sentences_are_english(label, first):
    prompts = zero_shot.default_prompts([label])
    positive, negative = prompts[["positive", "negative"]].iloc[0]
    assert positive == first[0]
    assert negative.startswith(first[1])


def test_every_label_has_default_sentences_for_and_against_it():
    prompts = zero_shot.default_prompts(CHEXPERT14)
    assert list(prompts.columns) == list(zero_shot.PROMPTS)
    assert (prompts["label"].value_counts() == 3).all()
    assert set(prompts["label"]) == set(CHEXPERT14)
    sentences = prompts[["positive", "negative"]].to_numpy()
    assert (sentences[:, 0] != sentences[:, 1]).all()
    for text in sentences.ravel():
        assert text[0].isupper()
        assert text.endswith(".")
        assert " a a" not in text.lower()
        assert "{" not in text
