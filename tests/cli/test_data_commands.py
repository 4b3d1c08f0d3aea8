import dataclasses
import json
import shutil
import types

import pytest
from click.testing import CliRunner
from matplotlib import image

from kerasmi.cli import data_serve, main
from kerasmi.data.schema import CHEXPERT14, EDEMA_SEVERITY


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


def _one_error(result, *parts):
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert all(part in line for part in parts), line


def test_the_phantom_is_drawn_on_one_sheet(kerasmi, tmp_path):
    result = kerasmi("data", "preview", "--count", 2, "--output", "two.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "two.png\n"
    assert [path.name for path in tmp_path.iterdir()] == ["two.png"]
    height, width = image.imread(tmp_path / "two.png").shape[:2]
    assert height > 200
    assert width > 200


def test_another_seed_draws_other_patients(kerasmi, tmp_path):
    for seed in (0, 1, 0):
        options = ["--count", 1, "--seed", seed, "--force"]
        name = f"{seed}.png"
        assert not kerasmi(
            "data", "preview", "phantom", *options, "--output", name
        ).exit_code
    zero, one = (image.imread(tmp_path / name) for name in ("0.png", "1.png"))
    assert zero.shape != one.shape or (zero != one).any()


def test_a_picture_is_overwritten_only_when_told(kerasmi, tmp_path):
    (tmp_path / "own.png").write_text("precious")
    command = ("data", "preview", "--count", 1, "--output", "own.png")
    _one_error(kerasmi(*command), "own.png: exists; --force")
    assert (tmp_path / "own.png").read_text() == "precious"


# A folder of records


LABELS = (*CHEXPERT14, EDEMA_SEVERITY)


def _write(
    folder,
    source="phantom",
    change=lambda record: record,
    label_names=LABELS,
    **images,
):
    from kerasmi.data import records
    from kerasmi.data.sources import phantom

    records.write(
        map(change, phantom.generate(phantom.Phantom(**images))),
        folder,
        name="set",
        source=source,
        label_names=label_names,
        made_by={},
        image_size=64,
    )
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The bytes of a small data set, to be spoilt in copies."""
    folder = tmp_path_factory.mktemp("made") / "set"
    return _write(folder, train=8, validation=2, test=2)


@pytest.fixture
def copy(records, tmp_path):
    shutil.copytree(records, tmp_path / "set")
    return tmp_path / "set"


def test_inspect_counts_images_studies_and_subjects(kerasmi, copy):
    result = kerasmi("data", "inspect", "set", "--full")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    header = rows.index(["split", "images", "studies", "subjects"])
    counts = {row[0]: int(row[1]) for row in rows[header + 1 : header + 4]}
    assert counts == {"train": 8, "validation": 2, "test": 2}


def test_inspect_says_where_there_are_no_labels(kerasmi, tmp_path):
    def unlabelled(record):
        return dataclasses.replace(
            record, labels={}, truth=None, regions=None, sentence_regions=()
        )

    made = {"train": 2, "validation": 0, "test": 0, "change": unlabelled}
    _write(tmp_path / "bare", source="table", label_names=(), **made)
    result = kerasmi("data", "inspect", "bare")
    assert result.exit_code == 0, result.stderr
    assert "labels       none\n" in result.stdout


def test_records_are_drawn_on_one_sheet(kerasmi, copy, tmp_path):
    command = ("data", "preview", "set", "--count", 3, "--output", "x.png")
    result = kerasmi(*command)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "x.png").is_file()


def test_text_that_is_left_out_is_told_where_there_is_any(kerasmi, tmp_path):
    def textless(record):
        nothing = dict.fromkeys(("sentences", "sentence_regions"), ())
        return dataclasses.replace(record, **nothing, sentence_findings=())

    of_people = {"source": "table", "train": 3, "validation": 0, "test": 0}
    _write(tmp_path / "own", **of_people)
    _write(tmp_path / "textless", change=textless, **of_people)
    _write(tmp_path / "drawn", **of_people | {"source": "phantom"})
    told = {
        "own": "own: the text of its reports is left out; --show-text shows"
        " it\n",
        "own --show-text": "",
        "textless": "",
        "drawn": "",
    }
    for given, said in told.items():
        command = ("data", "preview", *given.split(), "--output", "x.png")
        result = kerasmi(*command, "--force")
        assert (result.exit_code, result.stderr) == (0, said), given
        assert result.stdout == "x.png\n"


def test_without_training_images_the_first_split_is_drawn_and_told(
    kerasmi, tmp_path
):
    _write(tmp_path / "tested", train=0, validation=0, test=2)
    command = ("data", "preview", "tested", "--output", "x.png")
    result = kerasmi(*command)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "x.png").is_file()
    said = "tested: no training images; drawn are test images\n"
    assert result.stderr == said


@pytest.mark.parametrize(
    "command",
    [
        ("data", "inspect", "set"),
        ("data", "preview", "set", "--output", "x.png"),
        ("run", "mimic_cxr/image_only", "data.path=set"),
    ],
    ids=" ".join,
)
def test_a_truncated_shard_is_named_with_its_record(
    kerasmi, copy, tmp_path, command
):
    shard = next(copy.glob("train-*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-100])
    _one_error(kerasmi(*command), shard.name, "record 7")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "set"),
        ("splits", "set", "--output", "x.csv"),
        ("preview", "set", "--output", "x.png"),
    ],
    ids=" ".join,
)
def test_damage_is_one_line_below_python_too(kerasmi, copy, capfd, command):
    shard = next(copy.glob("train-*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-100])
    result = kerasmi("data", *command)
    _one_error(result, shard.name)
    assert result.stderr.startswith("Error: ")
    # what TensorFlow says goes past Python, to the process's own stderr
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "command",
    [
        ("data", "inspect", "set"),
        ("run", "mimic_cxr/image_only", "data.path=set"),
    ],
    ids=" ".join,
)
def test_an_empty_data_set_is_refused(kerasmi, copy, tmp_path, command):
    index = json.loads((copy / "dataset.json").read_text())
    index["shards"] = []
    (copy / "dataset.json").write_text(json.dumps(index))
    _one_error(kerasmi(*command), "dataset.json", "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_server_says_that_it_is_open_to_all(kerasmi, monkeypatch):
    class Server:
        def __init__(self, host, port):
            self.address = f"{host}:{port}"

        def join(self):
            pass

    library = types.SimpleNamespace(Server=Server)
    monkeypatch.setattr(data_serve, "library", lambda name: library)
    result = kerasmi("data", "serve", "--host", "node7")
    assert result.exit_code == 0
    assert result.stdout == "node7:5050\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("Warning: listens on every address of this machine")
    assert "read your files" in line
