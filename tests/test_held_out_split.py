"""Each text is encoded once, and belongs to the images it was written for."""

import numpy as np
import pytest
from played_features import PlayedFeatures, cell_means, recipe, record, write

from kerasmi import build
from kerasmi.data.records import read
from kerasmi.errors import DataError, RunError
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit

BIG, FREE, CLEAR = "The heart is large.", "No effusion.", "Lungs are clear."
RECORDS = (
    record("i1", "s1", "p1", (BIG, FREE)),
    record("i2", "s1", "p1", (BIG, FREE)),
    record("i3", "s2", "p1", (FREE, CLEAR, FREE)),
    record("i4", "s3", "p2"),
    record("i5", "s4", "p3", (BIG,), sentence_findings=("Cardiomegaly",)),
    # Two images of a study that have a report each.
    record("i6", "s5", "p4", (CLEAR,)),
    record("i7", "s5", "p4", (FREE,)),
)
READ = [one for one in RECORDS if one.sentences]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split") / "records"
    train = [
        record(f"t{k}", f"t{k}", f"t{k}", (BIG, FREE, CLEAR), split="train")
        for k in range(2)
    ]
    empty = record("v1", "v1", "v1", split="validation")
    return write(folder, [*train, *RECORDS, empty])


@pytest.fixture
def split(dataset):
    return HeldOutSplit(PlayedFeatures(recipe()), dataset, "test")


def test_images_without_text_are_left_out(split):
    assert split.rows["image_id"].tolist() == [one.image_id for one in READ]
    assert split.subjects.tolist() == [0, 0, 0, 1, 2, 2]
    assert split.studies.tolist() == [0, 0, 1, 2, 3, 3]


def test_a_sentence_written_twice_is_one_text(split):
    assert split.distinct_texts == [BIG, FREE, CLEAR]
    for said, one in zip(split.said, READ, strict=True):
        spoken = [split.distinct_texts[text] for text in said.texts]
        assert spoken == list(one.sentences)
        assert len(said.findings) == len(said.cells) == len(spoken)
    assert split.said[3].findings == ("Cardiomegaly",)
    assert split.said[0].findings == ("", "")


def test_the_text_of_the_global_scope_is_the_report(dataset):
    features = PlayedFeatures(recipe(name="global_mine"))
    split = HeldOutSplit(features, dataset, "test")
    assert split.distinct_texts == [
        *(f"{BIG} {FREE}", f"{FREE} {CLEAR} {FREE}", BIG, CLEAR, FREE)
    ]
    assert [said.texts.tolist() for said in split.said] == [
        *([0], [0], [1], [2], [3], [4])
    ]
    assert all(said.findings == ("",) for said in split.said)
    assert split.regions.shape == (6, 1, 2)


def test_each_image_is_scored_with_each_text(split):
    for i, one in enumerate(READ):
        means = cell_means(one.image)
        np.testing.assert_allclose(split.regions[i, :, :1], means, rtol=1e-6)
        for u, text in enumerate(split.distinct_texts):
            expected = means.max() * len(text)
            assert split.scores[i, u] == pytest.approx(expected)


def test_nothing_is_worked_out_twice(split):
    for _ in range(2):
        split.held_out()
        assert len(split.regions) == len(split.said)
        assert len(split.text_features) == len(split.distinct_texts)
    assert sorted(split.features.asked) == ["regions", "scores", "texts"]


def test_a_text_is_written_once_for_each_study_and_report(split):
    rows = split.written[["study", "image", "text", "place"]].to_numpy()
    assert rows.tolist() == [
        *([0, 0, 0, 0], [0, 0, 1, 1]),
        *([1, 2, 1, 0], [1, 2, 2, 1], [1, 2, 1, 2]),
        [2, 3, 0, 0],
        *([3, 4, 2, 0], [3, 5, 1, 0]),
    ]


def test_matched_pairs_are_those_of_a_study_negatives_of_two_subjects(split):
    pairs = split.held_out()
    texts = [split.distinct_texts[text] for text in split.written["text"]]
    of_study, of_subject = {}, {}
    for one in READ:
        of_study.setdefault(one.study_id, set()).update(one.sentences)
        of_subject.setdefault(one.subject_id, set()).update(one.sentences)
    matched = pairs.image_studies[:, None] == pairs.text_studies
    negatives = pairs.negatives(slice(None))
    for i, one in enumerate(READ):
        for rows, of, named in (
            (matched, of_study, one.study_id),
            (~negatives, of_subject, one.subject_id),
        ):
            told = zip(texts, rows[i], strict=True)
            assert {text for text, is_in in told if is_in} == of[named]
    lengths = np.array([len(text) for text in texts])
    highest = [cell_means(one.image).max() for one in READ]
    np.testing.assert_allclose(
        pairs.scores, np.outer(highest, lengths), rtol=1e-6
    )
    np.testing.assert_array_equal(pairs.subjects, split.subjects)


def test_a_split_without_text_is_refused(dataset):
    with pytest.raises(DataError, match=r"records: no validation image has"):
        HeldOutSplit(PlayedFeatures(recipe()), dataset, "validation")


def test_one_subject_is_refused_where_negatives_are_needed(tmp_path):
    studies = [record(f"i{k}", f"s{k}", "p1", (BIG,)) for k in range(2)]
    alone = write(tmp_path / "one", studies)
    split = HeldOutSplit(PlayedFeatures(recipe()), alone, "test")
    with pytest.raises(DataError, match=r"one: test: .*at least two subjects"):
        split.held_out()


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_diverged_critic_is_the_fault_of_the_run(split, score):
    split.scores[1, 2] = score
    with pytest.raises(RunError, match=r"local_mine: .* diverged: 1 of 18 "):
        split.held_out()


def test_a_network_sees_the_images_and_texts_in_the_same_order(dataset):
    small = recipe("critic.hidden_dims=[8, 4]")
    features = Features(small, build.image_text_model(small, dataset, 999))
    split = HeldOutSplit(features, dataset, "test")
    # Images of 8 pixels are enlarged alike, one by one or in batches.
    for i, one in enumerate(read(dataset, "test", split.rows["image_id"])):
        regions = features.regions_of_pngs([one.image])
        np.testing.assert_allclose(regions[0], split.regions[i], atol=1e-5)
        for u, text in enumerate(split.distinct_texts):
            alone = features.scores(regions, features.texts([text]))
            assert alone.shape == (1, 1)
            assert alone[0, 0] == pytest.approx(split.scores[i, u], abs=1e-4)
