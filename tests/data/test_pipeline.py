from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import kept, pipeline, stream
from kerasmi.data import labels as policies
from kerasmi.data.augment import Augmentation
from kerasmi.data.schema import study_number
from kerasmi.errors import DataError

MOVING = Augmentation(10, 0.1, 0.1)


@pytest.fixture(params=["kept", "memory", "shards"])
def every_source(request, monkeypatch):
    """Small sets are decoded once, larger ones kept, large ones on disk."""
    if request.param != "kept":
        monkeypatch.setattr(kept, "KEPT_BYTES", 0)
    if request.param == "shards":
        monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)


@pytest.fixture
def from_shards(monkeypatch):
    monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)


@pytest.fixture
def pairs(toy, tokenizer):
    def build(split="train", dataset=toy, **options):
        defaults = {
            "tokenizer": tokenizer,
            "scope": "local",
            "batch_size": 4,
            "image_size": 8,
            "shuffle": True,
        }
        return pipeline.pairs(dataset, split, **{**defaults, **options})

    return build


@pytest.fixture(scope="session")
def names(toy):
    """The image that some pixels are."""
    batches, rows = pipeline.images(toy, "train", batch_size=8, image_size=8)
    pixels = np.concatenate(list(batches.as_numpy_iterator()))
    found = {
        p.tobytes(): i for p, i in zip(pixels, rows["image_id"], strict=True)
    }
    assert len(found) == 23
    return lambda batch: [found[p.tobytes()] for p in np.asarray(batch)]


def equal(first, second):
    return all(
        a.shape == b.shape and (a == b).all()
        for x, y in zip(first, second, strict=True)
        for a, b in zip(tf.nest.flatten(x), tf.nest.flatten(y), strict=True)
    )


def run(built):
    batches, steps = built
    made = list(batches.as_numpy_iterator())
    assert len(made) == int(batches.cardinality())
    assert len(made) % steps == 0
    return made


@pytest.mark.usefixtures("every_source")
def test_a_seed_decides_every_batch(pairs):
    options = {"augmentation": MOVING, "sentences": 2, "epochs": 2}
    tf.random.set_seed(0)
    first = run(pairs(**options, seed=3))
    tf.random.set_seed(1)
    assert equal(first, run(pairs(**options, seed=3)))
    other = run(pairs(**options, seed=4))
    for key in ("images", "token_ids", "study_ids"):
        assert not equal([b[key] for b in first], [b[key] for b in other])


@pytest.mark.usefixtures("every_source")
def test_a_resumed_run_continues_the_batches(pairs):
    options = {"augmentation": MOVING, "sentences": 2, "epochs": 3}
    whole = run(pairs(**options))
    rest = run(pairs(**options, first_epoch=1))
    assert len(whole) == 15
    assert equal(whole[5:], rest)
    part, steps = pairs(**options, first_epoch=1, first_step=2)
    assert (steps, int(part.cardinality())) == (5, 8)
    assert equal(whole[7:], list(part.as_numpy_iterator()))


@pytest.mark.usefixtures("every_source")
def test_an_epoch_has_every_image_once(pairs, names):
    batches, steps = pairs(epochs=3, drop_remainder=False)
    made = run((batches, steps))
    assert steps == 6
    orders = []
    for epoch in range(3):
        epoch_batches = made[epoch * steps : (epoch + 1) * steps]
        assert [len(b["images"]) for b in epoch_batches] == [4] * 5 + [3]
        orders.append([n for b in epoch_batches for n in names(b["images"])])
        assert len(set(orders[-1])) == len(orders[-1]) == 23
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


@pytest.mark.usefixtures("every_source")
def test_whole_batches_leave_out_the_remainder_alone(pairs, names):
    batches, steps = pairs(epochs=4)
    assert steps == 5
    assert batches.element_spec["images"].shape == (4, 8, 8, 1)
    made = run((batches, steps))
    seen = Counter(n for b in made for n in names(b["images"]))
    assert sum(seen.values()) == 80
    assert max(seen.values()) <= 4
    # Not the same three images are left out of each epoch.
    assert len(seen) == 23


def test_memory_and_shards_hold_the_same(pairs, monkeypatch):
    options = {"shuffle": False, "augmentation": MOVING, "sentences": 3}
    memory = run(pairs(**options))
    monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)
    assert equal(memory, run(pairs(**options)))


@pytest.mark.parametrize(
    "options",
    [
        {"sentences": 3, "augmentation": MOVING},
        {"scope": "global"},
        {"image_size": 5, "augmentation": MOVING},
        {"max_tokens": 4, "drop_remainder": False},
    ],
    ids=str,
)
def test_what_is_read_once_makes_the_batches_of_what_is_read_each_time(
    pairs, monkeypatch, options
):
    once = run(pairs(**options, epochs=2))
    monkeypatch.setattr(kept, "KEPT_BYTES", 0)
    assert equal(once, run(pairs(**options, epochs=2)))


def test_inputs_stand_in_for_the_images_they_were_made_of(labelled, names):
    options = {"epochs": 2, "shuffle": True}
    seen = run(labelled(**options))
    features = np.concatenate(
        [images for images, _ in run(labelled(shuffle=False))]
    )
    given = run(labelled(**options, inputs=2 * features))
    for (images, targets), (made, own) in zip(seen, given, strict=True):
        np.testing.assert_array_equal(2 * images, made)
        np.testing.assert_array_equal(targets, own)
    with pytest.raises(ValueError, match="augmented"):
        labelled(inputs=features, augmentation=MOVING)


def test_no_iterator_waits_for_a_tuner_to_go(
    every_source, pairs, labelled, toy
):
    made = (
        pairs(),
        labelled(),
        pipeline.images(toy, "train", batch_size=4, image_size=8),
    )
    for batches, _ in made:
        assert batches.options().autotune.enabled is False


def test_a_small_buffer_and_few_readers_lose_nothing(pairs, names, monkeypatch):
    monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(stream, "SHUFFLE_BUFFER", 3)
    monkeypatch.setattr(stream, "INTERLEAVED_SHARDS", 2)
    made = run(pairs(drop_remainder=False))
    assert len({n for b in made for n in names(b["images"])}) == 23


def test_a_batch_is_what_the_model_reads(pairs):
    spec = pairs(sentences=2)[0].element_spec
    assert {key: (s.dtype, tuple(s.shape)) for key, s in spec.items()} == {
        "images": (tf.float32, (4, 8, 8, 1)),
        "token_ids": (tf.int32, (4, 2, None)),
        "padding_mask": (tf.bool, (4, 2, None)),
        "study_ids": (tf.int64, (4,)),
    }


def test_text_and_study_are_those_of_the_image(pairs, names, tokenizer):
    for batch in run(pairs(sentences=2, epochs=2)):
        images = names(batch["images"])
        for b, name in enumerate(images):
            study = int(name[1:]) // 2
            assert batch["study_ids"][b] == study_number(f"train-t{study}")
            for k in range(2):
                text = tokenizer.text(batch["token_ids"][b, k])
                assert text.startswith(f"r{study} s")


def test_epochs_draw_other_sentences_and_in_time_all(pairs, names, tokenizer):
    seen = {}
    for batch in run(pairs(epochs=12, drop_remainder=False)):
        for b, name in enumerate(names(batch["images"])):
            text = tokenizer.text(batch["token_ids"][b, 0])
            seen.setdefault(name, set()).add(text)
    assert all(len(s) == 1 + int(n[1:]) % 3 for n, s in seen.items())


def test_the_global_scope_reads_the_whole_report(pairs, names, tokenizer):
    for batch in run(pairs(scope="global")):
        assert batch["token_ids"].shape[1] == 1
        for b, name in enumerate(names(batch["images"])):
            number = int(name[1:])
            parts = [
                f"r{number // 2} s{s} heart" for s in range(1 + number % 3)
            ]
            assert tokenizer.text(batch["token_ids"][b, 0]) == " ".join(parts)


@pytest.mark.usefixtures("every_source")
def test_images_without_a_sentence_take_no_part(make, tmp_path, pairs, names):
    made = [make.record(n, sentences=() if n % 3 else None) for n in range(9)]
    dataset = make.write(tmp_path / "a", made)
    assert dataset.counts["train"]["with_text"] == 3
    batches = run(pairs(dataset=dataset, batch_size=1, drop_remainder=False))
    assert sorted(n for b in batches for n in names(b["images"])) == [
        "i000",
        "i003",
        "i006",
    ]


def test_a_split_without_text_or_with_too_few_images_is_told(
    make, tmp_path, pairs
):
    silent = make.write(tmp_path / "a", [make.record(0, sentences=())])
    with pytest.raises(DataError, match="no train image has a report"):
        pairs(dataset=silent)
    with pytest.raises(DataError, match="5 test images, too few for one batch"):
        pairs("test", batch_size=6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "regional"}, "scope must be local or global"),
        ({"scope": "global", "sentences": 2}, "a report is one text"),
        ({"sentences": 0}, "sentences must be at least 1"),
        ({"epochs": 2, "first_epoch": 2}, "first_epoch < epochs"),
        ({"first_step": -1}, "first_step must not be negative"),
        ({"first_step": 5}, "first_step below the 5 batches"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"max_tokens": 2}, "max_tokens must be at least 3"),
    ],
)
def test_options_without_meaning_are_refused(pairs, options, message):
    with pytest.raises(ValueError, match=message):
        pairs(**options)


# Labelled images.


@pytest.fixture
def labelled(toy):
    def build(dataset=toy, **options):
        defaults = {
            "labels": ["Edema", "Cardiomegaly"],
            "batch_size": 4,
            "image_size": 8,
            "shuffle": True,
        }
        return pipeline.labelled(dataset, "train", **{**defaults, **options})

    return build


def answers(made, names):
    return {
        name: target.tolist()
        for images, targets in made
        for name, target in zip(names(images), targets, strict=True)
    }


@pytest.mark.usefixtures("every_source")
def test_targets_are_those_of_the_image(labelled, names):
    found = answers(run(labelled(uncertain="ones")), names)
    assert len(found) == 23
    for name, target in found.items():
        number = int(name[1:])
        assert target == [number % 2, (1, 0, 1, -1)[number % 4]]


@pytest.mark.usefixtures("every_source")
def test_a_few_labelled_images_are_picked(labelled, names):
    wanted = ["i020", "i001", "i007", "i012", "i005"]
    batches, steps = labelled(image_ids=wanted, epochs=2)
    made = run((batches, steps))
    assert steps == 2
    assert [len(images) for images, _ in made] == [4, 1] * 2
    assert set(answers(made[:2], names)) == set(wanted)
    assert not equal(made[:2], made[2:])


def test_images_with_nothing_to_say_are_left_out(labelled, names):
    found = answers(run(labelled(labels=["Cardiomegaly"])), names)
    assert {int(n[1:]) % 4 for n in found} == {0, 1}
    with pytest.raises(DataError, match="none of the 1 train images has a val"):
        labelled(labels=["Cardiomegaly"], image_ids=["i003"])


def test_severities_stay_severities(labelled, names):
    found = answers(run(labelled(labels=["Edema Severity"])), names)
    assert all(target == [int(n[1:]) % 4] for n, target in found.items())


def test_the_truth_is_taken_where_asked_for(make, tmp_path, labelled):
    truth = [{"Edema": 1, "Cardiomegaly": n % 2} for n in range(4)]
    made = [make.record(n, truth=truth[n]) for n in range(4)]
    dataset = make.write(tmp_path / "a", made)
    batches = run(labelled(dataset, truth=True, shuffle=False))
    assert batches[0][1].tolist() == [[1, n % 2] for n in range(4)]


def test_labelled_images_resume_too(labelled):
    options = {"augmentation": MOVING, "epochs": 3}
    whole = run(labelled(**options))
    assert equal(whole[12:], run(labelled(**options, first_epoch=2)))
    assert not equal(whole, run(labelled(**options, seed=1)))


def test_unknown_images_and_labels_are_named(labelled):
    with pytest.raises(DataError, match="no train image 'i999'"):
        labelled(image_ids=["i001", "i999"])
    with pytest.raises(DataError, match="no 'Mass'"):
        labelled(labels=["Mass"])


@pytest.mark.usefixtures("every_source")
def test_predictions_come_in_the_order_of_the_rows(toy, names):
    batches, rows = pipeline.images(toy, "train", batch_size=7, image_size=8)
    found = [n for batch in batches for n in names(batch)]
    assert found == list(rows["image_id"]) == [f"i{n:03d}" for n in range(23)]
    assert int(batches.cardinality()) == 4
    targets = policies.targets(rows, ["Edema"])
    assert targets[:, 0].tolist() == [n % 2 for n in range(23)]


@pytest.mark.usefixtures("every_source")
def test_predictions_may_be_of_a_few_images(toy, names):
    ids = ["i011", "i002"]
    batches, rows = pipeline.images(
        toy, "train", batch_size=7, image_size=8, image_ids=ids
    )
    (batch,) = batches
    assert names(batch) == list(rows["image_id"]) == ["i002", "i011"]


def test_another_size_is_made_on_the_way(toy):
    batches, _ = pipeline.images(toy, "test", batch_size=5, image_size=5)
    (batch,) = batches
    assert batch.shape == (5, 5, 5, 1)
    assert 0 <= batch.numpy().min() < batch.numpy().max() <= 1
