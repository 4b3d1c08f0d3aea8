import fcntl
import json
import resource
import weakref

import numpy as np
import pytest
import tensorflow as tf

from kerasmi.data import faults, pipeline, records, stream
from kerasmi.data.dataset import Dataset
from kerasmi.data.schema import BLANK, Record, study_number
from kerasmi.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "set" / "records"


def rich_record(make, number=1):
    cells = bytes([0] * 15 + [1])
    pixels = np.array([[0, 1, 32767], [32768, 40000, 65535]], np.uint16)
    return make.record(
        number,
        image=make.png(pixels),
        sentences=("Herz groß.", "心臓 — “clear” 🫁", "No edema."),
        truth={"Cardiomegaly": 1, "Edema": 0, "Edema Severity": 3},
        regions={"Cardiomegaly": cells, "Edema": bytes(16)},
        sentence_findings=("Cardiomegaly", "", "Edema"),
        sentence_regions=(cells, b"", bytes(16)),
    )


def same_but_blanks(read, wrote, names):
    blanks = dict.fromkeys(names, BLANK)
    assert read.labels == {**blanks, **wrote.labels}
    for field in Record.__dataclass_fields__:
        if field not in ("labels", "truth"):
            assert getattr(read, field) == getattr(wrote, field), field


def test_a_record_comes_back_with_every_field(make, folder):
    wrote = rich_record(make)
    dataset = make.write(folder, [wrote], image_size=2)
    (read,) = records.read(dataset, "train")
    same_but_blanks(read, wrote, dataset.label_names)
    assert read.truth == {**wrote.truth, "No Finding": BLANK}
    assert dataset.has_truth
    assert dataset.has_regions


def test_what_a_record_lacks_stays_absent(make, toy):
    read = next(records.read(toy, "train"))
    same_but_blanks(read, make.record(0), toy.label_names)
    assert read.truth is None
    assert read.regions is None


def test_the_index_counts_what_was_written(toy):
    assert toy.counts["train"] == {
        "images": 23,
        "with_text": 23,
        "studies": 12,
        "subjects": 6,
    }
    assert toy.shard_sizes("train") == [5, 5, 5, 5, 3]
    assert toy.shards("test")[0].name == "test-00000-of-00001.tfrecord"


def test_the_table_has_a_row_for_each_record_in_order(toy):
    for split in toy.counts:
        rows = toy.rows(split)
        read = list(records.read(toy, split))
        assert list(rows["image_id"]) == [r.image_id for r in read]
        for name in toy.label_names:
            assert list(rows[name]) == [r.labels[name] for r in read]
        assert list(rows["sentences"]) == [len(r.sentences) for r in read]


def test_ids_that_look_like_numbers_or_nothing_stay_text(make, folder):
    made = [make.record(n, image_id=i) for n, i in enumerate(("007", "NA"))]
    dataset = make.write(folder, made)
    assert list(dataset.images["image_id"]) == ["007", "NA"]


def test_picked_records_come_in_the_order_of_the_data_set(toy):
    read = records.read(toy, "train", ["i021", "i003", "i004"])
    assert [r.image_id for r in read] == ["i003", "i004", "i021"]
    with pytest.raises(DataError, match="no train image 'i040'"):
        list(records.read(toy, "train", ["i003", "i040"]))


def test_the_same_records_give_the_same_bytes(make, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        make.write(folder, [make.record(n) for n in range(12)])
    first, second = (sorted(f.iterdir()) for f in folders)
    assert [f.name for f in first] == [f.name for f in second]
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


def test_the_fingerprint_follows_the_records_not_the_name(make, tmp_path):
    made = [make.record(n) for n in range(3)]
    plain = make.write(tmp_path / "a", made)
    named = make.write(tmp_path / "b", made, name="other")
    longer = make.write(tmp_path / "c", [*made, make.record(3)])
    assert plain.fingerprint == named.fingerprint != longer.fingerprint


def test_the_writer_holds_one_record_at_a_time(make, folder):
    made, most = [], []

    def source():
        for number in range(20):
            record = make.record(number)
            made.append(weakref.ref(record))
            most.append(sum(ref() is not None for ref in made))
            yield record

    make.write(folder, source())
    assert max(most) <= 2


def test_progress_counts_every_record(make, folder):
    counted = []
    made = [make.record(n) for n in range(7)]
    make.write(folder, made, progress=counted.append)
    assert sum(counted) == 7


def test_a_failing_source_leaves_nothing_behind(make, folder):
    def source():
        yield from (make.record(n) for n in range(7))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make.write(folder, source())
    assert list(folder.parent.iterdir()) == []


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(make, folder):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 65536, (512, 512), np.uint16)
    made = [make.record(n, image=make.png(noise)) for n in range(4)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(DataError, match="could not be written") as caught:
            make.write(folder, made, image_size=512)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert list(folder.parent.iterdir()) == []


def test_what_a_killed_writer_left_is_cleared(make, folder):
    stale = folder.parent / ".records.partial"
    stale.mkdir(parents=True)
    (stale / "train-00000").write_bytes(b"half")
    make.write(folder, [make.record(0)])
    assert list(folder.parent.iterdir()) == [folder]
    assert sorted(f.name for f in folder.iterdir()) == [
        "dataset.json",
        "images.csv",
        "train-00000-of-00001.tfrecord",
    ]


def test_a_second_writer_is_refused(make, folder):
    partial = folder.parent / ".records.partial"
    partial.mkdir(parents=True)
    with (partial / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is writing"):
            make.write(folder, [make.record(0)])


def test_a_folder_with_anything_else_is_refused(make, folder):
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("dear")
    with pytest.raises(DataError, match="holds no whole data set"):
        make.write(folder, [make.record(0)])
    assert (folder / "thesis.tex").read_text() == "dear"


def test_an_empty_folder_is_taken(make, folder):
    folder.mkdir(parents=True)
    assert make.write(folder, [make.record(0)]).counts["train"]["images"] == 1


def test_the_same_data_set_made_again_is_kept(make, folder):
    made = [make.record(n) for n in range(3)]
    first = make.write(folder, made)
    inode = folder.stat().st_ino
    again = make.write(folder, made)
    assert again.fingerprint == first.fingerprint
    assert folder.stat().st_ino == inode


def test_making_a_damaged_data_set_again_repairs_it(make, folder):
    made = [make.record(n) for n in range(3)]
    shard = make.write(folder, made).shards("train")[0]
    shard.write_bytes(shard.read_bytes()[:-5])
    make.write(folder, made)
    Dataset.open(folder, verify="hash")


def test_other_options_or_other_records_are_refused(make, folder):
    make.write(folder, [make.record(0)])
    with pytest.raises(DataError, match="its made_by differs"):
        make.write(folder, [make.record(0)], made_by={"seed": 1})
    with pytest.raises(DataError, match="its label_names differs"):
        make.write(folder, [make.record(0)], label_names=["Edema"])
    with pytest.raises(DataError, match="other records"):
        make.write(folder, [make.record(1)])
    assert Dataset.open(folder).images["image_id"][0] == "i000"


def test_a_source_without_records_is_refused(make, folder):
    with pytest.raises(DataError, match="would be empty"):
        make.write(folder, [])
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": "i000"}, "the same image_id"),
        ({"subject_id": ""}, "subject_id is empty"),
        ({"sentences": ("Clear.", " ")}, "a sentence is empty"),
        ({"split": "valid"}, "split is 'valid'"),
        ({"split": "test", "subject_id": "train-0"}, "in two splits"),
        (
            {"subject_id": "other", "study_id": "train-t0"},
            "another subject too",
        ),
        ({"labels": {"Mass": 1}}, "'Mass' is not among"),
        ({"labels": {"Edema": 2}}, "Edema is 2"),
        ({"labels": {"Edema Severity": -1}}, "Edema Severity is -1"),
        ({"truth": {}}, "all records have `truth` or none"),
        ({"regions": {}}, "all records have `regions` or none"),
        ({"sentence_regions": (b"1",) * 2}, "1 cells, not 16"),
        ({"sentence_findings": ("",) * 3}, "3 sentence_findings for 2"),
        ({"image": b"JPEG"}, "expected the bytes of a PNG"),
    ],
)
def test_a_record_that_does_not_fit_is_named(make, folder, changes, message):
    second = make.record(1, **{"image_id": "i001", **changes})
    with pytest.raises(DataError, match=message) as caught:
        make.write(folder, [make.record(0), second])
    assert str(caught.value).startswith(f"image '{second.image_id}': ")
    assert list(folder.parent.iterdir()) == []


def test_an_image_of_another_size_is_named(make, folder):
    with pytest.raises(DataError, match=r"'i000'.* 8 pixels, expected 16"):
        make.write(folder, [make.record(0)], image_size=16)


def test_labels_with_the_name_of_a_column_are_refused(make, folder):
    for names in (["Edema", "split"], ["split", "split"]):
        with pytest.raises(DataError, match="label cannot be called 'split'"):
            make.write(folder, [make.record(0)], label_names=names)


# What `open` says of a damaged data set.


@pytest.fixture
def five(make, folder):
    return make.write(folder, [make.record(n) for n in range(5)])


def offsets(shard):
    from kerasmi.data.shards import frames

    with shard.open("rb") as stream:
        return list(frames(stream))


@pytest.mark.parametrize("cut", [0, 5, 20])
def test_a_truncated_shard_is_named_with_its_record(five, cut):
    shard = five.shards("train")[0]
    start = offsets(shard)[3][0] - 12
    shard.write_bytes(shard.read_bytes()[: start + cut])
    with pytest.raises(DataError, match="record 3 of 5") as caught:
        Dataset.open(five.path)
    message = str(caught.value)
    assert shard.name in message
    assert "'i003'" in message
    assert "cut off" in message
    assert "\n" not in message


def test_an_altered_byte_is_found_by_its_hash(five):
    shard = five.shards("train")[0]
    data = bytearray(shard.read_bytes())
    data[offsets(shard)[2][0] + 40] ^= 1
    shard.write_bytes(data)
    Dataset.open(five.path)
    with pytest.raises(DataError, match=r"record 2 of 5 .*'i002'"):
        Dataset.open(five.path, verify="hash")


def test_a_whole_file_of_other_records_is_found(five, toy):
    shard = five.shards("train")[0]
    shard.write_bytes(toy.shards("validation")[0].read_bytes())
    with pytest.raises(DataError, match=r"is not the file that dataset\.json"):
        Dataset.open(five.path, verify="hash")


def test_a_missing_shard_is_named(five):
    shard = five.shards("train")[0]
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard.name}: the file is missing"):
        Dataset.open(five.path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no dataset.json"),
        ("{", "dataset.json: cannot be read"),
        ("[]", "not the index of a kerasmi data set"),
        ('{"format": "coco"}', "not the index of a kerasmi data set"),
        ('{"format": "kerasmi-records", "version": 9}', "version 9"),
        ({"counts": 3}, "counts: Input should be a valid dictionary"),
        ({"image_size": 0}, "image_size: Input should be greater"),
        ({"shards": [{"file": "x"}]}, "shards.0.split: Field required"),
        ({"label_names": ["other"]}, "contradicts itself"),
        ({"shards": []}, "the data set is empty"),
    ],
)
def test_a_wrong_index_is_named(five, text, message):
    index = five.path / "dataset.json"
    if text is None:
        index.unlink()
    elif isinstance(text, dict):
        index.write_text(json.dumps({**json.loads(index.read_text()), **text}))
    else:
        index.write_text(text)
    with pytest.raises(DataError, match=message):
        Dataset.open(five.path)


def test_a_missing_folder_and_a_missing_split_are_named(five, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no test images; it has train"):
        five.shards("test")


@pytest.mark.parametrize("old", ["i003", "train-0,train"])
def test_an_altered_table_is_named(five, old):
    table = five.path / "images.csv"
    table.write_text(table.read_text().replace(old, "other", 1))
    with pytest.raises(DataError, match=r"images\.csv: is missing or not the"):
        Dataset.open(five.path)


# What becomes of damage that is met later.


def read_all(dataset, monkeypatch):
    monkeypatch.setattr(stream, "IN_MEMORY_BYTES", 0)
    batches, _ = pipeline.images(dataset, "train", batch_size=2, image_size=8)
    for _ in batches:
        pass


def test_damage_met_while_training_is_named(five, monkeypatch):
    shard = five.shards("train")[0]
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(tf.errors.DataLossError) as caught:
        read_all(five, monkeypatch)
    found = faults.explain_data_error(caught.value, five)
    assert shard.name in str(found)
    assert "record 4 of 5" in str(found)


def test_a_shard_changed_after_opening_is_found_when_read_whole(five):
    shard = five.shards("train")[0]
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(DataError, match="record 4 of 5"):
        pipeline.images(five, "train", batch_size=2, image_size=8)
    with pytest.raises(DataError, match="record 4 of 5"):
        list(records.read(five, "train"))


def test_a_shard_removed_while_training_is_named(five, monkeypatch):
    five.images  # noqa: B018 (loads the table)
    five.shards("train")[0].unlink()
    with pytest.raises(tf.errors.NotFoundError) as caught:
        read_all(five, monkeypatch)
    found = faults.explain_data_error(caught.value, five)
    assert "the file is missing" in str(found)


def test_an_image_that_cannot_be_decoded_is_named(make, folder, monkeypatch):
    whole = make.record(1).image
    broken = whole[:45] + b"\0" * (len(whole) - 57) + whole[-12:]
    made = [make.record(0), make.record(1, image=broken)]
    dataset = make.write(folder, made)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read_all(dataset, monkeypatch)
    found = faults.explain_data_error(caught.value, dataset)
    assert "train image 'i001'" in str(found)


def test_errors_of_other_origin_are_not_explained(toy):
    other = tf.errors.InvalidArgumentError(None, None, "shapes differ")
    assert faults.explain_data_error(other, toy) is None
    assert faults.explain_data_error(ValueError("PNG"), toy) is None
    lost = tf.errors.DataLossError(None, None, "a checkpoint")
    assert faults.explain_data_error(lost, toy) is None


def test_study_numbers_are_stable_int64(toy):
    assert study_number("s50000014") == study_number("s50000014")
    numbers = {study_number(str(n)) for n in range(2000)}
    assert len(numbers) == 2000
    assert all(0 <= n < 2**63 for n in numbers)
    # The high bits are used, so that float32 or int32 would merge them.
    assert max(numbers) > 2**62
