"""`kerasmi data import` of published releases."""

from pathlib import Path
from typing import Any

import click

from kerasmi.cli import import_run
from kerasmi.cli.base import Verb
from kerasmi.cli.import_options import COMMON, PATH, RULE, together

_STANFORD_LABELS = "Labels or their folder."
_STANFORD_SPLIT = "By subject (--shares), or the release's own."
_FRONTAL = ("AP", "PA", "FRONTAL")


def _images() -> Any:
    return click.argument("images", type=PATH)


def _file(option: str, text: str, **more: Any) -> Any:
    return click.option(option, type=PATH, help=text, **more)


def _choice(option: str, *values: str, text: str | None = None) -> Any:
    """One of some words, the first by default."""
    return click.option(
        option,
        type=click.Choice(values),
        default=values[0],
        show_default=True,
        help=text,
    )


def _views(default: tuple[str, ...], text: str) -> Any:
    return click.option(
        "--keep-view",
        "views",
        multiple=True,
        default=default,
        show_default=True,
        help=text,
    )


@click.command(
    "mimic-cxr",
    cls=Verb,
    short_help="Import MIMIC-CXR: images, reports, labels, severity.",
    examples="""
        kerasmi data import mimic-cxr mimic-cxr/2.0.0 OUT \\
            --metadata mimic-cxr-jpg/2.0.0 --severity mimic-cxr-pe-severity
        kerasmi data import mimic-cxr mimic-cxr-jpg/2.1.0 OUT \\
            --reports mimic-cxr-reports.zip --split official
    """,
)
@_images()
@_file("--reports", "Zip, folder or sectioned CSV.")
@_file("--metadata", "Metadata CSV or its folder.")
@_file("--labels", "Label CSV or its folder.")
@_choice("--labeller", "chexpert", "negbio", "none")
@_file("--test-labels", "Radiologists' labels of 2.1.0.")
@_file("--severity", "Edema severity release.")
@_choice("--split", "paper", "authors_code", "official")
@click.option(
    "--validation-share",
    type=click.FloatRange(0, 1),
    help="Of the training subjects; for authors_code.  [default: .02]",
)
@_views(("AP", "PA"), "View positions to keep.")
@click.option(
    "--infer-view/--no-infer-view",
    default=True,
    show_default=True,
    help="Take an empty view position from the view code.",
)
@_choice("--text", "impression_findings", "authors", "none")
@together(*COMMON)
def mimic_cxr(**options: Any) -> None:
    """Import MIMIC-CXR: DICOM or JPG tree, reports, labels, severity.

    IMAGES is the root of the tree; what is not named is looked for there.
    """
    import_run.release("mimic_cxr", "MimicCXR", **options)


@click.command(
    "open-i",
    cls=Verb,
    short_help="Import Open-i: images, reports and labels.",
    examples="""
        kerasmi data import open-i NLMCXR_png.tgz OUT \\
            --projections nlmcxr_dicom_metadata.csv.gz
        kerasmi data import open-i images_normalized OUT
    """,
)
@_images()
@_file("--reports", "NLMCXR_reports.tgz, its folder, or indiana_reports.csv.")
@_file(
    "--projections",
    "Tables of the views, the best first: indiana_projections.csv,"
    " nlmcxr_dicom_metadata.csv.",
    multiple=True,
)
@_views(_FRONTAL, "Views to keep: also LL, RL, LATERAL, UNKNOWN.")
@together(*COMMON, *RULE)
def open_i(projections: tuple[Path, ...], **options: Any) -> None:
    """Import Open-i: reports in XML or CSV, images in PNG or DICOM.

    IMAGES is a folder or an archive; what is not named is looked for beside
    it. The XML reports tell no views: the projections do.
    """
    import_run.release(
        "open_i", "OpenI", projections=projections or None, **options
    )


@click.command(
    "chexpert",
    cls=Verb,
    short_help="Import CheXpert: labelled images without reports.",
    examples="""
        kerasmi data import chexpert CheXpert-v1.0-small OUT
        kerasmi data import chexpert CheXpert-v1.0 OUT --split official
    """,
)
@_images()
@_file("--labels", _STANFORD_LABELS)
@_choice("--split", "subject", "official", text=_STANFORD_SPLIT)
@_views(_FRONTAL, "Views to keep: also LL, RL, LATERAL.")
@together(*COMMON, *RULE)
def chexpert(**options: Any) -> None:
    """Import CheXpert: labelled images without reports, for retraining."""
    import_run.release("chexpert", "CheXpert", **options)


@click.command(
    "chexpert-plus",
    cls=Verb,
    examples="""
        kerasmi data import chexpert-plus PNG OUT --reports REPORTS.csv
        kerasmi data import chexpert-plus PNG OUT \\
            --reports df_chexpert_plus_240401.csv --labels chexbert_labels
    """,
)
@_images()
@_file("--reports", "The release's CSV.")
@_file("--labels", _STANFORD_LABELS)
@_choice(
    *("--labeller", "report", "findings", "impression", "none"),
    text="The text that the labels were read from.",
)
@_choice("--split", "subject", "official", text=_STANFORD_SPLIT)
@_views(_FRONTAL, "Views to keep: also LL, RL, LATERAL.")
@_choice("--text", "impression_findings", "report", "none")
@together(*COMMON, *RULE)
def chexpert_plus(**options: Any) -> None:
    """Import CheXpert Plus: images with reports and labels."""
    import_run.release("chexpert_plus", "CheXpertPlus", **options)
