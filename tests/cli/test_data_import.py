import json

import own_tables
import pytest
from click.testing import CliRunner

from kerasmi.cli import main

SOURCES = ("table", "mimic-cxr", "open-i", "chexpert", "chexpert-plus")


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def own(tmp_path):
    return own_tables.write_table(tmp_path / "own")


def one_error(result, *parts):
    assert result.exit_code == 2, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert all(part in line for part in parts), line


def test_a_table_becomes_records_that_can_be_looked_at(kerasmi, own, tmp_path):
    command = ["data", "import", "table", own, "out", "--image-size", 8]
    command += ["--label", "Edema=edema", "--records-per-shard", 4]
    result = kerasmi(*command)
    assert result.exit_code == 0, result.stderr
    assert "audit        out/audit.md" in result.stdout
    assert "100%" in result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["split", "images", "studies", "subjects"] in rows

    result = kerasmi("data", "inspect", "out")
    assert result.exit_code == 0, result.stderr
    for part in (
        "fingerprint",
        "Views",
        "Labels\n",
        "median",
        "data.blank",
    ):
        assert part in result.stdout, part
    # a label of theirs alone is no table of the paper's
    assert "Table 1" not in result.stdout

    result = kerasmi("data", "splits", "out", "--output", "splits.csv")
    assert result.exit_code == 0, result.stderr
    again = [*command[:4], "again", *command[5:], "--split-file", "splits.csv"]
    assert kerasmi(*again).exit_code == 0
    indices = [
        json.loads((tmp_path / name / "dataset.json").read_text())
        for name in ("out", "again")
    ]
    assert indices[0]["fingerprint"] == indices[1]["fingerprint"]
    options = indices[1]["made_by"]["options"]
    assert options["split_rule"]["sha256"] == result.stdout.strip()

    one_error(
        kerasmi("data", "splits", "out", "--output", "splits.csv"), "--force"
    )


def test_sentences_are_counted_of_the_images_that_have_a_report(kerasmi, own):
    command = ["data", "import", "table", own, "out", "--image-size", 8]
    assert kerasmi(*command, "--shares", "train=1").exit_code == 0
    result = kerasmi("data", "inspect", "out")
    part = result.stdout.partition("Sentences of a report\n\n")[2]
    header, row = part.splitlines()[:2]
    assert header.split()[:3] == ["split", "without", "text"]
    # Of 24 images 6 have an empty note; the others' have 2, 2 and 1 sentences.
    assert row.split() == ["train", "6", "1", "2", "2", "2"]


def test_the_sentences_of_no_report_are_not_counted(kerasmi, tmp_path):
    made = [{**row, "text": ""} for row in own_tables.rows(24)]
    own = own_tables.write_table(tmp_path / "own", made=made)
    command = ["data", "import", "table", own, "out", "--image-size", 8]
    assert kerasmi(*command, "--shares", "train=1").exit_code == 0
    result = kerasmi("data", "inspect", "out")
    assert result.exit_code == 0, result.stderr
    part = result.stdout.partition("Sentences of a report\n\n")[2]
    assert part.splitlines()[1].split() == ["train", "24", *"----"]


def test_too_many_refused_end_with_status_2_and_the_list(
    kerasmi, own, tmp_path
):
    for file in own.parent.glob("*2.png"):
        file.unlink()
    result = kerasmi("data", "import", "table", own, "out")
    one_error(
        result, "rows refused", "out.importing/refused.csv", "no such file"
    )
    assert (tmp_path / "out.importing" / "refused.csv").is_file()
    assert not (tmp_path / "out").exists()


def test_a_users_splitter_is_found_in_the_working_folder(
    kerasmi, own, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    (tmp_path / "own_splitter.py").write_text(
        "def halves(text):\n    return [text[:5], text[5:]]\n"
    )
    command = ("data", "import", "table", own, "out", "--image-size", 8)
    result = kerasmi(*command, "--splitter", "own_splitter:halves")
    assert result.exit_code == 0, result.stderr
    index = json.loads((tmp_path / "out" / "dataset.json").read_text())
    options = index["made_by"]["options"]
    assert options["sentences"] == "own_splitter:halves"


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--image", "picture"], ["has no column 'picture'"]),
        (["--label", "Edema="], ["--label", "NAME=VALUE"]),
        (["--label", "view", "--label", "view"], ["given twice"]),
        (["--label-value", "yes=much"], ["--label-value", "yes=much"]),
        (["--shares", "train=0.5"], ["--shares", "sum to 1"]),
        (["--shares", "train=half"], ["--shares"]),
        (["--shares", "tune=1"], ["--shares", "tune"]),
        (["--split-file", "x", "--seed", "1"], ["--split-file goes without"]),
        (["--split-file", "gone.csv"], ["gone.csv cannot be read"]),
        (["--splitter", "os"], ["--splitter os", "MODULE:FUNCTION"]),
        (["--splitter", "gone:f"], ["--splitter gone:f"]),
        (["--splitter", "os:sep"], ["is no function"]),
        (["--delimiter", "::"], ["--delimiter"]),
        (["--encoding", "klingon"], ["'klingon' is no encoding"]),
        (["--images", "gone"], ["gone"]),
        (["--intensity", "bright"], ["--intensity"]),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_one_line(kerasmi, own, tmp_path, options, parts):
    one_error(kerasmi("data", "import", "table", own, "out", *options), *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_has_help_with_examples(kerasmi, source):
    result = kerasmi("data", "import", source, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    for option in ("--image-size", "--max-refused", "--splitter", "--fresh"):
        assert option in result.stdout


@pytest.mark.parametrize("source", SOURCES)
def test_a_missing_source_is_one_line(kerasmi, tmp_path, source):
    result = kerasmi("data", "import", source, "gone", "out")
    one_error(result, "gone")
    assert list(tmp_path.iterdir()) == []
