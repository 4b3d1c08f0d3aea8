"""The pieces of `report.html`: tables, figures, sections, the page.

Each function returns HTML; whatever is written for a reader is escaped here.
"""

import base64
import dataclasses
import html
import io
import math
import numbers
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerasmi.evaluation import tables
from kerasmi.evaluation.drawing import write
from kerasmi.evaluation.report_style import CSS

ROWS = 300
_LONG = 40  # letters beyond which a cell is broken into lines
_DPI, _CSS_DPI = 180, 96


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page under a heading of its own."""

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """The heading's id."""
        return slug(self.title)


def slug(title: str) -> str:
    """A title as an id."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def escape(value: Any) -> str:
    """Text that stands for itself."""
    return html.escape(str(value), quote=True)


def section(title: str, *parts: str) -> Section | None:
    """A section of what there is to say; None where that is nothing."""
    body = "\n".join(filter(None, parts))
    return Section(title, body) if body else None


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    named = f' class="{kind}"' if kind else ""
    return f"<p{named}>{escape(text)}</p>"


def heading(title: str, within: str) -> str:
    """A heading below that of the section called `within`."""
    anchor = f"{slug(within)}-{slug(title)}"
    return f'<h3 id="{anchor}"><a href="#{anchor}">{escape(title)}</a></h3>'


def details(summary: str, body: str) -> str:
    """What is folded away until it is asked for."""
    return (
        f"<details>\n<summary>{escape(summary)}</summary>\n{body}\n</details>"
    )


def table(frame: pd.DataFrame, caption: str, header: int = 1) -> str:
    """A table in a box of its own, that scrolls where it is too wide.

    Args:
        frame: its columns' names are the head; what a column `note` says
            stands below, numbered.
        caption: what it shows, above it.
        header: so many columns, from the left, name the row.
    """
    shown, notes = tables.footnotes(frame.head(ROWS))
    if len(shown) < len(frame):
        caption += f" The first {ROWS} of {len(frame):,} rows."
    right = [
        pd.api.types.is_numeric_dtype(shown.iloc[:, k])
        for k in range(len(shown.columns))
    ]
    head = "".join(
        f'<th scope="col"{_aligned(number)}>{escape(name)}</th>'
        for name, number in zip(shown.columns, right, strict=True)
    )
    texts = [_texts(shown.iloc[:, k]) for k in range(len(shown.columns))]
    rows = "\n".join(
        _row(values, right, header) for values in zip(*texts, strict=True)
    )
    label = escape(caption)
    return (
        f'<p class="described note">{label}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>{_below(notes)}"
    )


def _below(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>\n" for note in notes)
    return f'\n<ol class="notes note">\n{items}</ol>' if notes else ""


def _texts(column: pd.Series) -> list[str]:
    """Its values as text; small numbers, all of them, get four decimals."""
    digits = 3
    if pd.api.types.is_float_dtype(column):
        sizes = column[np.isfinite(column)].abs()
        digits = 4 if len(sizes) and sizes.max() < 0.1 else 3
    return [cell(value, digits) for value in column]


def _row(values: Sequence[str], right: Sequence[bool], header: int) -> str:
    cells = []
    for k, (value, number) in enumerate(zip(values, right, strict=True)):
        text = escape(value)
        if k < header:
            cells.append(f'<th scope="row">{text}</th>')
        elif len(text) > _LONG and not number:
            cells.append(f'<td class="long">{text}</td>')
        else:
            cells.append(f"<td{_aligned(number)}>{text}</td>")
    mean = ' class="mean"' if "mean" in values[:3] else ""
    return f"<tr{mean}>{''.join(cells)}</tr>"


def _aligned(number: bool) -> str:
    return ' class="number"' if number else ""


def cell(value: Any, digits: int = 3) -> str:
    """A value as a table shows it; `-` for none.

    Args:
        value: of any kind.
        digits: decimals of a number that is not whole.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return "-"
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{value:,}"
    if isinstance(value, numbers.Real):
        return _real(float(value), digits)
    return str(value)


def _real(value: float, digits: int) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:z.{digits}f}"


def findings(found: Iterable[tuple[str, str]]) -> str:
    """A list of concerns: level (`failure`, `warning`) and text of each."""
    items = "\n".join(
        f'<li class="{level}"><b>{level.capitalize()}.</b> {escape(text)}</li>'
        for level, text in found
    )
    return f'<ul class="findings">\n{items}\n</ul>' if items else ""


def facts(pairs: Iterable[tuple[str, Any]], caption: str) -> str:
    """A table of names and values."""
    frame = pd.DataFrame(list(pairs), columns=["what", "value"], dtype=object)
    return table(frame, caption)


def figure(
    picture: Figure | bytes,
    alt: str,
    caption: str = "",
    scroll: bool = False,
) -> str:
    """A picture inside the page.

    Args:
        picture: a figure of matplotlib, or the bytes of a PNG.
        alt: what it shows, for whom cannot see it.
        caption: below it.
        scroll: whether it keeps its size in a box that scrolls.

    Raises:
        ValueError: no alt text, or bytes that are no PNG.
    """
    if not alt.strip():
        raise ValueError("a picture needs a text that says what it shows")
    png, scale = _png(picture)
    width, height = png_size(png)
    image = (
        f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}"'
        f' width="{width * scale:.0f}" height="{height * scale:.0f}"'
        f' alt="{escape(alt)}">'
    )
    if scroll:
        image = (
            f'<div class="scroll" tabindex="0" role="region"'
            f' aria-label="{escape(alt)}">{image}</div>'
        )
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{image}{told}</figure>"


def _png(picture: Figure | bytes) -> tuple[bytes, float]:
    """The bytes, and the size of one of their pixels on the page."""
    if isinstance(picture, bytes):
        return picture, 1.0
    buffer = io.BytesIO()
    write(picture, buffer, _DPI)
    return buffer.getvalue(), _CSS_DPI / _DPI


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels.

    Raises:
        ValueError: no PNG.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 24:
        raise ValueError("not a PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def gallery(figures: Iterable[str], small: bool = False) -> str:
    """Figures side by side, as many in a row as there is room for.

    Args:
        figures: the figures.
        small: whether a phone shows two in a row.
    """
    kind = "gallery small" if small else "gallery"
    return f'<div class="{kind}">\n{chr(10).join(figures)}\n</div>'


def page(title: str, lead: str, sections: Iterable[Section | None]) -> str:
    """The whole page.

    Args:
        title: of the page.
        lead: HTML below it.
        sections: its parts; those that are None are left out.
    """
    parts = [one for one in sections if one is not None]
    links = "\n".join(
        f'<li><a href="#{one.anchor}">{escape(one.title)}</a></li>'
        for one in parts
    )
    bodies = "\n".join(
        f'<section aria-labelledby="{one.anchor}">\n'
        f'<h2 id="{one.anchor}"><a href="#{one.anchor}">{escape(one.title)}</a>'
        f"</h2>\n{one.body}\n</section>"
        for one in parts
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n<header>\n<h1>{escape(title)}</h1>\n{lead}\n"
        f'<nav aria-label="Contents">\n<ol>\n{links}\n</ol>\n</nav>\n'
        "</header>\n"
        f"<main>\n{bodies}\n</main>\n</body>\n</html>\n"
    )
