"""`kerasmi data import`: images and reports in, records and an audit out."""

import click

from kerasmi.cli import import_releases, import_table
from kerasmi.cli.base import Nouns


@click.group(
    "import",
    cls=Nouns,
    commands={
        "table": import_table.table,
        "mimic-cxr": import_releases.mimic_cxr,
        "open-i": import_releases.open_i,
        "chexpert": import_releases.chexpert,
        "chexpert-plus": import_releases.chexpert_plus,
    },
    examples="""
        kerasmi data import table own.csv OUT --image file --text report
        kerasmi data import mimic-cxr mimic-cxr/2.0.0 OUT --severity SEVERITY
        kerasmi data import open-i NLMCXR_png.tgz OUT
        kerasmi data import chexpert CheXpert-v1.0-small OUT
    """,
)
def import_() -> None:
    """Make records of images and reports, with an audit.

    The audit (OUT/audit.md) tells what became of every row. An import that
    was interrupted goes on where it stopped when it is run again; the result
    is the same to the byte.
    """
