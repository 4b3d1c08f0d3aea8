"""Markdown tables, as `kerasmi table` writes them, as HTML."""

import re

import pandas as pd

from kerasmi.evaluation import report_html as html

_BAR = re.compile(r"(?<!\\)\|")
_BOLD = re.compile(r"\*\*([^*<>]+)\*\*")


def tables(text: str, caption: str, name: str) -> str:
    """The tables and paragraphs of a Markdown file.

    Args:
        text: pipe tables, headings and paragraphs.
        caption: above each table.
        name: of the file; keeps the anchors of its headings apart.
    """
    parts, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([_plain(cell) for cell in _BAR.split(line)[1:-1]])
            continue
        if len(rows) > 2:
            head, _, *body = rows
            frame = pd.DataFrame(body, columns=head)
            parts.append(html.table(frame, caption))
        rows = []
        words = _plain(line.lstrip("# "))
        if line.startswith("#"):
            parts.append(html.heading(words, f"tables {name}"))
        elif words:
            parts.append(html.paragraph(words))
    return _BOLD.sub(r"<b>\1</b>", "\n".join(parts))


def _plain(text: str) -> str:
    return text.replace("\\|", "|").strip()
