import gzip
import json
from datetime import datetime
from decimal import Decimal

import numpy as np
import own_tables
import pytest

from kerasmi.data.schema import BLANK, UNCERTAIN
from kerasmi.data.sources import table_rows
from kerasmi.data.sources.base import Audit
from kerasmi.data.sources.table import Table
from kerasmi.errors import DataError


def items(table, **options):
    """Returns the items, and the rows refused as (step, key, reason)."""
    kept = []
    audit = Audit(lambda step, key, origin, reason: kept.append((key, reason)))
    return list(Table(table, **options).items(audit)), kept, audit


@pytest.fixture
def own(tmp_path):
    return own_tables.write_table(tmp_path, images=8, pictures=False)


def write(tmp_path, text, name="own.csv", encoding="utf-8"):
    file = tmp_path / name
    file.write_bytes(text.encode(encoding))
    return file


# Kinds of files: the same rows.


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_parquet(rows, file):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), file)


@pytest.mark.parametrize(
    "name",
    ["own.tsv", "own.csv.gz", "own.jsonl", "own.jsonl.gz", "own.parquet"],
)
def test_every_kind_of_file_gives_the_same_items(own, tmp_path, name):
    made = own_tables.rows(8)
    for row in made:
        # As typed files have them: numbers, and null where nothing stands.
        row["edema"] = None if row["edema"] == "" else float(row["edema"])
    file = tmp_path / name
    if name == "own.tsv":
        file.write_text(own.read_text().replace(",", "\t"))
    elif name == "own.csv.gz":
        file.write_bytes(gzip.compress(own.read_bytes()))
    elif name == "own.parquet":
        as_parquet(made, file)
    else:
        content = as_lines(made).encode()
        packed = name.endswith("gz")
        file.write_bytes(gzip.compress(content) if packed else content)
    wanted, _, _ = items(own, labels=["edema"])
    found, refused, _ = items(file, labels=["edema"])
    assert refused == []
    strip = [(i.image_id, i.study_id, i.report, dict(i.labels)) for i in found]
    assert strip == [
        (i.image_id, i.study_id, i.report, dict(i.labels)) for i in wanted
    ]


def test_columns_are_mapped_by_options(tmp_path):
    text = "file,who,note,where\n1.png,a,Clear.,AP\n"
    columns = {"image": "file", "subject": "who", "text": "note"}
    (item,), _, _ = items(write(tmp_path, text), columns=columns)
    assert item.image == tmp_path / "1.png"
    assert (item.subject_id, item.report, item.view) == ("a", "Clear.", "")


def test_our_names_are_found_in_any_capitals(tmp_path):
    text = "Image,SUBJECT_ID,Study,View,Split,Text,Findings,Impression\n"
    text += "1.png,a,t,PA,test,All.,Clear.,Normal.\n"
    (item,), _, audit = items(write(tmp_path, text))
    assert (item.image_id, item.subject_id, item.study_id) == (
        "1.png",
        "a",
        "t",
    )
    assert (item.view, item.split, item.report) == ("PA", "test", "All.")
    assert (item.findings, item.impression) == ("Clear.", "Normal.")
    assert audit.warnings == []


@pytest.mark.parametrize(
    ("header", "name", "columns"),
    [
        ("split,Split", "split", "'split' and 'Split'"),
        ("subject,subject_id", "subject", "'subject' and 'subject_id'"),
        ("Study_ID,STUDY", "study", "'Study_ID' and 'STUDY'"),
        ("image_id,Image_ID", "image-id", "'image_id' and 'Image_ID'"),
    ],
)
def test_two_columns_of_one_name_are_refused_until_one_is_told(
    tmp_path, header, name, columns
):
    table = write(tmp_path, f"image,{header}\n1.png,train,test\n")
    ours = name.replace("-", "_")
    message = (
        rf"own\.csv: the columns {columns} may .* the {ours}; .*--{name}\)"
    )
    with pytest.raises(DataError, match=message):
        Table(table)
    for column in header.split(","):
        wanted = {"image": "image", ours: column}
        assert Table(table, columns={ours: column}).options()["columns"] == (
            wanted
        )


def test_a_column_that_is_told_matches_as_it_stands(own):
    with pytest.raises(DataError, match=r"'Text' \(did you mean 'text'"):
        Table(own, columns={"text": "Text"})


def test_a_name_in_other_capitals_may_be_told_to_be_something_else(tmp_path):
    table = write(tmp_path, "image,subject,Impression,View\n1.png,a,Clear.,1\n")
    told = {"columns": {"text": "Impression"}, "labels": {"Edema": "View"}}
    (item,), _, _ = items(table, **told)
    assert (item.report, item.impression, item.view) == ("Clear.", "", "")
    assert item.labels == {"Edema": 1}


@pytest.mark.parametrize(
    ("first", "late"),
    [({}, "Split"), ({}, "split"), ({"split": ""}, "SPLIT")],
    ids=str,
)
def test_a_key_that_only_later_lines_have_is_refused_in_any_capitals(
    tmp_path, first, late
):
    rows = [{"image": f"{n}.png", **first} for n in range(1000)]
    rows.append({"image": "z.png", late: "test"})
    table = write(tmp_path, as_lines(rows), "own.jsonl")
    with pytest.raises(DataError, match=f"jsonl:1001: has the key '{late}'"):
        items(table)


def test_a_path_may_be_a_pattern(tmp_path):
    text = "folder,image_id\nx,1\ny,2\n"
    found, _, _ = items(
        write(tmp_path, text), columns={"image": "{folder}/p{image_id}.png"}
    )
    assert [i.image for i in found] == [
        tmp_path / "x/p1.png",
        tmp_path / "y/p2.png",
    ]
    assert [i.image_id for i in found] == ["1", "2"]


def test_a_pattern_takes_cells_without_their_spaces_and_none_that_is_empty(
    tmp_path,
):
    text = "folder,image_id\n x , 1\n,2\ny,  \n"
    found, refused, _ = items(
        write(tmp_path, text), columns={"image": "{folder}/{image_id}.png"}
    )
    assert [i.image for i in found] == [tmp_path / "x/1.png"]
    assert [i.image_id for i in found] == ["1"]
    assert refused == [
        ("own.csv:3", "column folder is empty"),
        ("own.csv:4", "column image_id is empty"),
    ]


def test_sections_are_taken_apart_from_the_text(tmp_path):
    text = "image,subject,findings,impression\n1.png,a,Clear.,Normal.\n"
    (item,), _, _ = items(write(tmp_path, text))
    assert (item.findings, item.impression, item.report) == (
        "Clear.",
        "Normal.",
        "",
    )


def test_ids_are_text_with_their_leading_zeros(tmp_path):
    text = "image,image_id,subject,study\n1.png,007,0012,00\n"
    (item,), _, _ = items(write(tmp_path, text))
    assert (item.image_id, item.subject_id, item.study_id) == (
        "007",
        "0012",
        "00",
    )


def test_without_a_study_the_images_of_one_text_are_one(tmp_path):
    text = "image,subject,text\n1,a,Clear.\n2,a,Clear.\n3,a,No.\n4,b,Clear.\n"
    text += "5,a,\n6,a,\n"
    found, _, _ = items(write(tmp_path, text))
    studies = [item.study_id for item in found]
    assert studies[0] == studies[1]
    assert len(set(studies)) == 5


def test_without_a_subject_every_image_is_one_and_that_is_noted(tmp_path):
    found, _, audit = items(write(tmp_path, "image\n1\n2\n"))
    assert [item.subject_id for item in found] == ["1", "2"]
    assert any("subject" in note for note in audit.notes)
    assert any("text" in note for note in audit.notes)


def test_without_a_subject_a_study_is_one_and_that_is_said(tmp_path):
    text = "image,study,text\n1,a,Clear.\n2,a,Clear.\n3,b,Clear.\n4,,No.\n"
    found, _, audit = items(write(tmp_path, text))
    assert [item.subject_id for item in found] == ["a", "a", "b", ""]
    (said,) = audit.warnings
    assert "every study counts as one" in said
    assert "--subject" in said


def test_label_values_are_read_as_they_stand(tmp_path):
    cells = ["1", "0.0", "-1", "", "yes", "NA"]
    rows = "".join(f"{n},s,{cell}\n" for n, cell in enumerate(cells))
    found, refused, _ = items(
        write(tmp_path, "image,subject,edema\n" + rows),
        labels={"Edema": "edema"},
        label_values={"yes": 1, "NA": BLANK},
    )
    assert refused == []
    values = [item.labels["Edema"] for item in found]
    assert values == [1, 0, UNCERTAIN, BLANK, 1, BLANK]


@pytest.mark.parametrize("cell", ["maybe", "nan", "0.5", "7", "inf"])
def test_a_label_is_not_guessed(tmp_path, cell):
    file = write(tmp_path, f"image,subject,edema\n1,s,{cell}\n")
    found, ((key, reason),), _ = items(file, labels=["edema"])
    assert found == []
    assert key == "own.csv:2"
    assert repr(cell) in reason


def test_views_are_filtered_and_counted(own):
    found, refused, audit = items(own, views=["PA"])
    assert {item.view for item in found} == {"PA"}
    assert refused == []
    assert audit.counts["filter: view not PA"] == 4


def test_a_view_in_other_capitals_is_left_out_and_warned_of(tmp_path):
    table = write(tmp_path, "image,subject,view\n1,a,PA\n2,b,pa\n3,c,LL\n")
    found, _, audit = items(table, views=["PA"])
    assert [item.image_id for item in found] == ["1"]
    assert audit.counts["filter: view not PA"] == 2
    (said,) = audit.warnings
    assert said.startswith("the view 'pa' is left out: --keep-view ")
    _, _, audit = items(table, views=["PA", "pa"])
    assert audit.warnings == []


def test_split_names_of_others_are_known(tmp_path):
    names = ["train", "Valid", "dev", "TEST", ""]
    rows = "".join(f"{n},s{n},{name}\n" for n, name in enumerate(names))
    found, _, _ = items(write(tmp_path, "image,subject,split\n" + rows))
    assert [item.split for item in found] == [
        "train",
        "validation",
        "validation",
        "test",
        "",
    ]


# Bad input.


def test_cp1252_is_refused_with_its_line_and_read_when_named(tmp_path):
    text = "image,subject,text\n1,a,Clear.\n2,a,Patient\u2019s heart.\n"
    file = write(tmp_path, text, encoding="cp1252")
    with pytest.raises(DataError, match=r"line 3 is not utf-8 \(byte 0x92"):
        items(file)
    found, _, _ = items(file, encoding="cp1252")
    assert found[1].report == "Patient\u2019s heart."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_other_encodings_are_read_when_named(tmp_path, encoding):
    text = "image,subject,text\n1,a,Größe.\n"
    file = write(tmp_path, text, encoding=encoding)
    (item,), _, _ = items(file, encoding=encoding)
    assert item.report == "Größe."


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    file = write(tmp_path, "image,subject\n1,a\n", encoding="utf-8-sig")
    (item,), _, _ = items(file)
    assert item.image_id == "1"


def test_utf16_read_as_utf8_is_told(tmp_path):
    file = write(tmp_path, "image,subject\n1,a\n", encoding="utf-16")
    with pytest.raises(
        DataError, match=r"own\.csv: line 1 .*--encoding.*utf-16"
    ):
        items(file)


def test_an_unknown_encoding_is_told(own):
    with pytest.raises(DataError, match="'klingon' is no encoding"):
        items(own, encoding="klingon")


def test_the_empty_rows_of_a_spreadsheet_are_no_rows(tmp_path):
    text = "image,subject\n1.png,a\n,\n\n , ,\n2.png,b\n"
    found, refused, audit = items(write(tmp_path, text))
    assert [item.origin for item in found] == ["own.csv:2", "own.csv:6"]
    assert refused == []
    assert audit.counts["rows read"] == 2
    # One empty cell among others is a row, and refused.
    _, refused, _ = items(write(tmp_path, "image,subject\n,a\n"))
    assert refused == [("own.csv:2", "it is empty")]


def test_a_row_of_another_length_is_refused(tmp_path):
    text = "image,subject\n1,a\n2,b,c\n3\n4,d\n"
    found, refused, _ = items(write(tmp_path, text))
    assert [item.image_id for item in found] == ["1", "4"]
    assert refused == [
        ("own.csv:3", "3 fields where the header has 2"),
        ("own.csv:4", "1 field where the header has 2"),
    ]


def test_a_quote_left_open_swallows_no_rows(tmp_path):
    text = 'image,subject,text\n1,a,"open\n' + "2,b,Clear.\n" * 20
    with pytest.raises(DataError, match=r"row 2 .*quote left open"):
        items(write(tmp_path, text))


def test_a_text_may_have_line_ends_in_quotes(tmp_path):
    text = 'image,subject,text\n1,a,"One.\nTwo."\n2,b,Three.\n'
    found, _, _ = items(write(tmp_path, text))
    assert found[0].report == "One.\nTwo."
    assert found[1].origin == "own.csv:3"


@pytest.mark.parametrize("name", ["own.csv", "own.jsonl", "own.csv.gz"])
def test_an_endless_line_is_bounded(tmp_path, name):
    # 2 GB packed with gzip; a sparse file of 2 GB else.
    file = tmp_path / name
    if name.endswith(".gz"):
        with gzip.open(file, "wb", 1) as stream:
            stream.write(b"image,subject\n")
            for _ in range(64):
                stream.write(b"x" * 2**20)
    else:
        start = b"image,subject\n" if name.endswith(".csv") else b""
        file.write_bytes(start + b"x" * (table_rows.LONGEST_LINE + 1))
        with file.open("r+b") as stream:
            stream.truncate(2**31)
    with pytest.raises(DataError, match="has more than 1,048,576 characters"):
        items(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("picture,who\n1,a\n", "has no column 'image'"),
        ("image,image\n1,2\n", "the column 'image' twice"),
        ("image\0,who\n", "NUL"),
    ],
)
def test_a_table_without_its_header_is_told(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        items(write(tmp_path, text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"columns": {"text": "txt"}},
            r"no column 'txt' \(did you mean 'text'",
        ),
        ({"labels": ["Edema"]}, "no column 'Edema'"),
        ({"columns": {"text": "subject"}}, "both subject and text"),
        ({"labels": {"Edema": "view"}}, "both view and Edema"),
        ({"columns": {"image": "{number}.png"}}, "no column 'number'"),
        ({"images": "nowhere"}, "no such folder"),
        ({"images": "own.csv"}, "expected a folder, or an archive"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_option_is_told(own, monkeypatch, options, message):
    monkeypatch.chdir(own.parent)
    with pytest.raises(DataError, match=message):
        Table(own, **options)


def test_no_cell_is_proposed_where_no_line_names_the_columns(tmp_path):
    file = write(tmp_path, "a.png,smith,Mrs Smith has edema.\n")
    with pytest.raises(DataError, match="it has 3 columns, whose") as caught:
        Table(file, columns={"image": "a.png", "subject": "smit"})
    assert "smith" not in str(caught.value).lower()


def test_views_without_a_column_are_told(tmp_path):
    with pytest.raises(DataError, match="which column is the view"):
        Table(write(tmp_path, "image\n1\n"), views=["PA"])


def test_an_unknown_key_is_a_value_error(own):
    with pytest.raises(ValueError, match="'picture'"):
        Table(own, columns={"picture": "image"})


@pytest.mark.parametrize("name", ["own.xlsx", "own", "own.parquet.gz"])
def test_a_file_of_no_known_kind_is_told(tmp_path, name):
    with pytest.raises(DataError, match="expected a file that ends in"):
        items(write(tmp_path, "image\n1\n", name))


@pytest.mark.parametrize("name", ["own.csv", "own.jsonl", "own.parquet"])
def test_a_missing_file_is_told(tmp_path, name):
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=f"{name}: cannot be read"):
        items(tmp_path / name)


def test_a_broken_gzip_and_a_broken_parquet_are_told(own, tmp_path):
    pytest.importorskip("pyarrow")
    packed = tmp_path / "cut.csv.gz"
    packed.write_bytes(gzip.compress(own.read_bytes())[:60])
    with pytest.raises(DataError, match=r"cut\.csv\.gz: cannot be read"):
        items(packed)
    with pytest.raises(DataError, match=r"cut\.parquet: cannot be read"):
        items(write(tmp_path, "PAR1 nothing", "cut.parquet"))


def test_wrong_lines_of_json_are_refused_alone(tmp_path):
    lines = [
        '{"image": "1", "subject": 7}',
        "{",
        "[1]",
        '{"image": "2", "subject": ["a"]}',
        '{"image": "3", "subject": 9007199254740993.0}',
        "",
        '{"image": "4", "subject": true}',
    ]
    file = write(tmp_path, "\n".join(lines), "own.jsonl")
    found, refused, _ = items(file)
    assert [item.subject_id for item in found] == ["7", "1"]
    reasons = [reason for _, reason in refused]
    assert [key for key, _ in refused] == [
        "own.jsonl:2",
        "own.jsonl:3",
        "own.jsonl:4",
        "own.jsonl:5",
    ]
    assert "no JSON" in reasons[0]
    assert "no JSON object" in reasons[1]
    assert reasons[2] == "column subject is a list, not a text or a number"
    assert "store it as text" in reasons[3]


UNASKED = [
    {"meta": {"age": 5}, "tags": ["x"], "dose": 1e300},
    {"meta": {"age": 6}, "tags": [], "dose": 2.0},
]


def as_columns(rows, file):
    """Parquet, with types that JSON does not have beside them."""
    typed = [
        {**row, "seen": datetime(2020, 1, n), "size": Decimal("1.5"), "a.b": n}
        for n, row in enumerate(rows, 1)
    ]
    as_parquet(typed, file)


@pytest.mark.parametrize("name", ["own.jsonl", "own.parquet"])
def test_columns_that_nobody_asked_for_refuse_no_row(tmp_path, name):
    rows = [
        {"image": f"{n}.png", "subject": n, "text": "Clear.", **unasked}
        for n, unasked in enumerate(UNASKED)
    ]
    file = tmp_path / name
    if name == "own.parquet":
        as_columns(rows, file)
    else:
        file.write_text(as_lines(rows))
    found, refused, _ = items(file)
    assert refused == []
    assert [item.subject_id for item in found] == ["0", "1"]


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("meta", "a dict, not a text"),
        ("tags", "a list, not a text"),
        ("dose", "a number too large to be exact"),
        ("seen", "a datetime, not a text"),
        ("size", "a Decimal, not a text"),
    ],
)
def test_a_column_asked_for_that_is_no_text_is_named(tmp_path, column, what):
    rows = [{"image": f"{n}.png", **cells} for n, cells in enumerate(UNASKED)]
    as_columns(rows, tmp_path / "own.parquet")
    files = [tmp_path / "own.parquet"]
    if column in UNASKED[0]:
        files.append(write(tmp_path, as_lines(rows), "own.jsonl"))
    for file in files:
        _, refused, _ = items(file, columns={"text": column})
        assert refused[0][1].startswith(f"column {column} is {what}")


def test_a_name_with_a_dot_is_a_column_of_parquet(tmp_path):
    as_columns([{"image": "1.png"}], tmp_path / "own.parquet")
    told = {"image": "p{a.b}.png", "study": "a.b"}
    (item,), _, _ = items(tmp_path / "own.parquet", columns=told)
    assert (item.image_id, item.study_id) == ("p1.png", "1")


def test_options_tell_what_decides_the_items_and_no_path(own):
    options = Table(own, images=own.parent, labels={"Edema": "edema"}).options()
    text = json.dumps(options)
    assert str(own.parent) not in text
    assert options["columns"]["text"] == "text"


# A thousand damaged files.


def damage(content, rng):
    """Flips, removes, repeats or inserts some bytes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, len(content)))
        kind = rng.integers(0, 4)
        if kind == 0:
            content[at] = int(rng.integers(0, 256))
        elif kind == 1:
            del content[at : at + int(rng.integers(1, 20))]
        elif kind == 2:
            content[at:at] = content[at : at + int(rng.integers(1, 200))]
        else:
            content[at:at] = rng.choice([b'"', b",", b"\n", b"\0", b"{"])
        content = content or bytearray(b"\n")
    return bytes(content)


@pytest.mark.parametrize("name", ["own.csv", "own.jsonl", "own.parquet"])
def test_a_damaged_table_gives_rows_or_a_data_error(own, tmp_path, name):
    file = tmp_path / name
    if name == "own.parquet":
        as_parquet([{**r, "edema": 1} for r in own_tables.rows(8)], file)
    elif name == "own.jsonl":
        file.write_text(as_lines(own_tables.rows(8)))
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    read, told = 0, []
    for _ in range(1000 if name != "own.parquet" else 300):
        file.write_bytes(damage(whole, rng))
        try:
            found, refused, _ = items(file, labels=["edema"])
        except DataError as error:
            told.append(str(error))
            continue
        read += 1
        for item in found:
            assert item.labels["edema"] in (1, 0, -1, -2, 2, 3)
            assert item.image_id
        assert all(key and reason for key, reason in refused)
    assert read
    assert told
    assert all(str(file) in message for message in told)
