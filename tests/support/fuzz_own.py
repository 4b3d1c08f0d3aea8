"""Our own files broken: records, recipes, runs; with what may be accepted."""

import functools
import json
import math
from unittest import mock

import numpy as np
import tensorflow as tf
from fuzz_reader import Case, Reader

from kerasmi import environment, recipe, runs
from kerasmi.data import dataset, records
from kerasmi.data.register import Register
from kerasmi.data.schema import SPLITS, Record

LABELS = ("Edema", "Edema Severity", "No Finding")
RECIPE = """\
# a comment
name: kite
seed: 3
data: {source: phantom, image_size: 64, images: {train: 40, test: 20}}
image_encoder: {preset: resnet_phantom}
text_encoder:
  preset: bert_phantom
  max_tokens: 64
critic: {kind: concat, hidden_dims: [16, 8], normalize: true}
objective:
  bound: mine
  scope: local
  region: logsumexp
  temperature: 5e-1
pretrain: {epochs: 2, batch_size: 16, sentences: 6, learning_rate: 1e-3}
retrain:
  tasks: [pathology9, edema_severity]
  encoders: [frozen, tuned]
  labels: 20
  augmentation: null
evaluate: {bootstrap: 10, confidence: 0.9}
"""


def record(number):
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 1), np.uint8)
    return Record(
        image=tf.io.encode_png(pixels).numpy(),
        image_id=f"i{number}",
        study_id=f"t{number // 2}",
        subject_id=f"s{number // 4}",
        split=SPLITS[number // 4 % 3],
        view="PA",
        findings="Größe, level.",
        sentences=(f"Kite {number}.", "Boat."),
        labels={"Edema": number % 2, "Edema Severity": number % 4},
        source="test",
    )


def write(folder):
    return records.write(
        map(record, range(12)),
        folder,
        name="kites",
        source="test",
        label_names=LABELS,
        made_by={"seed": 0},
        image_size=8,
        records_per_shard=3,
    )


def of_records(file, verify):
    """One file of a data set; every record is read."""

    def make(folder):
        write(folder / "kites")
        place = folder / "kites" / file
        written = {record(n).image_id: record(n) for n in range(12)}

        def read(content):
            place.write_bytes(content)
            opened = dataset.Dataset.open(folder / "kites", verify=verify)
            return opened, [
                each
                for split in opened.counts
                for each in records.read(opened, split)
            ]

        def check(found, _content):
            opened, read = found
            register = Register(opened.label_names, 8)
            for each in read:
                register.add(each)
                known = written[each.image_id]
                assert each.image == known.image
                assert each.sentences == known.sentences
                assert each.subject_id == known.subject_id
                assert each.split == known.split
            counts = {k: v["images"] for k, v in opened.counts.items()}
            ours = {k: v["images"] for k, v in register.counts().items()}
            assert counts == ours
            assert len(opened.images) == len(read) == len(written)
            assert len(opened.label_names) == len(set(opened.label_names)) == 3
            assert opened.image_size >= 1
            assert opened.num_bytes("train") > 0
            assert opened.made_by.get("kerasmi") or True
            for text in (opened.name, opened.source, *opened.label_names):
                text.encode()

        names = (file, "kites")
        return Case(place.read_bytes(), read, check, names)

    return Reader(f"records {file}, {verify}", make)


def recipes(folder):
    place = folder / "kite.yaml"

    def read(content):
        place.write_bytes(content)
        loaded = recipe.load(place)
        return loaded, recipe.dump(loaded)

    def check(found, _content):
        loaded, text = found
        again = folder / "again.yaml"
        again.write_text(text, encoding="utf-8")
        assert recipe.load(again).settings() == loaded.settings()
        for key, value in loaded.settings().items():
            numbers = value if isinstance(value, tuple) else (value,)
            for number in numbers:
                if isinstance(number, float):
                    assert math.isfinite(number), key
                    assert number >= 0, key
        assert loaded.pretrain is None or loaded.pretrain.batch_size >= 2

    return Case(RECIPE.encode(), read, check, (place.name,))


def override(folder):
    place = folder / "kite.yaml"
    place.write_text(RECIPE)

    def read(content):
        text = content.decode(errors="surrogateescape")
        return recipe.load(place, [text])

    def check(loaded, _content):
        recipe.dump(loaded)
        for number in loaded.settings().values():
            assert not isinstance(number, float) or math.isfinite(number)

    whole = b"pretrain.learning_rate=5e-3"
    return Case(whole, read, check, (place.name,))


def run_folder(file, read_file, check):
    def make(folder):
        place = folder / "recipe.yaml"
        place.write_text(RECIPE)
        loaded = recipe.load(place)
        with runs.Run.create(folder / "run", loaded):
            pass
        results = folder / "run" / "results.csv"
        results.write_text(
            "task,label,encoder,metric,value,low,high,n_positive,n_negative,"
            "seed\npathology9,Edema,tuned,auc,0.75,0.5,0.9,10,12,0\n"
            "pathology9,Pneumonia,tuned,auc,0.71,,,3,22,0\n"
        )
        place = folder / "run" / file
        place.parent.mkdir(parents=True, exist_ok=True)

        def read(content):
            place.write_bytes(content)
            return read_file(folder / "run", loaded)

        return Case(place.read_bytes(), read, check, (file,))

    return Reader(f"run folder, {file}", make)


# the machine is asked once, not for every copy
_described = functools.cache(environment.describe)


def _resumed(path, loaded):
    with (
        mock.patch.object(environment, "describe", _described),
        runs.Run.create(path, loaded, resume=True) as run,
    ):
        run.record_environment(seen=True)
    return json.loads((path / "environment.json").read_text())


def _check_starts(starts, _content):
    assert isinstance(starts, list)
    assert starts[-1]["seen"] is True
    assert all(isinstance(start, dict) for start in starts)


READERS = (
    of_records("dataset.json", "size"),
    of_records("images.csv", "size"),
    of_records("train-00000-of-00002.tfrecord", "size"),
    of_records("train-00001-of-00002.tfrecord", "hash"),
    Reader("recipe", recipes),
    Reader("recipe override", override),
    run_folder(
        "recipe.yaml",
        lambda path, _: runs.Run.open(path).recipe,
        lambda found, _: recipe.dump(found),
    ),
    run_folder("environment.json", _resumed, _check_starts),
)
