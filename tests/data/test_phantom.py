"""The phantom: its records, its words, its pictures and what they share."""

import dataclasses
import hashlib
import io
import itertools
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from kerasmi.data.schema import (
    BLANK,
    EDEMA_SEVERITY,
    PATHOLOGY9,
    SPLITS,
    UNCERTAIN,
)
from kerasmi.data.sources import phantom as source
from kerasmi.data.sources.phantom import Phantom, Study, generate
from kerasmi.data.sources.phantom_image import (
    Acquisition,
    Anatomy,
    Frame,
)
from kerasmi.data.sources.phantom_report import Report, write
from kerasmi.data.sources.phantom_shapes import (
    power,
    stroke,
)
from kerasmi.data.sources.phantom_status import Status

LABELS = (*PATHOLOGY9, EDEMA_SEVERITY)
# Drawn by the code of b8f5803: between them every finding of every grade.
GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "phantom.png"
GOLDEN_SUBJECTS = (5, 32, 106, 127, 216)


@pytest.fixture(scope="module")
def records():
    return list(generate(Phantom(train=900, validation=60, test=300)))


@pytest.fixture(scope="module")
def train(records):
    return [r for r in records if r.split == "train"]


def picture(record):
    return np.asarray(Image.open(io.BytesIO(record.image)))


def grid(cells):
    return np.frombuffer(cells, np.uint8).reshape(4, 4)


def study(*statuses, seed=0, view="PA"):
    generator = np.random.default_rng(seed)
    anatomy = Anatomy.draw(generator)
    exposure = Acquisition.draw(generator, view)
    return Study(anatomy, statuses, Report((), ()), (exposure,))


def drawn(study, size=64):
    image, _ = source.draw(study, study.exposures[0], size)
    return image.astype(float)


def cell_sums(image):
    part = len(image) // 4
    return image.reshape(4, part, 4, part).sum((1, 3))


# Records


def test_the_same_seed_gives_the_same_bytes(records):
    again = generate(Phantom(train=900, validation=60, test=300))
    assert [next(again) for _ in range(80)] == records[:80]


def test_another_seed_gives_other_subjects(records):
    other = next(generate(Phantom(train=1, seed=1)))
    assert other.image != records[0].image


def test_the_number_of_workers_does_not_change_a_byte():
    phantom = Phantom(train=30, validation=5, test=7)
    assert list(generate(phantom, workers=2)) == list(generate(phantom))


def test_subjects_are_the_same_drawn_alone_and_with_others(train):
    alone = (source.subject(Phantom(), "train", i) for i in range(8))
    several = [record for subject in alone for record in subject]
    assert several == train[: len(several)]


def test_pictures_are_the_golden_ones():
    kinds = set()
    found = []
    for number in GOLDEN_SUBJECTS:
        for one in source.studies(Phantom(), "train", number):
            kinds.update((s.kind, s.grade) for s in one.statuses)
        found += source.subject(Phantom(), "train", number)
    assert len(kinds) == 19
    golden = np.asarray(Image.open(GOLDEN)).astype(int)
    off = np.concatenate([picture(record) for record in found]) - golden
    # The same bytes on one machine; another may round a pixel otherwise.
    assert abs(off).max() <= 1
    assert np.count_nonzero(off) <= 4


def test_all_but_the_pictures_is_golden():
    told = [
        dataclasses.astuple(dataclasses.replace(record, image=b""))
        for number in GOLDEN_SUBJECTS
        for record in source.subject(Phantom(), "train", number)
    ]
    assert hashlib.sha256(repr(told).encode()).hexdigest() == (
        "c93c990c4ac568b0c341aad8d02ffdfb2985bab0b4187e0b952677b2cfa5300f"
    )


def test_a_line_is_drawn_wherever_it_reaches():
    size = 40
    side = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(side, side)
    corners = np.array([(-0.6, -0.7), (0.1, 0.2), (0.5, -0.1)], np.float32)
    drawn = stroke(x, y, corners, 0.2, 0.05)
    off = np.full((size, size), np.inf)
    for a, b in itertools.pairwise(corners.astype(float)):
        for part in np.linspace(0, 1, 2000):
            at = a + part * (b - a)
            off = np.minimum(off, np.hypot(x - at[0], y - at[1]))
    expected = np.clip((0.1 - off) / 0.05 + 0.5, 0, 1)
    np.testing.assert_allclose(drawn, expected, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_power_of_0_is_lost_in_what_it_is_added_to(dtype):
    base = np.linspace(-1, 2, 64, dtype=dtype).reshape(8, 8)
    expected = np.maximum(base, 0) ** 1.3
    np.testing.assert_array_equal(1 + power(base, 1.3), 1 + expected)


def test_no_more_subjects_are_begun_than_may_be_needed():
    begun = []

    def each(function, tasks):
        # All at once, as if there were processes without number.
        begun.extend(tasks)
        return map(function, begun)

    found = list(source._split(Phantom(train=30), "train", each))
    assert len(begun) == 4
    assert found == list(generate(Phantom(train=30, validation=0, test=0)))


def test_a_larger_split_begins_with_the_smaller_one(train):
    small = list(generate(Phantom(train=50, validation=0, test=0)))
    assert small == train[:50]


def test_the_splits_have_the_sizes_asked_for(records):
    counts = [sum(r.split == split for r in records) for split in SPLITS]
    assert counts == [900, 60, 300]
    assert len(Phantom(train=900, validation=60, test=300)) == 1260


def test_no_subject_and_no_image_stands_in_two_splits(records):
    subjects = {split: set() for split in SPLITS}
    images = set()
    for record in records:
        subjects[record.split].add(record.subject_id)
        images.add(record.image)
    assert sum(map(len, subjects.values())) == len(
        set().union(*subjects.values())
    )
    assert len(images) == len(records)
    assert len({r.image_id for r in records}) == len(records)


def test_some_subjects_have_several_studies_and_some_studies_images(train):
    studies = {r.study_id: r.subject_id for r in train}
    per_subject = np.unique(list(studies.values()), return_counts=True)[1]
    per_study = np.unique([r.study_id for r in train], return_counts=True)[1]
    assert set(per_subject) == set(per_study) == {1, 2, 3}


def test_the_images_of_a_study_share_report_and_truth_but_no_pixel(train):
    first = {}
    for record in train:
        other = first.setdefault(record.study_id, record)
        assert other.sentences == record.sentences
        assert other.labels == record.labels
        assert other.truth == record.truth
        if other is not record:
            assert (picture(other) != picture(record)).mean() > 0.5


@pytest.mark.parametrize("size", [64, 128, 256])
def test_every_size_shows_the_same_thorax(size, records):
    larger = next(generate(Phantom(train=1, size=size)))
    image = picture(larger)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8
    assert larger.sentences == records[0].sentences
    part = size // 64
    small = image.reshape(64, part, 64, part).mean((1, 3))
    match = np.corrcoef(small.ravel(), picture(records[0]).ravel())[0, 1]
    assert match > 0.98


@pytest.mark.parametrize(
    "wrong",
    [{"size": 100}, {"train": -1}, {"seed": -1}],
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Phantom(**wrong)


def test_an_unknown_split_and_no_worker_are_refused():
    with pytest.raises(ValueError, match="expected one of"):
        next(source.generate_split(Phantom(), "dev"))
    with pytest.raises(ValueError, match="1 or more"):
        next(generate(Phantom(), workers=0))


# Truth and labels


def test_every_finding_is_neither_rare_nor_in_most_images(records):
    for split in ("train", "test"):
        truths = [r.truth for r in records if r.split == split]
        for label in PATHOLOGY9:
            part = np.mean([truth[label] for truth in truths])
            assert 0.07 < part < 0.52, (split, label, part)
        grades = [truth[EDEMA_SEVERITY] for truth in truths]
        assert (np.bincount(grades, minlength=4) > 0.05 * len(grades)).all()


def test_every_label_is_found_certain_uncertain_denied_and_blank(train):
    for label in PATHOLOGY9:
        values = {record.labels[label] for record in train}
        assert values == {1, 0, UNCERTAIN, BLANK}, label
    severities = {record.labels[EDEMA_SEVERITY] for record in train}
    assert severities == {0, 1, 2, 3, BLANK}


def test_a_finding_that_is_not_there_is_never_asserted(records):
    for record in records:
        for label in LABELS:
            if record.labels[label] > 0:
                assert record.truth[label] == record.labels[label]
            if record.labels[label] == 0:
                assert record.truth[label] == 0


def test_labels_are_what_another_reader_reads_in_the_sentences(records):
    words = {
        "Pneumothorax": "pneumothorax|pleural air",
        "Pleural Effusion": "effusion|fluid|hydrothorax",
        "Cardiomegaly": "cardiomegaly|enlarge",
        "Pneumonia": "pneumoni|infiltrate",
        "Consolidation": "consolidati",
        "Atelectasis": "atelectasis|volume loss|collapse",
        "Edema": "edema|congest|engorge|cephalization",
    }
    negated = r"^(no|there is no|negative|the heart is not|the pulm.* not)\b"
    hedged = r"possible|cannot|may be|could|questionable|suspected|\?|excluded"
    normal = {
        "Pleural Effusion": "costophrenic|pleural spaces are dry",
        "Cardiomegaly": "heart size is normal|within normal limits",
        "Edema": "vascularity is normal",
    }
    for record in records:
        for label, pattern in words.items():
            read = BLANK
            for text in map(str.lower, record.sentences):
                if re.search(pattern, text):
                    value = 1
                    if re.search(negated, text):
                        value = 0
                    elif re.search(hedged, text):
                        value = UNCERTAIN
                elif re.search(normal.get(label, "$^"), text):
                    value = 0
                else:
                    continue
                read = max(read, value, key=(BLANK, 0, UNCERTAIN, 1).index)
            assert read == record.labels[label], (label, record.sentences)


def test_the_severity_is_told_by_the_words_of_its_grade_alone():
    texts = {}
    for grade in (1, 2, 3):
        status = Status("edema", grade=grade)
        for seed in range(80):
            for sentence in write(
                (status,), np.random.default_rng(seed)
            ).sentences:
                if sentence.mentions.get(EDEMA_SEVERITY) == grade:
                    texts.setdefault(sentence.text.lower(), set()).add(grade)
    assert len(texts) > 100
    assert all(len(grades) == 1 for grades in texts.values())


# Words


def test_reports_are_varied_and_of_a_small_vocabulary(records):
    words = set()
    for record in records:
        words.update(re.findall(r"[a-z-]+", record.report.lower()))
    assert 200 < len(words) < 400
    reports = {r.study_id: r.report for r in records}
    assert len(set(reports.values())) > 0.95 * len(reports)
    lower = np.mean([text == text.lower() for text in reports.values()])
    assert 0.2 < lower < 0.5
    counts = [len(r.sentences) for r in records]
    assert 5 < np.mean(counts) < 7


def test_the_report_is_its_two_sections(records):
    for record in records:
        assert record.report == f"{record.findings} {record.impression}".strip()
        for text in record.sentences:
            assert text.endswith(".")
            assert not re.search(r"\ba [aeiou]|  |[{}]", text), text
    assert 0.2 < np.mean([r.impression == "" for r in records]) < 0.6


def test_the_order_of_the_sentences_is_drawn():
    status = (Status("effusion", "left"), Status("edema"))
    first = set()
    for seed in range(60):
        first.add(
            write(status, np.random.default_rng(seed)).sentences[0].finding
        )
    assert {"Pleural Effusion", "Edema", ""} <= first


def test_the_side_in_a_sentence_is_the_side_of_its_region(records):
    checked = {"left": 0, "right": 0}
    for record in records:
        told = zip(
            record.sentences,
            record.sentence_findings,
            record.sentence_regions,
            strict=True,
        )
        for text, finding, cells in told:
            side = re.search(r"\b(left|right)\b", text.lower())
            if side and any(cells) and finding != "Support Devices":
                # The subject's left is on the image's right.
                columns = grid(cells).sum(0)
                inside = columns[2:] if side[1] == "left" else columns[:2]
                assert inside.sum() > columns.sum() / 2, (text, grid(cells))
                checked[side[1]] += 1
    assert min(checked.values()) > 100


def test_only_sentences_about_what_is_there_have_a_region(records):
    for record in records:
        told = zip(
            record.sentence_findings, record.sentence_regions, strict=True
        )
        for finding, cells in told:
            assert len(cells) == 16
            if any(cells):
                whole = grid(record.regions[finding])
                assert (grid(cells) <= whole).all()


# Pictures


def test_a_region_is_marked_if_and_only_if_the_finding_is_there(records):
    for record in records:
        assert tuple(record.regions) == PATHOLOGY9
        for label in PATHOLOGY9:
            assert len(record.regions[label]) == 16
            assert any(record.regions[label]) == bool(record.truth[label])


CASES = [
    *(Status(kind, side, level, seed=5)
      for kind in ("consolidation", "pneumonia", "atelectasis", "nodule")
      for side, level in (("right", "upper"), ("left", "middle"))),
    *(Status("effusion", "left", grade=grade, seed=5) for grade in (1, 2, 3)),
    *(Status("pneumothorax", "right", grade=grade, seed=5) for grade in (1, 2)),
    *(Status("cardiomegaly", grade=grade, seed=5) for grade in (1, 2)),
    *(Status("edema", grade=grade, seed=5) for grade in (1, 2, 3)),
    Status("tracheal tube", seed=5),
    Status("right line", "right", seed=5),
    Status("left line", "left", seed=5),
    Status("pacemaker", seed=5),
    Status("feeding tube", seed=5),
]  # fmt: skip


@pytest.mark.parametrize("status", CASES, ids=lambda s: f"{s.kind}-{s.grade}")
def test_a_finding_changes_the_image_where_its_region_says(status):
    for seed in range(3):
        other = Status("effusion", "right", grade=1, seed=9)
        having = study(other, status, seed=seed)
        without = dataclasses.replace(having, statuses=(other,))
        _, effects = source.draw(having, having.exposures[0], 64)
        mask = np.frombuffer(source.cells(effects[status]), np.uint8)
        change = cell_sums(abs(drawn(having) - drawn(without))).ravel()
        assert mask[change.argmax()] == 1
        assert change[mask == 1].sum() > 0.5 * change.sum()
        assert change[mask == 1].mean() > 3 * change[mask == 0].mean()


def test_a_pneumothorax_darkens_and_everything_else_brightens():
    clear = drawn(study())
    for status in CASES:
        change = (drawn(study(status)) - clear).sum()
        assert (change < 0) == (status.kind == "pneumothorax"), status


@pytest.mark.parametrize("kind", ["effusion", "cardiomegaly", "edema"])
def test_a_higher_grade_changes_more(kind):
    grades = (1, 2) if kind == "cardiomegaly" else (1, 2, 3)
    clear = drawn(study())
    change = [
        abs(drawn(study(Status(kind, "left", grade=g, seed=2))) - clear).sum()
        for g in grades
    ]
    assert change == sorted(change)


def test_lungs_are_dark_and_the_heart_points_to_the_images_right():
    for seed in range(5):
        subject = study(seed=seed)
        image = drawn(subject)
        frame = Frame(subject.anatomy, subject.exposures[0], 64)
        middle = abs(frame.x) < 0.08
        assert image[frame.air > 0.9].mean() < 0.8 * image[middle].mean()
        beside = (abs(frame.y - 0.25) < 0.08) & (abs(frame.x) < 0.45)
        left, right = (
            image[beside & (frame.outward(side) > 0.25)].mean()
            for side in ("left", "right")
        )
        assert left > right
        assert frame.dome("right") < frame.dome("left")


def test_the_acquisition_knows_nothing_of_the_statuses(records):
    portable = [r for r in records if r.view == "AP"]
    assert 0.4 < len(portable) / len(records) < 0.6
    for label in ("Edema", "Pleural Effusion"):
        parts = [
            np.mean([r.truth[label] for r in records if r.view == view])
            for view in ("PA", "AP")
        ]
        assert abs(parts[0] - parts[1]) < 0.08
