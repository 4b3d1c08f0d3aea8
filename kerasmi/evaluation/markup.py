"""Tables as markdown, LaTeX, HTML and CSV."""

import dataclasses
import html as escaping
import re
from collections.abc import Callable, Sequence

import pandas as pd

from kerasmi.evaluation import tables

_LATEX = {
    "\\": r"\textbackslash{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
_LATEX_SIGN = re.compile("|".join(map(re.escape, _LATEX)))
# The paper's Table 3 has three labels side by side.
_SIDE_BY_SIDE = 3
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_STYLE = """\
section { margin-bottom: 2.5rem; }
body { font-family: system-ui, sans-serif; margin: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
caption { text-align: left; font-weight: bold; padding: 0.4rem 0; }
th, td { padding: 0.2rem 0.6rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 1px solid; border-top: 2px solid; }
tbody tr:last-child > * { border-bottom: 2px solid; }
tbody th { font-weight: normal; }
p { font-size: 0.85rem; max-width: 60rem; margin: 0.3rem 0; }
"""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table to print.

    Attributes:
        name: such as `"Table 2"`.
        title: what it shows.
        above: lines to read before its numbers: the data, the label policies.
        frame: the text of its cells.
        bold: which cells are bold; of the shape of `frame`.
        below: lines on how its numbers came about.
        numbers: the same in full digits, one value to a column.
        keys: how many columns name the rows; where the others are too many
            for a printed page, they follow in blocks, these repeated. 0 keeps
            a table whole.
    """

    name: str
    title: str
    above: tuple[str, ...]
    frame: pd.DataFrame
    bold: pd.DataFrame
    below: tuple[str, ...]
    numbers: pd.DataFrame
    keys: int = 0


def markdown(shown: Sequence[Table]) -> str:
    """Tables as GitHub's markdown, bold in double asterisks."""
    return "\n".join(_markdown(table) for table in shown)


def latex(shown: Sequence[Table]) -> str:
    """Tables as LaTeX; the packages booktabs and graphicx are needed."""
    head = "% \\usepackage{booktabs,graphicx}\n"
    return head + "\n".join(_latex(table) for table in shown)


def html(shown: Sequence[Table]) -> str:
    """Tables as sections of an HTML page, to put into one of your own."""
    return "".join(_html(table) for table in shown)


def html_page(shown: Sequence[Table]) -> str:
    """Tables as a whole HTML page, which needs nothing else."""
    title = ", ".join(table.name for table in shown)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaping.escape(title)}</title>\n"
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f"{html(shown)}</body>\n</html>\n"
    )


def csv(shown: Sequence[Table]) -> str:
    """The numbers of all tables under one another, without text.

    The first column names the table; a column that a table lacks is empty.
    """
    frames = [
        table.numbers.assign(table=table.name)[["table", *table.numbers]]
        for table in shown
    ]
    columns = dict.fromkeys(name for frame in frames for name in frame)
    parts = [frame.astype(object).reindex(columns=columns) for frame in frames]
    return pd.concat(parts, ignore_index=True).to_csv(index=False)


def _cells(table: Table, bold: Callable[[str], str]) -> pd.DataFrame:
    """The text of the cells, those of `table.bold` passed through `bold`."""
    frame = table.frame.astype(str)
    return frame.where(~table.bold, frame.map(bold))


def _markdown(table: Table) -> str:
    marked = _cells(table, lambda text: f"**{text}**")
    parts = [
        f"## {table.name}. {table.title}",
        *table.above,
        tables.markdown(marked).rstrip("\n"),
        *table.below,
    ]
    return "\n\n".join(parts) + "\n"


def _tex(text: str) -> str:
    escaped = _LATEX_SIGN.sub(lambda found: _LATEX[found.group()], text)
    return _MINUS.sub("$-$", escaped)


def _latex(table: Table) -> str:
    escaped = dataclasses.replace(
        table, frame=table.frame.astype(str).map(_tex)
    )
    cells = _cells(escaped, lambda text: f"\\textbf{{{text}}}")
    cells = cells.rename(columns=_tex)
    blocks = _blocks(list(cells), table.keys)
    width = max(map(len, blocks))
    parts = []
    for block in blocks:
        missing = [""] * (width - len(block))
        rows = [[*block, *missing]]
        rows += [[*row, *missing] for row in cells[block].to_numpy()]
        head, *body = (" & ".join(row).rstrip() + r" \\" for row in rows)
        parts.append("\n".join([head, r"\midrule", *body]))
    notes = [_tex(line) for line in (*table.above, *table.below)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(table.title)}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{'l' * width}}}",
        r"\toprule",
        "\n\\midrule\n".join(parts),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\footnotesize {note}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _blocks(names: list[str], keys: int) -> list[list[str]]:
    """The columns that stand side by side on a page, block by block.

    A last one that would be alone, such as the mean, joins those before it.
    """
    first, others = names[:keys], names[keys:]
    if not keys:
        return [names]
    starts = list(range(0, len(others), _SIDE_BY_SIDE))
    if len(starts) > 1 and len(others) - starts[-1] == 1:
        starts.pop()
    ends = [*starts[1:], len(others)]
    return [
        [*first, *others[start:end]]
        for start, end in zip(starts, ends, strict=True)
    ]


def _html(table: Table) -> str:
    escaped = dataclasses.replace(
        table, frame=table.frame.astype(str).map(escaping.escape)
    )
    cells = _cells(escaped, lambda text: f"<strong>{text}</strong>")
    head = "".join(
        f'<th scope="col">{escaping.escape(str(name))}</th>'
        for name in table.frame
    )
    rows = []
    for first, *others in cells.to_numpy():
        rest = "".join(f"<td>{text}</td>" for text in others)
        rows.append(f'<tr><th scope="row">{first}</th>{rest}</tr>\n')
    caption = escaping.escape(f"{table.name}. {table.title}")
    return (
        f"<section>\n{_paragraphs(table.above)}"
        f'<div class="table" tabindex="0">\n<table>\n'
        f"<caption>{caption}</caption>\n"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>\n</div>\n"
        f"{_paragraphs(table.below)}</section>\n"
    )


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escaping.escape(line)}</p>\n" for line in lines)
