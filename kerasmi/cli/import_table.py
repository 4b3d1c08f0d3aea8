"""`kerasmi data import table`: any image-text pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmi.cli import import_run
from kerasmi.cli.base import Verb
from kerasmi.cli.import_options import COMMON, PATH, RULE, pairs, together

if TYPE_CHECKING:
    from kerasmi.data.sources.base import Source

_VALUES = {"uncertain": -1, "blank": -2}
_COLUMNS = {
    "image": "Column with the path of the image, or a pattern such as"
    " '{image_id}.png'.",
    "image_id": "Column that names the image.  [default: its path]",
    "subject": "Column that names the person; decides the sets.",
    "study": "Column that names the study.  [default: a subject's images with"
    " one text are one]",
    "view": "Column with the view.",
    "split": "Column with train, validation or test.",
    "text": "Column with the whole report, or any text.",
    "findings": "Column with the report's findings.",
    "impression": "Column with the report's impression.",
}


_columns = together(
    *(
        click.option(f"--{name.replace('_', '-')}", name, help=text)
        for name, text in _COLUMNS.items()
    )
)


@click.command(
    "table",
    cls=Verb,
    examples="""
        kerasmi data import table own.csv OUT
        kerasmi data import table notes.csv OUT --images pictures \\
            --image '{image_id}.png' --subject patient --text note \\
            --encoding cp1252 --label Edema=edema --label Pneumonia=pneumonia
        kerasmi data import table own.jsonl OUT --label-value yes=1
    """,
)
@click.argument("file", type=PATH)
@click.option(
    "--images",
    type=PATH,
    help="Folder, zip or tar of the images.  [default: FILE's folder]",
)
@_columns
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME[=COLUMN]",
    help="A label, and the column that has it: 1, 0, -1 (uncertain), empty"
    " (blank). May be given several times.",
)
@click.option(
    "--label-value",
    "values",
    multiple=True,
    metavar="TEXT=VALUE",
    help="A further text in label columns, such as yes=1 or NA=blank.",
)
@click.option(
    "--keep-view", "views", multiple=True, help="Leave out other views."
)
@click.option("--encoding", default="utf-8", show_default=True)
@click.option(
    "--delimiter",
    help="Of a CSV: a character, or tab.  [default: by FILE's name]",
)
@together(*COMMON, *RULE)
def table(
    file: Path,
    images: Path | None,
    labels: tuple[str, ...],
    values: tuple[str, ...],
    views: tuple[str, ...],
    encoding: str,
    delimiter: str | None,
    **others: Any,
) -> None:
    """Import any image-text pairs: one row for each image.

    FILE is a CSV, TSV, JSON Lines (each also .gz) or Parquet file. Columns
    called image, image_id, subject, study, view, split, text, findings or
    impression, in any capitals, are found by themselves.
    """
    columns = {name: others.pop(name) for name in _COLUMNS}

    def source() -> "Source":
        from kerasmi.data.sources.table import Table

        return Table(
            file,
            images=images,
            columns={k: v for k, v in columns.items() if v is not None},
            labels=pairs("--label", labels),
            label_values=_label_values(values),
            views=views,
            encoding=encoding,
            delimiter=_tab(delimiter),
        )

    import_run.run(source, **others)


def _label_values(texts: Sequence[str]) -> dict[str, int]:
    values = {}
    for text, value in pairs("--label-value", texts).items():
        try:
            values[text] = _VALUES[value] if value in _VALUES else int(value)
        except ValueError:
            raise click.UsageError(
                f"--label-value: expected a number, 'uncertain' or 'blank': "
                f"{text}={value}"
            ) from None
    return values


def _tab(delimiter: str | None) -> str | None:
    found = "\t" if delimiter in ("\\t", "tab") else delimiter
    if found is not None and len(found) != 1:
        raise click.UsageError("--delimiter: expected one character, or tab")
    return found
