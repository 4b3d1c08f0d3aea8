"""Every format, read back."""

import io
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from played_runs import study

from kerasmi.evaluation import comparisons, markup, paper_tables
from kerasmi.evaluation.comparison_table import comparison_table

AWKWARD = "50% of a_b & <c> | {d} #1 $2 ~ ^ \\"


@pytest.fixture(scope="module")
def made():
    stacked = study(local_mi_mine={"tuned": 2.5}, global_mi_mine={"tuned": 0.8})
    remark = paper_tables.OTHER_DATA
    tables = paper_tables.tables(
        stacked, resamples=50, above=["Labels: 50% & more"], paper=remark
    )
    tests = comparison_table(comparisons.compare(stacked, resamples=50))
    return [*tables, tests, awkward()]


def awkward():
    frame = pd.DataFrame({"label": [AWKWARD], "a|b": ["-0.5 ± 0.1 [-1, 2]"]})
    bold = pd.DataFrame({"label": [False], "a|b": [True]})
    return markup.Table(
        "Table 9", "Signs", (AWKWARD,), frame, bold, (AWKWARD,), frame
    )


def bold_cells(table):
    at = table.bold.to_numpy()
    return table.frame.to_numpy()[at].tolist()


def test_markdown_reads_back(made):
    parts = re.split(r"^## ", markup.markdown(made), flags=re.M)[1:]
    for table, part in zip(made, parts, strict=True):
        assert part.startswith(f"{table.name}. {table.title}\n")
        lines = [line for line in part.splitlines() if line[:2] in ("| ", "|-")]
        header, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]
        plain = [
            [cell.replace("\\|", "|").strip("*") for cell in row]
            for row in rows
        ]
        assert [name.replace("\\|", "|") for name in header] == [*table.frame]
        assert plain == table.frame.to_numpy().tolist()
        marked = [c[2:-2] for row in rows for c in row if c.startswith("**")]
        assert marked == bold_cells(table)
        assert all(line in part for line in (*table.above, *table.below))


def _page(made):
    page = markup.html_page(made)
    assert page.startswith("<!DOCTYPE html>\n")
    # It is XML too, but for the tags that HTML leaves open.
    closed = re.sub(r"<(meta[^>]*)>", r"<\1/>", page.partition("\n")[2])
    return ElementTree.fromstring(closed)


def test_html_reads_back(made):
    sections = _page(made).findall("body/section")
    for table, section in zip(made, sections, strict=True):
        (found,) = section.iter("table")
        assert found.findtext("caption") == f"{table.name}. {table.title}"
        heads = found.findall("thead/tr/th")
        assert [head.text for head in heads] == [*table.frame]
        assert {head.get("scope") for head in heads} == {"col"}
        rows = [
            ["".join(cell.itertext()) for cell in row]
            for row in found.findall("tbody/tr")
        ]
        assert rows == table.frame.to_numpy().tolist()
        firsts = found.findall("tbody/tr/th")
        assert {head.get("scope") for head in firsts} == {"row"}
        strong = [one.text for one in found.iter("strong")]
        assert strong == bold_cells(table)
        paragraphs = [one.text for one in section.findall("p")]
        assert paragraphs == [*table.above, *table.below]


def test_the_page_needs_nothing_from_elsewhere(made):
    for element in _page(made).iter():
        assert not {"src", "href"} & set(element.keys())


def _untex(text):
    for sign, written in (("\\", "textbackslash"), ("|", "textbar")):
        text = text.replace(f"\\{written}{{}}", f"\0{sign}")
    text = text.replace("\\textless{}", "<").replace("\\textgreater{}", ">")
    text = text.replace("\\textasciitilde{}", "~")
    text = text.replace("\\textasciicircum{}", "^")
    text = text.replace("$\\pm$", "±").replace("$-$", "-")
    return re.sub(r"\\([&%$#_{}])", r"\1", text).replace("\0", "")


def _latex_blocks(part):
    """Header and rows of each block of a tabular, cells as they stand."""
    body = part.partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    parts = iter(body.split("\\midrule\n"))
    for head in parts:
        lines = [*head.splitlines(), *next(parts).splitlines()]
        yield [
            [cell.strip() for cell in re.split(r"(?<!\\)&", line[:-3])]
            for line in lines
        ]


def test_latex_reads_back(made):
    parts = markup.latex(made).split("\\begin{table}")[1:]
    for table, part in zip(made, parts, strict=True):
        assert part.count("\\begin{") == 1
        assert part.count("\\end{") == 2
        blocks = list(_latex_blocks(part))
        assert len({len(row) for block in blocks for row in block}) == 1
        found, marked = {}, set()
        for header, *rows in blocks:
            for name, *cells in zip(header, *rows, strict=True):
                if not name:
                    assert not any(cells)
                    continue
                plain = [re.sub(r"^\\textbf\{(.*)\}$", r"\1", c) for c in cells]
                pairs = zip(plain, cells, strict=True)
                marked |= {_untex(p) for p, c in pairs if p != c}
                again = found.setdefault(_untex(name), plain)
                assert again == plain
        back = {
            name: [_untex(c) for c in cells] for name, cells in found.items()
        }
        assert list(back) == list(table.frame)
        assert back == table.frame.to_dict("list")
        assert marked == set(bold_cells(table))
        assert part.count("\\footnotesize") == len(table.above + table.below)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ("ka", ["ka"]),
        ("kabc", ["kabc"]),
        ("kabcd", ["kabcd"]),
        ("kabcde", ["kabc", "kde"]),
        ("kabcdefg", ["kabc", "kdefg"]),
    ],
)
def test_latex_has_three_labels_side_by_side_and_none_alone(columns, wanted):
    frame = pd.DataFrame({name: ["1"] for name in columns})
    table = markup.Table(
        "T", "t", (), frame, frame.map(lambda _: False), (), frame, keys=1
    )
    text = markup.latex([table])
    blocks = _latex_blocks(text)
    heads = ["".join(block[0]) for block in blocks]
    assert heads == wanted
    assert f"{{{'l' * max(map(len, wanted))}}}" in text


def test_csv_reads_back_in_full_digits(made):
    back = pd.read_csv(io.StringIO(markup.csv(made)), keep_default_na=True)
    for table in made[:2]:
        mine = back[back["table"] == table.name]
        assert len(mine) == len(table.numbers)
        for column in ("mean", "sd", "low", "high", "n_positive", "n_seeds"):
            pd.testing.assert_series_equal(
                mine[column].astype(float),
                pd.to_numeric(table.numbers[column]).astype(float),
                check_index=False,
                rtol=1e-14,
            )
        assert mine["label"].tolist() == table.numbers["label"].tolist()
    whole = back["n_positive"].dropna()
    assert ".0," not in markup.csv(made)
    assert (whole == whole.round()).all()
    tests = back[back["table"] == "Paired tests"]
    assert tests["p_holm"].notna().all()
    assert tests["mean"].isna().all()


def test_paired_tests_say_which_differences_stand(made):
    table = made[2]
    assert table.bold["a - b"].all()
    assert not table.bold.drop(columns="a - b").to_numpy().any()
    first = table.frame.iloc[0]
    assert first["a"] == "local-mi-mine tuned"
    assert re.fullmatch(
        r"\+0\.\d{3} ± 0\.\d{3} \[\+0\.\d{3}, \+0\.\d{3}\]", first["a - b"]
    )
    assert first["p Holm"] == "<0.001"


def test_without_a_pair_the_table_of_tests_says_so():
    alone = study(local_mi_mine={"tuned": 1.0})
    table = comparison_table(comparisons.compare(alone, resamples=5))
    assert table.below == ("No two of these methods make a pair.",)
    assert "| a - b |" in markup.markdown([table])
    assert "make a pair" in markup.markdown([table])
    assert "make a pair" in markup.html([table])
    assert markup.csv([table]).startswith("table,comparison,")
